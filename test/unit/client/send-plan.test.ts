// Order, numbers, batches and totals of what is sent; and what is sent again after a restart.
import { describe, expect, test } from 'vitest';
import { type PlannedBatch, planBatches } from '../../../src/client/send-plan.ts';
import type { LogSnapshot, OpenFile } from '../../../src/protocol/index.ts';
import type { JournaledFile, SendJournal, SourceEntry } from '../../../src/runtime/index.ts';
import { codeWhen } from '../../support/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeFile, FakeStream, fakeFolder, walkOf } from '../../support/fake-sources.ts';
import { startOfLog } from '../../support/log-fixtures.ts';

const KIB = 1024;

interface PlanOptions {
  readonly former?: readonly JournaledFile[];
  readonly from?: Partial<LogSnapshot>;
  readonly clock?: FakeClock;
}

async function plan(
  sources: Iterable<SourceEntry> | AsyncIterable<SourceEntry>,
  { former, from, clock = new FakeClock() }: PlanOptions = {},
): Promise<PlannedBatch[]> {
  const journal: SendJournal | null = former === undefined ? null : { files: former, append: async () => {} };
  const walk = Symbol.asyncIterator in sources ? sources : walkOf(sources);
  const batches: PlannedBatch[] = [];
  for await (const batch of planBatches(walk, journal, { ...startOfLog(), ...from }, clock)) {
    batches.push(batch);
  }
  return batches;
}

function numbersOf(batches: readonly PlannedBatch[]): string[] {
  return batches.flatMap(({ files }) => files.map(({ entry }) => `${entry.file} ${entry.path.join('/')}`));
}

const small = (name: string, options = {}): FakeFile => new FakeFile(name, new Uint8Array(10), options);
const large = (name: string, options = {}): FakeFile =>
  new FakeFile(name, new Uint8Array(64 * KIB + 1), options);

describe('a fresh transfer', () => {
  test('begins with folders, then small files, then large ones and streams', async () => {
    const sources = [large('d/big'), small('d/a'), fakeFolder('d'), new FakeStream('live'), small('b')];
    const batches = await plan(sources);
    expect(numbersOf(batches)).toEqual(['1 d', '2 d/a', '3 b', '4 d/big', '5 live']);
    expect(batches[0]?.files.every(({ startOffset }) => startOffset === 0)).toBe(true);
  });

  test('a file of exactly 64 KiB is a small one', async () => {
    const edge = new FakeFile('edge', new Uint8Array(64 * KIB));
    expect(numbersOf(await plan([large('large'), edge]))).toEqual(['1 edge', '2 large']);
  });

  test('knows totals, and that it does not know them', async () => {
    const known = await plan([small('a'), large('b'), fakeFolder('d')]);
    expect(known.map(({ totalFiles, totalBytes }) => [totalFiles, totalBytes])).toEqual([[2, 64 * KIB + 11]]);
    const unknown = await plan([small('a'), new FakeStream()]);
    expect(unknown.map(({ totalFiles, totalBytes }) => [totalFiles, totalBytes])).toEqual([[2, null]]);
  });

  test('of nothing has one batch that is empty', async () => {
    expect(await plan([])).toEqual([{ files: [], totalFiles: 0, totalBytes: 0 }]);
  });

  test('has batches of 1,000, numbered without a gap', async () => {
    const batches = await plan(Array.from({ length: 2_500 }, (_, i) => small(`${i}`)));
    expect(batches.map(({ files }) => files.length)).toEqual([1_000, 1_000, 500]);
    expect(batches.flatMap(({ files }) => files.map(({ entry }) => entry.file))).toEqual(
      Array.from({ length: 2_500 }, (_, i) => i + 1),
    );
    expect(batches.map(({ totalFiles }) => totalFiles)).toEqual([2_500, 2_500, 2_500]);
  });

  test('of a slow walk begins before the walk is over, without totals', async () => {
    const clock = new FakeClock();
    let walked = 0;
    async function* slowly(): AsyncGenerator<SourceEntry> {
      for (; walked < 3_000; walked++) {
        if (walked === 10) await clock.advance(501);
        yield small(`${walked}`);
      }
    }
    const seen: { walked: number; batch: PlannedBatch }[] = [];
    for await (const batch of planBatches(slowly(), null, startOfLog(), clock)) seen.push({ walked, batch });
    expect(seen[0]?.walked).toBeLessThan(3_000);
    expect(seen[0]?.batch.totalFiles).toBeNull();
    expect(seen.at(-1)?.batch.totalFiles).toBe(3_000);
    expect(seen.flatMap(({ batch }) => batch.files.map(({ entry }) => entry.file))).toEqual(
      Array.from({ length: 3_000 }, (_, i) => i + 1),
    );
  });

  test('ends the walk when nobody wants more of it', async () => {
    const clock = new FakeClock();
    let isReleased = false;
    async function* endless(): AsyncGenerator<SourceEntry> {
      try {
        await clock.advance(501);
        for (let i = 0; ; i++) yield small(`${i}`);
      } finally {
        isReleased = true;
      }
    }
    for await (const _batch of planBatches(endless(), null, startOfLog(), clock)) break;
    expect(isReleased).toBe(true);
  });

  test('passes on why a walk failed', async () => {
    async function* broken(): AsyncGenerator<SourceEntry> {
      yield small('a');
      throw new Error('EIO');
    }
    await expect(plan(broken())).rejects.toThrow('EIO');
  });

  test('holds a million files at most', async () => {
    const from = { nextFile: 999_999 };
    expect(await codeWhen(plan([small('a')], { from }))).toBeNull();
    expect(await codeWhen(plan([small('a'), small('b')], { from }))).toBe('limit');
  });
});

describe('a resumed transfer', () => {
  const journaled = (file: number, source: SourceEntry): JournaledFile => ({
    entry: {
      file,
      path: source.path,
      type: source.type,
      sizeBytes: source.sizeBytes,
      mtime: null,
      mode: null,
      replaces: null,
    },
    origin: source.origin,
  });
  const open = (file: number, nextOffset: number): OpenFile => ({ file, nextOffset });

  test('does not send again what has ended, and goes on in the middle of what is open', async () => {
    const [a, b, c] = [small('a'), large('b'), large('c')];
    const former = [journaled(1, a), journaled(2, b), journaled(3, c)];
    const batches = await plan([a, b, c], { former, from: { nextFile: 3, openFiles: [open(2, 5_000)] } });
    expect(numbersOf(batches)).toEqual(['2 b', '3 c']);
    expect(batches[0]?.files.map(({ startOffset }) => startOffset)).toEqual([5_000, 0]);
    expect(batches[0]?.totalFiles).toBe(3);
  });

  test('keeps the numbers that were announced, in whatever order the walk finds the files', async () => {
    const [a, b, c] = [small('a'), small('b'), large('c')];
    const former = [journaled(1, a), journaled(2, b), journaled(3, c)];
    const batches = await plan([c, b, a], { former });
    expect(numbersOf(batches)).toEqual(['1 a', '2 b', '3 c']);
  });

  test('gives new files numbers above all announced ones, small before large', async () => {
    const [a, b] = [small('a'), small('b')];
    const former = [journaled(1, a), journaled(7, b)];
    const batches = await plan([large('new large'), b, small('new'), a], { former, from: { nextFile: 2 } });
    expect(numbersOf(batches)).toEqual(['7 b', '8 new', '9 new large']);
  });

  test('begins files in ascending order, after those that are open', async () => {
    const files = [small('a'), large('b'), large('c'), small('d')];
    const former = files.map((file, i) => journaled(i + 1, file));
    const batches = await plan(files, {
      former,
      from: { nextFile: 4, openFiles: [open(3, 10), open(2, 20)] },
    });
    expect(numbersOf(batches)).toEqual(['2 b', '3 c', '4 d']);
  });

  test.each([
    ['has ended', { nextFile: 2 }],
    ['is half sent', { nextFile: 2, openFiles: [open(1, 5)] }],
  ])('refuses a file that changed and %s, by name', async (_what, from) => {
    const former = [journaled(1, large('folder/a'))];
    const changed = large('folder/a', { identity: '2' });
    await expect(plan([changed], { former, from })).rejects.toMatchObject({
      code: 'sourceChanged',
      message: expect.stringContaining('folder/a'),
    });
  });

  test('announces a changed file anew that nobody has received yet', async () => {
    const former = [journaled(1, small('a'))];
    const changed = new FakeFile('a', new Uint8Array(20), { identity: '2' });
    const [batch] = await plan([changed], { former });
    expect(batch?.files).toMatchObject([{ entry: { file: 1, sizeBytes: 20 }, source: changed }]);
  });

  test('says that a source is gone, unless it had been sent', async () => {
    const former = [journaled(1, small('sent')), journaled(2, large('half')), journaled(3, small('never'))];
    const [batch] = await plan([], { former, from: { nextFile: 3, openFiles: [open(2, 9)] } });
    expect(batch?.files).toMatchObject([
      { entry: { file: 2 }, source: null, startOffset: 9 },
      { entry: { file: 3 }, source: null, startOffset: 0 },
    ]);
  });

  test('a file that became a folder is new', async () => {
    const former = [journaled(1, small('a'))];
    const batches = await plan([{ ...fakeFolder('a') }], { former });
    expect(batches[0]?.files).toMatchObject([
      { entry: { file: 1, type: 'file' }, source: null },
      { entry: { file: 2, type: 'dir' } },
    ]);
  });

  test('folders are announced again, under their numbers', async () => {
    const folder = fakeFolder('d');
    const batches = await plan([folder], { former: [journaled(1, folder)], from: { nextFile: 5 } });
    expect(numbersOf(batches)).toEqual(['1 d']);
  });

  test('with an empty journal is a fresh one, after what the log holds', async () => {
    expect(numbersOf(await plan([small('a')], { former: [], from: { nextFile: 4 } }))).toEqual(['4 a']);
  });
});
