/**
 * Reads the bytes of sources: files by position, streams as they come. Which files there are is for
 * file-source.ts.
 */
import { type BigIntStats, closeSync, constants, fstat, fstatSync, openSync, readSync, readv } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { ByteSource } from '../runtime/index.ts';
import { DiskPace } from './disk-pace.ts';
import { isMissing, localDiskError } from './system-error.ts';

/** What became of a file between the walk and the end of reading. */
export type ReadStatus = 'ok' | 'changed' | 'removed';

export interface FileToRead {
  /** Absolute path. */
  readonly location: string;
  /** Of `identityOf`, as the walk saw it. */
  readonly identity: string;
  /** As the walk saw it, bytes. */
  readonly sizeBytes: number;
  /** True for a path that a person named: a link is followed. Inside of folders it is not. */
  readonly isNamed: boolean;
}

const pace = new DiskPace();

/** Changes whenever the content may have changed. `ctime` cannot be set back by whoever changes a file. */
export function identityOf(stats: BigIntStats): string {
  return `${stats.dev}-${stats.ino}-${stats.size}-${stats.mtimeNs}-${stats.ctimeNs}`;
}

/**
 * Opens a file for reading. One that has gone meanwhile gives no bytes and `removed`.
 * @throws SluiceError `localDisk` when it cannot be opened.
 */
export async function openFileSource(file: FileToRead): Promise<ByteSource> {
  try {
    return new FileByteSource(await open(file.location, flagsFor(file)), file);
  } catch (error) {
    if (isMissing(error)) return REMOVED;
    throw localDiskError(error, 'Opening a file');
  }
}

/**
 * The whole content of a small file. Bytes beyond the size the walk saw are not read: the file changed then.
 * @throws SluiceError `localDisk` when it cannot be read.
 */
export async function readSmallFile(
  file: FileToRead,
): Promise<{ readonly content: Uint8Array; readonly status: ReadStatus }> {
  try {
    if (pace.mayBlock()) return pace.run(() => readSmallFileNow(file));
  } catch (error) {
    if (isMissing(error)) return { content: new Uint8Array(0), status: 'removed' };
    throw localDiskError(error, 'Reading a file');
  }
  const source = await openFileSource(file);
  try {
    const content = new Uint8Array(file.sizeBytes);
    const length = await source.read([content], 0);
    const status = await source.check();
    return { content: content.subarray(0, length), status };
  } finally {
    await source.close();
  }
}

function readSmallFileNow(file: FileToRead): { content: Uint8Array; status: ReadStatus } {
  const fd = openSync(file.location, flagsFor(file));
  try {
    const content = new Uint8Array(file.sizeBytes);
    let length = 0;
    while (length < content.length) {
      const count = readSync(fd, content, length, content.length - length, length);
      if (count === 0) break;
      length += count;
    }
    const status = statusOf(fstatSync(fd, { bigint: true }), file);
    return { content: content.subarray(0, length), status };
  } finally {
    closeSync(fd);
  }
}

/**
 * Without `O_NONBLOCK` a pipe that took the place of a file would hold us for ever. Windows has neither flag.
 */
function flagsFor({ isNamed }: FileToRead): number {
  return constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (isNamed ? 0 : (constants.O_NOFOLLOW ?? 0));
}

function statusOf(stats: BigIntStats, file: FileToRead): ReadStatus {
  return identityOf(stats) === file.identity ? 'ok' : 'changed';
}

class FileByteSource implements ByteSource {
  readonly #handle: FileHandle;
  readonly #file: FileToRead;

  constructor(handle: FileHandle, file: FileToRead) {
    this.#handle = handle;
    this.#file = file;
  }

  async read(parts: readonly Uint8Array[], offset: number): Promise<number> {
    const wanted = parts.reduce((sum, { length }) => sum + length, 0);
    let total = 0;
    let left = parts;
    // A short read is rare before the end; at the known end it saves the read that would return 0.
    while (total < wanted) {
      const count = await this.#readOnce(left, offset + total);
      total += count;
      if (count === 0 || offset + total === this.#file.sizeBytes || total === wanted) break;
      left = withoutFirst(left, count);
    }
    return total;
  }

  async check(): Promise<ReadStatus> {
    return new Promise((resolve, reject) => {
      fstat(this.#handle.fd, { bigint: true }, (error, stats) => {
        if (error === null) resolve(statusOf(stats, this.#file));
        else if (isMissing(error)) resolve('removed');
        else reject(localDiskError(error, 'Checking a file'));
      });
    });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #readOnce(parts: readonly Uint8Array[], position: number): Promise<number> {
    // The callback form: a FileHandle costs several times as much per call.
    return new Promise((resolve, reject) => {
      readv(this.#handle.fd, parts, position, (error, count) => {
        if (error === null) resolve(count);
        else reject(localDiskError(error, 'Reading a file'));
      });
    });
  }
}

function withoutFirst(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = bytes;
  for (const part of parts) {
    if (skip < part.length) left.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return left;
}

const REMOVED: ByteSource = {
  read: async () => 0,
  check: async () => 'removed',
  close: async () => {},
};

/**
 * A stream as a source: gives what is there as soon as something is there, and reads on only when asked.
 * Offsets are ignored, one read at a time. Buffers what the stream itself buffers (its high water mark),
 * nothing more.
 */
export function streamSource(readable: Readable): ByteSource {
  let rest: Uint8Array = new Uint8Array(0);
  const iterator = readable.iterator({ destroyOnReturn: true });
  return {
    async read(parts) {
      if (parts.every(({ length }) => length === 0)) return 0;
      while (rest.length === 0) {
        const next = await nextChunk(iterator);
        if (next === null) return 0;
        rest = next;
      }
      let total = 0;
      for (const part of parts) {
        const taken = rest.subarray(0, part.length);
        part.set(taken);
        rest = rest.subarray(taken.length);
        total += taken.length;
        if (rest.length === 0) break;
      }
      return total;
    },
    check: async () => 'ok',
    close: async () => {
      readable.destroy();
    },
  };
}

async function nextChunk(iterator: AsyncIterator<unknown>): Promise<Uint8Array | null> {
  try {
    const { value, done } = await iterator.next();
    if (done) return null;
    return typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
  } catch (error) {
    throw localDiskError(error, 'Reading the input');
  }
}
