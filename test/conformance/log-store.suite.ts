// What every LogStore must do. Run by one *.test.ts per implementation.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LogStorage, LogStore } from '../../src/server/log/log-store.ts';
import { MAX_MARK_BYTES } from '../../src/server/log/log-store.ts';
import { contentOf, joined } from '../support/log-fixtures.ts';

export interface LogStoreHarness {
  readonly store: LogStore;
  /** The store as a process sees it that starts after this one was closed; null when nothing outlives a process. */
  reopen(): Promise<LogStore>;
  dispose(): Promise<void>;
}

const ID = 'AAAAAAAAAAAAAAAAAAAAA0';
const OTHER_ID = 'BBBBBBBBBBBBBBBBBBBBB1';

export function append(storage: LogStorage, ...parts: Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.append(parts, (error) => (error === null ? resolve() : reject(error)));
  });
}

export function logStoreSuite(makeHarness: () => Promise<LogStoreHarness>): void {
  let harness: LogStoreHarness;
  let store: LogStore;
  let storage: LogStorage;

  beforeEach(async () => {
    harness = await makeHarness();
    store = harness.store;
    storage = await store.open(ID);
  });
  afterEach(async () => {
    await storage.close();
    await store.close();
    await harness.dispose();
  });

  async function reopen(): Promise<void> {
    await storage.close();
    await store.close();
    store = await harness.reopen();
    storage = await store.open(ID);
  }

  describe('a new log', () => {
    test('is empty', async () => {
      expect(storage.length).toBe(0);
      expect(storage.indexLength).toBe(0);
      expect(await storage.read(0, 10)).toHaveLength(0);
      expect(await storage.readIndex(0, 10)).toHaveLength(0);
      expect(await storage.readMark()).toBe(null);
    });

    test('can be synced', async () => {
      await storage.sync();
    });
  });

  describe('append', () => {
    test('never calls done before it returned', async () => {
      let hasReturned = false;
      const done = new Promise<boolean>((resolve) => {
        storage.append([contentOf(10)], () => resolve(hasReturned));
        hasReturned = true;
      });
      expect(await done).toBe(true);
    });

    test('keeps the order of many appends that were not waited for, and of their done', async () => {
      const chunks = Array.from({ length: 300 }, (_, i) => contentOf(1 + ((i * 37) % 500), i));
      const order: number[] = [];
      const lengths: number[] = [];
      await Promise.all(
        chunks.map(
          (chunk, i) =>
            new Promise<void>((resolve, reject) => {
              const middle = Math.floor(chunk.length / 2);
              storage.append([chunk.subarray(0, middle), chunk.subarray(middle)], (error) => {
                order.push(i);
                lengths.push(storage.length);
                if (error === null) resolve();
                else reject(error);
              });
            }),
        ),
      );
      expect(order).toEqual(chunks.map((_, i) => i));
      const whole = joined(chunks);
      expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
      expect(storage.length).toBe(whole.length);
      expect(Buffer.compare(await storage.read(0, whole.length), whole)).toBe(0);
    });

    test('may be called from done', async () => {
      const [first, second] = [contentOf(100, 1), contentOf(50, 2)];
      await new Promise<void>((resolve) => {
        storage.append([first], () => storage.append([second], () => resolve()));
      });
      expect(bytesOf(await storage.read(0, 150))).toEqual(joined([first, second]));
    });

    test('does not touch what it was given', async () => {
      const chunk = contentOf(1_000);
      const copy = chunk.slice();
      await append(storage, chunk);
      expect(chunk).toEqual(copy);
    });
  });

  describe('read', () => {
    test('gives any range, fewer bytes only at the end, none beyond', async () => {
      const content = contentOf(10_000);
      for (let at = 0; at < content.length; at += 777) await append(storage, content.subarray(at, at + 777));
      for (const [position, length] of [
        [0, 1],
        [0, 10_000],
        [776, 2],
        [5_000, 3_000],
        [9_999, 1],
      ] as const) {
        const bytes = await storage.read(position, length);
        expect(bytesOf(bytes)).toEqual(content.slice(position, position + length));
      }
      expect(bytesOf(await storage.read(9_990, 100))).toEqual(content.slice(9_990));
      expect(await storage.read(10_000, 100)).toHaveLength(0);
      expect(await storage.read(20_000, 100)).toHaveLength(0);
    });

    test('gives bytes that belong to the caller', async () => {
      await append(storage, contentOf(100));
      (await storage.read(0, 100)).fill(0);
      expect(bytesOf(await storage.read(0, 100))).toEqual(contentOf(100));
    });
  });

  describe('truncate', () => {
    test('cuts the records anywhere, and appending goes on there', async () => {
      const content = contentOf(5_000);
      for (let at = 0; at < content.length; at += 500) await append(storage, content.subarray(at, at + 500));
      for (const position of [4_999, 4_500, 1_001, 0]) {
        await storage.truncate(position, 0);
        expect(storage.length).toBe(position);
        expect(bytesOf(await storage.read(0, 5_000))).toEqual(content.slice(0, position));
      }
      await append(storage, contentOf(700, 2));
      expect(bytesOf(await storage.read(0, 5_000))).toEqual(contentOf(700, 2));
    });

    test('cuts the index, and never makes it longer', async () => {
      await storage.writeIndex(0, contentOf(100));
      await storage.truncate(0, 200);
      expect(storage.indexLength).toBe(100);
      await storage.truncate(0, 40);
      expect(storage.indexLength).toBe(40);
      expect(bytesOf(await storage.readIndex(0, 100))).toEqual(contentOf(100).slice(0, 40));
    });
  });

  describe('index and mark', () => {
    test('the index is written and read in any pieces', async () => {
      const content = contentOf(1_000);
      await storage.writeIndex(0, content.subarray(0, 500));
      await storage.writeIndex(500, content.subarray(500));
      await storage.writeIndex(200, content.subarray(200, 300));
      expect(bytesOf(await storage.readIndex(100, 850))).toEqual(content.slice(100, 950));
      expect(await storage.readIndex(1_000, 10)).toHaveLength(0);
      expect(storage.indexLength).toBe(1_000);
    });

    test('the last of many marks is read', async () => {
      for (let length = 1; length <= MAX_MARK_BYTES; length += 53) {
        await storage.writeMark(contentOf(length, length));
        await storage.sync();
        expect(bytesOf((await storage.readMark()) as Uint8Array)).toEqual(contentOf(length, length));
      }
    });
  });

  describe('opened again', () => {
    test('has everything', async () => {
      const content = contentOf(3_000);
      for (let at = 0; at < content.length; at += 300) await append(storage, content.subarray(at, at + 300));
      await storage.writeIndex(0, contentOf(88, 3));
      await storage.writeMark(contentOf(60, 4));
      await storage.sync();
      await reopen();
      expect(storage.length).toBe(3_000);
      expect(bytesOf(await storage.read(0, 3_000))).toEqual(content);
      expect(bytesOf(await storage.readIndex(0, 88))).toEqual(contentOf(88, 3));
      expect(bytesOf((await storage.readMark()) as Uint8Array)).toEqual(contentOf(60, 4));
    });

    test('goes on where it was, also after a rewrite and a cut', async () => {
      await append(storage, contentOf(1_000));
      await reopen();
      await storage.rewrite(100, contentOf(1_000).subarray(100, 900));
      await storage.truncate(900, 0);
      await append(storage, contentOf(500, 2));
      await storage.sync();
      await reopen();
      const expected = joined([contentOf(1_000).subarray(0, 900), contentOf(500, 2)]);
      expect(bytesOf(await storage.read(0, 2_000))).toEqual(expected);
    });
  });

  describe('the store', () => {
    test('keeps transfers apart and removes one', async () => {
      const other = await store.open(OTHER_ID);
      await append(storage, contentOf(100, 1));
      await append(other, contentOf(200, 2));
      expect((await store.ids()).sort()).toEqual([ID, OTHER_ID]);
      await other.close();
      await store.remove(OTHER_ID);
      expect(await store.ids()).toEqual([ID]);
      expect(bytesOf(await storage.read(0, 100))).toEqual(contentOf(100, 1));
      const again = await store.open(OTHER_ID);
      expect(again.length).toBe(0);
      await again.close();
    });

    test('removes what is not there without an error, and nothing that is open', async () => {
      await store.remove(OTHER_ID);
      await expect(store.remove(ID)).rejects.toThrow();
      await append(storage, contentOf(1));
    });

    test('opens a log once', async () => {
      await expect(store.open(ID)).rejects.toThrow();
      await storage.close();
      storage = await store.open(ID);
    });

    test.each(['', '../../../../../etc/pass', `${ID}x`, ID.slice(1), `${ID.slice(1)}.`, `${ID.slice(2)}\n `])(
      'refuses %j as an id',
      async (id) => {
        await expect(store.open(id)).rejects.toThrow(TypeError);
        await expect(store.remove(id)).rejects.toThrow(TypeError);
      },
    );

    test('says what is free, or that it does not know', async () => {
      const free = await store.freeBytes();
      expect(free === null || free > 0).toBe(true);
    });
  });

  describe('close', () => {
    test('waits for reads and appends, and refuses everything afterwards', async () => {
      await append(storage, randomBytes(100_000));
      const answers: (Error | null)[] = [];
      storage.append([contentOf(10)], (error) => answers.push(error));
      const reading = storage.read(0, 100_000);
      await storage.close();
      expect(await reading).toHaveLength(100_000);
      expect(answers).toEqual([null]);
      await expect(storage.read(0, 1)).rejects.toThrow();
      await expect(append(storage, contentOf(1))).rejects.toThrow();
      await storage.close();
    });
  });
}

/** Without the class: stores may give Buffers. */
function bytesOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
