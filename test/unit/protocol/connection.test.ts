import { describe, expect, test } from 'vitest';
import {
  ACK_INTERVAL_MS,
  CONTROL_BURST_CHARS,
  Connection,
  type ControlMessage,
  CreditPool,
  closeCodeOf,
  decodeDataMessage,
  encodeControl,
  encodeFragmentHeader,
  encodeRecordsHeader,
  HELLO_TIMEOUT_MS,
  LOOP_STALL_MS,
  MAX_CONTROL_QUEUE,
  type OutboundMessage,
  PROTOCOL_VERSION,
  RECORD_OVERHEAD_BYTES,
  SluiceError,
} from '../../../src/protocol/index.ts';
import {
  ConnectionPair,
  controlOf,
  deliver,
  type EndedEvent,
  eventsOf,
  messagesOf,
  queueOutbox,
} from '../../support/connection-pair.ts';
import { controlExamples as examples } from '../../support/control-examples.ts';
import { contentOf, dataRecord, emptyManifest, newBuilder, RECORD_SIZE } from '../../support/log-fixtures.ts';

const PING_AFTER = 15_000;
const DEAD_AFTER = 35_000;
const chain = new Uint8Array(32);

const server = (now = 0) => new Connection({ role: 'server', software: 's' }, now);
const client = (now = 0) => new Connection({ role: 'client', software: 'c' }, now);
const hello = (changes = {}) => encodeControl({ ...examples.hello, extensions: {}, ...changes });

/** How a connection ended; fails unless it ended exactly once and last. */
function endOf(connection: Connection): { code: string | null; isLocal: boolean } {
  const events = eventsOf(connection);
  const ends = events.filter((event): event is EndedEvent => event.type === 'ended');
  expect(ends.length).toBe(1);
  expect(events.at(-1)).toBe(ends[0]);
  return { code: ends[0]!.error?.code ?? null, isLocal: ends[0]!.isLocal };
}

/** `count` real records of a file, `bytes` of content each. */
function recordsOf(count: number, bytes: number): Uint8Array[] {
  const builder = newBuilder();
  builder.manifest(emptyManifest);
  return Array.from({ length: count }, (_, i) => dataRecord(builder, 1, contentOf(bytes, i + 1)));
}

function bytesIn(messages: readonly OutboundMessage[]): number {
  return messages
    .filter((message) => typeof message !== 'string')
    .reduce((sum, parts) => sum + decodeDataMessage(parts).chunk.length, 0);
}

describe('handshake', () => {
  test('both sides are ready and know each other', () => {
    const pair = new ConnectionPair(
      { extensions: { a: '1.3.0', b: '1.0.0' } },
      { extensions: { a: '1.1.0', c: '1.0.0' }, maxStreams: 3, serverTimeMs: 77 },
    );
    expect([pair.client.isReady, pair.server.isReady]).toEqual([false, false]);
    pair.exchange(0);
    const common = { version: PROTOCOL_VERSION, extensions: { a: '1.1.0' } };
    expect(eventsOf(pair.client)).toEqual([{ type: 'ready', software: 'test server', ...common }]);
    expect(eventsOf(pair.server)).toEqual([{ type: 'ready', software: 'test client', ...common }]);
    expect([pair.client.isReady, pair.server.isReady]).toEqual([true, true]);
  });

  test('welcome carries the limits and the time of the server', () => {
    const connection = new Connection({ role: 'server', software: 's', maxStreams: 3, serverTimeMs: 77 }, 0);
    connection.handleText(hello(), 0);
    expect(controlOf(messagesOf(connection, 0))).toMatchObject([
      { type: 'welcome', maxStreams: 3, serverTimeMs: 77 },
    ]);
  });

  test('the client may send its opens behind hello', () => {
    const pair = new ConnectionPair();
    const stream = pair.client.openStream('normal', 0);
    pair.client.send({ ...examples.openReceive, stream });
    pair.exchange(0);
    expect(eventsOf(pair.server).map(({ type }) => type)).toEqual(['ready', 'message']);
  });

  test('a lower minor of the peer applies', () => {
    const connection = server();
    connection.handleText(hello({ version: '1.99.0' }), 0);
    expect(eventsOf(connection)[0]).toMatchObject({ type: 'ready', version: PROTOCOL_VERSION });
  });

  test('without a common version both sides end, and the answer names the versions', () => {
    const connection = server();
    connection.handleText(hello({ version: '2.0.0' }), 0);
    const messages = messagesOf(connection, 0);
    expect(controlOf(messages)).toMatchObject([{ type: 'error', code: 'versionMismatch' }]);
    expect(messages[0]).toContain(PROTOCOL_VERSION);
    expect(messages[0]).toContain('2.0.0');
    expect(endOf(connection)).toEqual({ code: 'versionMismatch', isLocal: true });
    expect(connection.pollClose()).toBe(closeCodeOf('versionMismatch'));
    const other = client();
    messagesOf(other, 0);
    deliver(messages, other, 0);
    expect(endOf(other)).toEqual({ code: 'versionMismatch', isLocal: false });
  });

  test.each([
    ['a second hello', hello()],
    ['a welcome to a server', encodeControl(examples.welcome)],
  ])('%s breaks the protocol', (_, text) => {
    const connection = server();
    connection.handleText(hello(), 0);
    connection.handleText(text, 0);
    expect(endOf(connection).code).toBe('protocol');
  });

  test.each([
    ['anything but hello', encodeControl(examples.ping)],
    ['a welcome', encodeControl(examples.welcome)],
    ['an unknown type', '{"type":"later"}'],
    ['no JSON', 'GET / HTTP/1.1'],
  ])('%s first breaks the protocol', (_, text) => {
    const connection = server();
    connection.handleText(text, 0);
    expect(endOf(connection).code).toBe('protocol');
  });

  test('data first breaks the protocol', () => {
    const connection = server();
    connection.handleBinary([encodeRecordsHeader(1), new Uint8Array(1)], 0);
    expect(endOf(connection).code).toBe('protocol');
  });

  test('a greeting that never comes ends it', () => {
    const connection = server(1_000);
    expect(connection.pollTimeout()).toBe(1_000 + HELLO_TIMEOUT_MS);
    connection.handleTimeout(999 + HELLO_TIMEOUT_MS);
    expect(connection.isEnded).toBe(false);
    connection.handleTimeout(1_000 + HELLO_TIMEOUT_MS);
    expect(endOf(connection)).toEqual({ code: 'peerTimeout', isLocal: true });
    expect(connection.pollTimeout()).toBeNull();
  });
});

describe('heartbeat', () => {
  test('silence is answered with a ping, and the pong gives the round trip', () => {
    const { client: one, server: other } = ConnectionPair.ready();
    expect(one.pollTimeout()).toBe(PING_AFTER);
    one.handleTimeout(PING_AFTER - 1);
    expect(messagesOf(one, PING_AFTER - 1)).toEqual([]);
    one.handleTimeout(PING_AFTER);
    const pings = messagesOf(one, PING_AFTER);
    expect(controlOf(pings)).toEqual([{ type: 'ping', id: 1 }]);
    one.handleTimeout(PING_AFTER + 1);
    expect(messagesOf(one, PING_AFTER + 1)).toEqual([]);
    expect(one.pollTimeout()).toBe(DEAD_AFTER);
    deliver(pings, other, PING_AFTER + 20);
    deliver(messagesOf(other, PING_AFTER + 20), one, PING_AFTER + 40);
    expect(eventsOf(one)).toEqual([{ type: 'rtt', rttMs: 40 }]);
    expect(one.pollTimeout()).toBe(PING_AFTER + 40 + PING_AFTER);
  });

  test('a pong that nobody asked for is nothing', () => {
    const { client: one } = ConnectionPair.ready();
    one.handleText(encodeControl({ type: 'pong', id: 1 }), 1);
    one.handleTimeout(1 + PING_AFTER);
    one.handleText(encodeControl({ type: 'pong', id: 7 }), 2 + PING_AFTER);
    expect(eventsOf(one)).toEqual([]);
  });

  test('silence after the ping is death', () => {
    const { client: one } = ConnectionPair.ready();
    one.handleTimeout(PING_AFTER);
    one.handleTimeout(DEAD_AFTER - 1);
    expect(one.isEnded).toBe(false);
    one.handleTimeout(DEAD_AFTER);
    expect(endOf(one)).toEqual({ code: 'peerTimeout', isLocal: true });
  });

  test.each([
    ['bytes of an unfinished message', (c: Connection, now: number) => c.handleActivity(now)],
    ['a text', (c: Connection, now: number) => c.handleText(encodeControl({ type: 'pong', id: 9 }), now)],
    [
      'data',
      (c: Connection, now: number) => c.handleBinary([encodeRecordsHeader(99), new Uint8Array(1)], now),
    ],
  ])('%s is life', (_, live) => {
    const { client: one } = ConnectionPair.ready();
    one.handleTimeout(PING_AFTER);
    live(one, 30_000);
    one.handleTimeout(DEAD_AFTER);
    expect(one.isEnded).toBe(false);
    one.handleTimeout(30_000 + DEAD_AFTER);
    expect(one.isEnded).toBe(true);
  });

  test('when our own loop slept, the peer gets a ping and a new chance', () => {
    const { client: one } = ConnectionPair.ready();
    one.handleTimeout(PING_AFTER);
    messagesOf(one, PING_AFTER);
    const woke = DEAD_AFTER + LOOP_STALL_MS;
    one.handleTimeout(woke);
    expect(one.isEnded).toBe(false);
    expect(controlOf(messagesOf(one, woke))).toEqual([{ type: 'ping', id: 2 }]);
    expect(one.pollTimeout()).toBe(woke + DEAD_AFTER - PING_AFTER);
    one.handleTimeout(woke + DEAD_AFTER - PING_AFTER);
    expect(endOf(one).code).toBe('peerTimeout');
  });

  test('a peer that was never asked is not dead', () => {
    const { client: one } = ConnectionPair.ready();
    one.handleTimeout(DEAD_AFTER + 1);
    expect(one.isEnded).toBe(false);
    expect(controlOf(messagesOf(one, DEAD_AFTER + 1))).toEqual([{ type: 'ping', id: 1 }]);
  });

  test('its times are options', () => {
    const { client: one } = ConnectionPair.ready({ heartbeat: { pingAfterMs: 100, deadAfterMs: 300 } });
    expect(one.pollTimeout()).toBe(100);
    one.handleTimeout(100);
    one.handleTimeout(300);
    expect(one.isEnded).toBe(true);
  });
});

describe('streams', () => {
  test('ids of the client are odd, of the server even, each higher than the last', () => {
    const pair = ConnectionPair.ready();
    expect([pair.client.openStream('normal', 0), pair.client.openStream('normal', 0)]).toEqual([1, 3]);
    expect([pair.server.openStream('normal', 0), pair.server.openStream('normal', 0)]).toEqual([2, 4]);
    expect([pair.client.streamCount, pair.server.streamCount]).toEqual([2, 2]);
  });

  test('a message of the peer opens a stream here', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.client.openStream('normal', 0);
    pair.client.send({ ...examples.inspect, stream });
    pair.exchange(0);
    expect(eventsOf(pair.server)).toEqual([{ type: 'message', message: { ...examples.inspect, stream } }]);
    expect(pair.server.streamCount).toBe(1);
    pair.server.send({ ...examples.inspected, stream });
    pair.exchange(0);
    expect(eventsOf(pair.client)).toEqual([{ type: 'message', message: { ...examples.inspected, stream } }]);
  });

  test.each(['close', 'reset'] as const)('%s of the peer forgets the stream', (type) => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    if (type === 'close') pair.server.closeStream(stream, true);
    else pair.server.resetStream(stream, new SluiceError('storageFull', '', { retryAfterMs: 5 }));
    pair.exchange(0);
    const message =
      type === 'close'
        ? { type, stream, isComplete: true }
        : { type, stream, code: 'storageFull', retryAfterMs: 5 };
    expect(eventsOf(pair.client)).toEqual([{ type: 'message', message }]);
    expect([pair.client.streamCount, pair.server.streamCount]).toEqual([0, 0]);
  });

  test('closing what is not open sends nothing', () => {
    const pair = ConnectionPair.ready();
    pair.client.closeStream(1);
    expect(messagesOf(pair.client, 0)).toEqual([]);
  });

  test('late messages and data for a closed stream are ignored', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    pair.server.closeStream(stream);
    pair.client.acknowledge(stream, { received: 1 });
    pair.client.send({ type: 'nack', stream, index: 1 });
    deliver(messagesOf(pair.client, 0), pair.server, 0);
    pair.server.handleBinary([encodeRecordsHeader(stream), new Uint8Array(9)], 0);
    expect([eventsOf(pair.server), pair.server.streamCount, pair.server.isEnded]).toEqual([[], 0, false]);
  });

  test.each([
    ['of its own side', 2],
    ['of number 0', 0],
  ])('a message for a stream %s that is not open is ignored', (_, stream) => {
    const { server: one } = ConnectionPair.ready();
    one.handleText(encodeControl({ type: 'nack', stream, index: 0 }), 0);
    expect([eventsOf(one), one.streamCount]).toEqual([[], 0]);
  });

  test('one stream too many is reset, the connection goes on', () => {
    const pair = ConnectionPair.ready({}, { maxStreams: 2 });
    for (const stream of [1, 3, 5]) pair.server.handleText(encodeControl({ ...examples.inspect, stream }), 0);
    expect(eventsOf(pair.server).length).toBe(2);
    expect(controlOf(messagesOf(pair.server, 0))).toEqual([
      { type: 'reset', stream: 5, code: 'limit', retryAfterMs: 1_000 },
    ]);
    pair.server.closeStream(1);
    pair.server.handleText(encodeControl({ ...examples.inspect, stream: 7 }), 0);
    expect(eventsOf(pair.server).length).toBe(1);
    pair.server.handleText(encodeControl({ ...examples.inspect, stream: 5 }), 0);
    expect(eventsOf(pair.server)).toEqual([]);
  });

  test('a client knows how many streams it may open', () => {
    const pair = ConnectionPair.ready({}, { maxStreams: 1 });
    expect(pair.client.canOpenStream).toBe(true);
    pair.client.openStream('normal', 0);
    expect(pair.client.canOpenStream).toBe(false);
  });

  test('commands for a stream that is gone do nothing', () => {
    const pair = ConnectionPair.ready();
    const { client: one } = pair;
    one.attachOutbox(9, queueOutbox([new Uint8Array(100)]), 1_000);
    one.setPriority(9, 'normal');
    one.wake(9);
    one.abandonPartial(9);
    one.consumed(9, 5, 0);
    one.acknowledge(9, { received: 1 });
    expect([one.grantCredit(9), one.heldBytes(9), one.availableCredit(9)]).toEqual([0, 0, 0]);
    expect(messagesOf(one, 0)).toEqual([]);
  });
});

describe('data', () => {
  test('records go in messages of whole records, header apart, and arrive as sent', () => {
    const records = recordsOf(3, 1_000);
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([...records]), 0);
    const messages = messagesOf(pair.client, 0);
    expect(messages).toEqual([[encodeRecordsHeader(stream), ...records]]);
    deliver(messages, pair.server, 0);
    expect(eventsOf(pair.server)).toEqual(
      [{ type: 'records', stream, chunk: Buffer.concat(records).subarray() }].map((event) => ({
        ...event,
        chunk: new Uint8Array(event.chunk),
      })),
    );
    expect(pair.server.heldBytes(stream)).toBe(bytesIn(messages));
  });

  test('by default a message takes 1 MiB of content, whatever the headers of its records add', () => {
    const size = 256 * 1024 + RECORD_OVERHEAD_BYTES;
    const pair = ConnectionPair.ready();
    pair.openUpload(queueOutbox(Array.from({ length: 8 }, () => new Uint8Array(size))), 0);
    expect(messagesOf(pair.client, 0).map((message) => bytesIn([message]))).toEqual([4 * size, 4 * size]);
  });

  test('a message is at most maxDataBytes long while records are shorter', () => {
    const records = recordsOf(5, 1_000);
    const size = records[0]!.length;
    const pair = ConnectionPair.ready();
    pair.openUpload(queueOutbox([...records]), 0);
    const lengths = messagesOf(pair.client, 0, 2 * size + 5).map((message) => bytesIn([message]));
    expect(lengths).toEqual([2 * size, 2 * size, size]);
  });

  test('control goes before data, also when it comes later', () => {
    const pair = ConnectionPair.ready();
    const records = recordsOf(4, 1_000);
    const stream = pair.openUpload(queueOutbox(records), 0);
    expect(typeof pair.client.pollMessage(0, 1_200)).toBe('object');
    pair.client.send({ type: 'nack', stream, index: 3 });
    expect(typeof pair.client.pollMessage(0, 1_200)).toBe('string');
    expect(typeof pair.client.pollMessage(0, 1_200)).toBe('object');
  });

  test('without room for data only control goes', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox(recordsOf(1, 10)), 0);
    pair.client.send({ type: 'nack', stream, index: 3 });
    expect(messagesOf(pair.client, 0, 0).length).toBe(1);
    expect(messagesOf(pair.client, 0).length).toBe(1);
  });

  test('a stream that was empty goes on when it is woken', () => {
    const pair = ConnectionPair.ready();
    const records: Uint8Array[] = [];
    const stream = pair.openUpload(queueOutbox(records), 0);
    expect(messagesOf(pair.client, 0)).toEqual([]);
    records.push(...recordsOf(1, 10));
    expect(messagesOf(pair.client, 0)).toEqual([]);
    pair.client.wake(stream);
    expect(messagesOf(pair.client, 0).length).toBe(1);
  });

  test('priorities share 8:1, and can change', () => {
    const pair = ConnectionPair.ready({}, { streamWindowBytes: 1e9, connectionWindowBytes: 4e9 });
    const record = recordsOf(1, 60_000)[0]!;
    const endless = { nextLength: () => record.length, take: () => record };
    const [one, two] = [pair.openUpload(endless, 0), pair.openUpload(endless, 0)];
    const share = () => {
      const bytes = { [one]: 0, [two]: 0 };
      for (let i = 0; i < 900; i++) {
        const message = decodeDataMessage(pair.client.pollMessage(0, 60_200) as Uint8Array[]);
        bytes[message.stream]! += message.chunk.length;
      }
      return bytes[one]! / bytes[two]!;
    };
    expect(share()).toBeCloseTo(1, 1);
    pair.client.setPriority(one, 'interactive');
    pair.client.setPriority(two, 'background');
    expect(share()).toBeCloseTo(8, 0);
    pair.client.setPriority(two, 'interactive');
    expect(share()).toBeCloseTo(1, 1);
  });
});

describe('fragments', () => {
  const record = recordsOf(1, 1_000)[0]!;

  test('a record longer than maxDataBytes goes in pieces and arrives whole', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([record, record]), 0);
    const messages = messagesOf(pair.client, 0, 300);
    expect(messages.map((message) => bytesIn([message]))).toEqual([
      300,
      300,
      300,
      record.length - 900,
      300,
      300,
      300,
      record.length - 900,
    ]);
    expect(decodeDataMessage(messages[1] as Uint8Array[])).toMatchObject({
      type: 'fragment',
      stream,
      index: 1,
      offset: 300,
      recordBytes: record.length,
    });
    deliver(messages.slice(0, 3), pair.server, 0);
    expect([eventsOf(pair.server), pair.server.heldBytes(stream)]).toEqual([[], 900]);
    deliver(messages.slice(3), pair.server, 0);
    const arrived = { type: 'records', stream, chunk: record };
    expect(eventsOf(pair.server)).toEqual([arrived, arrived]);
  });

  test('control passes between the pieces', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([record]), 0);
    pair.client.pollMessage(0, 300);
    pair.client.send({ type: 'nack', stream, index: 0 });
    expect(typeof pair.client.pollMessage(0, 300)).toBe('string');
  });

  test('another stream passes between the pieces', () => {
    const pair = ConnectionPair.ready();
    const [one, two] = [pair.openUpload(queueOutbox([record]), 0), pair.openUpload(queueOutbox([record]), 0)];
    const turns = messagesOf(pair.client, 0, 600).map(
      (message) => decodeDataMessage(message as Uint8Array[]).stream,
    );
    expect(turns).toEqual([one, two, one, two]);
  });

  test('a piece is no longer than the credit, and goes on with new credit', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.client.openStream('normal', 0);
    pair.client.attachOutbox(stream, queueOutbox([record, record]), record.length + 100);
    expect(bytesIn(messagesOf(pair.client, 0, 300))).toBe(record.length);
    const ack = (credit: number) =>
      encodeControl({ type: 'ack', streams: [{ stream, credit, received: null, durable: null }] });
    pair.client.handleText(ack(2 * record.length), 0);
    expect(bytesIn(messagesOf(pair.client, 0, 300))).toBe(record.length);
    expect(pair.client.availableCredit(stream)).toBe(0);
  });

  describe('given up', () => {
    const half = (pair: ConnectionPair, stream: number, maxDataBytes: number) => {
      deliver([pair.client.pollMessage(0, maxDataBytes)!], pair.server, 0);
      pair.client.abandonPartial(stream);
      pair.client.wake(stream);
    };

    test('for the same record again: nothing is lost, and what was dropped returns its credit', () => {
      const pair = ConnectionPair.ready();
      const stream = pair.openUpload(queueOutbox([record, record]), 0);
      half(pair, stream, 300);
      deliver(messagesOf(pair.client, 0, 300), pair.server, 0);
      expect(eventsOf(pair.server)).toEqual([{ type: 'records', stream, chunk: record }]);
      expect(pair.server.heldBytes(stream)).toBe(record.length);
    });

    test('for whole records', () => {
      const pair = ConnectionPair.ready();
      const stream = pair.openUpload(queueOutbox([record, record]), 0);
      half(pair, stream, 300);
      deliver(messagesOf(pair.client, 0), pair.server, 0);
      expect(eventsOf(pair.server)).toEqual([{ type: 'records', stream, chunk: record }]);
      expect(pair.server.heldBytes(stream)).toBe(record.length);
    });

    test('a thousand times: the credit never ends', () => {
      const pair = ConnectionPair.ready({}, { streamWindowBytes: 1, connectionWindowBytes: 0 });
      const stream = pair.openUpload({ nextLength: () => record.length, take: () => record }, 0, RECORD_SIZE);
      for (let i = 0; i < 1_000; i++) {
        half(pair, stream, 700);
        deliver(messagesOf(pair.server, i * ACK_INTERVAL_MS), pair.client, 0);
      }
      expect(pair.server.heldBytes(stream)).toBe(700);
      expect(pair.client.availableCredit(stream)).toBeGreaterThan(RECORD_SIZE);
    });
  });

  test('fragments that do not fit break the protocol', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    const fields = { stream, index: 0, offset: 5, recordBytes: 100, isLast: false };
    pair.server.handleBinary([encodeFragmentHeader(fields), new Uint8Array(5)], 0);
    expect(endOf(pair.server).code).toBe('protocol');
  });
});

describe('flow control', () => {
  const FLOOR = 2 * (RECORD_SIZE + 96 + 64);

  test('nothing goes beyond the credit, and more goes when it was consumed', () => {
    const pair = ConnectionPair.ready({}, { streamWindowBytes: 0, connectionWindowBytes: 0 });
    const records = recordsOf(4, RECORD_SIZE);
    const size = records[0]!.length;
    const stream = pair.openUpload(queueOutbox(records), 0, RECORD_SIZE);
    expect(pair.client.availableCredit(stream)).toBe(FLOOR);
    pair.exchange(0);
    expect([records.length, pair.server.heldBytes(stream)]).toEqual([2, 2 * size]);
    pair.server.consumed(stream, size, 0);
    pair.exchange(0);
    expect(records.length).toBe(1);
    expect(pair.server.isEnded).toBe(false);
  });

  test('more than was granted ends the connection', () => {
    const pair = ConnectionPair.ready({}, { streamWindowBytes: 0, connectionWindowBytes: 0 });
    const stream = pair.openUpload(queueOutbox([]), 0, RECORD_SIZE);
    pair.server.handleBinary([encodeRecordsHeader(stream), new Uint8Array(FLOOR)], 0);
    expect(pair.server.isEnded).toBe(false);
    pair.server.handleBinary([encodeRecordsHeader(stream), new Uint8Array(1)], 0);
    expect(endOf(pair.server)).toEqual({ code: 'flowControl', isLocal: true });
    expect(pair.server.pollClose()).toBeNull();
    expect(controlOf(messagesOf(pair.server, 0))).toMatchObject([{ type: 'error', code: 'flowControl' }]);
    expect(pair.server.pollClose()).toBe(closeCodeOf('flowControl'));
  });

  test('data on a stream that takes none ends the connection', () => {
    const pair = ConnectionPair.ready();
    pair.server.handleText(encodeControl({ ...examples.inspect, stream: 1 }), 0);
    eventsOf(pair.server);
    pair.server.handleBinary([encodeRecordsHeader(1), new Uint8Array(1)], 0);
    expect(endOf(pair.server).code).toBe('flowControl');
  });

  test('granting twice grants once', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    expect(pair.server.grantCredit(stream)).toBe(pair.server.grantCredit(stream));
  });

  test('the end of a stream returns its share to the pool of the process', () => {
    const processPool = new CreditPool(1e6);
    const pair = ConnectionPair.ready({}, { processPool });
    const stream = pair.openUpload(queueOutbox([]), 0, RECORD_SIZE);
    expect(processPool.takenBytes).toBe(1e6);
    pair.server.closeStream(stream);
    expect(processPool.takenBytes).toBe(0);
    pair.openUpload(queueOutbox([]), 0, RECORD_SIZE);
    pair.server.close();
    expect(processPool.takenBytes).toBe(0);
  });

  test('a stream that consumed nothing for 5 s falls back to its floor', () => {
    const processPool = new CreditPool(1e6);
    const pair = ConnectionPair.ready({}, { processPool });
    const stream = pair.openUpload({ nextLength: () => 0, take: () => new Uint8Array(0) }, 0, RECORD_SIZE);
    pair.server.handleBinary([encodeRecordsHeader(stream), new Uint8Array(500_000)], 0);
    pair.server.handleTimeout(4_999);
    pair.server.consumed(stream, 1, 4_999);
    expect(processPool.takenBytes).toBe(1e6);
    pair.server.handleTimeout(9_999);
    pair.server.consumed(stream, 499_999, 10_000);
    expect(processPool.takenBytes).toBeLessThan(1e6);
  });
});

describe('acks', () => {
  const ackOf = (connection: Connection, now: number) => controlOf(messagesOf(connection, now));
  const durable = (index: number) => ({ index, chain });

  test('are gathered for 10 ms; the first goes at once', () => {
    const pair = ConnectionPair.ready();
    const [one, two] = [pair.openUpload(queueOutbox([]), 0), pair.openUpload(queueOutbox([]), 0)];
    pair.server.acknowledge(one, { received: 1 });
    expect(ackOf(pair.server, 100).length).toBe(1);
    pair.server.acknowledge(one, { received: 2 });
    pair.server.acknowledge(two, { received: 7 });
    pair.server.acknowledge(one, { received: 3, durable: durable(1) });
    expect(pair.server.pollTimeout()).toBe(100 + ACK_INTERVAL_MS);
    expect(ackOf(pair.server, 99 + ACK_INTERVAL_MS)).toEqual([]);
    expect(ackOf(pair.server, 100 + ACK_INTERVAL_MS)).toEqual([
      {
        type: 'ack',
        streams: [
          { stream: one, credit: null, received: 3, durable: durable(1) },
          { stream: two, credit: null, received: 7, durable: null },
        ],
      },
    ]);
    expect(ackOf(pair.server, 1_000)).toEqual([]);
  });

  test('of what is durable go at once when a quarter of the window became so', () => {
    const [window, size] = [64_000, 4_096 + RECORD_OVERHEAD_BYTES];
    const pair = ConnectionPair.ready({}, { streamWindowBytes: window });
    const records = Array.from({ length: 8 }, () => new Uint8Array(size));
    const stream = pair.openUpload(queueOutbox(records), 0, 4_096);
    deliver(messagesOf(pair.client, 0), pair.server, 0);
    pair.server.acknowledge(stream, { received: 1 });
    messagesOf(pair.server, 100);
    // What was consumed is told once; after that only what is durable is news.
    pair.server.consumed(stream, 4 * size, 101);
    expect(ackOf(pair.server, 101)).toMatchObject([{ streams: [{ durable: null }] }]);
    pair.server.acknowledge(stream, { durable: durable(4) });
    expect(ackOf(pair.server, 101)).toMatchObject([{ streams: [{ durable: { index: 4 } }] }]);
    pair.server.acknowledge(stream, { durable: durable(5) });
    expect(ackOf(pair.server, 101)).toEqual([]);
    expect(ackOf(pair.server, 101 + ACK_INTERVAL_MS)).toMatchObject([
      { streams: [{ durable: { index: 5 } }] },
    ]);
  });

  test('that the socket does not take raise the alarm once, not again and again', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    pair.server.acknowledge(stream, { received: 1 });
    messagesOf(pair.server, 100);
    pair.server.acknowledge(stream, { received: 2 });
    const alarm = 100 + ACK_INTERVAL_MS;
    expect(pair.server.pollTimeout()).toBe(alarm);
    pair.server.handleTimeout(alarm);
    expect(pair.server.pollTimeout()).toBe(PING_AFTER);
    pair.server.acknowledge(stream, { received: 3 });
    expect(ackOf(pair.server, 5_000)).toMatchObject([{ streams: [{ received: 3 }] }]);
    pair.server.acknowledge(stream, { received: 4 });
    expect(pair.server.pollTimeout()).toBe(5_000 + ACK_INTERVAL_MS);
  });

  test('arrive as events', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    pair.server.acknowledge(stream, { received: 4, durable: durable(2) });
    pair.exchange(100);
    expect(eventsOf(pair.client)).toEqual([{ type: 'ack', stream, received: 4, durable: durable(2) }]);
  });

  test('credit alone makes no event', () => {
    const pair = ConnectionPair.ready({}, { streamWindowBytes: 0, connectionWindowBytes: 0 });
    const stream = pair.openUpload(queueOutbox(recordsOf(1, RECORD_SIZE)), 0, RECORD_SIZE);
    pair.exchange(0);
    const before = pair.client.availableCredit(stream);
    pair.server.consumed(stream, pair.server.heldBytes(stream), 100);
    pair.exchange(100);
    expect(pair.client.availableCredit(stream)).toBeGreaterThan(before);
    expect(eventsOf(pair.client)).toEqual([]);
  });

  test('a quarter of the window does not wait', () => {
    const pair = ConnectionPair.ready({}, { streamWindowBytes: 0, connectionWindowBytes: 0 });
    const stream = pair.openUpload(queueOutbox(recordsOf(2, RECORD_SIZE)), 0, RECORD_SIZE);
    pair.server.acknowledge(stream, { received: 1 });
    pair.exchange(100);
    pair.server.consumed(stream, 1_000, 101);
    expect(ackOf(pair.server, 101)).toEqual([]);
    pair.server.consumed(stream, RECORD_SIZE / 2, 102);
    expect(ackOf(pair.server, 102)).toMatchObject([{ type: 'ack', streams: [{ stream, received: null }] }]);
  });

  test('go out before the close of their stream', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    pair.server.acknowledge(stream, { received: 1 });
    messagesOf(pair.server, 100);
    pair.server.acknowledge(stream, { received: 2 });
    pair.server.closeStream(stream);
    expect(ackOf(pair.server, 100).map((message) => message?.type)).toEqual(['ack', 'close']);
  });

  test('for very many streams are split, so that each message stays within its limits', () => {
    const pair = ConnectionPair.ready({}, { maxStreams: 3_000 });
    const streams = Array.from({ length: 2_500 }, () => pair.client.openStream('normal', 0));
    for (const stream of streams) pair.client.send({ type: 'nack', stream, index: 0 });
    pair.exchange(0);
    for (const stream of streams)
      pair.server.acknowledge(stream, { received: 2 ** 50, durable: durable(2 ** 50) });
    pair.exchange(100);
    expect(eventsOf(pair.client).filter(({ type }) => type === 'ack').length).toBe(2_500);
    expect(pair.client.isEnded).toBe(false);
  });
});

describe('the end', () => {
  test('in order: close code 1000, no error, nothing afterwards', () => {
    const pair = ConnectionPair.ready();
    pair.openUpload(queueOutbox(recordsOf(1, 10)), 0);
    pair.client.close();
    pair.client.close(new SluiceError('internal'));
    pair.client.handleClosed(new SluiceError('internal'));
    expect(endOf(pair.client)).toEqual({ code: null, isLocal: true });
    expect([pair.client.streamCount, pair.client.pollMessage(0), pair.client.pollClose()]).toEqual([
      0,
      null,
      1000,
    ]);
    pair.client.send({ type: 'nack', stream: 1, index: 0 });
    pair.client.goAway(5);
    pair.client.handleText('{', 0);
    pair.client.handleBinary([], 0);
    pair.client.handleTimeout(1e9);
    expect([eventsOf(pair.client), pair.client.pollMessage(0), pair.client.pollTimeout()]).toEqual([
      [],
      null,
      null,
    ]);
  });

  test('what was queued before still goes out', () => {
    const pair = ConnectionPair.ready();
    const stream = pair.client.openStream('normal', 0);
    pair.client.send({ ...examples.cancel, stream });
    pair.client.close();
    expect(pair.client.pollClose()).toBeNull();
    expect(controlOf(messagesOf(pair.client, 0)).map((message) => message?.type)).toEqual(['cancel']);
    expect(pair.client.pollClose()).toBe(1000);
  });

  test('with an error: the peer is told, and the close code says it again', () => {
    const pair = ConnectionPair.ready();
    pair.server.close(new SluiceError('overloaded', '', { retryAfterMs: 700 }));
    pair.exchange(0);
    const [event] = eventsOf(pair.client) as EndedEvent[];
    expect(event).toMatchObject({
      type: 'ended',
      isLocal: false,
      error: { code: 'overloaded', retryAfterMs: 700 },
    });
    expect(messagesOf(pair.client, 0)).toEqual([]);
    expect([pair.server.pollClose(), pair.client.pollClose()]).toEqual([
      closeCodeOf('overloaded'),
      closeCodeOf('overloaded'),
    ]);
  });

  test('text of the peer never becomes ours', () => {
    const { client: one } = ConnectionPair.ready();
    one.handleText(
      encodeControl({ type: 'error', code: 'internal', message: 'PWNED', retryAfterMs: null }),
      0,
    );
    const [event] = eventsOf(one) as EndedEvent[];
    expect(event!.error!.message).not.toContain('PWNED');
  });

  test('an error before the greeting ends it as well', () => {
    const one = client();
    one.handleText(encodeControl({ ...examples.error, code: 'rateLimited' }), 0);
    expect(endOf(one)).toEqual({ code: 'rateLimited', isLocal: false });
  });

  test('the socket closes', () => {
    const pair = ConnectionPair.ready();
    pair.client.handleClosed(new SluiceError('unreachable'));
    expect(endOf(pair.client)).toEqual({ code: 'unreachable', isLocal: false });
    expect(messagesOf(pair.client, 0)).toEqual([]);
  });

  test('an unknown error is internal, and its text stays here', () => {
    const { client: one } = ConnectionPair.ready();
    one.handleBinary([undefined as unknown as Uint8Array], 0);
    const events = eventsOf(one) as EndedEvent[];
    expect(events.map(({ type, error }) => [type, error?.code])).toEqual([['ended', 'internal']]);
    expect(events[0]!.error!.detail).not.toBe('');
    expect(messagesOf(one, 0).join()).not.toContain(events[0]!.error!.detail);
  });

  test('a long text of ours is still a message the peer can read', () => {
    const pair = ConnectionPair.ready();
    pair.client.close(new SluiceError('unsupported', 'x'.repeat(5_000)));
    pair.exchange(0);
    expect(endOf(pair.server).code).toBe('unsupported');
  });

  test.each(['localDisk', 'interrupted'] as const)('a local code (%s) is internal to the peer', (code) => {
    const pair = ConnectionPair.ready();
    const stream = pair.openUpload(queueOutbox([]), 0);
    pair.client.resetStream(stream, new SluiceError(code));
    expect(messagesOf(pair.client, 0)).toEqual([
      encodeControl({ type: 'reset', stream, code: 'internal', retryAfterMs: null }),
    ]);
    pair.client.close(new SluiceError(code));
    expect(controlOf(messagesOf(pair.client, 0))).toMatchObject([{ type: 'error', code: 'internal' }]);
    expect(pair.client.pollClose()).toBe(closeCodeOf('internal'));
    expect(endOf(pair.client).code).toBe(code);
  });

  test('goaway is told and ends nothing', () => {
    const pair = ConnectionPair.ready();
    pair.server.goAway(1_500);
    pair.exchange(0);
    expect(eventsOf(pair.client)).toEqual([{ type: 'goaway', retryAfterMs: 1_500 }]);
    expect(pair.client.isReady).toBe(true);
  });

  test('goaway waits for the greeting, which comes first', () => {
    const pair = new ConnectionPair();
    pair.server.goAway(1_500);
    expect(messagesOf(pair.server, 0)).toEqual([]);
    pair.exchange(0);
    expect(eventsOf(pair.client).map(({ type }) => type)).toEqual(['ready', 'goaway']);
  });
});

describe('limits', () => {
  test('control that nobody takes ends it with overloaded, once', () => {
    const { server: one } = ConnectionPair.ready();
    const ping: ControlMessage = { type: 'ping', id: 1 };
    for (let i = 0; i < MAX_CONTROL_QUEUE; i++) one.handleText(encodeControl(ping), i);
    expect(one.isEnded).toBe(false);
    one.handleText(encodeControl(ping), 0);
    expect(endOf(one)).toEqual({ code: 'overloaded', isLocal: true });
    expect(controlOf(messagesOf(one, 0))).toMatchObject([{ type: 'error', code: 'overloaded' }]);
    expect(one.pollClose()).toBe(closeCodeOf('overloaded'));
  });

  test('an error that finds the queue full ends it once, with that error', () => {
    const { server: one } = ConnectionPair.ready();
    for (let i = 0; i < MAX_CONTROL_QUEUE; i++) one.handleText(encodeControl({ type: 'ping', id: 1 }), 0);
    one.close(new SluiceError('goingAway'));
    expect(endOf(one)).toEqual({ code: 'goingAway', isLocal: true });
    expect(controlOf(messagesOf(one, 0)).at(-1)).toMatchObject({ type: 'error', code: 'goingAway' });
  });

  test('more control than a peer may send ends it', () => {
    const { server: one } = ConnectionPair.ready();
    const text = JSON.stringify({ type: 'later', pad: 'x'.repeat(60_000) });
    let taken = 0;
    while (!one.isEnded) {
      one.handleText(text, 0);
      taken += 1;
    }
    expect(taken).toBeGreaterThan(CONTROL_BURST_CHARS / 61_000);
    expect(endOf(one).code).toBe('rateLimited');
  });

  test('an unknown message of a newer minor is ignored', () => {
    const { server: one } = ConnectionPair.ready();
    one.handleText('{"type":"later"}', 0);
    expect([one.isEnded, eventsOf(one)]).toEqual([false, []]);
  });
});
