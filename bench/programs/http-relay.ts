/**
 * Peer: a relay over plain HTTP that pipes what one client PUTs into what another one GETs, as piping-server does.
 * Whoever comes first waits. Nothing is verified and nothing is stored. Prints `{"type":"ready","port":N}`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

type Waiting = { request: IncomingMessage; response: ServerResponse };
let sender: Waiting | null = null;
let receiver: Waiting | null = null;

const server = createServer((request, response) => {
  if (request.method === 'PUT') sender = { request, response };
  else receiver = { request, response };
  if (sender === null || receiver === null) return;
  const [from, to] = [sender, receiver];
  sender = receiver = null;
  pipeline(from.request, to.response).then(
    () => from.response.end(),
    () => from.response.destroy(),
  );
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(
    `${JSON.stringify({ type: 'ready', port: (server.address() as AddressInfo).port })}\n`,
  );
});
