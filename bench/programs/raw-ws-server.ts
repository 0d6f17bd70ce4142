/**
 * Peer `ws` alone, the server: takes messages and forgets them, makes them up, or hands them on to all receivers, held
 * back by the slowest. What WebSocket costs on this machine before anything useful is done.
 *
 * The path of a connection says what it is: `/sink?bytes=N`, `/source?bytes=N`, `/relay-send`, `/relay-receive`.
 * Prints `{"type":"ready","port":N}`.
 */
import { randomFillSync } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const MESSAGE_BYTES = 1024 * 1024;
/** More than this waits in no socket, bytes. */
const HIGH_WATER_BYTES = 8 * MESSAGE_BYTES;

const message = randomFillSync(new Uint8Array(MESSAGE_BYTES));
const receivers = new Set<WebSocket>();
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: false,
  maxPayload: 2 * MESSAGE_BYTES,
});

server.on('listening', () => {
  process.stdout.write(
    `${JSON.stringify({ type: 'ready', port: (server.address() as AddressInfo).port })}\n`,
  );
});
server.on('connection', (socket, request) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'ws://local');
  const bytes = Number(searchParams.get('bytes'));
  if (pathname === '/sink') sink(socket, bytes);
  else if (pathname === '/source') source(socket, bytes);
  else if (pathname === '/relay-send') relay(socket);
  else if (pathname === '/relay-receive') receive(socket);
});

function sink(socket: WebSocket, bytes: number): void {
  let received = 0;
  socket.on('message', (data: Buffer) => {
    received += data.length;
    if (received >= bytes) socket.send('done');
  });
}

function source(socket: WebSocket, bytes: number): void {
  let sent = 0;
  const more = (): void => {
    while (sent < bytes && socket.bufferedAmount < HIGH_WATER_BYTES) {
      sent += MESSAGE_BYTES;
      socket.send(message, more);
    }
  };
  more();
}

function receive(socket: WebSocket): void {
  receivers.add(socket);
  socket.on('close', () => receivers.delete(socket));
}

function relay(sender: WebSocket): void {
  const resume = (): void => {
    if (sender.isPaused && ![...receivers].some(isFull)) sender.resume();
  };
  sender.on('message', (data: Buffer) => {
    for (const receiver of receivers) receiver.send(data, resume);
    if ([...receivers].some(isFull)) sender.pause();
  });
}

function isFull(socket: WebSocket): boolean {
  return socket.bufferedAmount >= HIGH_WATER_BYTES;
}
