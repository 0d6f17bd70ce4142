// Counts of a receiver: bytes from where it stands, problems, the file that runs, time.
import { expect, test } from 'vitest';
import type { FileEvent } from '../../../src/client/events.ts';
import { ReceiveProgress } from '../../../src/client/receive-progress.ts';
import { type ManifestEntry, SluiceError } from '../../../src/protocol/index.ts';

const MIB = 1024 * 1024;

function entry(file: number, sizeBytes: number | null): ManifestEntry {
  return {
    file,
    path: [`${file}`],
    type: 'file',
    sizeBytes,
    mtime: null,
    mode: null,
    replaces: null,
  };
}

function fileEvent(error: SluiceError | null): FileEvent {
  return { type: 'file', path: ['a'], savedAs: null, sizeBytes: 1, blake3: null, status: 'ok', error };
}

test('bytes count from the point it goes on from, also when it goes back', () => {
  const progress = new ReceiveProgress(0);
  progress.start(1_000);
  progress.addReceived(50);
  expect(progress.read().receivedBytes).toBe(1_050);
  progress.start(200);
  progress.addReceived(1);
  expect(progress.read().receivedBytes).toBe(201);
});

test('names large files and those of unknown size while they run, small ones never', () => {
  const progress = new ReceiveProgress(0);
  progress.addEntries([entry(1, MIB + 1), entry(2, MIB), entry(3, null)]);
  expect(progress.read().currentFile).toBeNull();
  progress.begin(1);
  expect(progress.read().currentFile).toEqual(['1']);
  progress.begin(2);
  expect(progress.read().currentFile).toEqual(['1']);
  progress.begin(3);
  expect(progress.read().currentFile).toEqual(['3']);
});

test('sums up time and problems', () => {
  const progress = new ReceiveProgress(500);
  progress.countFile(fileEvent(null));
  progress.countFile(fileEvent(new SluiceError('sourceChanged')));
  expect(progress.summary(3_000)).toEqual({ seconds: 2.5, problems: 1 });
});
