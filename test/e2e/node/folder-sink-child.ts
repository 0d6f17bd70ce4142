// Receives a made-up transfer into the folder given, as a client would, from where a former run got to. Is
// killed a lot.
import { loadDigester } from '../../../src/node/blake3.ts';
import { FolderSink } from '../../../src/node/folder-sink.ts';
import type { LogSnapshot, SluiceError } from '../../../src/protocol/index.ts';
import { contentOf, entries, type Step, steps } from './folder-sink-transfer.ts';

const [directory = '', fsync] = process.argv.slice(2);
const digester = await loadDigester();
const sink = await FolderSink.open({
  directory,
  transferId: 'AAECAwQFBgcICQoLDA0ODw',
  onConflict: 'keep-both',
  digester,
  fsync: fsync === 'fsync',
  onFile: () => {},
});

const openFiles = new Map(sink.resume?.snapshot.openFiles.map(({ file, nextOffset }) => [file, nextOffset]));
process.stdout.write(`from ${sink.resume?.point.index ?? 0}\n`);
for (let index = sink.resume?.point.index ?? 0; index < steps.length; index++) {
  await run(steps[index] as Step);
  const chain = new Uint8Array(32).fill(index + 1);
  sink.checkpoint({ index: index + 1, chain }, snapshotAt(index + 1, chain));
}
await sink.finish();
process.stdout.write('finished\n');

async function run(step: Step): Promise<void> {
  switch (step.type) {
    case 'entries':
      return sink.addEntries(entries.slice(step.from, step.to));
    case 'write': {
      openFiles.set(step.file, step.offset + step.length);
      const content = contentOf(step.file).subarray(step.offset, step.offset + step.length);
      return settled((done) => sink.write(step.file, step.offset, content, done));
    }
    case 'end':
      openFiles.delete(step.file);
      return settled((done) => sink.endFile(step.file, { ...described(step.file), status: 'ok' }, done));
    case 'pack': {
      const files = Array.from({ length: step.count }, (_, i) => {
        const content = contentOf(step.first + i);
        return { content, blake3: digester.digest(content), status: 'ok' as const };
      });
      return settled((done) => sink.writePacked(step.first, files, done));
    }
  }
}

function described(file: number): { blake3: Uint8Array; sizeBytes: number } {
  const content = contentOf(file);
  return { blake3: digester.digest(content), sizeBytes: content.length };
}

function settled(start: (done: (error: SluiceError | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))));
}

function snapshotAt(index: number, chain: Uint8Array): LogSnapshot {
  return {
    index,
    position: index,
    chain,
    nextFile: 1,
    openFiles: [...openFiles].map(([file, nextOffset]) => ({ file, nextOffset })),
    endedFiles: 0,
    contentBytes: 0,
    isSealed: false,
  };
}
