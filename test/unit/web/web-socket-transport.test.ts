// The transport on the global WebSocket, against a real server of `ws`.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type WebSocket as ServerSocket, WebSocketServer } from 'ws';
import { SUBPROTOCOL } from '../../../src/protocol/index.ts';
import type { MessageTransport, TransportHandlers } from '../../../src/runtime/index.ts';
import { connectWithWebSocket } from '../../../src/web/index.ts';
import { codeWhen } from '../../support/errors.ts';
import { contentOf } from '../../support/log-fixtures.ts';

const never = (): AbortSignal => new AbortController().signal;

const http = createServer();
const accepted: ServerSocket[] = [];
const paths: (string | undefined)[] = [];
let onAccepted: () => void = () => {};
let url = '';

beforeAll(async () => {
  const sockets = new WebSocketServer({
    server: http,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  sockets.on('connection', (socket, request) => {
    paths.push(request.url);
    accepted.push(socket);
    onAccepted();
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

afterAll(() => {
  for (const socket of accepted) socket.terminate();
  http.close();
  http.closeAllConnections();
});

/** What a transport tells, with something to wait for. */
class Handlers implements TransportHandlers {
  readonly texts: string[] = [];
  readonly binaries: Uint8Array[] = [];
  readonly closes: number[] = [];
  writable = 0;
  #changed = Promise.withResolvers<void>();

  onText(text: string): void {
    this.texts.push(text);
    this.#tell();
  }
  onBinary(parts: readonly Uint8Array[]): void {
    this.binaries.push(Buffer.concat(parts));
    this.#tell();
  }
  onActivity(): void {}
  onWritable(): void {
    this.writable += 1;
    this.#tell();
  }
  onClose(code: number): void {
    this.closes.push(code);
    this.#tell();
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await this.#changed.promise;
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

async function connect(
  signal = never(),
): Promise<{ transport: MessageTransport; handlers: Handlers; peer: ServerSocket }> {
  const accepting = new Promise<void>((resolve) => {
    onAccepted = resolve;
  });
  const transport = await connectWithWebSocket(url, signal);
  const handlers = new Handlers();
  transport.start(handlers);
  await accepting;
  const peer = accepted.at(-1) as ServerSocket;
  onTestFinished(() => peer.terminate());
  return { transport, handlers, peer };
}

describe('connecting', () => {
  test('goes to /ws below the address', async () => {
    await connect();
    expect(paths.at(-1)).toBe('/ws');
    await connectWithWebSocket(`${url}/base/`, never());
    expect(paths.at(-1)).toBe('/base/ws');
  });

  test('to nobody is unreachable', async () => {
    const other = createSocketServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    await new Promise((resolve) => other.close(resolve));
    expect(await codeWhen(connectWithWebSocket(`http://127.0.0.1:${port}`, never()))).toBe('unreachable');
  });

  test('to a server that speaks no WebSocket is unreachable', async () => {
    const plain = createServer((_request, response) => response.end('hello'));
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    onTestFinished(() => {
      plain.close();
      plain.closeAllConnections();
    });
    const { port } = plain.address() as AddressInfo;
    expect(await codeWhen(connectWithWebSocket(`http://127.0.0.1:${port}`, never()))).toBe('unreachable');
  });

  test('can be given up while nobody answers', async () => {
    const silent = createSocketServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const sockets: { destroy(): void }[] = [];
    const abort = new AbortController();
    silent.on('connection', (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      abort.abort();
    });
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as AddressInfo;
    expect(await codeWhen(connectWithWebSocket(`http://127.0.0.1:${port}`, abort.signal))).toBe(
      'unreachable',
    );
  });

  test('is not begun when it was given up before', async () => {
    const { length } = accepted;
    expect(await codeWhen(connectWithWebSocket(url, AbortSignal.abort()))).toBe('unreachable');
    await connect();
    expect(accepted).toHaveLength(length + 1);
  });

  test('once it is connected, giving up the attempt means nothing any more', async () => {
    const abort = new AbortController();
    const { transport, handlers, peer } = await connect(abort.signal);
    abort.abort();
    transport.send('still here');
    const [data] = await once(peer, 'message');
    expect(`${data}`).toBe('still here');
    expect(handlers.closes).toEqual([]);
  });
});

describe('messages', () => {
  test('arrive whole and in order, texts as texts and parts as one', async () => {
    const { transport, peer } = await connect();
    const received: { text: string | null; bytes: Buffer }[] = [];
    const all = new Promise<void>((resolve) => {
      peer.on('message', (data: Buffer, isBinary) => {
        received.push({ text: isBinary ? null : data.toString(), bytes: data });
        if (received.length === 3) resolve();
      });
    });
    transport.send('Grüße');
    transport.send([contentOf(5, 1), new Uint8Array(0), contentOf(100_000, 2)]);
    transport.send([contentOf(3, 3)]);
    await all;
    expect(received[0]?.text).toBe('Grüße');
    expect(received[1]?.bytes).toEqual(Buffer.concat([contentOf(5, 1), contentOf(100_000, 2)]));
    expect(received[2]).toEqual({ text: null, bytes: Buffer.from(contentOf(3, 3)) });
  });

  test('of the peer are handed on', async () => {
    const { handlers, peer } = await connect();
    peer.send('hello');
    peer.send(contentOf(70_000));
    peer.send(new Uint8Array(0));
    await handlers.until(() => handlers.binaries.length === 2);
    expect(handlers.texts).toEqual(['hello']);
    expect(handlers.binaries.map(({ length }) => length)).toEqual([70_000, 0]);
    expect(Buffer.from(handlers.binaries[0] as Uint8Array)).toEqual(Buffer.from(contentOf(70_000)));
  });

  test('wait where they can be seen while the peer reads nothing, and it is told when there is room', async () => {
    const { transport, handlers, peer } = await connect();
    peer.pause();
    const message = [new Uint8Array(1_000_000)];
    let sent = 0;
    while (transport.bufferedBytes < 20_000_000) {
      transport.send(message);
      sent += 1;
      if (sent % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    let received = 0;
    peer.on('message', () => {
      received += 1;
    });
    peer.resume();
    await handlers.until(() => transport.bufferedBytes === 0);
    expect(handlers.writable).toBeGreaterThan(0);
    transport.close(1000, '');
    await once(peer, 'close');
    expect(received).toBe(sent);
  });
});

describe('the end', () => {
  test('by the peer is told once, with its code', async () => {
    const { transport, handlers, peer } = await connect();
    peer.close(4017, 'going away');
    await handlers.until(() => handlers.closes.length > 0);
    transport.send('nobody hears this');
    transport.close(1000, '');
    transport.terminate();
    expect(handlers.closes).toEqual([4017]);
  });

  test('by us carries our code, after what was sent before', async () => {
    const { transport, handlers, peer } = await connect();
    const texts: string[] = [];
    peer.on('message', (data) => texts.push(`${data}`));
    transport.send('last words');
    transport.close(4001, '');
    const [code] = await once(peer, 'close');
    expect([code, texts]).toEqual([4001, ['last words']]);
    await handlers.until(() => handlers.closes.length > 0);
    expect(handlers.closes).toEqual([4001]);
  });

  test('by a cut is 1006', async () => {
    const { handlers, peer } = await connect();
    peer.terminate();
    await handlers.until(() => handlers.closes.length > 0);
    expect(handlers.closes).toEqual([1006]);
  });

  test('before anybody listened is told to whoever listens then', async () => {
    const accepting = new Promise<void>((resolve) => {
      onAccepted = resolve;
    });
    const transport = await connectWithWebSocket(url, never());
    await accepting;
    (accepted.at(-1) as ServerSocket).terminate();
    const probe = await connect();
    // Another connection that has gone to and fro: the end of the first one has been seen by then.
    probe.peer.close(1000);
    await probe.handlers.until(() => probe.handlers.closes.length > 0);
    const handlers = new Handlers();
    transport.start(handlers);
    await handlers.until(() => handlers.closes.length > 0);
    expect(handlers.closes).toEqual([1006]);
  });
});
