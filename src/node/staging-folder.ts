/**
 * The private folder where a transfer lives until it is complete: `.sluice-<transfer>` in the receive folder,
 * with a lock, the journal and the unfinished files (`<number>.part`). It finds out what a former run left
 * behind, and removes only names it makes itself.
 */
import { chmodSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { SluiceError } from '../protocol/index.ts';
import { collisionKey, type SafePathPlatform } from '../protocol/safe-path.ts';
import { LOCK_ATTEMPT, type ProcessLock, takeLock } from './process-lock.ts';
import { type JournalState, markPlaced, type Path, SinkJournal } from './sink-journal.ts';
import { lstatOrNull, openPrivateFolder, type PrivateFolder, type TargetFolder } from './target-folder.ts';

const PREFIX = '.sluice-';
const PART_NAME = /^[1-9]\d{0,15}\.part$/;

/** True for names of staging folders: a transfer must not write into one. */
export function isStagingName(platform: SafePathPlatform, name: string): boolean {
  return collisionKey(platform, [name]).startsWith(collisionKey(platform, [PREFIX]));
}

export class StagingFolder {
  readonly journal: SinkJournal;
  readonly state: JournalState;
  readonly #target: TargetFolder;
  readonly #name: string;
  readonly #folder: PrivateFolder;
  readonly #lock: ProcessLock;

  /**
   * Opens or creates it, and takes it for this process.
   * @throws SluiceError `localDisk` when another process has it; the system's error otherwise.
   */
  constructor(target: TargetFolder, transferId: string) {
    if (!/^[\w-]{1,64}$/.test(transferId)) throw new SluiceError('internal', 'A transfer id is malformed.');
    this.#target = target;
    this.#name = `${PREFIX}${transferId}`;
    this.#folder = openPrivateFolder(target.root, this.#name);
    const lock = takeLock(`${this.#folder.base}/lock`);
    if (lock === null) {
      this.#folder.close();
      throw new SluiceError('localDisk', 'Another process is receiving this transfer into this folder.', {
        hint: 'Wait for it to end, or receive into another folder.',
      });
    }
    this.#lock = lock;
    let journal: SinkJournal | null = null;
    try {
      journal = new SinkJournal(`${this.#folder.base}/journal`, transferId);
      this.journal = journal;
      this.state = journal.recover();
      this.#settleIntents();
      this.#checkParts();
    } catch (error) {
      // The disk may be full: a later attempt of this process must find it free.
      journal?.close();
      lock.release();
      this.#folder.close();
      throw error;
    }
  }

  /** Where the content of an unfinished file is. */
  locationOf(file: number): string {
    return `${this.#folder.base}/${file}.part`;
  }

  removePart(file: number): void {
    this.#remove(`${file}.part`);
  }

  /** Keeps everything for a later run. */
  close(): void {
    this.journal.close();
    this.#lock.release();
    this.#folder.close();
  }

  /**
   * Removes what is ours, the journal last: until then a later run still knows that everything is in its
   * place.
   */
  remove(): void {
    try {
      for (const name of readdirSync(this.#folder.base)) {
        if (PART_NAME.test(name) || LOCK_ATTEMPT.test(name)) this.#remove(name);
      }
    } finally {
      this.journal.close();
      this.#lock.release();
    }
    this.#remove('journal');
    this.#folder.close();
    try {
      rmdirSync(`${this.#target.root.base}/${this.#name}`);
    } catch {
      // Somebody put something into it: it is theirs.
    }
    this.#target.noteChanged(this.#target.root);
  }

  /**
   * A file whose name was written down either got it, then its part is gone or the same file, or it did not.
   */
  #settleIntents(): void {
    const unplaced: number[] = [];
    for (const [file, path] of this.state.intents) {
      const part = lstatExact(this.locationOf(file));
      const place = lstatExact(`${this.#target.root.base}/${path.join('/')}`);
      const isLinked = part !== null && place !== null && part.ino === place.ino && part.dev === place.dev;
      if (part !== null && !isLinked) {
        unplaced.push(file);
        continue;
      }
      if (isLinked) this.#remove(`${file}.part`);
      const sizeBytes = Number(place?.size ?? 0);
      markPlaced(this.state, file, sizeBytes);
      this.journal.placed([[file, sizeBytes]]);
    }
    this.state.intents.clear();
    // Before their parts are removed: a part that is gone tells the next run that the file got its name.
    this.journal.voidIntents(unplaced);
  }

  /**
   * Only files that were open at the checkpoint go on; all others begin again. Without all of them nothing
   * goes on.
   */
  #checkParts(): void {
    const { checkpoint, placed, dropped } = this.state;
    const open = (checkpoint?.openFiles ?? []).filter(({ file }) => !placed.has(file) && !dropped.has(file));
    const isWhole = open.every(
      ({ file, nextOffset }) => (lstatOrNull(this.locationOf(file))?.size ?? -1) >= nextOffset,
    );
    if (!isWhole) {
      this.state.checkpoint = null;
      this.journal.checkpoint(null);
    }
    const kept = new Set(isWhole ? open.map(({ file }) => `${file}.part`) : []);
    for (const name of readdirSync(this.#folder.base)) {
      // A file that was all but finished may have got its final mode, without the right to write.
      if (kept.has(name)) chmodSync(`${this.#folder.base}/${name}`, 0o600);
      else if (PART_NAME.test(name)) this.#remove(name);
    }
  }

  #remove(name: string): void {
    unlinkSync(`${this.#folder.base}/${name}`);
  }
}

/** Inode numbers need all their bits. */
function lstatExact(location: string): { ino: bigint; dev: bigint; size: bigint } | null {
  return lstatSync(location, { bigint: true, throwIfNoEntry: false }) ?? null;
}

/** For summaries: what two paths differ in. */
export interface Renamed {
  readonly from: Path;
  readonly to: Path;
}
