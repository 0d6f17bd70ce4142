// The I/O shell of a connection: events and messages in order, one timer, and every way in which a connection ends.
import { describe, expect, test } from 'vitest';
import {
  Connection,
  type ConnectionEvent,
  closeCodeOf,
  HELLO_TIMEOUT_MS,
  SluiceError,
} from '../../../src/protocol/index.ts';
import {
  type Clock,
  ConnectionDriver,
  type MessageTransport,
  type Timer,
  type TransportHandlers,
} from '../../../src/runtime/index.ts';
import { queueOutbox } from '../../support/connection-pair.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { emptyManifest, newBuilder, RECORD_SIZE } from '../../support/log-fixtures.ts';
import { MemoryTransport } from '../../support/memory-transport.ts';

/** A transport that only writes down. */
class StubTransport implements MessageTransport {
  bufferedBytes = 0;
  handlers!: TransportHandlers;
  readonly sent: (string | readonly Uint8Array[])[] = [];
  readonly closes: number[] = [];
  terminated = 0;
  onSend: () => void = () => {};

  start(handlers: TransportHandlers): void {
    this.handlers = handlers;
  }
  send(message: string | readonly Uint8Array[]): void {
    this.sent.push(message);
    this.onSend();
  }
  close(code: number): void {
    this.closes.push(code);
  }
  terminate(): void {
    this.terminated += 1;
  }
}

/** Counts timers. */
class CountingClock implements Clock {
  readonly clock = new FakeClock();
  made = 0;
  now(): number {
    return this.clock.now();
  }
  wallNow(): number {
    return this.clock.wallNow();
  }
  setTimer(callback: () => void, delayMs: number): Timer {
    this.made += 1;
    return this.clock.setTimer(callback, delayMs);
  }
}

function drive(
  transport: MessageTransport,
  clock: Clock,
  onEvent: (event: ConnectionEvent) => void = () => {},
) {
  const connection = new Connection({ role: 'client', software: 'test' }, clock.now());
  return new ConnectionDriver({ connection, transport, clock, onEvent });
}

/** Two driven connections after their greeting. */
async function pair() {
  const clock = new FakeClock();
  const [near, far] = MemoryTransport.pair(clock);
  const events: ConnectionEvent[] = [];
  const client = drive(near, clock, (event) => events.push(event));
  const server = new ConnectionDriver({
    connection: new Connection({ role: 'server', software: 'test server' }, clock.now()),
    transport: far,
    clock,
    onEvent: () => {},
  });
  await clock.advance(0);
  return { clock, near, far, client, server, events };
}

test('greets at once, and tells its events in order', async () => {
  const { client, events } = await pair();
  expect(client.connection.isReady).toBe(true);
  expect(events.map(({ type }) => type)).toEqual(['ready']);
});

describe('a closed transport', () => {
  test.each([
    [1000, null],
    [1006, 'unreachable'],
    [1005, 'unreachable'],
    [closeCodeOf('goingAway'), 'goingAway'],
    [closeCodeOf('protocol'), 'protocol'],
    [4999, 'unreachable'],
  ])('with code %d means %s', async (code, expected) => {
    const { events, client } = await pair();
    const transport = new StubTransport();
    const seen: ConnectionEvent[] = [];
    drive(transport, new FakeClock(), (event) => seen.push(event));
    transport.handlers.onClose(code, '');
    expect(seen).toMatchObject([{ type: 'ended', isLocal: false }]);
    expect((seen[0] as { error: SluiceError | null }).error?.code ?? null).toBe(expected);
    expect([events.length, client.connection.isEnded]).toEqual([1, false]);
  });

  test('leaves no timer behind', async () => {
    const { clock, near, events } = await pair();
    near.cut();
    await clock.advance(0);
    expect(events.at(-1)).toMatchObject({ type: 'ended', error: { code: 'unreachable' } });
    expect(clock.nextTimerAt).toBeNull();
  });

  test('that was closed before anybody listened is told once', () => {
    const transport = new StubTransport();
    transport.start = (handlers) => handlers.onClose(1006, '');
    const seen: ConnectionEvent[] = [];
    const driver = drive(transport, new FakeClock(), (event) => seen.push(event));
    driver.flush();
    expect(seen.map(({ type }) => type)).toEqual(['ended']);
  });
});

describe('closing', () => {
  test('sends what was queued, then the close frame, once', async () => {
    const transport = new StubTransport();
    const clock = new FakeClock();
    const driver = drive(transport, clock);
    driver.close(new SluiceError('goingAway'));
    driver.close();
    expect(transport.sent.at(-1)).toContain('"goingAway"');
    expect(transport.closes).toEqual([closeCodeOf('goingAway')]);
  });

  test('is finished by both sides, and no timer is left', async () => {
    const { clock, client, server, near } = await pair();
    client.close();
    await clock.advance(0);
    expect([near.isClosed, server.connection.isEnded]).toEqual([true, true]);
    expect(clock.nextTimerAt).toBeNull();
  });

  test('cuts a peer that does not answer within 2 s', async () => {
    const transport = new StubTransport();
    const clock = new FakeClock();
    drive(transport, clock).close();
    await clock.advance(1_999);
    expect(transport.terminated).toBe(0);
    await clock.advance(1);
    expect(transport.terminated).toBe(1);
  });

  test('waits until the socket takes what is queued', () => {
    const transport = new StubTransport();
    const driver = drive(transport, new FakeClock());
    transport.bufferedBytes = 1e9;
    driver.close(new SluiceError('goingAway'));
    expect(transport.closes).toEqual([]);
    transport.bufferedBytes = 0;
    transport.handlers.onWritable();
    expect(transport.closes).toHaveLength(1);
  });
});

describe('timers', () => {
  test('of a greeting that does not come end it', async () => {
    const transport = new StubTransport();
    const clock = new FakeClock();
    const seen: ConnectionEvent[] = [];
    drive(transport, clock, (event) => seen.push(event));
    await clock.advance(HELLO_TIMEOUT_MS);
    expect(seen).toMatchObject([{ type: 'ended', error: { code: 'peerTimeout' }, isLocal: true }]);
  });

  test('are not made anew with every message', async () => {
    const clock = new CountingClock();
    const transport = new StubTransport();
    const driver = drive(transport, clock);
    const server = new Connection({ role: 'server', software: 'test server' }, 0);
    server.handleText(transport.sent[0] as string, 0);
    transport.handlers.onText(server.pollMessage(0) as string);
    expect(driver.connection.isReady).toBe(true);
    const { made } = clock;
    for (let i = 0; i < 1_000; i++) {
      await clock.clock.advance(1);
      transport.handlers.onText('{"type":"ping","id":1}');
      transport.handlers.onActivity();
    }
    expect(clock.made - made).toBeLessThanOrEqual(1);
  });
});

describe('from inside of an event', () => {
  test('commands are carried out, and events stay in order', async () => {
    const clock = new FakeClock();
    const transport = new StubTransport();
    const seen: string[] = [];
    const driver: ConnectionDriver = drive(transport, clock, (event) => {
      seen.push(`begin ${event.type}`);
      if (event.type === 'ready') {
        driver.connection.goAway(1);
        driver.flush();
        driver.close();
      }
      seen.push(`end ${event.type}`);
    });
    const server = new Connection({ role: 'server', software: 'test server' }, 0);
    server.handleText(transport.sent[0] as string, 0);
    transport.handlers.onText(server.pollMessage(0) as string);
    expect(seen).toEqual(['begin ready', 'end ready', 'begin ended', 'end ended']);
    expect(transport.sent.at(-1)).toContain('goaway');
    expect(transport.closes).toEqual([1000]);
  });

  test('a transport that brings something while it is sent to is no danger', () => {
    const transport = new StubTransport();
    const seen: string[] = [];
    let depth = 0;
    drive(transport, new FakeClock(), ({ type }) => {
      depth += 1;
      seen.push(`${type} ${depth}`);
      depth -= 1;
    });
    const server = new Connection({ role: 'server', software: 'test server' }, 0);
    transport.onSend = () => transport.handlers.onWritable();
    server.handleText(transport.sent[0] as string, 0);
    transport.handlers.onText(server.pollMessage(0) as string);
    transport.handlers.onText('{"type":"ping","id":7}');
    expect(seen).toEqual(['ready 1']);
    expect(transport.sent.filter((message) => `${message}`.includes('pong'))).toHaveLength(1);
  });

  test('an exception does not stop it for good', async () => {
    const { clock, client, server } = await pair();
    const transport = new StubTransport();
    const driver = drive(transport, clock, () => {
      throw new Error('broken listener');
    });
    expect(() => transport.handlers.onClose(1006, '')).toThrow('broken listener');
    driver.flush();
    expect([client.connection.isEnded, server.connection.isEnded]).toEqual([false, false]);
  });
});

test('records wait in their outbox while the socket is full', async () => {
  const { client, clock, server } = await pair();
  const builder = newBuilder();
  const records = Array.from({ length: 3 }, () => builder.manifest(emptyManifest));
  const stream = client.connection.openStream('normal', clock.now());
  const transport = new StubTransport();
  transport.bufferedBytes = 1e9;
  client.connection.send({ type: 'nack', stream, index: 0 });
  client.flush();
  await clock.advance(0);
  client.connection.attachOutbox(
    stream,
    queueOutbox(records),
    server.connection.grantCredit(stream, RECORD_SIZE),
  );
  Object.defineProperty(transport, 'bufferedBytes', { value: 0 });
  client.flush();
  expect(records).toEqual([]);
  expect(client.bufferedBytes).toBeGreaterThan(0);
  await clock.advance(0);
  expect(client.bufferedBytes).toBe(0);
});
