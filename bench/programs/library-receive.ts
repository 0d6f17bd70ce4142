/**
 * Receives a transfer several times over connections of their own, verifies every record and forgets it:
 * `library-receive.ts <link> <receivers>`. Prints `{"type":"ready"}` when all have joined, and at the end
 * `{"type":"done","seconds":N,"bytes":N}`, from the first call on.
 */
import { Client, type ReceiveTransfer } from '../../src/client/index.ts';
import { createNodeEnvironment } from '../../src/node-client/node-environment.ts';
import type { TransferSink } from '../../src/runtime/index.ts';

const [, , link = '', receivers = '1'] = process.argv;

const startedAt = performance.now();
const transfers = Array.from({ length: Number(receivers) }, () => {
  const client = new Client(createNodeEnvironment());
  return client.receiveInto(() => Promise.resolve(forgettingSink()), link);
});
await Promise.all(transfers.map(joined));
write({ type: 'ready' });
const summaries = await Promise.all(transfers.map(({ done }) => done));
const bytes = summaries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
write({ type: 'done', seconds: (performance.now() - startedAt) / 1000, bytes });
process.exit(0);

function joined(transfer: ReceiveTransfer): Promise<void> {
  return new Promise((resolve, reject) => {
    transfer.done.then(() => resolve(), reject);
    transfer.on((event) => {
      if (event.type === 'state' && event.state !== 'connecting') resolve();
    });
  });
}

/** The chain of the log verifies all content; a whole-file hash on top would only measure the hash twice. */
function forgettingSink(): TransferSink {
  let [files, sizeBytes] = [0, 0];
  return {
    resume: null,
    addEntries: () => {},
    write: (_file, _offset, content, done) => {
      sizeBytes += content.length;
      done(null);
    },
    hole: (_file, _offset, _span, done) => done(null),
    endFile: (_file, _end, done) => {
      files += 1;
      done(null);
    },
    writePacked: (_firstFile, packed, done) => {
      files += packed.length;
      for (const { content } of packed) sizeBytes += content.length;
      done(null);
    },
    checkpoint: () => {},
    rewindTo: () => {},
    finish: () => Promise.resolve({ files, sizeBytes }),
    keep: () => Promise.resolve(),
  };
}

function write(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
