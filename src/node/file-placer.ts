/**
 * Gives received files their final names: under the conflict rule, never through a link, never over a file
 * that was there unless asked to, and so that a crash at any moment leaves each file either in its place or
 * in the staging folder, and the journal tells which. Files go in batches, because each sync of a disk costs
 * more than all the rest. It does not look at content.
 */
import { closeSync, fsync, linkSync, renameSync, unlinkSync } from 'node:fs';
import { promisify } from 'node:util';
import { displayPath } from '../protocol/display-name.ts';
import { type ManifestEntry, SluiceError } from '../protocol/index.ts';
import { collisionKey, keepBothName, type SafePathPlatform } from '../protocol/safe-path.ts';
import { isWithoutLinks } from './process-lock.ts';
import type { Path, SinkJournal } from './sink-journal.ts';
import { localDiskError, systemCode } from './system-error.ts';
import { type Folder, lstatOrNull, type TargetFolder } from './target-folder.ts';

/**
 * What happens when the name is taken: `keep-both` = the new one becomes `name (2)`, a folder at the top as a
 * whole; `overwrite` = files are replaced, folders merged; `skip` = what is there stays, folders are merged.
 */
export type ConflictRule = 'keep-both' | 'overwrite' | 'skip';

export interface FinishedFile {
  readonly entry: ManifestEntry;
  readonly sizeBytes: number;
  /** Path of the complete file in the staging folder. */
  readonly location: string;
  /** Open file to be synced and closed first; null when it is closed and need not be synced. */
  readonly fd: number | null;
  settle(outcome: Placement): void;
}

/**
 * `placed`: at this path. `skipped`: the name was taken. `refused`: this file cannot be placed. `failed`: the
 * disk.
 */
export type Placement =
  | { readonly type: 'placed'; readonly path: Path }
  | { readonly type: 'skipped' }
  | { readonly type: 'refused' | 'failed'; readonly error: SluiceError };

export interface FilePlacerOptions {
  readonly target: TargetFolder;
  readonly journal: SinkJournal;
  readonly onConflict: ConflictRule;
  readonly platform: SafePathPlatform;
  readonly fsync: boolean;
  /** Names that top-level folders got here. */
  readonly topLevel: Map<string, string>;
  /** Told when something got another name than it was sent with. */
  onRenamed(from: Path, to: Path): void;
}

const MAX_BATCH = 128;
const syncFile = promisify(fsync);

/** A file on its way to a name. */
interface Candidate {
  readonly file: FinishedFile;
  /** 1 = the name it was sent with, then `name (2)` and so on. */
  attempt: number;
  path: Path;
  /** Whether the file that has the name goes away. */
  mayReplace: boolean;
  isOver: boolean;
}

export class FilePlacer {
  readonly #options: FilePlacerOptions;
  readonly #queue: FinishedFile[] = [];
  /** Keys of names this transfer has given out: only needed where the disk itself would not tell. */
  readonly #taken: Set<number> | null;
  #running: Promise<void> | null = null;

  constructor(options: FilePlacerOptions) {
    this.#options = options;
    const tellsDisk = options.platform === 'posix' && options.onConflict === 'keep-both';
    this.#taken = tellsDisk ? null : new Set();
  }

  /** True when `noteTaken` must be told of the names that a former run gave out. */
  get remembersNames(): boolean {
    return this.#taken !== null;
  }

  noteTaken(path: Path): void {
    this.#taken?.add(hash53(collisionKey(this.#options.platform, path)));
  }

  /** Files that come in the same tick, or while a batch is being synced, go together. */
  add(file: FinishedFile): void {
    this.#queue.push(file);
    this.#running ??= this.#run();
  }

  /** Waits until everything that was added is settled. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /**
   * The path under which something is stored here. Gives a top-level folder its name when it is the first in
   * it.
   */
  placeOf(path: Path, isFolder: boolean): Path {
    const [top = '', ...rest] = path;
    if (rest.length === 0 && !isFolder) return path;
    return [this.#topLevelName(top), ...rest];
  }

  async #run(): Promise<void> {
    await null;
    while (this.#queue.length > 0) await this.#placeBatch(this.#queue.splice(0, MAX_BATCH));
    this.#running = null;
  }

  async #placeBatch(files: readonly FinishedFile[]): Promise<void> {
    const { target, journal, fsync: mustSync } = this.#options;
    const candidates: Candidate[] = [];
    await Promise.all(
      files.map(async (file) => {
        if (await this.#close(file))
          candidates.push({ file, attempt: 0, path: [], mayReplace: false, isOver: false });
      }),
    );
    const placed: Candidate[] = [];
    try {
      // Most files get their name in the first round.
      for (let left = candidates; left.length > 0; left = left.filter(({ isOver }) => !isOver)) {
        for (const candidate of left) this.#chooseName(candidate);
        const named = left.filter(({ isOver }) => !isOver);
        journal.intents(named.map(({ file, path }) => [file.entry.file, path]));
        if (mustSync && named.length > 0) await journal.sync();
        for (const candidate of named) if (this.#tryPlace(candidate)) placed.push(candidate);
      }
      if (mustSync) await target.sync();
      journal.placed(placed.map(({ file }) => [file.entry.file, file.sizeBytes]));
    } catch (error) {
      const failure = localDiskError(error, 'Putting files in their place');
      for (const { file, isOver } of candidates) if (!isOver) file.settle({ type: 'failed', error: failure });
      for (const { file } of placed) file.settle({ type: 'failed', error: failure });
      return;
    }
    for (const { file, path } of placed) file.settle({ type: 'placed', path });
  }

  /** A failed sync is final: the system may have forgotten what it could not write. */
  async #close({ fd, settle, entry }: FinishedFile): Promise<boolean> {
    if (fd === null) return true;
    try {
      try {
        if (this.#options.fsync) await syncFile(fd);
      } finally {
        closeSync(fd);
      }
      return true;
    } catch (error) {
      settle({ type: 'failed', error: localDiskError(error, `Writing ${displayPath(entry.path)}`) });
      return false;
    }
  }

  #chooseName(candidate: Candidate): void {
    const { target, onConflict, journal } = this.#options;
    const { entry } = candidate.file;
    try {
      candidate.attempt += 1;
      const replaced = entry.replaces === null ? null : journal.placeOf(entry.replaces);
      const wanted = replaced ?? this.placeOf(entry.path, false);
      if (replaced === null)
        while (this.#isTaken(numbered(wanted, candidate.attempt))) candidate.attempt += 1;
      candidate.path = numbered(wanted, candidate.attempt);
      candidate.mayReplace = candidate.attempt === 1 && (replaced !== null || onConflict === 'overwrite');
      target.at(candidate.path.slice(0, -1));
    } catch (error) {
      this.#giveUp(candidate, error);
    }
  }

  /** True when the file is in its place now. Otherwise it is over, or gets another name in the next round. */
  #tryPlace(candidate: Candidate): boolean {
    const { target, onConflict } = this.#options;
    const { file, path } = candidate;
    try {
      const folder = target.at(path.slice(0, -1));
      const location = `${folder.base}/${path.at(-1)}`;
      if (!moveFile(file.location, location, candidate.mayReplace)) {
        if (onConflict === 'skip' && candidate.attempt === 1) this.#skip(candidate);
        return false;
      }
      this.#notePlaced(candidate, folder);
      return true;
    } catch (error) {
      this.#giveUp(candidate, error);
      return false;
    }
  }

  #notePlaced(candidate: Candidate, folder: Folder): void {
    const { target, onRenamed } = this.#options;
    candidate.isOver = true;
    target.noteChanged(folder);
    this.noteTaken(candidate.path);
    if (candidate.attempt > 1) onRenamed(candidate.file.entry.path, candidate.path);
  }

  #skip(candidate: Candidate): void {
    candidate.isOver = true;
    candidate.file.settle({ type: 'skipped' });
    this.#discard(candidate.file.location);
  }

  /** What became of the file must be on record first: a part that is gone says that it got its name. */
  #discard(location: string): void {
    this.#options.journal.flush();
    unlinkSync(location);
  }

  #giveUp(candidate: Candidate, error: unknown): void {
    candidate.isOver = true;
    const { entry, location, settle } = candidate.file;
    if (error instanceof SluiceError) {
      settle({ type: 'refused', error });
      this.#discard(location);
    } else {
      settle({
        type: 'failed',
        error: localDiskError(error, `Putting ${displayPath(entry.path)} in its place`),
      });
    }
  }

  #isTaken(path: Path): boolean {
    return this.#taken?.has(hash53(collisionKey(this.#options.platform, path))) ?? false;
  }

  #topLevelName(name: string): string {
    const { topLevel, target, onConflict, journal, onRenamed } = this.#options;
    const known = topLevel.get(name);
    if (known !== undefined) return known;
    let free = name;
    if (onConflict === 'keep-both') {
      for (let attempt = 2; lstatOrNull(`${target.root.base}/${free}`) !== null; attempt++) {
        free = keepBothName(name, attempt);
      }
    }
    // Written before the folder is made, so that a crash in between does not make us avoid our own folder.
    journal.topLevel(name, free);
    topLevel.set(name, free);
    if (free !== name) onRenamed([name], [free]);
    return free;
  }
}

function numbered(path: Path, attempt: number): Path {
  return attempt === 1 ? path : [...path.slice(0, -1), keepBothName(path.at(-1) ?? '', attempt)];
}

/**
 * Moves a file to a name, replacing what has it only when told to, and never following a link there.
 * @returns false when the name is taken.
 */
function moveFile(from: string, to: string, mayReplace: boolean): boolean {
  if (mayReplace) {
    try {
      renameSync(from, to);
      return true;
    } catch (error) {
      // A folder is never replaced by a file.
      if (['EISDIR', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(systemCode(error) ?? '')) return false;
      throw error;
    }
  }
  try {
    // Unlike `rename`, a link fails when the name is taken: there is no moment between look and use.
    linkSync(from, to);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    if (!isWithoutLinks(error)) throw error;
    if (lstatOrNull(to) !== null) return false;
    renameSync(from, to);
    return true;
  }
  unlinkSync(from);
  return true;
}

/** 53 bits of a text. Two names that meet by chance only get kept apart without need. */
function hash53(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
