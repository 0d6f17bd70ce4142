// From planned files to records: what a receiver reads back is what the sources held, whatever they do meanwhile.
import { describe, expect, test } from 'vitest';
import { RecordProducer } from '../../../src/client/record-producer.ts';
import { type PlannedFile, planBatches } from '../../../src/client/send-plan.ts';
import type { ProducedFile } from '../../../src/client/source-reading.ts';
import { LIVE_FLUSH_MS, LogBuilder, type LogSnapshot, SendWindow } from '../../../src/protocol/index.ts';
import type { SourceEntry } from '../../../src/runtime/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FakeFile, FakeStream, fakeFolder, walkOf } from '../../support/fake-sources.ts';
import { contentOf, RECORD_SIZE, startOfLog } from '../../support/log-fixtures.ts';
import { ReadBack } from '../../support/read-back.ts';

const WINDOW_BYTES = 4 * RECORD_SIZE;

/** A producer whose window is emptied, and made durable, whenever it is full. */
class ProducerRig {
  readonly clock = new FakeClock();
  readonly from: LogSnapshot;
  readonly builder: LogBuilder;
  readonly window: SendWindow;
  readonly readBack: ReadBack;
  readonly files: ProducedFile[] = [];
  readonly begun: string[] = [];
  readonly buffers: Uint8Array[] = [];
  mostHeldBytes = 0;
  readonly producer: RecordProducer;

  constructor(from: LogSnapshot = startOfLog()) {
    this.from = from;
    this.builder = new LogBuilder(from, RECORD_SIZE, digester);
    this.window = new SendWindow(from, WINDOW_BYTES, ({ buffer, byteOffset, byteLength }) => {
      // Whoever still needs a released buffer would see this.
      new Uint8Array(buffer, byteOffset, byteLength).fill(0xaa);
    });
    this.window.handleOpened(from);
    this.readBack = new ReadBack(from);
    this.producer = new RecordProducer({
      builder: this.builder,
      window: this.window,
      digester,
      clock: this.clock,
      buffers: this.buffers,
      room: async () => this.drain(),
      onRecord: () => {
        this.mostHeldBytes = Math.max(this.mostHeldBytes, this.window.heldBytes);
      },
      onBegin: (path) => this.begun.push(path.join('/')),
      onFile: (file) => this.files.push(file),
    });
  }

  drain(): void {
    this.readBack.take(this.window);
    const { index, chain } = this.builder.state;
    this.window.handleDurable({ index, chain });
  }

  /** Plans, announces, sends and seals. */
  async sendAll(sources: readonly SourceEntry[], name: string | null = null): Promise<ReadBack> {
    for await (const batch of planBatches(walkOf(sources), null, this.from, this.clock)) {
      await this.producer.announce(batch, name, null);
      await this.producer.send(batch);
    }
    await this.producer.seal();
    this.drain();
    expect(this.readBack.isSealed).toBe(true);
    return this.readBack;
  }

  statuses(): string[] {
    return this.files.map(({ path, end, error }) => `${path.join('/')} ${end.status} ${error?.code ?? '-'}`);
  }
}

describe('a file of', () => {
  test.each([
    ['0 bytes', 0, ['pack 1+1']],
    ['1 byte', 1, ['pack 1+1']],
    ['the most that is packed', RECORD_SIZE - 88, ['pack 1+1']],
    ['one byte more', RECORD_SIZE - 87, ['data 1']],
    ['a record less 1', RECORD_SIZE - 1, ['data 1']],
    ['a record', RECORD_SIZE, ['data 1']],
    ['a record and 1', RECORD_SIZE + 1, ['data 1', 'data 1']],
    ['four records', 4 * RECORD_SIZE, new Array(4).fill('data 1')],
    ['four records and 1', 4 * RECORD_SIZE + 1, new Array(5).fill('data 1')],
    ['many records', 23 * RECORD_SIZE + 5, new Array(24).fill('data 1')],
  ])('%s', async (_what, length, kinds) => {
    const rig = new ProducerRig();
    const content = contentOf(length);
    const file = new FakeFile('a', content, { maxReadBytes: 50_000 });
    const readBack = await rig.sendAll([file]);
    expect(readBack.kinds).toEqual(['manifest', ...kinds, 'seal']);
    expect(Buffer.compare(readBack.contentOf(1), content)).toBe(0);
    expect(readBack.ends.get(1)).toEqual({ blake3: blake3(content), sizeBytes: length, status: 'ok' });
    expect(rig.files).toEqual([
      { path: ['a'], end: { blake3: blake3(content), sizeBytes: length, status: 'ok' }, error: null },
    ]);
    expect([file.opened, file.closed]).toEqual([1, 1]);
  });
});

test('holds no more than the window and one record', async () => {
  const rig = new ProducerRig();
  await rig.sendAll([new FakeFile('a', contentOf(40 * RECORD_SIZE))]);
  expect(rig.mostHeldBytes).toBeLessThanOrEqual(WINDOW_BYTES + RECORD_SIZE + 200);
});

test('folders have an entry and no content; several files come in the order of the plan', async () => {
  const rig = new ProducerRig();
  const [a, b, big] = [contentOf(10, 1), contentOf(20, 2), contentOf(RECORD_SIZE * 2, 3)];
  const readBack = await rig.sendAll(
    [new FakeFile('d/big', big), new FakeFile('d/a', a), fakeFolder('d'), new FakeFile('b', b)],
    'four things',
  );
  expect(readBack.kinds).toEqual(['manifest', 'pack 2+2', 'data 4', 'data 4', 'seal']);
  expect(readBack.manifests[0]).toMatchObject({ name: 'four things', totalFiles: 3 });
  expect(readBack.manifests[0]?.entries.map(({ path }) => path.join('/'))).toEqual([
    'd',
    'd/a',
    'b',
    'd/big',
  ]);
  expect([2, 3, 4].map((file) => Buffer.from(readBack.contentOf(file)))).toEqual(
    [a, b, big].map((x) => Buffer.from(x)),
  );
  expect(rig.begun).toEqual(['d/big']);
});

describe('announcing', () => {
  test('goes in several manifests when the names are long, with the head on the first', async () => {
    const rig = new ProducerRig();
    const files = Array.from(
      { length: 400 },
      (_, i) => new FakeFile(`${i}-${'x'.repeat(400)}`, new Uint8Array(0)),
    );
    const readBack = await rig.sendAll(files, 'many');
    expect(readBack.manifests.length).toBeGreaterThan(2);
    expect(readBack.manifests.map(({ name }) => name)).toEqual([
      'many',
      ...new Array(readBack.manifests.length - 1).fill(null),
    ]);
    expect(readBack.manifests.flatMap(({ entries }) => entries.map(({ file }) => file))).toEqual(
      Array.from({ length: 400 }, (_, i) => i + 1),
    );
  });

  test('one entry of the greatest length fits a record', async () => {
    const rig = new ProducerRig();
    // Three bytes of UTF-8 and six characters of JSON are the worst.
    const path = Array.from({ length: 9 }, () => '\u0001'.repeat(1_000)).join('/');
    const readBack = await rig.sendAll([new FakeFile(path, contentOf(1))]);
    expect(readBack.manifests[0]?.entries[0]?.path.join('/')).toBe(path);
  });

  test('of nothing still names the transfer', async () => {
    const readBack = await new ProducerRig().sendAll([], 'empty');
    expect(readBack.kinds).toEqual(['manifest', 'seal']);
    expect(readBack.manifests[0]).toMatchObject({ name: 'empty', totalFiles: 0, totalBytes: 0, entries: [] });
  });
});

describe('a source that fails harms no other:', () => {
  const other = (): FakeFile => new FakeFile('other', contentOf(3 * RECORD_SIZE, 9));

  async function sendBeside(file: FakeFile): Promise<{ rig: ProducerRig; readBack: ReadBack }> {
    const rig = new ProducerRig();
    const readBack = await rig.sendAll([file, other()]);
    expect(Buffer.compare(readBack.contentOf(2), other().content)).toBe(0);
    expect(readBack.ends.get(2)?.status).toBe('ok');
    expect(file.opened).toBe(file.closed);
    return { rig, readBack };
  }

  test.each([
    ['within a record', 1_000],
    ['at a record', 2 * RECORD_SIZE],
    ['to nothing', 0],
  ])('a file that shrinks %s has changed', async (_what, length) => {
    const content = contentOf(length);
    const file = new FakeFile('a', content, { sizeBytes: 6 * RECORD_SIZE });
    const { rig, readBack } = await sendBeside(file);
    expect(rig.statuses()).toEqual(['a changed sourceChanged', 'other ok -']);
    expect(readBack.ends.get(1)).toEqual({ blake3: blake3(content), sizeBytes: length, status: 'changed' });
    expect(Buffer.compare(readBack.contentOf(1), content)).toBe(0);
  });

  test('a file that grows is cut at its first size and has changed', async () => {
    const content = contentOf(5 * RECORD_SIZE);
    const file = new FakeFile('a', content, { sizeBytes: 2 * RECORD_SIZE, status: 'changed' });
    const { rig, readBack } = await sendBeside(file);
    expect(rig.statuses()).toEqual(['a changed sourceChanged', 'other ok -']);
    expect(Buffer.compare(readBack.contentOf(1), content.subarray(0, 2 * RECORD_SIZE))).toBe(0);
  });

  test('one that cannot be opened', async () => {
    const { rig, readBack } = await sendBeside(
      new FakeFile('a', contentOf(3 * RECORD_SIZE), { failOpen: true }),
    );
    expect(rig.statuses()).toEqual(['a failed localDisk', 'other ok -']);
    expect(readBack.ends.get(1)).toMatchObject({ status: 'failed', sizeBytes: 0 });
  });

  test.each([0, 5 * RECORD_SIZE])('one that cannot be read from byte %d on', async (failAt) => {
    const content = contentOf(9 * RECORD_SIZE);
    const { rig, readBack } = await sendBeside(
      new FakeFile('a', content, { failAt, maxReadBytes: RECORD_SIZE }),
    );
    expect(rig.statuses()).toEqual(['a failed localDisk', 'other ok -']);
    const received = readBack.contentOf(1);
    expect(received.length).toBeLessThanOrEqual(failAt);
    expect(readBack.ends.get(1)).toEqual({
      blake3: blake3(received),
      sizeBytes: received.length,
      status: 'failed',
    });
  });

  test('one whose state cannot be asked for at its end', async () => {
    const content = contentOf(2 * RECORD_SIZE);
    const { rig, readBack } = await sendBeside(new FakeFile('a', content, { failCheck: true }));
    expect(rig.statuses()).toEqual(['a failed localDisk', 'other ok -']);
    expect(Buffer.compare(readBack.contentOf(1), content)).toBe(0);
    expect(readBack.ends.get(1)).toMatchObject({ status: 'failed', sizeBytes: content.length });
  });

  test('one that was replaced while it was read', async () => {
    const { rig } = await sendBeside(new FakeFile('a', contentOf(2 * RECORD_SIZE), { status: 'removed' }));
    expect(rig.statuses()).toEqual(['a removed localDisk', 'other ok -']);
  });

  test('a small one', async () => {
    const { rig, readBack } = await sendBeside(new FakeFile('a', contentOf(100), { failAt: 0 }));
    expect(rig.statuses()).toEqual(['a failed localDisk', 'other ok -']);
    expect(readBack.ends.get(1)).toMatchObject({ status: 'failed', sizeBytes: 0 });
  });
});

describe('a half-sent file', () => {
  const SIZE = 6 * RECORD_SIZE + 17;
  const content = contentOf(SIZE);

  async function resume(
    file: FakeFile | null,
    startOffset = 2 * RECORD_SIZE,
  ): Promise<{ rig: ProducerRig; readBack: ReadBack }> {
    const from: LogSnapshot = {
      ...startOfLog(),
      index: 3,
      position: 1_000,
      nextFile: 2,
      openFiles: [{ file: 1, nextOffset: startOffset }],
      contentBytes: startOffset,
    };
    const rig = new ProducerRig(from);
    const entry = {
      file: 1,
      path: ['a'],
      type: 'file' as const,
      sizeBytes: SIZE,
      mtime: null,
      mode: null,
      replaces: null,
    };
    const files: PlannedFile[] = [{ entry, source: file, startOffset }];
    await rig.producer.send({ files, totalFiles: 1, totalBytes: SIZE });
    await rig.producer.seal();
    rig.drain();
    return { rig, readBack: rig.readBack };
  }

  test('goes on where it was, and ends with the hash of the whole', async () => {
    const { readBack } = await resume(new FakeFile('a', content));
    expect(Buffer.compare(readBack.contentOf(1), content.subarray(2 * RECORD_SIZE))).toBe(0);
    expect(readBack.ends.get(1)).toEqual({ blake3: blake3(content), sizeBytes: SIZE, status: 'ok' });
  });

  test('goes on in the middle of a record', async () => {
    const { readBack } = await resume(new FakeFile('a', content), 1_234);
    expect(Buffer.compare(readBack.contentOf(1), content.subarray(1_234))).toBe(0);
    expect(readBack.ends.get(1)?.blake3).toEqual(blake3(content));
  });

  test('that is gone ends where it stands', async () => {
    const { rig, readBack } = await resume(null);
    expect(rig.statuses()).toEqual(['a removed localDisk']);
    expect(readBack.ends.get(1)).toMatchObject({ status: 'removed', sizeBytes: 2 * RECORD_SIZE });
  });

  test('that shrank has changed', async () => {
    const { readBack } = await resume(
      new FakeFile('a', content.subarray(0, 3 * RECORD_SIZE), { sizeBytes: SIZE }),
    );
    expect(readBack.ends.get(1)).toMatchObject({ status: 'changed', sizeBytes: 3 * RECORD_SIZE });
  });

  test('whose beginning cannot be read any more ends as failed, in a log that is right', async () => {
    const file = new FakeFile('a', content);
    const open = file.open.bind(file);
    file.open = async () => {
      const input = await open();
      return {
        ...input,
        read: (parts, offset) =>
          offset < 2 * RECORD_SIZE ? Promise.reject(new Error('EIO')) : input.read(parts, offset),
      };
    };
    const { rig, readBack } = await resume(file);
    expect(rig.statuses()).toEqual(['a failed localDisk']);
    expect(readBack.isSealed).toBe(true);
  });
});

describe('a stream', () => {
  function start(stream = new FakeStream()): {
    rig: ProducerRig;
    stream: FakeStream;
    done: Promise<ReadBack>;
  } {
    const rig = new ProducerRig();
    return { rig, stream, done: rig.sendAll([stream]) };
  }

  test('gives what comes at once while nothing is on its way', async () => {
    const { rig, stream, done } = start();
    await settle();
    rig.drain();
    for (const [i, text] of ['a', 'bc', 'def'].entries()) {
      stream.push(Buffer.from(text));
      await settle();
      rig.drain();
      expect([rig.readBack.kinds.length, rig.clock.now()]).toEqual([i + 2, 0]);
    }
    expect(Buffer.from(rig.readBack.contentOf(1)).toString()).toBe('abcdef');
    stream.end();
    const readBack = await done;
    expect(readBack.ends.get(1)).toEqual({
      blake3: blake3(Buffer.from('abcdef')),
      sizeBytes: 6,
      status: 'ok',
    });
    expect(stream.isClosed).toBe(true);
  });

  test('waits a little for more while something is on its way, and then gives what there is', async () => {
    const { rig, stream, done } = start();
    await settle();
    // Sent and not durable: more bytes are worth waiting for.
    rig.readBack.take(rig.window);
    stream.push(Buffer.from('a'));
    await rig.clock.advance(LIVE_FLUSH_MS - 1);
    stream.push(Buffer.from('b'));
    await rig.clock.advance(LIVE_FLUSH_MS - 1);
    expect(rig.window.nextLength()).toBe(0);
    await rig.clock.advance(1);
    expect(rig.window.nextLength()).toBeGreaterThan(0);
    rig.drain();
    expect(rig.readBack.kinds).toEqual(['manifest', 'data 1']);
    expect(Buffer.from(rig.readBack.contentOf(1)).toString()).toBe('ab');
    stream.end();
    await done;
  });

  test('of any length is read back as it was', async () => {
    for (const length of [0, 1, RECORD_SIZE - 1, RECORD_SIZE, RECORD_SIZE + 1, 7 * RECORD_SIZE + 3]) {
      const { stream, done } = start();
      const content = contentOf(length);
      for (let at = 0; at < length; at += 100_000) stream.push(content.subarray(at, at + 100_000));
      stream.end();
      const readBack = await done;
      expect(Buffer.compare(readBack.contentOf(1), content)).toBe(0);
      expect(readBack.ends.get(1)).toEqual({ blake3: blake3(content), sizeBytes: length, status: 'ok' });
      expect(readBack.manifests[0]?.entries[0]?.sizeBytes).toBeNull();
    }
  });

  test('that breaks ends with what it gave, and the others go on', async () => {
    const rig = new ProducerRig();
    const stream = new FakeStream();
    stream.push(Buffer.from('abc'));
    stream.end(new Error('EPIPE'));
    const readBack = await rig.sendAll([stream, new FakeFile('a', contentOf(10))]);
    expect(rig.statuses()).toEqual(['a ok -', 'stream failed localDisk']);
    expect(readBack.ends.get(2)).toEqual({
      blake3: blake3(Buffer.from('abc')),
      sizeBytes: 3,
      status: 'failed',
    });
    expect(stream.isClosed).toBe(true);
  });
});
