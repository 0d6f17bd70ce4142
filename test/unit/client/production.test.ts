// One run of production: plan, journal, announce, send, seal; it stops when the window is full and when it is told to.
import { describe, expect, test } from 'vitest';
import { DEFAULT_CLIENT_LIMITS } from '../../../src/client/environment.ts';
import { Production } from '../../../src/client/production.ts';
import { type LogSnapshot, SluiceError } from '../../../src/protocol/index.ts';
import type { JournaledFile, SendJournal, SourceEntry } from '../../../src/runtime/index.ts';
import { settle } from '../../support/fake-clock.ts';
import { fakeEnvironment } from '../../support/fake-environment.ts';
import { FakeFile, FakeStream, walkOf } from '../../support/fake-sources.ts';
import { contentOf, RECORD_SIZE, startOfLog } from '../../support/log-fixtures.ts';
import { ReadBack } from '../../support/read-back.ts';

const WINDOW_BYTES = 4 * RECORD_SIZE;

class Journal implements SendJournal {
  readonly files: JournaledFile[] = [];
  /** Set to hold `append` up. */
  gate: Promise<void> = Promise.resolve();

  async append(files: readonly JournaledFile[]): Promise<void> {
    await this.gate;
    this.files.push(...files);
  }
}

function start(
  sources: readonly SourceEntry[],
  { journal = null, from = startOfLog() }: { journal?: SendJournal | null; from?: LogSnapshot } = {},
) {
  const events: string[] = [];
  const limits = { ...DEFAULT_CLIENT_LIMITS, recordSizeBytes: RECORD_SIZE, sendWindowBytes: WINDOW_BYTES };
  const production = new Production(from, fakeEnvironment(), limits, {
    onRecord: () => {},
    onBegin: (path) => events.push(`begin ${path.join('/')}`),
    onFile: ({ path, end }) => events.push(`${path.join('/')} ${end.status}`),
    onTotals: (files, bytes) => events.push(`totals ${files} ${bytes}`),
  });
  production.window.handleOpened(from);
  const done = production.run({ sources: () => walkOf(sources), name: 'n', message: 'm' }, journal);
  done.catch(() => {});
  return { production, done, events, readBack: new ReadBack(from) };
}

/** Takes all that is offered and calls it durable, until production has ended. */
async function finish({ production, done, readBack }: ReturnType<typeof start>): Promise<void> {
  let isOver = false;
  done
    .finally(() => {
      isOver = true;
    })
    .catch(() => {});
  while (!isOver || !production.window.isEmpty) {
    await settle();
    readBack.take(production.window);
    const { index, chain } = readBack.state;
    production.window.handleDurable({ index, chain });
    production.handleRoom();
  }
  await done;
}

test('sends everything once, with the name on the first record', async () => {
  const content = contentOf(10 * RECORD_SIZE);
  const run = start([new FakeFile('a', contentOf(3)), new FakeFile('b', content)]);
  await finish(run);
  expect(run.readBack.isSealed).toBe(true);
  expect(run.production.isSealed).toBe(true);
  expect(run.production.endedFiles).toBe(2);
  expect(Buffer.compare(run.readBack.contentOf(2), content)).toBe(0);
  expect(run.readBack.manifests).toMatchObject([{ name: 'n', message: 'm', totalFiles: 2 }]);
  expect(run.events).toEqual([`totals 2 ${content.length + 3}`, 'a ok', 'begin b', 'b ok']);
});

test('a full window holds production up, until there is room', async () => {
  const file = new FakeFile('a', contentOf(40 * RECORD_SIZE));
  const run = start([file]);
  for (let i = 0; i < 20; i++) await settle();
  const held = run.production.window.heldBytes;
  expect(held).toBeGreaterThanOrEqual(WINDOW_BYTES);
  expect(held).toBeLessThanOrEqual(WINDOW_BYTES + RECORD_SIZE + 200);
  // What is held, and one read ahead.
  expect(file.readUntil).toBeLessThanOrEqual(WINDOW_BYTES + 17 * RECORD_SIZE);
  run.production.handleRoom();
  await settle();
  expect(run.production.window.heldBytes).toBe(held);
  await finish(run);
  expect(run.readBack.contentOf(1).length).toBe(40 * RECORD_SIZE);
});

test('stopping ends a run that waits for room, with the reason', async () => {
  const file = new FakeFile('a', contentOf(40 * RECORD_SIZE));
  const run = start([file]);
  for (let i = 0; i < 20; i++) await settle();
  run.production.stop(new SluiceError('cancelled'));
  await expect(run.done).rejects.toMatchObject({ code: 'cancelled' });
  expect(file.closed).toBe(1);
});

test('stopping ends a run that waits for a stream, lets go of the stream, and makes no record more', async () => {
  const stream = new FakeStream();
  const run = start([stream]);
  stream.push(contentOf(10));
  for (let i = 0; i < 5; i++) await settle();
  run.readBack.take(run.production.window);
  expect(run.readBack.kinds).toEqual(['manifest', 'data 1']);
  run.production.stop(new SluiceError('interrupted'));
  await expect(run.done).rejects.toMatchObject({ code: 'interrupted' });
  expect(stream.isClosed).toBe(true);
  expect(run.production.window.nextLength()).toBe(0);
  expect(run.events).not.toContain('stream ok');
});

test('stopping ends a run that is reading a file, with the next record', async () => {
  const file = new FakeFile('a', contentOf(WINDOW_BYTES - RECORD_SIZE));
  const run = start([file, new FakeFile('never', contentOf(1))]);
  run.production.stop(new SluiceError('interrupted'));
  await expect(run.done).rejects.toMatchObject({ code: 'interrupted' });
  expect(file.opened).toBe(file.closed);
  expect(run.production.window.isEmpty).toBe(true);
});

test('a sealed log needs nothing', async () => {
  const run = start([new FakeFile('a', contentOf(1))], {
    from: { ...startOfLog(), index: 4, isSealed: true },
  });
  await run.done;
  expect(run.production.window.isEmpty).toBe(true);
  expect(run.events).toEqual([]);
});

describe('with a journal', () => {
  test('no manifest is made before its files are remembered', async () => {
    const journal = new Journal();
    const gate = Promise.withResolvers<void>();
    journal.gate = gate.promise;
    const run = start([new FakeFile('a', contentOf(1))], { journal });
    for (let i = 0; i < 5; i++) await settle();
    expect(run.production.window.isEmpty).toBe(true);
    gate.resolve();
    await finish(run);
    expect(journal.files.map(({ entry, origin }) => [entry.file, origin?.location])).toEqual([[1, '/a']]);
  });

  test('what is journaled already is not journaled again', async () => {
    const journal = new Journal();
    await finish(start([new FakeFile('a', contentOf(1))], { journal }));
    const run = start([new FakeFile('a', contentOf(1)), new FakeFile('b', contentOf(1))], { journal });
    await finish(run);
    expect(journal.files.map(({ entry }) => entry.path[0])).toEqual(['a', 'b']);
    expect(run.readBack.manifests[0]?.entries.map(({ file }) => file)).toEqual([1, 2]);
  });

  test('a journal that cannot be written ends the run', async () => {
    const journal = new Journal();
    journal.gate = Promise.reject(new SluiceError('localDisk'));
    const run = start([new FakeFile('a', contentOf(1))], { journal });
    await expect(run.done).rejects.toMatchObject({ code: 'localDisk' });
    expect(run.production.window.isEmpty).toBe(true);
  });
});

test('buffers are used again only after their records are durable', async () => {
  // The window hands released buffers back to be filled anew: a record that is still needed would come out wrong.
  const content = contentOf(60 * RECORD_SIZE);
  const run = start([new FakeFile('a', content)]);
  const { production, readBack } = run;
  let isOver = false;
  void run.done.finally(() => {
    isOver = true;
  });
  while (!isOver || !production.window.isEmpty) {
    await settle();
    if (production.window.nextLength() > 0) {
      // One at a time, so that some records are durable and others are not.
      readBack.read(production.window.take());
      const { index, chain } = readBack.state;
      production.window.handleDurable({ index, chain });
      production.handleRoom();
    }
  }
  expect(Buffer.compare(readBack.contentOf(1), content)).toBe(0);
});
