/**
 * Finds what there is to send: walks files and folders in a stable order, without holding more than one
 * folder's names per level and a few entries ahead. It reads no content (file-bytes.ts) and gives no numbers
 * (the sender does).
 *
 * A path that was named is followed when it is a link, as `cp -r` and `rsync` do with their arguments; links,
 * pipes, sockets and devices inside of folders are left out and reported.
 */
import { isUtf8 } from 'node:buffer';
import { type BigIntStats, createReadStream, constants as fsConstants } from 'node:fs';
import { access, lstat, readdir, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { SluiceError } from '../protocol/index.ts';
import { checkPath, keepBothName, type SafePathProblem } from '../protocol/safe-path.ts';
import type { SourceEntry } from '../runtime/index.ts';
import { identityOf, openFileSource, readSmallFile, streamSource } from './file-bytes.ts';
import { isMissing, localDiskError, systemCode } from './system-error.ts';

/**
 * - `symlink`: a link inside of a folder.
 * - `special`: a pipe, socket or device.
 * - `unreadable`: no permission, or the disk fails; `code` says which.
 * - `removed`: it went away while the folder was walked.
 * - `name`: its name is not UTF-8, or no receiver could create it; `code` says which rule it breaks.
 */
export type SkipReason = 'symlink' | 'special' | 'unreadable' | 'removed' | 'name';

export interface SkippedSource {
  /** Absolute path. A name that is not UTF-8 has U+FFFD where it is not. */
  readonly location: string;
  readonly reason: SkipReason;
  /** System error (`EACCES`) or rule (`control-character`), where there is one. */
  readonly code: string | null;
}

export interface WalkOptions {
  onSkipped(skipped: SkippedSource): void;
}

/** Files of this size or less can be read in one go, bytes. */
const SMALL_FILE_BYTES = 64 * 1024;
/** How many entries of a folder are looked at at the same time. */
const LOOK_AHEAD = 16;

/**
 * Everything below the given paths: each folder before what is in it, names in the order of their UTF-16
 * units. The last component of an argument is the first one of its entries; equal ones are kept apart as
 * `name (2)`.
 * @throws SluiceError `usage` for a path that is not there or nothing that can be sent, `localDisk` when it
 * cannot be looked at. Before the first entry comes out, all paths have been checked.
 */
export async function* walkSources(
  paths: readonly string[],
  options: WalkOptions,
): AsyncGenerator<SourceEntry, void, undefined> {
  const roots: Found[] = [];
  const taken = new Set<string>();
  for (const path of paths) {
    const found = await lookAtNamed(path, options);
    if (found === null) continue;
    const name = freeName(found.path[0] ?? '', taken);
    taken.add(name);
    roots.push({ ...found, path: [name] });
  }
  for (const root of roots) yield* walk(root, options);
}

/** A stream, such as standard input, as the only file of a transfer. It can be read once. */
export function streamEntry(name: string, readable: Readable): SourceEntry {
  return {
    path: [name],
    type: 'file',
    sizeBytes: null,
    mtime: null,
    mode: null,
    origin: null,
    open: async () => streamSource(readable),
  };
}

interface Found {
  readonly path: readonly string[];
  /** Absolute. */
  readonly location: string;
  readonly stats: BigIntStats;
  readonly isNamed: boolean;
}

async function lookAtNamed(path: string, options: WalkOptions): Promise<Found | null> {
  const location = resolve(path);
  let stats: BigIntStats;
  try {
    stats = await stat(location, { bigint: true });
  } catch (error) {
    if (isMissing(error))
      throw new SluiceError('usage', `There is no file or folder ${JSON.stringify(path)}.`);
    throw localDiskError(error, `Looking at ${JSON.stringify(path)}`);
  }
  if (!stats.isFile() && !stats.isDirectory() && !stats.isFIFO()) {
    throw new SluiceError('usage', `${JSON.stringify(path)} is neither a file nor a folder.`);
  }
  // The root of the file system has no name.
  const name = basename(location) || 'root';
  const problem = nameProblem([name]);
  if (problem === null) return { path: [name], location, stats, isNamed: true };
  options.onSkipped({ location, reason: 'name', code: problem });
  return null;
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let attempt = 2; taken.has(free); attempt++) free = keepBothName(name, attempt);
  return free;
}

async function* walk(found: Found, options: WalkOptions): AsyncGenerator<SourceEntry, void, undefined> {
  yield entryOf(found);
  if (!found.stats.isDirectory()) return;
  // A stack of folders and not recursion: each level of generators would cost every entry below it.
  const levels = [await childrenOf(found, options)];
  for (;;) {
    const level = levels.at(-1);
    if (level === undefined) return;
    const child = await level.next();
    if (child === null) {
      levels.pop();
      continue;
    }
    yield entryOf(child);
    if (child.stats.isDirectory()) levels.push(await childrenOf(child, options));
  }
}

/** The entries of one folder in order, looked at a few ahead. */
class Level {
  readonly #folder: Found;
  readonly #names: readonly string[];
  readonly #options: WalkOptions;
  readonly #ahead: Promise<Found | SkippedSource>[] = [];
  #next = 0;

  constructor(folder: Found, names: readonly string[], options: WalkOptions) {
    this.#folder = folder;
    this.#names = names;
    this.#options = options;
  }

  async next(): Promise<Found | null> {
    for (;;) {
      while (this.#ahead.length < LOOK_AHEAD && this.#next < this.#names.length) {
        this.#ahead.push(lookAt(this.#folder, this.#names[this.#next++] as string));
      }
      const looked = await this.#ahead.shift();
      if (looked === undefined) return null;
      if (!('reason' in looked)) return looked;
      this.#options.onSkipped(looked);
    }
  }
}

async function childrenOf(folder: Found, options: WalkOptions): Promise<Level> {
  const names: string[] = [];
  try {
    for (const raw of await readdir(folder.location, { encoding: 'buffer' })) {
      const name = raw.toString();
      if (isUtf8(raw)) names.push(name);
      else options.onSkipped({ location: `${folder.location}/${name}`, reason: 'name', code: 'not-utf8' });
    }
  } catch (error) {
    options.onSkipped(failed(folder.location, error));
  }
  return new Level(folder, names.sort(), options);
}

/** Never rejects: several of these run ahead of whoever awaits them. */
async function lookAt(folder: Found, name: string): Promise<Found | SkippedSource> {
  const location = folder.location === '/' ? `/${name}` : `${folder.location}/${name}`;
  const path = [...folder.path, name];
  const problem = nameProblem(path);
  if (problem !== null) return { location, reason: 'name', code: problem };
  try {
    const stats = await lstat(location, { bigint: true });
    if (stats.isSymbolicLink()) return { location, reason: 'symlink', code: null };
    if (!stats.isFile() && !stats.isDirectory()) return { location, reason: 'special', code: null };
    // Whoever may read it is told by the mode where everybody may; only else the system must be asked.
    if (stats.isFile() && (stats.mode & 0o444n) !== 0o444n) await access(location, fsConstants.R_OK);
    return { path, location, stats, isNamed: false };
  } catch (error) {
    return failed(location, error);
  }
}

function failed(location: string, error: unknown): SkippedSource {
  return { location, reason: isMissing(error) ? 'removed' : 'unreadable', code: systemCode(error) };
}

/** Names no receiver could create would only fail there, after all their bytes had been sent. */
function nameProblem(path: readonly string[]): SafePathProblem | null {
  const check = checkPath(path);
  return check.ok ? null : check.reason;
}

const NANOSECONDS = 1_000_000_000n;

function entryOf({ path, location, stats, isNamed }: Found): SourceEntry {
  if (stats.isFIFO()) return pipeEntry(path, location);
  const isFile = stats.isFile();
  const sizeBytes = isFile ? Number(stats.size) : null;
  const identity = identityOf(stats);
  const seconds = floorDivide(stats.mtimeNs, NANOSECONDS);
  const file = { location, identity, sizeBytes: sizeBytes ?? 0, isNamed };
  return {
    path,
    type: isFile ? 'file' : 'dir',
    sizeBytes,
    mtime: { seconds: Number(seconds), nanoseconds: Number(stats.mtimeNs - seconds * NANOSECONDS) },
    mode: Number(stats.mode & 0o777n),
    origin: { location, identity },
    open: async () => {
      if (!isFile) throw new SluiceError('internal', 'A folder has no content.');
      return openFileSource(file);
    },
    ...(isFile && file.sizeBytes <= SMALL_FILE_BYTES ? { readWhole: () => readSmallFile(file) } : {}),
  };
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient;
}

/** A named pipe, as the shell makes for `<(command)`. */
function pipeEntry(path: readonly string[], location: string): SourceEntry {
  return {
    path,
    type: 'file',
    sizeBytes: null,
    mtime: null,
    mode: null,
    origin: null,
    open: async () => streamSource(createReadStream(location)),
  };
}
