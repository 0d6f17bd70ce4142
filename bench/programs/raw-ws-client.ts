/**
 * Peer `ws` alone, the client: `raw-ws-client.ts <send|receive> <url> <bytes> <masked|zero-mask> <connections>`.
 * Prints `{"type":"ready"}` when connected, starts at the first line of standard input, and prints
 * `{"type":"done","seconds":N}` when everything was sent and confirmed, or received.
 */
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';

const MESSAGE_BYTES = 1024 * 1024;
const HIGH_WATER_BYTES = 8 * MESSAGE_BYTES;

const [, , role, url = '', bytesText, mask, connections = '1'] = process.argv;
const bytes = Number(bytesText);

const sockets = await Promise.all(Array.from({ length: Number(connections) }, () => open()));
write({ type: 'ready' });
await once(process.stdin, 'data');
const startedAt = performance.now();
await Promise.all(sockets.map(role === 'receive' ? receive : send));
write({ type: 'done', seconds: (performance.now() - startedAt) / 1000 });
process.exit(0);

async function open(): Promise<WebSocket> {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: 2 * MESSAGE_BYTES,
    ...(mask === 'zero-mask' ? { generateMask: () => {} } : {}),
  });
  await once(socket, 'open');
  // A source starts by itself: nothing is read before the clock runs.
  socket.pause();
  return socket;
}

function send(socket: WebSocket): Promise<unknown> {
  socket.resume();
  const message = randomFillSync(new Uint8Array(MESSAGE_BYTES));
  let sent = 0;
  const more = (): void => {
    while (sent < bytes && socket.bufferedAmount < HIGH_WATER_BYTES) {
      sent += MESSAGE_BYTES;
      socket.send(message, more);
    }
  };
  const done = url.includes('/sink') ? once(socket, 'message') : sentAll(socket, () => sent >= bytes);
  more();
  return done;
}

/** A relay confirms nothing: its receivers do. */
async function sentAll(socket: WebSocket, isSent: () => boolean): Promise<void> {
  while (!isSent() || socket.bufferedAmount > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

function receive(socket: WebSocket): Promise<void> {
  let count = 0;
  return new Promise((resolve) => {
    socket.on('message', (data: Buffer) => {
      count += data.length;
      if (count >= bytes) resolve();
    });
    socket.resume();
  });
}

function write(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
