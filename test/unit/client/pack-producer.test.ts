// Small files: as many to a record as fit, in order, read a few at a time.
import { expect, test } from 'vitest';
import { PackProducer } from '../../../src/client/pack-producer.ts';
import type { PlannedFile } from '../../../src/client/send-plan.ts';
import type { ProducedFile } from '../../../src/client/source-reading.ts';
import { LogBuilder, PACK_ROW_BYTES } from '../../../src/protocol/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { FakeFile } from '../../support/fake-sources.ts';
import { contentOf, emptyManifest, RECORD_SIZE, startOfLog } from '../../support/log-fixtures.ts';
import { ReadBack } from '../../support/read-back.ts';

function planned(source: FakeFile | null, file: number): PlannedFile {
  const { path, sizeBytes } = source ?? { path: ['gone'], sizeBytes: 5 };
  const entry = { file, path, sizeBytes, type: 'file' as const, mtime: null, mode: null, replaces: null };
  return { entry, source, startOffset: 0 };
}

async function pack(
  sources: readonly (FakeFile | null)[],
): Promise<{ readBack: ReadBack; files: ProducedFile[] }> {
  const builder = new LogBuilder(startOfLog(), RECORD_SIZE, digester);
  const readBack = new ReadBack(startOfLog());
  readBack.read(builder.manifest(emptyManifest));
  const files: ProducedFile[] = [];
  const producer = new PackProducer({
    builder,
    digester,
    append: async (record) => readBack.read(record),
    onFile: (file) => files.push(file),
  });
  await producer.send(sources.map((source, i) => planned(source, i + 1)));
  return { readBack, files };
}

test('nothing gives no record', async () => {
  expect((await pack([])).readBack.kinds).toEqual(['manifest']);
});

test('files share a record until it is full to the byte', async () => {
  const half = RECORD_SIZE / 2 - PACK_ROW_BYTES;
  const exact = await pack([new FakeFile('a', contentOf(half, 1)), new FakeFile('b', contentOf(half, 2))]);
  expect(exact.readBack.kinds).toEqual(['manifest', 'pack 1+2']);
  const over = await pack([new FakeFile('a', contentOf(half, 1)), new FakeFile('b', contentOf(half + 1, 2))]);
  expect(over.readBack.kinds).toEqual(['manifest', 'pack 1+1', 'pack 2+1']);
});

test('thousands of files keep their order, contents and hashes', async () => {
  const contents = Array.from({ length: 3_000 }, (_, i) => contentOf(i % 97, i));
  const { readBack, files } = await pack(contents.map((content, i) => new FakeFile(`${i}`, content)));
  for (const [i, content] of contents.entries()) {
    expect(Buffer.compare(readBack.contentOf(i + 1), content)).toBe(0);
    expect(readBack.ends.get(i + 1)?.blake3).toEqual(blake3(content));
  }
  expect(files.map(({ path }) => path[0])).toEqual(contents.map((_, i) => `${i}`));
  expect(readBack.kinds.length).toBeLessThan(10);
});

test('reads at most 16 at the same time', async () => {
  let open = 0;
  let most = 0;
  const files = Array.from({ length: 100 }, (_, i) => {
    const file = new FakeFile(`${i}`, contentOf(10));
    const openIt = file.open.bind(file);
    file.open = async () => {
      open += 1;
      most = Math.max(most, open);
      const input = await openIt();
      return {
        ...input,
        close: async () => {
          open -= 1;
        },
      };
    };
    return file;
  });
  await pack(files);
  expect([open, most]).toEqual([0, 16]);
});

test('what fails, changes or is gone is said of that file alone', async () => {
  const { files, readBack } = await pack([
    new FakeFile('unreadable', contentOf(10), { failOpen: true }),
    null,
    new FakeFile('shorter', contentOf(5), { sizeBytes: 9 }),
    new FakeFile('changed', contentOf(5), { status: 'changed' }),
    new FakeFile('good', contentOf(5)),
  ]);
  expect(
    files.map(({ path, end, error }) => [path[0], end.status, end.sizeBytes, error?.code ?? null]),
  ).toEqual([
    ['unreadable', 'failed', 0, 'localDisk'],
    ['gone', 'removed', 0, 'localDisk'],
    ['shorter', 'changed', 5, 'sourceChanged'],
    ['changed', 'changed', 5, 'sourceChanged'],
    ['good', 'ok', 5, null],
  ]);
  expect([1, 2, 3, 4, 5].map((file) => readBack.ends.get(file)?.status)).toEqual([
    'failed',
    'removed',
    'changed',
    'changed',
    'ok',
  ]);
});
