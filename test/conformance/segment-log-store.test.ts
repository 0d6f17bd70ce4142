import fs, {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FileOperations } from '../../src/server/log/file-operations.ts';
import { SegmentLogStore, type SegmentLogStoreOptions } from '../../src/server/log/segment-log-store.ts';
import { contentOf, joined } from '../support/log-fixtures.ts';
import { append, logStoreSuite } from './log-store.suite.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAAA0';
let folder: string;

function newStore(options: SegmentLogStoreOptions = {}): SegmentLogStore {
  return new SegmentLogStore(join(folder, 't'), options);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-segments-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.each([
  ['one segment', {}],
  ['many segments', { segmentBytes: 1_000 }],
])('SegmentLogStore, %s', (_, options) => {
  logStoreSuite(async () => ({
    store: newStore(options),
    reopen: async () => newStore(options),
    dispose: async () => {},
  }));
});

describe('SegmentLogStore, short writes', () => {
  // Writes and reads never do more than 100 bytes at once.
  const operations = {
    ...fs,
    write: (fd: number, bytes: Uint8Array, at: number, length: number, position: number, done: never) =>
      fs.write(fd, bytes, at, Math.min(length, 100), position, done),
    writev: (fd: number, parts: readonly Uint8Array[], position: number, done: never) =>
      fs.writev(fd, [(parts[0] as Uint8Array).subarray(0, 100)], position, done),
    read: (fd: number, into: Uint8Array, at: number, length: number, position: number, done: never) =>
      fs.read(fd, into, at, Math.min(length, 100), position, done),
  } as unknown as FileOperations;
  logStoreSuite(async () => ({
    store: newStore({ operations }),
    reopen: async () => newStore(),
    dispose: async () => {},
  }));
});

describe('on disk', () => {
  const path = (...names: string[]): string => join(folder, 't', ID, ...names);
  const logs = (): string[] => readdirSync(path()).filter((name) => name.endsWith('.log'));

  test('a segment is named by the position of its first byte and holds whole appends', async () => {
    const store = newStore({ segmentBytes: 1_000 });
    const storage = await store.open(ID);
    for (const length of [400, 500, 200, 3_000, 10]) await append(storage, contentOf(length, length));
    await storage.close();
    expect(logs()).toEqual(['0', '900', '1100', '4100'].map((base) => `${base.padStart(16, '0')}.log`));
    expect(new Uint8Array(readFileSync(path('0000000000000900.log')))).toEqual(contentOf(200, 200));
  });

  test('only the owner can read', async () => {
    const storage = await newStore().open(ID);
    await append(storage, contentOf(1));
    await storage.writeMark(contentOf(1));
    await storage.close();
    expect(statSync(path()).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 't')).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(path())) expect(statSync(path(name)).mode & 0o777).toBe(0o600);
  });

  test('what lies behind a gap does not count, and goes when appending goes on', async () => {
    const store = newStore({ segmentBytes: 100 });
    let storage = await store.open(ID);
    for (let i = 0; i < 4; i++) await append(storage, contentOf(100, i));
    await storage.close();
    truncateSync(path(logs()[1] as string), 40);
    storage = await store.open(ID);
    expect(storage.length).toBe(140);
    expect(await storage.read(100, 300)).toHaveLength(40);
    await append(storage, contentOf(60, 9));
    expect(logs()).toHaveLength(2);
    await append(storage, contentOf(60, 10));
    const expected = joined([
      contentOf(100, 0),
      contentOf(100, 1).subarray(0, 40),
      contentOf(60, 9),
      contentOf(60, 10),
    ]);
    expect(new Uint8Array(await storage.read(0, 1_000))).toEqual(expected);
    await storage.close();
  });

  test.each([
    ['the newer mark torn', 0, 20],
    ['the newer mark of zeros', 0, 0],
  ])('%s: the one before it is read', async (_, from, kept) => {
    const store = newStore();
    let storage = await store.open(ID);
    for (let i = 1; i <= 3; i++) await storage.writeMark(contentOf(100, i));
    await storage.close();
    const mark = readFileSync(path('mark'));
    mark.fill(0, from + kept, from + 512);
    writeFileSync(path('mark'), mark);
    storage = await store.open(ID);
    expect(new Uint8Array((await storage.readMark()) as Uint8Array)).toEqual(contentOf(100, 2));
    await storage.close();
  });

  test('a removal that was cut off is finished, and its log never opens again', async () => {
    const store = newStore();
    const storage = await store.open(ID);
    await append(storage, contentOf(10));
    await storage.close();
    fs.renameSync(path(), join(folder, 't', `removed-${ID}`));
    expect(await store.ids()).toEqual([]);
    expect(readdirSync(join(folder, 't'))).toEqual([]);
  });

  test('a folder it cannot write to is an error of open', async () => {
    if (process.getuid?.() === 0) return;
    chmodSync(folder, 0o500);
    await expect(newStore().open(ID)).rejects.toThrow('EACCES');
    chmodSync(folder, 0o700);
  });
});

describe('errors of the operating system', () => {
  interface Faults {
    roomBytes: number;
    syncError: string | null;
    writevCalls: number;
  }
  const failing = (code: string): Error => Object.assign(new Error(code), { code });

  /** A disk with so much room: the write that does not fit is short, the next one fails. */
  function faulty(): { faults: Faults; operations: FileOperations } {
    const faults: Faults = { roomBytes: Number.POSITIVE_INFINITY, syncError: null, writevCalls: 0 };
    const writev = (
      fd: number,
      parts: readonly Uint8Array[],
      position: number,
      done: (error: Error | null, bytes: number) => void,
    ): void => {
      faults.writevCalls += 1;
      const bytes = joined(parts).subarray(0, Math.max(0, faults.roomBytes));
      if (bytes.length === 0) {
        setImmediate(done, failing('ENOSPC'), 0);
        return;
      }
      fs.write(fd, bytes, 0, bytes.length, position, (error, written) => {
        faults.roomBytes -= written;
        done(error, written);
      });
    };
    const operations = {
      ...fs,
      writev,
      write: (fd: number, bytes: Uint8Array, at: number, length: number, position: number, done: never) =>
        writev(fd, [bytes.subarray(at, at + length)], position, done),
      fdatasync: (fd: number, done: (error: Error | null) => void) =>
        faults.syncError === null ? fs.fdatasync(fd, done) : setImmediate(done, failing(faults.syncError)),
    } as unknown as FileOperations;
    return { faults, operations };
  }

  test('many waiting appends are few writes', async () => {
    const { faults, operations } = faulty();
    const storage = await newStore({ operations }).open(ID);
    await Promise.all(Array.from({ length: 100 }, (_, i) => append(storage, contentOf(100, i))));
    expect(faults.writevCalls).toBeLessThanOrEqual(2);
    await storage.close();
  });

  test('a full disk: what fitted is written, the rest fails in order, and truncate makes it good again', async () => {
    const { faults, operations } = faulty();
    const storage = await newStore({ operations }).open(ID);
    await append(storage, contentOf(100, 0));
    faults.roomBytes = 250;
    const results = await Promise.allSettled(
      [1, 2, 3, 4].map((seed) => append(storage, contentOf(100, seed))),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected']);
    expect(storage.length).toBe(300);
    faults.roomBytes = Number.POSITIVE_INFINITY;
    await expect(append(storage, contentOf(1))).rejects.toThrow('ENOSPC');
    await storage.truncate(300, 0);
    expect(fs.statSync(join(folder, 't', ID, '0000000000000000.log')).size).toBe(300);
    await append(storage, contentOf(100, 3));
    const expected = joined([0, 1, 2, 3].map((seed) => contentOf(100, seed)));
    expect(new Uint8Array(await storage.read(0, 1_000))).toEqual(expected);
    await storage.close();
  });

  test('after a failed sync every sync and append fails, and reading goes on', async () => {
    const { faults, operations } = faulty();
    const storage = await newStore({ operations }).open(ID);
    await append(storage, contentOf(100));
    faults.syncError = 'EIO';
    await expect(storage.sync()).rejects.toThrow('EIO');
    faults.syncError = null;
    await expect(storage.sync()).rejects.toThrow('EIO');
    await expect(append(storage, contentOf(1))).rejects.toThrow('EIO');
    await expect(storage.truncate(0, 0)).rejects.toThrow('EIO');
    expect(await storage.read(0, 100)).toHaveLength(100);
    await storage.close();
  });
});
