import { createServer, type Server } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createWsServer, upgradeWebSocket } from '../../../src/node/ws-acceptor.ts';
import { connectWebSocket, webSocketUrlOf } from '../../../src/node/ws-connector.ts';
import { type Framing, WsTransport } from '../../../src/node/ws-transport.ts';
import { MAX_DATA_MESSAGE_BYTES, SUBPROTOCOL } from '../../../src/protocol/index.ts';
import type { MessageTransport } from '../../../src/runtime/index.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});
const NEVER = new AbortController().signal;

/** Everything a transport tells, in order, and a way to wait for more. */
class Recorder {
  readonly texts: string[] = [];
  readonly binaries: Uint8Array[][] = [];
  readonly closes: { code: number; reason: string }[] = [];
  activities = 0;
  writables = 0;
  readonly transport: MessageTransport;
  #wake = () => {};

  constructor(transport: MessageTransport) {
    this.transport = transport;
    const woken = (act: () => void) => {
      act();
      this.#wake();
    };
    transport.start({
      onText: (text) => woken(() => this.texts.push(text)),
      onBinary: (parts) => woken(() => this.binaries.push([...parts])),
      onActivity: () => woken(() => this.activities++),
      onWritable: () => woken(() => this.writables++),
      onClose: (code, reason) => woken(() => this.closes.push({ code, reason })),
    });
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function listen(server: Server | net.Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server whose accepted transports come out in order. */
async function startServer(): Promise<{ url: string; accepted: () => Promise<MessageTransport> }> {
  const waiting: MessageTransport[] = [];
  let wake = () => {};
  const wsServer = createWsServer();
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    upgradeWebSocket(wsServer, request, socket, head, (transport) => {
      cleanups.push(() => transport.terminate());
      waiting.push(transport);
      wake();
    });
  });
  return {
    url: await listen(server),
    accepted: async () => {
      for (;;) {
        const transport = waiting.shift();
        if (transport !== undefined) return transport;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

async function connectedPair(): Promise<{ client: Recorder; server: Recorder }> {
  const { url, accepted } = await startServer();
  const client = await connectWebSocket(url, NEVER);
  cleanups.push(() => client.terminate());
  return { client: new Recorder(client), server: new Recorder(await accepted()) };
}

const pattern = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 256);
const whole = (parts: readonly Uint8Array[] | undefined) => Buffer.concat(parts ?? []);

describe('messages', () => {
  it('go both ways whole and in order, whatever the sizes of their parts', async () => {
    const { client, server } = await connectedPair();
    const messages = [
      [pattern(8, 1), pattern(117, 2)],
      [pattern(126, 3)],
      [pattern(8, 4), pattern(70_000, 5), pattern(1, 6), pattern(300_000, 7)],
      [pattern(MAX_DATA_MESSAGE_BYTES, 8)],
      [new Uint8Array(0), pattern(65_535, 9)],
      [pattern(65_536, 10)],
    ];
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      for (const [i, parts] of messages.entries()) {
        from.transport.send(`before ${i} ü`);
        from.transport.send(parts);
      }
      await to.until(() => to.binaries.length === messages.length);
      expect(to.texts).toEqual(messages.map((_, i) => `before ${i} ü`));
      for (const [i, parts] of messages.entries()) expect(whole(to.binaries[i])).toEqual(whole(parts));
      await from.until(() => from.transport.bufferedBytes === 0 && from.writables > 0);
      expect(to.activities).toBeGreaterThan(0);
    }
  });

  it.each<Framing>(['masked', 'zeroMask'])('arrive from a client that is %s', async (framing) => {
    const { url, accepted } = await startServer();
    let socket: Socket | null = null;
    const ws = new WebSocket(webSocketUrlOf(url), SUBPROTOCOL, { perMessageDeflate: false });
    ws.once('upgrade', (response) => (socket = response.socket));
    await new Promise((resolve) => ws.once('open', resolve));
    const client = new Recorder(new WsTransport(ws, socket!, framing));
    const server = new Recorder(await accepted());
    const parts = [pattern(8, 1), pattern(262_240, 2), pattern(262_241, 3)];
    client.transport.send(parts);
    client.transport.send('text');
    client.transport.send([pattern(5, 4)]);
    await server.until(() => server.binaries.length === 2);
    expect(whole(server.binaries[0])).toEqual(whole(parts));
    expect(whole(server.binaries[1])).toEqual(Buffer.from(pattern(5, 4)));
    expect(server.texts).toEqual(['text']);
    client.transport.terminate();
  });

  it('do not pin the read buffer they came in, and are plain Uint8Arrays', async () => {
    const { client, server } = await connectedPair();
    for (let i = 0; i < 100; i++) client.transport.send([pattern(200, i)]);
    await server.until(() => server.binaries.length === 100);
    for (const part of server.binaries.flat()) {
      expect(part.constructor).toBe(Uint8Array);
      expect(part.buffer.byteLength).toBeLessThanOrEqual(2 * part.byteLength);
    }
  });

  it('wait for start, and are not lost before it', async () => {
    const { url, accepted } = await startServer();
    const client = await connectWebSocket(url, NEVER);
    const early = await accepted();
    client.send('one');
    client.send([pattern(100_000, 1)]);
    client.close(1000, 'done');
    await new Promise((resolve) => setTimeout(resolve, 30));
    const server = new Recorder(early);
    await server.until(() => server.closes.length === 1);
    expect(server.texts).toEqual(['one']);
    expect(whole(server.binaries[0])).toEqual(Buffer.from(pattern(100_000, 1)));
    expect(server.closes).toEqual([{ code: 1000, reason: 'done' }]);
  });

  it('tell when there is room again, and count what waits', async () => {
    const { client, server } = await connectedPair();
    const part = pattern(1_000_000, 1);
    for (let i = 0; i < 40; i++) client.transport.send([part]);
    expect(client.transport.bufferedBytes).toBeGreaterThan(10_000_000);
    await client.until(() => client.transport.bufferedBytes === 0);
    expect(client.writables).toBeGreaterThan(0);
    expect(client.writables).toBeLessThanOrEqual(40);
    await server.until(() => server.binaries.length === 40);
  });
});

describe('the end', () => {
  it('is told once on both sides, with code and reason', async () => {
    const { client, server } = await connectedPair();
    client.transport.send('last');
    client.transport.close(4010, 'x'.repeat(500));
    client.transport.close(1000, '');
    await server.until(() => server.closes.length > 0);
    await client.until(() => client.closes.length > 0);
    client.transport.send('after');
    client.transport.send([pattern(9, 9)]);
    client.transport.terminate();
    server.transport.terminate();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(server.texts).toEqual(['last']);
    expect(server.closes).toEqual([{ code: 4010, reason: 'x'.repeat(41) }]);
    expect(client.closes).toHaveLength(1);
  });

  it('comes as 1006 when the peer vanishes, even with much unsent', async () => {
    const { client, server } = await connectedPair();
    for (let i = 0; i < 30; i++) server.transport.send([pattern(1_000_000, i)]);
    client.transport.terminate();
    await server.until(() => server.closes.length > 0);
    expect(server.closes).toEqual([{ code: 1006, reason: '' }]);
    expect(client.closes.map(({ code }) => code)).toEqual([1006]);
  });

  it('is told to a handler that starts after it', async () => {
    const { url, accepted } = await startServer();
    const client = await connectWebSocket(url, NEVER);
    const transport = await accepted();
    transport.terminate();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const server = new Recorder(transport);
    await server.until(() => server.closes.length === 1);
    client.terminate();
  });
});

describe('a hostile peer', () => {
  async function hostile(): Promise<{ socket: Socket; server: Recorder }> {
    const { url, accepted } = await startServer();
    const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => {});
    cleanups.push(() => socket.destroy());
    socket.write(
      'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
    );
    return { socket, server: new Recorder(await accepted()) };
  }
  const frame = (first: number, payload: Uint8Array, announced = payload.length) => {
    const header = Buffer.alloc(14);
    header[0] = first;
    header[1] = 0xff;
    header.writeBigUInt64BE(BigInt(announced), 2);
    return Buffer.concat([header, payload]);
  };

  const attacks: [string, Uint8Array[]][] = [
    ['an oversized message', [frame(0x82, new Uint8Array(10), MAX_DATA_MESSAGE_BYTES + 1)]],
    ['a message of 2^63 bytes', [frame(0x82, new Uint8Array(10), 2 ** 62)]],
    ['an oversized text', [frame(0x81, new Uint8Array(10), 2 ** 31)]],
    [
      '2,000 fragments',
      [
        frame(0x02, new Uint8Array(1)),
        ...Array.from({ length: 2_000 }, () => frame(0x00, new Uint8Array(1))),
      ],
    ],
    ['an unmasked frame', [Uint8Array.of(0x82, 1, 0)]],
    ['reserved bits', [frame(0xf2, new Uint8Array(1))]],
    ['a text that is not UTF-8', [frame(0x81, Uint8Array.of(0xff))]],
    ['no WebSocket at all', [Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
  ];

  it('that breaks a limit or a rule is cut off, and the process lives', async () => {
    // At once, because none of them answers the close frame, for which the transport waits two seconds.
    const attacked = attacks.map(async ([, frames]) => {
      const { socket, server } = await hostile();
      for (const bytes of frames) socket.write(bytes);
      await server.until(() => server.closes.length > 0);
      return { closes: server.closes.length, messages: server.binaries.length + server.texts.length };
    });
    const outcomes = await Promise.all(attacked);
    expect(outcomes).toEqual(attacks.map(() => ({ closes: 1, messages: 0 })));
  });

  it('that floods pings is cut off or answered, and memory stays bounded', async () => {
    const { socket, server } = await hostile();
    const pings = Buffer.concat(Array.from({ length: 1_000 }, () => Buffer.from([0x89, 0x80, 0, 0, 0, 0])));
    socket.pause();
    for (let i = 0; i < 50 && !socket.destroyed; i++) {
      socket.write(pings);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(server.transport.bufferedBytes).toBeLessThan(1_000_000);
  });
});
