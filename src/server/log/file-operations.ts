/**
 * The calls to the operating system that the segment store makes on the bytes of a log. A seam: tests replace them to
 * make writes short, disks full and syncs fail.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';

export type FileOperations = Pick<typeof fs, 'write' | 'writev' | 'read' | 'fdatasync'>;

export const systemFileOperations: FileOperations = fs;

export const openFile: (path: string, flags: number, mode: number) => Promise<number> = promisify(fs.open);
export const closeFile: (fd: number) => Promise<void> = promisify(fs.close);
export const truncateFile: (fd: number, length: number) => Promise<void> = promisify(fs.ftruncate);

export function dataSync(operations: FileOperations, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    operations.fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Fills as much of `into` as the file has from `position` on. Resolves to the bytes read. */
export function readFully(
  operations: FileOperations,
  fd: number,
  into: Uint8Array,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let at = 0;
    const next = (): void => {
      operations.read(fd, into, at, into.length - at, position + at, (error, bytesRead) => {
        if (error !== null) return reject(error);
        at += bytesRead;
        if (bytesRead === 0 || at === into.length) return resolve(at);
        next();
      });
    };
    if (into.length === 0) resolve(0);
    else next();
  });
}

/** Writes all of `bytes` at `position`. */
export function writeFully(
  operations: FileOperations,
  fd: number,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    writeParts(operations, fd, [bytes], position, (error) => (error === null ? resolve() : reject(error)));
  });
}

/**
 * Writes all parts one after another from `position`, however many calls it takes. `done` gets the first error, or
 * null, and how many bytes were written before it.
 */
export function writeParts(
  operations: FileOperations,
  fd: number,
  parts: readonly Uint8Array[],
  position: number,
  done: (error: Error | null, written: number) => void,
): void {
  let left = parts;
  let written = 0;
  const handle = (error: Error | null, bytes: number): void => {
    if (error !== null) return done(error, written);
    // A write that makes no progress would be tried for ever.
    if (bytes === 0) return done(Object.assign(new Error('nothing was written'), { code: 'EIO' }), written);
    written += bytes;
    left = partsAfter(left, bytes);
    if (left.length === 0) done(null, written);
    else next();
  };
  const next = (): void => {
    const [only] = left;
    if (left.length === 1 && only !== undefined) {
      operations.write(fd, only, 0, only.length, position + written, handle);
    } else operations.writev(fd, left, position + written, handle);
  };
  left = partsAfter(left, 0);
  if (left.length === 0) queueMicrotask(() => done(null, 0));
  else next();
}

/** What is left of `parts` after their first `bytes` bytes, without empty ones at the start. */
function partsAfter(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes;
  let first = 0;
  for (; first < parts.length; first++) {
    const length = parts[first]?.length ?? 0;
    if (skip < length) break;
    skip -= length;
  }
  if (first === parts.length) return [];
  const [head, ...rest] = parts.slice(first) as [Uint8Array, ...Uint8Array[]];
  return skip === 0 && first === 0 ? parts : [head.subarray(skip), ...rest];
}
