/**
 * Reading of sources: whole small files, live streams that are flushed early, and what failures of a source mean. A
 * failing source is told apart from a failing transfer: the first ends one file, the second everything.
 */
import { type FileEnd, type FileStatus, SluiceError } from '../protocol/index.ts';
import type { ByteSource, Clock, SourceEntry } from '../runtime/index.ts';

/** A file whose last record was made. */
export interface ProducedFile {
  readonly path: readonly string[];
  readonly end: FileEnd;
  readonly error: SluiceError | null;
}

/** The content of a small file, and whether it was one state of the file. */
export async function readWhole(source: SourceEntry): Promise<{ content: Uint8Array; status: FileStatus }> {
  if (source.readWhole !== undefined) return source.readWhole();
  const input = await source.open();
  try {
    const content = new Uint8Array(source.sizeBytes ?? 0);
    let length = 0;
    while (length < content.length) {
      const count = await input.read([content.subarray(length)], length);
      if (count === 0) break;
      length += count;
    }
    const status = await input.check();
    return { content: content.subarray(0, length), status: length < content.length ? 'changed' : status };
  } finally {
    await input.close();
  }
}

/** Gives a live stream piece by piece, and can stop waiting without losing the piece that is on its way. */
export class StreamReader {
  readonly #input: ByteSource;
  readonly #staging = new Uint8Array(64 * 1024);
  #pending: Promise<number> | null = null;
  /** What of the staging buffer was read and not yet taken. */
  #rest = new Uint8Array(0);

  constructor(input: ByteSource) {
    this.#input = input;
  }

  /** Waits for bytes and copies them to `into` from `at`; 0 = end. */
  async fill(into: Uint8Array, at: number): Promise<number> {
    if (this.#rest.length === 0) {
      this.#pending ??= readInput(this.#input, [this.#staging], 0);
      const count = await this.#pending;
      this.#pending = null;
      this.#rest = this.#staging.subarray(0, count);
    }
    const taken = this.#rest.subarray(0, into.length - at);
    into.set(taken, at);
    this.#rest = this.#rest.subarray(taken.length);
    return taken.length;
  }

  /** As `fill`, but 0 when nothing came within `ms`. The end shows at the next `fill`. */
  async fillWithin(into: Uint8Array, at: number, ms: number, clock: Clock): Promise<number> {
    if (this.#rest.length > 0) return this.fill(into, at);
    this.#pending ??= readInput(this.#input, [this.#staging], 0);
    const pending = this.#pending;
    const isThere = await new Promise<boolean>((resolve, reject) => {
      const timer = clock.setTimer(() => resolve(false), ms);
      pending.then(() => resolve(true), reject).finally(() => timer.cancel());
    });
    return isThere ? this.fill(into, at) : 0;
  }
}

/** Failures of the source are told apart from failures of the transfer by this wrapper. */
class ReadFailure extends Error {}

/** Reads, and marks what goes wrong as a failure of the source. */
export async function readInput(
  input: ByteSource,
  parts: readonly Uint8Array[],
  offset: number,
): Promise<number> {
  try {
    return await input.read(parts, offset);
  } catch (error) {
    throw new ReadFailure('the source cannot be read', { cause: error });
  }
}

export function isReadFailure(error: unknown): boolean {
  return error instanceof ReadFailure;
}

/** What a user is told of it. */
export function readError(error: unknown): SluiceError {
  const cause = error instanceof ReadFailure ? error.cause : error;
  if (cause instanceof SluiceError) return cause;
  return new SluiceError('localDisk', cause instanceof Error ? cause.message : String(cause), { cause });
}

export function goneError(): SluiceError {
  return new SluiceError('localDisk', 'The file is gone.');
}

/** The error that goes with the status of an ended file, or null. */
export function statusError(status: FileStatus): SluiceError | null {
  switch (status) {
    case 'ok':
      return null;
    case 'changed':
      return new SluiceError('sourceChanged', 'It changed while it was read.');
    case 'removed':
    case 'failed':
      return goneError();
  }
}
