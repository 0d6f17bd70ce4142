import { createServer, type RequestListener, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createWsServer, refuseUpgrade, upgradeWebSocket } from '../../../src/node/ws-acceptor.ts';
import { connectWebSocket, createConnector, webSocketUrlOf } from '../../../src/node/ws-connector.ts';
import { SUBPROTOCOL } from '../../../src/protocol/index.ts';

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});
const NEVER = new AbortController().signal;

async function listen(server: Server | net.Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('connecting', () => {
  const answering = (listener: RequestListener) => listen(createServer(listener));
  const upgrading = async (status: number, headers: Record<string, string>) => {
    const server = createServer();
    server.on('upgrade', (_request, socket) => refuseUpgrade(socket, status, 'No.', headers));
    return listen(server);
  };
  const failure = (url: string, connector = connectWebSocket) =>
    connector(url, NEVER).then(
      () => null,
      (error) => error,
    );

  it('makes the address of the WebSocket', () => {
    expect(webSocketUrlOf('http://h:1').href).toBe('ws://h:1/ws');
    expect(webSocketUrlOf('https://h/base/?q#f').href).toBe('wss://h/base/ws');
    expect(() => webSocketUrlOf('ftp://h')).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(() => webSocketUrlOf('h')).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('tells a closed port', async () => {
    const server = net.createServer();
    const url = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await failure(url)).toMatchObject({
      code: 'unreachable',
      detail: `Nothing listens at ${new URL(url).host}.`,
    });
  });

  it('tells an unknown name', async () => {
    expect(await failure('http://no-such-host.invalid')).toMatchObject({ code: 'unreachable' });
  });

  it('gives up on a server that never answers', async () => {
    const url = await listen(net.createServer(() => {}));
    expect(await failure(url, createConnector({ connectTimeoutMs: 50 }))).toMatchObject({
      code: 'unreachable',
      detail: 'It did not answer within 0.05 s.',
    });
  });

  it('can be aborted', async () => {
    const url = await listen(net.createServer(() => {}));
    const controller = new AbortController();
    const connecting = connectWebSocket(url, controller.signal);
    setTimeout(() => controller.abort(), 10);
    await expect(connecting).rejects.toMatchObject({ code: 'interrupted' });
    await expect(connectWebSocket(url, controller.signal)).rejects.toMatchObject({ code: 'interrupted' });
  });

  it.each([
    [200, 'notSluice'],
    [301, 'notSluice'],
    [404, 'notSluice'],
    [502, 'unreachable'],
    [503, 'unreachable'],
  ])('takes HTTP %s without an upgrade for %s', async (status, code) => {
    const url = await answering((_request, response) => response.writeHead(status).end('hello'));
    expect(await failure(url)).toMatchObject({ code });
  });

  it('passes on how long to wait', async () => {
    const url = await answering((_request, response) =>
      response.writeHead(503, { 'Retry-After': '7' }).end(),
    );
    expect(await failure(url)).toMatchObject({ code: 'unreachable', retryAfterMs: 7_000 });
  });

  it('names the versions of a server that speaks others', async () => {
    const url = await upgrading(426, { 'Sec-WebSocket-Protocol': 'sluice.v3, sluice.v2, evil<b>' });
    expect(await failure(url)).toMatchObject({
      code: 'versionMismatch',
      detail: 'This side speaks sluice.v1, the server sluice.v3, sluice.v2.',
    });
    expect(await failure(await upgrading(426, {}))).toMatchObject({ code: 'notSluice' });
  });

  it('takes a WebSocket server without our subprotocol, and one that is no HTTP server, for notSluice', async () => {
    const echo = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => false });
    cleanups.push(() => echo.close());
    await new Promise((resolve) => echo.once('listening', resolve));
    expect(await failure(`http://127.0.0.1:${(echo.address() as AddressInfo).port}`)).toMatchObject({
      code: 'notSluice',
    });
    const ssh = await listen(net.createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.6\r\n')));
    expect(await failure(ssh)).toMatchObject({ code: 'notSluice' });
    const plain = await answering((_request, response) => response.end());
    expect(await failure(plain.replace('http:', 'https:'))).toMatchObject({ code: 'notSluice' });
  });

  it('is refused by our server with 426 and our name when another version is offered', async () => {
    const server = createServer();
    server.on('upgrade', (request, socket, head) =>
      upgradeWebSocket(createWsServer(), request, socket, head, () => {}),
    );
    const url = await listen(server);
    const ws = new WebSocket(webSocketUrlOf(url), 'sluice.v9');
    const answer = await new Promise<{ status: number | undefined; spoken: unknown }>((resolve) => {
      ws.once('unexpected-response', (_request, { statusCode, headers }) =>
        resolve({ status: statusCode, spoken: headers['sec-websocket-protocol'] }),
      );
    });
    ws.on('error', () => {});
    ws.terminate();
    expect(answer).toEqual({ status: 426, spoken: SUBPROTOCOL });
  });
});
