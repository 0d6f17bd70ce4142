/**
 * One file while it is being received: writes content by position, hashes it in order, tells when both are
 * done. It knows no names: where the file goes in the end is for file-placer.ts.
 *
 * Hashing follows the writes from memory. After a resume, a step back or a large hole it lags behind: then it
 * reads from the file what lies between, in the background, until it has caught up. Only the end of the file
 * waits for that.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, read, writev } from 'node:fs';
import { type Digester, type Hasher, SluiceError } from '../protocol/index.ts';
import type { SinkDone } from '../runtime/index.ts';
import { localDiskError } from './system-error.ts';

/** What is read at once to catch up: one buffer per file that lags, bytes. */
const CATCH_UP_BYTES = 256 * 1024;
/** Holes up to this size are hashed at once, bytes. */
const ZEROS = new Uint8Array(256 * 1024);

/** Contents written with one call at most: IOV_MAX of Linux. Their bytes are bounded by the credit. */
const MAX_WRITE_PARTS = 1_024;

interface Pending {
  readonly start: number;
  readonly content: Uint8Array;
  readonly done: SinkDone;
}

export class PartFile {
  readonly fd: number;
  readonly #digester: Digester;
  #hasher: Hasher;
  /** The end of what was handed over. */
  #endOffset: number;
  #hashedTo = 0;
  /**
   * Writes in the order of their offsets, none of them done. Bounded by the credit of the transfer.
   */
  #pending: Pending[] = [];
  #isWriting = false;
  /** Set while the file steps back; the calls that wait for it, in order. */
  #stepping: Promise<void> | null = null;
  #waiting: (() => void)[] = [];
  #catchingUp: Promise<void> | null = null;
  #error: SluiceError | null = null;
  #onWritten: (() => void)[] = [];

  /** Opens or creates the file. What lies behind `startOffset` is cut off: it was not called complete. */
  constructor(location: string, startOffset: number, digester: Digester) {
    const { O_RDWR, O_CREAT, O_NOFOLLOW = 0 } = constants;
    this.fd = openSync(location, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    this.#digester = digester;
    this.#hasher = digester.createHasher();
    this.#endOffset = startOffset;
    try {
      if (fstatSync(this.fd).size < startOffset) {
        throw new SluiceError('integrity', 'A partly received file became shorter.');
      }
      ftruncateSync(this.fd, startOffset);
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
    this.#catchUp();
  }

  /**
   * `done` is called when the content is with the operating system. A lower offset than expected is a step
   * back.
   */
  write(offset: number, content: Uint8Array, done: SinkDone): void {
    this.#inOrder(offset, () => {
      if (this.#error !== null) return done(this.#error);
      if (content.length === 0) return done(null);
      this.#endOffset = offset + content.length;
      if (this.#hashedTo === offset) this.#hash(content);
      this.#pending.push({ start: offset, content, done });
      this.#startWriting();
      this.#catchUp();
    });
  }

  /** A span of zeros. The file grows over it at once; blocks of the disk are not used. */
  hole(offset: number, span: number, done: SinkDone): void {
    this.#inOrder(offset, () => {
      try {
        // All earlier writes end below, all later ones come later: nothing is cut.
        ftruncateSync(this.fd, offset + span);
        this.#endOffset = offset + span;
      } catch (error) {
        this.#error ??= localDiskError(error, 'Making room for a file');
      }
      if (this.#error !== null) return done(this.#error);
      if (this.#hashedTo === offset && span <= ZEROS.length) this.#hash(ZEROS.subarray(0, span));
      this.#catchUp();
      done(null);
    });
  }

  /**
   * Waits until everything is written and hashed.
   * @throws SluiceError `localDisk` when a write had failed.
   */
  async end(): Promise<{ readonly blake3: Uint8Array; readonly sizeBytes: number }> {
    await this.settled();
    if (this.#error !== null) throw this.#error;
    return { blake3: this.#hasher.digest(), sizeBytes: this.#endOffset };
  }

  /** Waits until nothing is being written, read or waited for. */
  async settled(): Promise<void> {
    for (;;) {
      if (this.#stepping !== null) await this.#stepping;
      else if (this.#pending.length > 0) await this.#nextWritten();
      else if (this.#catchingUp !== null) await this.#catchingUp;
      else return;
    }
  }

  /** Stops hashing what lies behind: nobody will ask for it. Writes under way go on. */
  abandon(): void {
    this.#error ??= new SluiceError('interrupted');
  }

  /** After `settled`. */
  close(): void {
    closeSync(this.fd);
  }

  #inOrder(offset: number, run: () => void): void {
    if (this.#stepping !== null) this.#waiting.push(() => this.#inOrder(offset, run));
    else if (offset === this.#endOffset) run();
    else {
      this.#waiting.push(() => this.#inOrder(offset, run));
      this.#stepping = this.#step(offset);
    }
  }

  /** The log went back: what is under way must land before the same place is written again. */
  async #step(offset: number): Promise<void> {
    while (this.#pending.length > 0) await this.#nextWritten();
    await this.#catchingUp;
    try {
      if (offset > this.#endOffset) throw new SluiceError('internal', 'A file has a gap.');
      ftruncateSync(this.fd, offset);
    } catch (error) {
      this.#error ??= localDiskError(error, 'Going back in a file');
    }
    this.#endOffset = offset;
    this.#hasher = this.#digester.createHasher();
    this.#hashedTo = 0;
    this.#stepping = null;
    this.#catchUp();
    for (const run of this.#waiting.splice(0)) run();
  }

  #hash(content: Uint8Array): void {
    this.#hasher.update(content);
    this.#hashedTo += content.length;
  }

  /** What comes in the same tick, or while a call is under way, goes out together: a call costs more than a copy. */
  #startWriting(): void {
    if (this.#isWriting) return;
    this.#isWriting = true;
    queueMicrotask(() => this.#writeNext());
  }

  #writeNext(): void {
    const first = this.#pending[0];
    if (first === undefined) {
      this.#isWriting = false;
      return;
    }
    const batch = this.#nextBatch();
    this.#writeParts(
      batch.map(({ content }) => content),
      first.start,
      (error) => {
        if (error !== null) this.#error ??= localDiskError(error, 'Writing a file');
        this.#pending = this.#pending.slice(batch.length);
        for (const wake of this.#onWritten.splice(0)) wake();
        for (const { done } of batch) done(error === null ? null : this.#error);
        this.#writeNext();
      },
    );
  }

  /** The writes that follow each other without a hole in between. */
  #nextBatch(): readonly Pending[] {
    const pending = this.#pending;
    let count = 1;
    while (count < pending.length && count < MAX_WRITE_PARTS) {
      const before = pending[count - 1] as Pending;
      if (pending[count]?.start !== before.start + before.content.length) break;
      count += 1;
    }
    return pending.slice(0, count);
  }

  #writeParts(parts: readonly Uint8Array[], position: number, done: (error: Error | null) => void): void {
    writev(this.fd, parts, position, (error, count) => {
      if (error !== null) return done(error);
      // A write that makes no progress would be tried for ever.
      if (count === 0) return done(Object.assign(new Error('nothing was written'), { code: 'EIO' }));
      const rest = partsBehind(parts, count);
      if (rest.length === 0) done(null);
      else this.#writeParts(rest, position + count, done);
    });
  }

  #nextWritten(): Promise<void> {
    return new Promise((resolve) => this.#onWritten.push(resolve));
  }

  /** Starts reading what is written and not hashed, unless it is being read already. */
  #catchUp(): void {
    const isLagging = this.#hashedTo !== this.#endOffset && this.#error === null && this.#stepping === null;
    if (!isLagging || this.#catchingUp !== null) return;
    this.#catchingUp = this.#readAndHash()
      .catch((error: unknown) => {
        this.#error ??= localDiskError(error, 'Reading back a file');
      })
      .then(() => {
        this.#catchingUp = null;
        // More may have come since the loop saw that it was done.
        this.#catchUp();
      });
  }

  async #readAndHash(): Promise<void> {
    const buffer = new Uint8Array(CATCH_UP_BYTES);
    while (this.#hashedTo !== this.#endOffset && this.#error === null && this.#stepping === null) {
      const writtenTo = this.#pending[0]?.start ?? this.#endOffset;
      if (this.#hashedTo < writtenTo) {
        const length = Math.min(buffer.length, writtenTo - this.#hashedTo);
        const count = await readAt(this.fd, buffer, length, this.#hashedTo);
        if (count === 0) throw new SluiceError('integrity', 'A partly received file became shorter.');
        this.#hash(buffer.subarray(0, count));
      } else if (!this.#hashFromMemory()) await this.#nextWritten();
    }
  }

  /**
   * What is still being written, in order. False at a hole in between, which must be read when its turn
   * comes.
   */
  #hashFromMemory(): boolean {
    for (const { start, content } of this.#pending) {
      if (start + content.length <= this.#hashedTo) continue;
      if (start !== this.#hashedTo) return false;
      this.#hash(content);
    }
    return this.#hashedTo === this.#endOffset;
  }
}

/** What is left of `parts` after their first `bytes` bytes. */
function partsBehind(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let first = 0;
  let skip = bytes;
  for (; first < parts.length; first++) {
    const length = parts[first]?.length ?? 0;
    if (skip < length) break;
    skip -= length;
  }
  const [head, ...rest] = parts.slice(first);
  return head === undefined ? [] : [head.subarray(skip), ...rest];
}

function readAt(fd: number, buffer: Uint8Array, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, length, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
