// What a page or program has, as sources: files, blobs, texts, bytes and streams.
import { describe, expect, test } from 'vitest';
import type { SourceEntry } from '../../../src/runtime/index.ts';
import { type WebSource, webSources } from '../../../src/web/index.ts';
import { contentOf } from '../../support/log-fixtures.ts';

async function entriesOf(sources: Iterable<WebSource> | AsyncIterable<WebSource>): Promise<SourceEntry[]> {
  const entries: SourceEntry[] = [];
  for await (const entry of webSources(sources)) entries.push(entry);
  return entries;
}

async function entryOf(source: WebSource): Promise<SourceEntry> {
  const [entry] = await entriesOf([source]);
  if (entry === undefined) throw new Error('there is no entry');
  return entry;
}

/** The content, read in pieces of an odd size. */
async function readAll(entry: SourceEntry, partBytes = 7): Promise<Buffer> {
  const input = await entry.open();
  const pieces: Buffer[] = [];
  for (let offset = 0; ; ) {
    const parts = [new Uint8Array(partBytes), new Uint8Array(partBytes)];
    const count = await input.read(parts, offset);
    if (count === 0) break;
    pieces.push(Buffer.concat(parts).subarray(0, count));
    offset += count;
  }
  expect(await input.check()).toBe('ok');
  await input.close();
  return Buffer.concat(pieces);
}

describe('a File', () => {
  test('brings its name, size, time and content', async () => {
    const content = contentOf(100);
    const entry = await entryOf(new File([content], 'a.bin', { lastModified: 1_700_000_000_123 }));
    expect(entry).toMatchObject({
      path: ['a.bin'],
      type: 'file',
      sizeBytes: 100,
      mtime: { seconds: 1_700_000_000, nanoseconds: 123_000_000 },
      origin: null,
    });
    expect(await readAll(entry)).toEqual(Buffer.from(content));
  });

  test('of a folder that was picked keeps its path', async () => {
    const file = new File(['x'], 'a.txt');
    Object.defineProperty(file, 'webkitRelativePath', { value: 'folder/b/a.txt' });
    expect((await entryOf(file)).path).toEqual(['folder', 'b', 'a.txt']);
  });

  test('of a browser that picked it alone has an empty path there', async () => {
    const file = new File(['x'], 'a.txt');
    Object.defineProperty(file, 'webkitRelativePath', { value: '' });
    expect((await entryOf(file)).path).toEqual(['a.txt']);
  });

  test('from before 1970 has a whole number of nanoseconds', async () => {
    const entry = await entryOf(new File([], 'old', { lastModified: -1 }));
    expect(entry.mtime).toEqual({ seconds: -1, nanoseconds: 999_000_000 });
  });
});

describe('content with a name', () => {
  test.each([
    ['a Blob', new Blob(['Grüße']), 'Grüße'],
    ['a text', 'Grüße', 'Grüße'],
    ['bytes', new Uint8Array(Buffer.from('Grüße')), 'Grüße'],
    ['nothing', '', ''],
  ])('%s', async (_what, content, text) => {
    const entry = await entryOf({ name: 'd/e/a', content });
    expect(entry).toMatchObject({ path: ['d', 'e', 'a'], sizeBytes: Buffer.byteLength(text), mtime: null });
    expect((await readAll(entry)).toString()).toBe(text);
  });

  test('can be read again, and anywhere', async () => {
    const entry = await entryOf({ name: 'a', content: new Blob([contentOf(50)]) });
    expect(await readAll(entry)).toEqual(await readAll(entry, 100));
    const input = await entry.open();
    const part = new Uint8Array(10);
    expect(await input.read([part], 45)).toBe(5);
    expect(part.subarray(0, 5)).toEqual(contentOf(50).subarray(45));
    expect(await input.read([part], 50)).toBe(0);
  });

  test('a ReadableStream has no length, and is read once', async () => {
    const content = contentOf(100);
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(content.subarray(0, 60));
        controller.enqueue(new Uint8Array(0));
        controller.enqueue(content.subarray(60));
        controller.close();
      },
    });
    const entry = await entryOf({ name: 'a', content: stream });
    expect(entry.sizeBytes).toBeNull();
    expect(await readAll(entry)).toEqual(Buffer.from(content));
  });

  test('an async generator is read no faster than it is asked, and ended when it is closed', async () => {
    let given = 0;
    let isReleased = false;
    async function* generate(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield contentOf(10, given++);
      } finally {
        isReleased = true;
      }
    }
    const entry = await entryOf({ name: 'a', content: generate() });
    expect(given).toBe(0);
    const input = await entry.open();
    const part = new Uint8Array(4);
    for (const expected of [4, 4, 2]) expect(await input.read([part], 0)).toBe(expected);
    expect(given).toBe(1);
    await input.close();
    expect(isReleased).toBe(true);
  });

  test('a stream that is closed early is cancelled', async () => {
    let reason: unknown = 'not cancelled';
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10)),
      cancel: (why) => {
        reason = why;
      },
    });
    const input = await (await entryOf({ name: 'a', content: stream })).open();
    await input.read([new Uint8Array(4)], 0);
    await input.close();
    expect(reason).toBeUndefined();
  });

  test('a stream that breaks passes its error on', async () => {
    const stream = new ReadableStream<Uint8Array>({
      pull: () => Promise.reject(new Error('camera unplugged')),
    });
    const input = await (await entryOf({ name: 'a', content: stream })).open();
    await expect(input.read([new Uint8Array(4)], 0)).rejects.toThrow('camera unplugged');
  });
});

test('sources may come one after another', async () => {
  async function* late(): AsyncGenerator<WebSource> {
    yield { name: 'a', content: 'x' };
    yield new File(['y'], 'b');
  }
  expect((await entriesOf(late())).map(({ path }) => path)).toEqual([['a'], ['b']]);
});
