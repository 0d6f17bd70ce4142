/**
 * Decides when the newest checkpoint goes into the journal: at most once a second or per 64 MiB, because what
 * lies behind it is only received again after a crash. With `fsync` the files it speaks of reach the disk
 * before it does.
 */
import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';
import type { LogSnapshot } from '../protocol/index.ts';
import type { SinkJournal } from './sink-journal.ts';

const INTERVAL_MS = 1_000;
const INTERVAL_BYTES = 64 * 1024 * 1024;
const syncFile = promisify(fdatasync);

export class CheckpointWriter {
  readonly #journal: SinkJournal;
  /** Files to be synced before a checkpoint; null = nothing is synced. */
  readonly #filesToSync: () => readonly number[] | null;
  readonly #onFailure: (error: unknown) => void;
  #newest: LogSnapshot | null = null;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #isForgotten = false;

  constructor(
    journal: SinkJournal,
    filesToSync: () => readonly number[] | null,
    onFailure: (error: unknown) => void,
  ) {
    this.#journal = journal;
    this.#filesToSync = filesToSync;
    this.#onFailure = onFailure;
  }

  noteWritten(bytes: number): void {
    this.#bytes += bytes;
  }

  set(snapshot: LogSnapshot): void {
    if (this.#isForgotten) return;
    this.#newest = snapshot;
    const waitMs = this.#writtenAt + INTERVAL_MS - performance.now();
    if (waitMs <= 0 || this.#bytes >= INTERVAL_BYTES) this.#write();
    // The last one before a pause must not stay behind.
    else this.#timer ??= setTimeout(() => this.#write(), waitMs).unref();
  }

  /**
   * The log went back below what may have been written down: until the next checkpoint nothing is remembered.
   */
  reset(): void {
    this.#newest = null;
    this.#journal.checkpoint(null);
  }

  /** The files are not what the checkpoints say: nothing is remembered, and nothing will be. Never throws. */
  forget(): void {
    this.#isForgotten = true;
    try {
      this.reset();
    } catch (error) {
      this.#onFailure(error);
    }
  }

  /** Waits until no file is being synced. */
  async idle(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  /** Writes the newest one and ends. @throws the system's error. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.idle();
    if (this.#newest !== null) this.#journal.checkpoint(this.#newest);
    this.#newest = null;
  }

  #write(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing !== null || this.#newest === null) return;
    this.#writtenAt = performance.now();
    this.#bytes = 0;
    const files = this.#filesToSync();
    try {
      if (files === null) this.#journal.checkpoint(this.#newest);
      else this.#writing = this.#syncAndWrite(this.#newest, files);
      if (files === null) this.#newest = null;
    } catch (error) {
      this.#onFailure(error);
    }
  }

  async #syncAndWrite(snapshot: LogSnapshot, files: readonly number[]): Promise<void> {
    try {
      await Promise.all(files.map((fd) => syncFile(fd)));
      // A step back meanwhile has made it void.
      if (this.#newest === null) return;
      this.#journal.checkpoint(snapshot);
      if (this.#newest === snapshot) this.#newest = null;
      await this.#journal.sync();
    } catch (error) {
      this.#onFailure(error);
    } finally {
      this.#writing = null;
    }
  }
}
