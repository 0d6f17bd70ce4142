/**
 * A sink that hands files to the program as web streams instead of writing them. Content is taken from the connection
 * only as fast as it is read, so memory stays within the credit window whatever the program does.
 */
import {
  type Digester,
  type FileEnd,
  type FileTime,
  type Hasher,
  type LogPoint,
  type LogSnapshot,
  type ManifestEntry,
  type PackedFile,
  SluiceError,
} from '../protocol/index.ts';
import type { SinkDone, SinkResume, SinkTotals, TransferSink } from '../runtime/index.ts';
import type { FileEvent } from './events.ts';
import { hex } from './hex.ts';

/** One file of a transfer. Read it (`stream`, `bytes`, `text`) or `skip` it: what is left unread holds up the rest. */
export interface ReceivedFile {
  /** As the sender wrote it: not checked for any file system. */
  readonly path: readonly string[];
  /** As announced; null when not known. */
  readonly sizeBytes: number | null;
  readonly mtime: FileTime | null;
  readonly mode: number | null;
  /** BLAKE3 in hex, once the file was read to its end and matched. Rejects with `integrity` or `sourceChanged`. */
  readonly blake3: Promise<string>;
  /** The content. Errors with SluiceError when it does not match at its end. */
  stream(): ReadableStream<Uint8Array>;
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
  skip(): void;
}

export class FileStreamSink implements TransferSink {
  readonly resume: SinkResume | null = null;
  readonly #digester: Digester;
  readonly #onFile: (event: FileEvent) => void;
  readonly #entries = new Map<number, ManifestEntry>();
  readonly #open = new Map<number, StreamedFile>();
  readonly #ready: ReceivedFile[] = [];
  #wake: (() => void) | null = null;
  #isEnded = false;
  #files = 0;
  #sizeBytes = 0;

  constructor(digester: Digester, onFile: (event: FileEvent) => void) {
    this.#digester = digester;
    this.#onFile = (event) => {
      if (event.status === 'ok') {
        this.#files += 1;
        this.#sizeBytes += event.sizeBytes;
      }
      onFile(event);
    };
  }

  /** The files, in the order in which they begin. */
  async *files(): AsyncGenerator<ReceivedFile> {
    for (;;) {
      const file = this.#ready.shift();
      if (file !== undefined) yield file;
      else if (this.#isEnded) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  addEntries(entries: readonly ManifestEntry[]): void {
    for (const entry of entries) if (entry.type === 'file') this.#entries.set(entry.file, entry);
  }

  write(file: number, _offset: number, content: Uint8Array, done: SinkDone): void {
    this.#fileOf(file).push(content, done);
  }

  hole(file: number, _offset: number, span: number, done: SinkDone): void {
    this.#fileOf(file).pushZeros(span, done);
  }

  endFile(file: number, end: FileEnd, done: SinkDone): void {
    this.#fileOf(file).end(end, done);
    this.#open.delete(file);
  }

  writePacked(firstFile: number, files: readonly PackedFile[], done: SinkDone): void {
    let pending = files.length;
    const settle: SinkDone = () => {
      pending -= 1;
      if (pending === 0) done(null);
    };
    for (const [i, { content, blake3, status }] of files.entries()) {
      const file = this.#fileOf(firstFile + i);
      file.push(content, () => {});
      file.end({ blake3, sizeBytes: content.length, status }, settle);
      this.#open.delete(firstFile + i);
    }
  }

  checkpoint(_point: LogPoint, _snapshot: LogSnapshot): void {}

  rewindTo(_point: LogPoint): void {
    // What was read from a stream cannot be taken back.
    const error = new SluiceError('integrity', 'The server lost data that had been delivered already.');
    for (const file of this.#open.values()) file.fail(error);
    throw error;
  }

  async finish(): Promise<SinkTotals> {
    this.#end();
    return { files: this.#files, sizeBytes: this.#sizeBytes };
  }

  async keep(reason: SluiceError = new SluiceError('interrupted')): Promise<void> {
    for (const file of this.#open.values()) file.fail(reason);
    this.#end();
  }

  #end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  #fileOf(number: number): StreamedFile {
    const known = this.#open.get(number);
    if (known !== undefined) return known;
    const entry = this.#entries.get(number);
    this.#entries.delete(number);
    if (entry === undefined) throw new SluiceError('protocol', 'A file has content and no name.');
    const file = new StreamedFile(entry, this.#digester, this.#onFile);
    this.#open.set(number, file);
    this.#ready.push(file);
    this.#wake?.();
    return file;
  }
}

interface Piece {
  readonly content: Uint8Array;
  readonly done: SinkDone;
}

/** Zeros of a hole are made in pieces of this size, bytes. */
const ZEROS_BYTES = 256 * 1024;

class StreamedFile implements ReceivedFile {
  readonly path: readonly string[];
  readonly sizeBytes: number | null;
  readonly mtime: FileTime | null;
  readonly mode: number | null;
  readonly #hasher: Hasher;
  readonly #onFile: (event: FileEvent) => void;
  readonly #hash = Promise.withResolvers<string>();
  readonly #pieces: Piece[] = [];
  #end: { end: FileEnd; done: SinkDone } | null = null;
  #error: SluiceError | null = null;
  #wake: (() => void) | null = null;
  #isSkipped = false;

  constructor(entry: ManifestEntry, digester: Digester, onFile: (event: FileEvent) => void) {
    this.path = entry.path;
    this.sizeBytes = entry.sizeBytes;
    this.mtime = entry.mtime;
    this.mode = entry.mode;
    this.#hasher = digester.createHasher();
    this.#onFile = onFile;
    this.#hash.promise.catch(() => {});
  }

  get blake3(): Promise<string> {
    return this.#hash.promise;
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const content = await this.#next();
          if (content === null) controller.close();
          else controller.enqueue(content);
        },
        cancel: () => this.skip(),
      },
      { highWaterMark: 0 },
    );
  }

  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(
      await new Response(this.stream() as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
    );
  }

  async text(): Promise<string> {
    return new Response(this.stream() as ReadableStream<Uint8Array<ArrayBuffer>>).text();
  }

  skip(): void {
    this.#isSkipped = true;
    this.#notify();
  }

  push(content: Uint8Array, done: SinkDone): void {
    // The end of a stream comes in a record without content; a reader that waits for bytes gets none of it.
    if (content.length === 0) return done(null);
    this.#pieces.push({ content, done });
    this.#notify();
  }

  pushZeros(span: number, done: SinkDone): void {
    if (span === 0) return done(null);
    for (let at = 0; at < span; at += ZEROS_BYTES) {
      const length = Math.min(ZEROS_BYTES, span - at);
      // One block of zeros is shared; only the last piece returns the credit.
      this.#pieces.push({ content: ZEROS.subarray(0, length), done: at + length === span ? done : () => {} });
    }
    this.#notify();
  }

  end(end: FileEnd, done: SinkDone): void {
    this.#end = { end, done };
    this.#notify();
  }

  fail(error: SluiceError): void {
    this.#error = error;
    this.#hash.reject(error);
    this.#notify();
  }

  #notify(): void {
    if (this.#isSkipped) this.#drop();
    this.#wake?.();
  }

  #drop(): void {
    for (const { done } of this.#pieces.splice(0)) done(null);
    this.#hash.reject(skippedError());
    this.#end?.done(null);
    this.#end = null;
  }

  async #next(): Promise<Uint8Array | null> {
    for (;;) {
      if (this.#error !== null) throw this.#error;
      if (this.#isSkipped) throw skippedError();
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#hasher.update(piece.content);
        piece.done(null);
        return piece.content;
      }
      if (this.#end !== null) return this.#finish(this.#end.end, this.#end.done);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  #finish(end: FileEnd, done: SinkDone): null {
    const blake3 = hex(this.#hasher.digest());
    const error = problemOf(end, blake3);
    this.#onFile({
      type: 'file',
      path: this.path,
      savedAs: null,
      sizeBytes: end.sizeBytes,
      blake3: error === null ? blake3 : null,
      status: end.status,
      error,
    });
    done(null);
    if (error !== null) {
      this.#hash.reject(error);
      throw error;
    }
    this.#hash.resolve(blake3);
    return null;
  }
}

function skippedError(): SluiceError {
  return new SluiceError('interrupted', 'The file was skipped.');
}

const ZEROS = new Uint8Array(ZEROS_BYTES);

function problemOf(end: FileEnd, blake3: string): SluiceError | null {
  if (end.status !== 'ok') return new SluiceError('sourceChanged', `The sender says: ${end.status}.`);
  return blake3 === hex(end.blake3)
    ? null
    : new SluiceError('integrity', 'The file does not match its BLAKE3.');
}
