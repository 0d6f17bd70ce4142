/**
 * Sends a file or a folder through the library: `library-send.ts <server> <path> [paused]`. Prints
 * `{"type":"link","link":L}`; when paused it waits for the line `go` before the first byte leaves; then
 * `{"type":"done","seconds":N}`, from the call (or that line) until everything is safe on the server. At the end of
 * standard input it removes the transfer from the server and ends.
 */
import { createInterface } from 'node:readline';
import { Client } from '../../src/client/index.ts';
import { walkSources } from '../../src/node/index.ts';
import { createNodeEnvironment } from '../../src/node-client/node-environment.ts';
import { encodeBase64Url } from '../../src/protocol/index.ts';

const [, , server = '', path = '', mode] = process.argv;

const commands = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const client = new Client(createNodeEnvironment());
const credentials = client.createCredentials();
let startedAt = performance.now();
const transfer = client.send(() => walkSources([path], { onSkipped: () => {} }), {
  server,
  prepare: () => Promise.resolve({ credentials, journal: null }),
});
if (mode === 'paused') transfer.pause();
write({ type: 'link', link: await transfer.link });
if (mode === 'paused') {
  await commands.next();
  startedAt = performance.now();
  transfer.resume();
}
await transfer.done;
write({ type: 'done', seconds: (performance.now() - startedAt) / 1000 });
await commands.next();
await client.cancel(server, encodeBase64Url(credentials.id), credentials.writeToken);
process.exit(0);

function write(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
