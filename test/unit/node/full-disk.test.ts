/**
 * A receive folder on a disk that fills up: every write beyond a number of bytes fails as the system would fail it. The
 * same on a real full disk is test/e2e/disk-full.test.ts, which is skipped where none can be mounted.
 */
import type * as Fs from 'node:fs';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { loadDigester } from '../../../src/node/blake3.ts';
import { FolderSink } from '../../../src/node/folder-sink.ts';
import type { ManifestEntry, SluiceError } from '../../../src/protocol/index.ts';

const disk = vi.hoisted(() => ({ freeBytes: Number.POSITIVE_INFINITY }));

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof Fs>();
  const sizeOf = (data: unknown): number => {
    if (Array.isArray(data)) return data.reduce<number>((sum, part) => sum + sizeOf(part), 0);
    return Buffer.byteLength(data as string | NodeJS.ArrayBufferView);
  };
  const take = (data: unknown): Error | null => {
    const bytes = sizeOf(data);
    if (bytes > disk.freeBytes) return Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
    disk.freeBytes -= bytes;
    return null;
  };
  const later = (original: (...args: never[]) => unknown) => {
    return (...args: unknown[]): unknown => {
      const error = take(args[1]);
      if (error === null) return Reflect.apply(original, null, args);
      return setImmediate(args.at(-1) as (error: Error) => void, error);
    };
  };
  const writeSync = (...args: unknown[]): unknown => {
    const error = take(args[1]);
    if (error !== null) throw error;
    return Reflect.apply(fs.writeSync, null, args);
  };
  // As the system does: the file is there, and empty.
  const writeFileSync = (path: string, data: string, options: object): void => {
    fs.writeFileSync(path, '', options);
    const error = take(data);
    if (error !== null) throw error;
    fs.writeFileSync(path, data);
  };
  const full = { write: later(fs.write), writev: later(fs.writev), writeSync, writeFileSync };
  return { ...fs, ...full, default: { ...fs, ...full } };
});

const digester = await loadDigester();
const LARGE = new Uint8Array(300_000).fill(7);
const SMALL = Array.from({ length: 40 }, (_, i) => new Uint8Array(4_000 + i).fill(i));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-full-'));
});
afterEach(() => {
  disk.freeBytes = Number.POSITIVE_INFINITY;
  rmSync(folder, { recursive: true, force: true });
});

test.each([0, 500, 3_000, 5_000, 80_000, 165_000, 200_000, 400_000])(
  'with room for %i bytes: localDisk, and everything arrives when there is space',
  async (freeBytes) => {
    disk.freeBytes = freeBytes;
    const error = await receive().catch((failure: SluiceError) => failure);
    expect(error).toMatchObject({ code: 'localDisk', exitCode: 8 });
    for (const name of readdirSync(folder)) {
      // What has a name is whole.
      if (!name.startsWith('.sluice-')) expect(readFileSync(join(folder, name))).toEqual(contentOf(name));
    }
    disk.freeBytes = Number.POSITIVE_INFINITY;
    await receive();
    expect(readdirSync(folder).length).toBe(SMALL.length + 1);
    for (const name of readdirSync(folder)) {
      expect(readFileSync(join(folder, name))).toEqual(contentOf(name));
    }
  },
);

test('with room for not even a lock: nothing is left that would stay for ever', async () => {
  disk.freeBytes = 0;
  await expect(receive()).rejects.toMatchObject({ code: 'localDisk' });
  const [staging = ''] = readdirSync(folder);
  expect(readdirSync(join(folder, staging)).filter((name) => name.startsWith('lock'))).toEqual([]);
  // What a process leaves that dies while it takes the lock.
  writeFileSync(join(folder, staging, 'lock.0123456789ab'), '');
  disk.freeBytes = Number.POSITIVE_INFINITY;
  await receive();
  expect(readdirSync(folder)).not.toContain(staging);
});

function contentOf(name: string): Buffer {
  return Buffer.from((name === 'large' ? LARGE : SMALL[Number(name)]) as Uint8Array);
}

/** One run of a receiver that begins at the first record: small files in packs, then a large one. */
async function receive(): Promise<void> {
  const sink = await FolderSink.open({
    directory: folder,
    transferId: 'AAECAwQFBgcICQoLDA0ODw',
    onConflict: 'keep-both',
    digester,
    fsync: false,
    onFile: () => {},
  });
  try {
    const names = [...SMALL.map((_, i) => String(i)), 'large'];
    sink.addEntries(names.map((name, i) => entryOf(i + 1, name)));
    const packed = SMALL.map((content) => ({
      content,
      blake3: digester.digest(content),
      status: 'ok' as const,
    }));
    await finished((done) => sink.writePacked(1, packed, done));
    const large = names.length;
    for (let at = 0; at < LARGE.length; at += 50_000) {
      await finished((done) => sink.write(large, at, LARGE.subarray(at, at + 50_000), done));
    }
    const end = { blake3: digester.digest(LARGE), sizeBytes: LARGE.length, status: 'ok' as const };
    await finished((done) => sink.endFile(large, end, done));
    await sink.finish();
  } finally {
    await sink.keep();
  }
}

function finished(start: (done: (error: SluiceError | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}

function entryOf(file: number, name: string): ManifestEntry {
  const unknown = { sizeBytes: null, mtime: null, mode: null, replaces: null };
  return { file, path: [name], type: 'file', ...unknown };
}
