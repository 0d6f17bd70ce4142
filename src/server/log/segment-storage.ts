/**
 * LogStorage on files: `<base>.log` segments, `index` and `mark` in one folder. Appends that wait while one is being
 * written go out together in one call, in order; a segment is full at a boundary between appends, never inside one.
 * Not here: folders and ids (segment-log-store.ts), single files (segment-files.ts, mark-file.ts).
 *
 * Memory: only references to what the caller queued. Open files: the last segment, those not synced, up to 4 others,
 * index and mark.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { syncFolder } from '../sync-folder.ts';
import {
  closeFile,
  dataSync,
  type FileOperations,
  openFile,
  readFully,
  truncateFile,
  writeFully,
  writeParts,
} from './file-operations.ts';
import type { AppendDone, LogStorage } from './log-store.ts';
import { MarkFile } from './mark-file.ts';
import { FILE_MODE, type Segment, SegmentFiles } from './segment-files.ts';

const { O_CREAT, O_RDWR } = fs.constants;

/** One call writes at most this much, so that the first of many waiting appends is not kept from `done`. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;
/** IOV_MAX of Linux: more parts than this would take several calls anyway. */
const MAX_BATCH_PARTS = 1_024;

export interface SegmentStorageOptions {
  readonly folder: string;
  /** Folders above that may be new. */
  readonly parents: readonly string[];
  readonly segmentBytes: number;
  readonly operations: FileOperations;
  onClosed(): void;
}

interface QueuedAppend {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly done: AppendDone;
}

export class SegmentStorage implements LogStorage {
  readonly #options: SegmentStorageOptions;
  readonly #segments: SegmentFiles;
  readonly #mark: MarkFile;
  readonly #indexFd: number;
  readonly #foldersToSync: Set<string>;
  #indexLength: number;
  #queue: QueuedAppend[] = [];
  #isWriting = false;
  #failure: Error | null = null;
  #syncFailure: Error | null = null;
  #isClosed = false;
  /** Calls under way that use a descriptor; files are closed after the last one. */
  #calls = 0;
  #onIdle: (() => void) | null = null;

  static async open(options: SegmentStorageOptions): Promise<SegmentStorage> {
    const { folder, operations } = options;
    const segments = await SegmentFiles.list(folder, operations);
    const mark = await MarkFile.open(join(folder, 'mark'), operations);
    const indexFd = await openFile(join(folder, 'index'), O_RDWR | O_CREAT, FILE_MODE);
    return new SegmentStorage(options, segments, mark, indexFd);
  }

  private constructor(
    options: SegmentStorageOptions,
    segments: SegmentFiles,
    mark: MarkFile,
    indexFd: number,
  ) {
    this.#options = options;
    this.#segments = segments;
    this.#mark = mark;
    this.#indexFd = indexFd;
    this.#indexLength = fs.fstatSync(indexFd).size;
    // Even if they were there: whoever made them may have died before syncing them.
    this.#foldersToSync = new Set([options.folder, ...options.parents]);
  }

  get length(): number {
    return this.#segments.end;
  }
  get indexLength(): number {
    return this.#indexLength;
  }

  append(parts: readonly Uint8Array[], done: AppendDone): void {
    const refusal = this.#isClosed ? closed() : (this.#syncFailure ?? this.#failure);
    if (refusal !== null) return queueMicrotask(() => done(refusal));
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    this.#queue.push({ parts, bytes, done });
    if (!this.#isWriting) this.#writeNext();
  }

  async sync(): Promise<void> {
    this.#assertUsable();
    await this.#call(async () => {
      const { operations } = this.#options;
      const segments = this.#segments.dirty();
      const folders = [...this.#foldersToSync];
      // Cleared first: what is written from now on belongs to the next sync.
      for (const segment of segments) segment.isDirty = false;
      this.#foldersToSync.clear();
      try {
        await Promise.all([
          ...segments.map((segment) => this.#segments.use(segment, (fd) => dataSync(operations, fd))),
          this.#mark.sync(),
          ...folders.map(syncFolder),
        ]);
      } catch (error) {
        this.#syncFailure = error as Error;
        throw error;
      }
    });
  }

  read(position: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.length - position));
    return this.#call(() => this.#segments.read(position, wanted));
  }

  rewrite(position: number, bytes: Uint8Array): Promise<void> {
    return this.#call(async () => {
      let at = 0;
      while (at < bytes.length) {
        const segment = this.#segments.at(position + at);
        const room = segment === null ? 0 : segment.base + segment.length - (position + at);
        if (segment === null || room <= 0) throw new RangeError('rewrite beyond the end');
        const part = bytes.subarray(at, at + room);
        const offset = position + at - segment.base;
        const { operations } = this.#options;
        await this.#segments.use(segment, (fd) => writeFully(operations, fd, part, offset));
        segment.isDirty = true;
        at += part.length;
      }
    });
  }

  async truncate(position: number, indexLength: number): Promise<void> {
    this.#assertUsable();
    if (this.#isWriting) throw new Error('an append is in flight');
    await this.#call(async () => {
      const { operations, folder } = this.#options;
      await this.#segments.removeFrom(position);
      const { last } = this.#segments;
      if (last !== null) {
        last.length = Math.min(last.length, position - last.base);
        last.isDirty = false;
        await this.#segments.use(last, async (fd) => {
          // Also when the length is right as far as we know: a failed write may have left bytes behind it.
          await truncateFile(fd, last.length);
          await dataSync(operations, fd);
        });
      }
      if (this.#indexLength > indexLength) {
        await truncateFile(this.#indexFd, indexLength);
        this.#indexLength = indexLength;
        await dataSync(operations, this.#indexFd);
      }
      await syncFolder(folder);
      this.#failure = null;
    });
  }

  writeIndex(position: number, bytes: Uint8Array): Promise<void> {
    return this.#call(async () => {
      await writeFully(this.#options.operations, this.#indexFd, bytes, position);
      this.#indexLength = Math.max(this.#indexLength, position + bytes.length);
    });
  }

  readIndex(position: number, length: number): Promise<Uint8Array> {
    return this.#call(async () => {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, this.#indexLength - position)));
      return bytes.subarray(0, await readFully(this.#options.operations, this.#indexFd, bytes, position));
    });
  }

  writeMark(bytes: Uint8Array): Promise<void> {
    return this.#call(async () => {
      if (await this.#mark.write(bytes)) this.#foldersToSync.add(this.#options.folder);
    });
  }

  async readMark(): Promise<Uint8Array | null> {
    return this.#call(async () => this.#mark.read());
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#calls > 0 || this.#isWriting) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await Promise.all([this.#segments.close(), this.#mark.close(), closeFile(this.#indexFd)]);
    this.#options.onClosed();
  }

  // Appends

  #writeNext(): void {
    if (this.#queue.length === 0) return this.#tellIdle();
    this.#isWriting = true;
    const { last } = this.#segments;
    const first = this.#queue[0] as QueuedAppend;
    if (last === null || last.fd === null || this.#segments.hasStrays || this.#isFull(last, first)) {
      this.#prepareSegment(first).then(
        () => this.#writeNext(),
        (error: Error) => this.#giveUp(error),
      );
      return;
    }
    const batch = this.#takeBatch(last);
    const parts = batch.length === 1 ? first.parts : batch.flatMap((append) => append.parts);
    writeParts(this.#options.operations, last.fd, parts, last.length, (error, written) => {
      this.#finish(last, batch, error, written);
    });
  }

  /** The appends that go out in the next call: the first, and those behind it that fit. */
  #takeBatch(segment: Segment): QueuedAppend[] {
    let end = 0;
    let bytes = 0;
    let parts = 0;
    for (const append of this.#queue) {
      bytes += append.bytes;
      parts += append.parts.length;
      const isTooMuch =
        bytes > MAX_BATCH_BYTES ||
        parts > MAX_BATCH_PARTS ||
        segment.length + bytes > this.#options.segmentBytes;
      if (end > 0 && isTooMuch) break;
      end += 1;
    }
    return this.#queue.splice(0, end);
  }

  #finish(segment: Segment, batch: readonly QueuedAppend[], error: Error | null, written: number): void {
    let complete = 0;
    let failed = 0;
    if (written > 0) segment.isDirty = true;
    for (const append of batch) {
      if (error !== null && complete + append.bytes > written) break;
      complete += append.bytes;
      failed += 1;
      segment.length += append.bytes;
      append.done(null);
    }
    if (error === null) this.#writeNextOrStop();
    else {
      this.#queue.unshift(...batch.slice(failed));
      this.#giveUp(error);
    }
  }

  #writeNextOrStop(): void {
    this.#isWriting = false;
    this.#writeNext();
  }

  /** Opens the last segment for appending, or begins a new one. */
  async #prepareSegment(next: QueuedAppend): Promise<void> {
    if (this.#segments.hasStrays) {
      await this.#segments.removeFrom(Number.POSITIVE_INFINITY);
      this.#foldersToSync.add(this.#options.folder);
    }
    const { last } = this.#segments;
    if (last === null || this.#isFull(last, next)) {
      await this.#segments.create();
      this.#foldersToSync.add(this.#options.folder);
    } else await this.#segments.open(last);
  }

  #isFull(segment: Segment, next: QueuedAppend): boolean {
    return segment.length > 0 && segment.length + next.bytes > this.#options.segmentBytes;
  }

  #giveUp(error: Error): void {
    this.#failure = error;
    this.#isWriting = false;
    for (const append of this.#queue.splice(0)) append.done(error);
    this.#tellIdle();
  }

  // Bookkeeping

  /** Runs a call that uses descriptors, so that `close` waits for it. */
  async #call<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closed();
    this.#calls += 1;
    try {
      return await run();
    } finally {
      this.#calls -= 1;
      this.#tellIdle();
    }
  }

  #tellIdle(): void {
    if (this.#calls === 0 && !this.#isWriting) this.#onIdle?.();
  }

  #assertUsable(): void {
    if (this.#syncFailure !== null) throw this.#syncFailure;
  }
}

function closed(): Error {
  return new Error('the storage is closed');
}
