/**
 * The server's side of opening a WebSocket: for the `upgrade` event of any node:http server. Not responsible
 * for who may connect: the caller decides before it calls, and answers a refusal with `refuseUpgrade`.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { SUBPROTOCOL } from '../protocol/index.ts';
import type { MessageTransport } from '../runtime/index.ts';
import { WEBSOCKET_LIMITS, WsTransport } from './ws-transport.ts';

/** Opening options of the `ws` server: no listener of its own, our limits, and no subprotocol but ours. */
export function createWsServer(): WebSocketServer {
  return new WebSocketServer({
    ...WEBSOCKET_LIMITS,
    noServer: true,
    clientTracking: false,
    // Without this `ws` answers with whatever was offered first.
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
}

/**
 * True when the client speaks our major version. One that offers no subprotocol at all is for the plain
 * endpoint.
 */
export function offersSubprotocol(request: IncomingMessage): boolean {
  return offeredProtocols(request).includes(SUBPROTOCOL);
}

/**
 * Completes an upgrade and hands over the transport, synchronously. A client that does not offer our
 * subprotocol gets HTTP 426 with its name, a malformed request HTTP 400; `accepted` is not called then.
 */
export function upgradeWebSocket(
  server: WebSocketServer,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  accepted: (transport: MessageTransport) => void,
): void {
  if (!offersSubprotocol(request)) {
    refuseUpgrade(socket, 426, `This server speaks ${SUBPROTOCOL}.`, {
      'Sec-WebSocket-Protocol': SUBPROTOCOL,
    });
    return;
  }
  server.handleUpgrade(request, socket, head, (ws) => accepted(acceptWebSocket(ws, socket)));
}

/**
 * The transport of a socket that `WebSocketServer.handleUpgrade` has accepted, with the socket of the
 * `upgrade` event.
 */
export function acceptWebSocket(ws: WebSocket, socket: Duplex): MessageTransport {
  return new WsTransport(ws, socket, 'server');
}

/** Answers an upgrade with an HTTP error and one sentence, and ends the socket. Never throws. */
export function refuseUpgrade(
  socket: Duplex,
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  socket.on('error', () => socket.destroy());
  // The peer may keep its side open for ever.
  socket.once('finish', () => socket.destroy());
  const body = `${sentence}\n`;
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

function offeredProtocols(request: IncomingMessage): string[] {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
}
