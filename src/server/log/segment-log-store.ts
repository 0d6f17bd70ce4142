/**
 * LogStore on files: one folder per transfer below `<data>/t`. Here: ids, folders, removal. The files of one transfer
 * are in segment-storage.ts. Files have mode 0600, folders 0700.
 */
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder } from '../sync-folder.ts';
import { type FileOperations, systemFileOperations } from './file-operations.ts';
import { assertLogId, isLogId, type LogStorage, type LogStore } from './log-store.ts';
import { SegmentStorage } from './segment-storage.ts';

export interface SegmentLogStoreOptions {
  /** A segment takes no further append beyond this, bytes. Default 1 GiB. One larger append gets its own segment. */
  readonly segmentBytes?: number;
  /** Replaced by tests. */
  readonly operations?: FileOperations;
}

const DEFAULT_SEGMENT_BYTES = 1024 * 1024 * 1024;
const FOLDER_MODE = 0o700;
/** A folder that is being removed has this in front of its id, so that it never opens as a smaller log. */
const REMOVED = 'removed-';

export class SegmentLogStore implements LogStore {
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #operations: FileOperations;
  readonly #open = new Map<string, SegmentStorage | null>();

  /** `folder` is created when the first transfer is; its parent must be there. */
  constructor(folder: string, options: SegmentLogStoreOptions = {}) {
    this.#folder = folder;
    this.#segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    this.#operations = options.operations ?? systemFileOperations;
  }

  async open(id: string): Promise<LogStorage> {
    assertLogId(id);
    if (this.#open.has(id)) throw new Error(`the storage of ${id} is already open`);
    this.#open.set(id, null);
    try {
      const folder = join(this.#folder, id);
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
      const storage = await SegmentStorage.open({
        folder,
        parents: [this.#folder, dirname(this.#folder)],
        segmentBytes: this.#segmentBytes,
        operations: this.#operations,
        onClosed: () => this.#open.delete(id),
      });
      this.#open.set(id, storage);
      return storage;
    } catch (error) {
      this.#open.delete(id);
      throw error;
    }
  }

  async remove(id: string): Promise<void> {
    assertLogId(id);
    if (this.#open.has(id)) throw new Error(`the storage of ${id} is open`);
    const removed = join(this.#folder, REMOVED + id);
    await rm(removed, { recursive: true, force: true });
    try {
      await rename(join(this.#folder, id), removed);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    await syncFolder(this.#folder);
    await rm(removed, { recursive: true, force: true });
  }

  /** Also finishes removals that were cut off. */
  async ids(): Promise<string[]> {
    let names: string[];
    try {
      names = await readdir(this.#folder);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
    for (const name of names.filter((other) => other.startsWith(REMOVED))) {
      await rm(join(this.#folder, name), { recursive: true, force: true });
    }
    return names.filter(isLogId);
  }

  async freeBytes(): Promise<number | null> {
    try {
      const { bavail, bsize } = await statfs(dirname(this.#folder));
      return bavail * bsize;
    } catch {
      return null;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((storage) => storage?.close()));
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
