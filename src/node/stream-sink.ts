/**
 * Writes the only file of a transfer to a stream, such as standard output. Content is taken only as fast as
 * the stream takes it. What was written cannot be taken back: a step back of the log is an integrity error,
 * and so is a file that does not match its BLAKE3, which shows only at its end.
 */
import type { Writable } from 'node:stream';
import { equalBytes } from '../protocol/byte-order.ts';
import {
  type Digester,
  type FileEnd,
  type Hasher,
  type LogPoint,
  type ManifestEntry,
  type PackedFile,
  SluiceError,
} from '../protocol/index.ts';
import type { SinkDone, SinkResume, SinkTotals, TransferSink } from '../runtime/index.ts';
import { type SinkFile, statusError } from './sink-file.ts';
import { systemCode } from './system-error.ts';

export interface StreamSinkOptions {
  readonly output: Writable;
  readonly digester: Digester;
  onFile(file: SinkFile): void;
}

/** Zeros of a hole are written in pieces of this size, bytes. */
const ZEROS = new Uint8Array(256 * 1024);

export class StreamSink implements TransferSink {
  readonly resume: SinkResume | null = null;
  readonly #options: StreamSinkOptions;
  readonly #hasher: Hasher;
  #entry: ManifestEntry | null = null;
  #sizeBytes = 0;
  #files = 0;
  #failure: SluiceError | null = null;

  constructor(options: StreamSinkOptions) {
    this.#options = options;
    this.#hasher = options.digester.createHasher();
    options.output.on('error', (error) => this.#fail(error));
    options.output.on('close', () => this.#fail(new SluiceError('brokenPipe')));
  }

  /** @throws SluiceError `usage` when the transfer holds more than one file. */
  addEntries(entries: readonly ManifestEntry[]): void {
    for (const entry of entries) {
      if (entry.type !== 'file') continue;
      if (this.#entry !== null && this.#entry.file !== entry.file && entry.replaces === null) {
        throw new SluiceError('usage', 'The transfer holds several files, and a stream takes only one.', {
          hint: 'Receive it into a folder with -o DIR.',
        });
      }
      this.#entry = entry;
    }
  }

  write(_file: number, offset: number, content: Uint8Array, done: SinkDone): void {
    if (offset !== this.#sizeBytes) return done(rewritten());
    this.#push(content, done);
  }

  hole(_file: number, offset: number, span: number, done: SinkDone): void {
    if (offset !== this.#sizeBytes) return done(rewritten());
    const next = (left: number): void => {
      if (left === 0) return done(null);
      const piece = ZEROS.subarray(0, left);
      this.#push(piece, (error) => (error === null ? next(left - piece.length) : done(error)));
    };
    next(span);
  }

  endFile(_file: number, end: FileEnd, done: SinkDone): void {
    const blake3 = this.#hasher.digest();
    const error = problemOf(end, blake3);
    const path = this.#entry?.path ?? [];
    this.#files += 1;
    this.#options.onFile({
      path,
      savedAs: null,
      sizeBytes: end.sizeBytes,
      blake3: error === null ? blake3 : null,
      status: end.status,
      error,
    });
    done(error?.code === 'integrity' ? error : null);
  }

  writePacked(firstFile: number, files: readonly PackedFile[], done: SinkDone): void {
    const only = files[0];
    if (only === undefined || files.length > 1) return done(rewritten());
    const { content, blake3, status } = only;
    this.#push(content, (error) => {
      if (error !== null) return done(error);
      this.endFile(firstFile, { blake3, sizeBytes: content.length, status }, done);
    });
  }

  checkpoint(): void {}

  /** @throws SluiceError `integrity` when more was written than the log still holds. */
  rewindTo(_point: LogPoint): void {
    if (this.#sizeBytes > 0) throw rewritten();
  }

  finish(): Promise<SinkTotals> {
    return Promise.resolve({ files: this.#files, sizeBytes: this.#sizeBytes });
  }

  keep(): Promise<void> {
    return Promise.resolve();
  }

  #push(content: Uint8Array, done: SinkDone): void {
    if (this.#failure !== null) return done(this.#failure);
    this.#hasher.update(content);
    this.#sizeBytes += content.length;
    // The callback comes when the stream has passed the bytes on: that is its back-pressure.
    this.#options.output.write(content, (error) => done(error ? this.#fail(error) : null));
  }

  #fail(error: Error): SluiceError {
    this.#failure ??= failureOf(error);
    return this.#failure;
  }
}

function failureOf(error: Error): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = systemCode(error);
  const isGone = code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED' || code === 'ERR_STREAM_WRITE_AFTER_END';
  return isGone
    ? new SluiceError('brokenPipe', '', { cause: error })
    : new SluiceError('localDisk', `Writing the output: ${error.message}.`, { cause: error });
}

function rewritten(): SluiceError {
  return new SluiceError('integrity', 'The server lost data that had been written to the output already.');
}

function problemOf(end: FileEnd, blake3: Uint8Array): SluiceError | null {
  if (end.status !== 'ok') return statusError(end.status);
  return equalBytes(end.blake3, blake3)
    ? null
    : new SluiceError('integrity', 'The content does not match its BLAKE3.');
}
