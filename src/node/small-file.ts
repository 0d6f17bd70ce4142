/**
 * Writes whole small files into the staging folder with few system calls. Names and hashes are for others.
 */
import fs, { closeSync, constants, fchmodSync, futimesSync, openSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import type { FileTime, ManifestEntry } from '../protocol/index.ts';
import type { DiskPace } from './disk-pace.ts';

/** What a created file lacks of the mode it was created with. */
const UMASK = process.umask();
const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW = 0 } = constants;
const FLAGS = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
/** Where the sender gave no mode: what any program would create. */
const DEFAULT_MODE = 0o666;

/**
 * Creates or replaces the file, with time and mode of the entry.
 * @returns the open file where `keepOpen`, else null.
 * @throws the system's error.
 */
export async function writeSmallFile(
  location: string,
  content: Uint8Array,
  entry: ManifestEntry,
  keepOpen: boolean,
  pace: DiskPace,
): Promise<number | null> {
  if (pace.mayBlock()) return pace.run(() => writeNow(location, content, entry, keepOpen));
  return writeThreaded(location, content, entry, keepOpen);
}

/** Gives an open file the time and mode of its entry. Special bits are never set. */
export function applyMetadata(fd: number, entry: ManifestEntry): void {
  if (entry.mtime !== null) futimesSync(fd, new Date(), timeOf(entry.mtime));
  fchmodSync(fd, entry.mode === null ? DEFAULT_MODE & ~UMASK : entry.mode & 0o777);
}

function writeNow(
  location: string,
  content: Uint8Array,
  entry: ManifestEntry,
  keepOpen: boolean,
): number | null {
  const fd = openSync(location, FLAGS, modeOf(entry));
  let isKept = false;
  try {
    for (let at = 0; at < content.length; ) at += writeSync(fd, content, at);
    if (entry.mtime !== null) futimesSync(fd, new Date(), timeOf(entry.mtime));
    if (needsChmod(entry)) fchmodSync(fd, modeOf(entry));
    isKept = keepOpen;
  } finally {
    if (!isKept) closeSync(fd);
  }
  return isKept ? fd : null;
}

const openFile = promisify(fs.open);
const writeFile = promisify(fs.write);
const setTimes = promisify(fs.futimes);
const setMode = promisify(fs.fchmod);
const closeFile = promisify(fs.close);

/** The same in other threads. Without FileHandle: it would close what is kept open. */
async function writeThreaded(
  location: string,
  content: Uint8Array,
  entry: ManifestEntry,
  keepOpen: boolean,
): Promise<number | null> {
  const fd = await openFile(location, FLAGS, modeOf(entry));
  let isKept = false;
  try {
    for (let at = 0; at < content.length; ) at += (await writeFile(fd, content, at)).bytesWritten;
    if (entry.mtime !== null) await setTimes(fd, new Date(), timeOf(entry.mtime));
    if (needsChmod(entry)) await setMode(fd, modeOf(entry));
    isKept = keepOpen;
  } finally {
    if (!isKept) await closeFile(fd);
  }
  return isKept ? fd : null;
}

function needsChmod({ mode }: ManifestEntry): boolean {
  return mode !== null && (mode & UMASK) !== 0;
}

/** A folder's permission bits, without the special ones. */
export function modeOfFolder(mode: number): number {
  return mode & 0o777;
}

function modeOf({ mode }: ManifestEntry): number {
  return mode === null ? DEFAULT_MODE : mode & 0o777;
}

/**
 * Node takes seconds as a double, which keeps a quarter of a microsecond; it takes negative ones for "now".
 */
export function timeOf({ seconds, nanoseconds }: FileTime): number | Date {
  const time = seconds + nanoseconds / 1e9;
  return time >= 0 ? time : new Date(time * 1000);
}
