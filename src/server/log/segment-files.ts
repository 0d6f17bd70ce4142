/**
 * The segments of one log: which files there are, which bytes each holds, and their open descriptors. Not here: in
 * which order appends are written and what is durable (segment-storage.ts).
 */
import fs from 'node:fs';
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { closeFile, type FileOperations, openFile, readFully } from './file-operations.ts';

const { O_CREAT, O_EXCL, O_RDWR } = fs.constants;
/** 16 digits hold every position up to 2^53-1, and names sort by position. */
const NAME_DIGITS = 16;
const NAME = /^\d{16}\.log$/;
export const FILE_MODE = 0o600;

/** Descriptors of segments that are kept open per log, besides the last one and those not synced. */
const MAX_OPEN_SEGMENTS = 4;

export interface Segment {
  /** Position of its first byte. */
  readonly base: number;
  readonly path: string;
  length: number;
  fd: number | null;
  opening: Promise<number> | null;
  /** Calls under way on the descriptor: it must not be closed. */
  users: number;
  isDirty: boolean;
}

export class SegmentFiles {
  readonly #folder: string;
  readonly #operations: FileOperations;
  /** Ascending, without a gap. */
  readonly #segments: Segment[] = [];
  /** Files behind a gap or out of place: left by a crash before their forerunners were synced. Removed when cut. */
  readonly #strays: string[] = [];

  private constructor(folder: string, operations: FileOperations) {
    this.#folder = folder;
    this.#operations = operations;
  }

  static async list(folder: string, operations: FileOperations): Promise<SegmentFiles> {
    const files = new SegmentFiles(folder, operations);
    const names = (await readdir(folder)).filter((name) => NAME.test(name)).sort();
    for (const name of names) {
      const path = join(folder, name);
      const base = Number(name.slice(0, NAME_DIGITS));
      if (base === files.end && files.#strays.length === 0) files.#add(base, path, (await stat(path)).size);
      else files.#strays.push(path);
    }
    return files;
  }

  /** Where the next byte goes. */
  get end(): number {
    const last = this.last;
    return last === null ? 0 : last.base + last.length;
  }
  get last(): Segment | null {
    return this.#segments.at(-1) ?? null;
  }
  get hasStrays(): boolean {
    return this.#strays.length > 0;
  }

  dirty(): Segment[] {
    return this.#segments.filter(({ isDirty }) => isDirty);
  }

  /** The segment that holds the byte at `position`, or the last one. */
  at(position: number): Segment | null {
    let low = 0;
    let high = this.#segments.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#segments[middle] as Segment).base <= position) low = middle;
      else high = middle;
    }
    return this.#segments[low] ?? null;
  }

  /** Begins a new segment at `end`. The folder must be synced before what is written to it can count as durable. */
  async create(): Promise<Segment> {
    const base = this.end;
    const path = join(this.#folder, `${String(base).padStart(NAME_DIGITS, '0')}.log`);
    const fd = await openFile(path, O_RDWR | O_CREAT | O_EXCL, FILE_MODE);
    const segment = this.#add(base, path, 0);
    segment.fd = fd;
    return segment;
  }

  async open(segment: Segment): Promise<number> {
    if (segment.fd !== null) return segment.fd;
    segment.opening ??= openFile(segment.path, O_RDWR, FILE_MODE).then(
      (fd) => {
        segment.fd = fd;
        segment.opening = null;
        return fd;
      },
      (error: unknown) => {
        segment.opening = null;
        throw error;
      },
    );
    return segment.opening;
  }

  /** Runs a call on the descriptor, which stays open meanwhile. */
  async use<T>(segment: Segment, run: (fd: number) => Promise<T>): Promise<T> {
    segment.users += 1;
    try {
      return await run(segment.fd ?? (await this.#openAnother(segment)));
    } finally {
      segment.users -= 1;
    }
  }

  /** Reads `length` bytes from `position` across segments; fewer when they are not there. */
  async read(position: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(length);
    let at = 0;
    while (at < length) {
      const segment = this.at(position + at);
      const inSegment = segment === null ? 0 : segment.base + segment.length - (position + at);
      if (segment === null || inSegment <= 0) break;
      const part = bytes.subarray(at, at + Math.min(inSegment, length - at));
      const offset = position + at - segment.base;
      const bytesRead = await this.use(segment, (fd) => readFully(this.#operations, fd, part, offset));
      at += bytesRead;
      if (bytesRead === 0 || bytesRead < part.length) break;
    }
    return at === length ? bytes : bytes.subarray(0, at);
  }

  /** Removes strays and every segment that begins at or behind `position`, the last one first. */
  async removeFrom(position: number): Promise<void> {
    while (this.#strays.length > 0) {
      await unlink(this.#strays.at(-1) as string);
      this.#strays.pop();
    }
    for (let last = this.last; last !== null && last.base >= position; last = this.last) {
      await unlink(last.path);
      this.#segments.pop();
      await this.#close(last);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#segments.map((segment) => this.#close(segment)));
  }

  #add(base: number, path: string, length: number): Segment {
    const segment = { base, path, length, fd: null, opening: null, users: 0, isDirty: false };
    this.#segments.push(segment);
    return segment;
  }

  async #openAnother(segment: Segment): Promise<number> {
    const idle = this.#segments.filter(
      (other) => other.fd !== null && other !== this.last && other.users === 0 && !other.isDirty,
    );
    // Readers mostly walk forward, so the oldest is the one nobody comes back to.
    if (idle.length >= MAX_OPEN_SEGMENTS && idle[0] !== undefined) await this.#close(idle[0]);
    return this.open(segment);
  }

  async #close(segment: Segment): Promise<void> {
    const { fd } = segment;
    segment.fd = null;
    if (fd !== null) await closeFile(fd);
  }
}
