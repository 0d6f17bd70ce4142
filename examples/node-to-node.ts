// Sends a stream and receives it while it is still being written, both from this one program.
//
//   node examples/node-to-node.ts
//
// Sender and receiver only share the link, so each could as well be a program of its own on another machine.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { receive, send } from 'sluice/node';
import { createServer } from 'sluice/server';

const folder = await mkdtemp(join(tmpdir(), 'sluice-example-'));
const server = await createServer({ dataDirectory: join(folder, 'data') });
const { url } = await server.listen();

async function* lines(): AsyncGenerator<string> {
  for (const word of ['one', 'two', 'three']) {
    console.log(`write ${word}`);
    yield `${word}\n`;
    await sleep(200);
  }
}

const sent = send(Readable.from(lines()), {
  server: url,
  name: 'words.txt',
  stateDirectory: join(folder, 'state'),
});

for await (const file of receive(await sent.link)) {
  const text = file.stream().pipeThrough(new TextDecoderStream());
  for await (const words of text) console.log(`read ${words.trimEnd()}`);
  console.log(`${file.path.join('/')} is complete, BLAKE3 ${await file.blake3}`);
}

const { sizeBytes } = await sent.done;
console.log(`all ${sizeBytes} bytes are safe on the server`);
await server.close();
await rm(folder, { recursive: true });
