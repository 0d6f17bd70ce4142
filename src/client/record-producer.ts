/**
 * Turns planned files into records and puts them into the send window: packs for small files, runs of data records for
 * large ones, early flushes for live streams. Reads ahead by one read, never beyond the room of the window.
 *
 * Memory: the buffers of the window, one read of at most 1 MiB ahead, and the contents of one pack.
 */

import type { Digester } from '../protocol/index.ts';
import {
  encodeEntry,
  FILE_END_BYTES,
  type FileEnd,
  type FileStatus,
  type Hasher,
  LIVE_FLUSH_MS,
  type LogBuilder,
  type Manifest,
  type ManifestEntry,
  PACK_ROW_BYTES,
  type PackedFile,
  type SendWindow,
  SluiceError,
} from '../protocol/index.ts';
import type { ByteSource, Clock, SourceEntry } from '../runtime/index.ts';
import { isSmall, type PlannedBatch, type PlannedFile } from './send-plan.ts';

/** Records read with one call of a seekable source. */
const READ_AHEAD_RECORDS = 4;
/** Small files read at the same time. */
const SMALL_READS = 16;
/** JSON of one manifest record stays below this, characters; the rest goes into the next. */
const MANIFEST_CHARS = 60_000;

export interface ProducedFile {
  readonly path: readonly string[];
  readonly end: FileEnd;
  readonly error: SluiceError | null;
}

export interface RecordProducerOptions {
  readonly builder: LogBuilder;
  readonly window: SendWindow;
  readonly digester: Digester;
  readonly clock: Clock;
  /** Buffers of `builder.recordBufferBytes` to use again. */
  readonly buffers: Uint8Array[];
  /** Resolves when the window has room; rejects when the transfer ends. */
  room(): Promise<void>;
  /** A record was put into the window. */
  onRecord(): void;
  /** A file begins. */
  onBegin(path: readonly string[]): void;
  onFile(file: ProducedFile): void;
}

export class RecordProducer {
  readonly #options: RecordProducerOptions;

  constructor(options: RecordProducerOptions) {
    this.#options = options;
  }

  /** The entries of a batch, and the name and totals that go with them, as one or more manifest records. */
  async announce(batch: PlannedBatch, name: string | null, message: string | null): Promise<void> {
    let head: Omit<Manifest, 'entries'> = {
      name,
      message,
      totalFiles: batch.totalFiles,
      totalBytes: batch.totalBytes,
    };
    let entries: ManifestEntry[] = [];
    let chars = 0;
    const flush = async (): Promise<void> => {
      await this.#append(this.#options.builder.manifest({ ...head, entries }));
      head = { name: null, message: null, totalFiles: null, totalBytes: null };
      entries = [];
      chars = 0;
    };
    for (const { entry } of batch.files) {
      const length = JSON.stringify(encodeEntry(entry)).length;
      if (chars + length > MANIFEST_CHARS) await flush();
      entries.push(entry);
      chars += length;
    }
    await flush();
  }

  /** The content of a batch, in order. */
  async send(batch: PlannedBatch): Promise<void> {
    let small: PlannedFile[] = [];
    for (const file of batch.files) {
      if (file.entry.type !== 'file') continue;
      if (file.startOffset === 0 && isPackable(file, this.#options.builder)) {
        const previous = small.at(-1);
        if (previous !== undefined && previous.entry.file + 1 !== file.entry.file) {
          await this.#sendPacks(small);
          small = [];
        }
        small.push(file);
        continue;
      }
      await this.#sendPacks(small);
      small = [];
      await this.#sendLarge(file);
    }
    await this.#sendPacks(small);
  }

  async seal(): Promise<void> {
    await this.#append(this.#options.builder.seal());
  }

  async #append(record: Uint8Array): Promise<void> {
    const { builder, window, onRecord } = this.#options;
    window.append(record, builder.state.chain, builder.state.contentBytes);
    onRecord();
    if (!window.hasRoom) await this.#options.room();
  }

  // --- small files -------------------------------------------------------------------------------------------------

  /** Consecutively numbered small files, several to a record, read ahead by a few. */
  async #sendPacks(files: readonly PlannedFile[]): Promise<void> {
    const reads: Promise<SmallFile>[] = [];
    let packed: SmallFile[] = [];
    let bytes = 0;
    let first = files[0]?.entry.file ?? 0;
    for (let i = 0; i < files.length; i++) {
      while (reads.length < SMALL_READS && i + reads.length < files.length) {
        reads.push(this.#readSmall(files[i + reads.length] as PlannedFile));
      }
      const file = await (reads.shift() as Promise<SmallFile>);
      const length = PACK_ROW_BYTES + file.content.length;
      if (bytes + length > this.#recordSizeBytes) {
        await this.#appendPack(first, packed);
        first += packed.length;
        packed = [];
        bytes = 0;
      }
      packed.push(file);
      bytes += length;
    }
    if (packed.length > 0) await this.#appendPack(first, packed);
  }

  async #appendPack(first: number, files: readonly SmallFile[]): Promise<void> {
    await this.#append(this.#options.builder.pack(first, files));
    for (const { path, content, blake3, status, error } of files) {
      this.#options.onFile({ path, end: { blake3, sizeBytes: content.length, status }, error });
    }
  }

  async #readSmall({ entry, source }: PlannedFile): Promise<SmallFile> {
    const { path } = entry;
    const file = (content: Uint8Array, status: FileStatus, error: SluiceError | null): SmallFile => ({
      path,
      content,
      status,
      error,
      blake3: this.#options.digester.digest(content),
    });
    const empty = new Uint8Array(0);
    if (source === null) return file(empty, 'removed', goneError());
    try {
      const { content, status } = await readWhole(source);
      return file(content, status, statusError(status));
    } catch (error) {
      return file(empty, 'failed', readError(error));
    }
  }

  // --- large files and streams -------------------------------------------------------------------------------------

  async #sendLarge(file: PlannedFile): Promise<void> {
    const { entry, source, startOffset } = file;
    this.#options.onBegin(entry.path);
    let input: ByteSource;
    try {
      if (source === null) throw goneError();
      input = await source.open();
    } catch (error) {
      return this.#endUnread(file, source === null ? 'removed' : 'failed', readError(error));
    }
    try {
      if (source.sizeBytes === null) await this.#sendStream(entry, input);
      else await this.#sendSeekable(entry, input, startOffset, source.sizeBytes);
    } finally {
      await input.close();
    }
  }

  /** A file that cannot be read: it ends where it stands, so that the others go on. */
  async #endUnread(
    { entry, startOffset }: PlannedFile,
    status: FileStatus,
    error: SluiceError,
  ): Promise<void> {
    const blake3 = this.#options.digester.digest(new Uint8Array(0));
    await this.#endFile(entry, { blake3, sizeBytes: startOffset, status }, error);
  }

  async #sendSeekable(
    entry: ManifestEntry,
    input: ByteSource,
    startOffset: number,
    size: number,
  ): Promise<void> {
    const { builder, digester } = this.#options;
    const hasher = digester.createHasher();
    // A half-sent file: what went before is hashed again while the rest is being sent; only its end waits for it.
    const isResumed = startOffset > 0;
    const resumedHash = isResumed ? this.#hashWhole(input, size) : null;
    resumedHash?.catch(() => {});
    let offset = startOffset;
    try {
      let ahead = this.#startRead(input, offset, size);
      while (offset < size) {
        const { buffers, length } = await ahead;
        if (length === 0) break;
        ahead = this.#startRead(input, offset + length, size);
        ahead.catch(() => {});
        for (let at = 0, i = 0; at < length; at += this.#recordSizeBytes, i++) {
          const buffer = buffers[i] as Uint8Array;
          const contentLength = Math.min(this.#recordSizeBytes, length - at);
          if (!isResumed) hasher.update(builder.contentOf(buffer).subarray(0, contentLength));
          offset += contentLength;
          if (offset === size)
            return await this.#finishSeekable(
              entry,
              input,
              buffer,
              contentLength,
              size,
              resumedHash ?? hasher,
            );
          await this.#append(builder.data(buffer, entry.file, contentLength, null));
        }
      }
    } catch (error) {
      if (SluiceError.from(error).code === 'interrupted' || !isReadFailure(error)) throw error;
      const end = {
        blake3: isResumed ? ZERO_HASH : hasher.digest(),
        sizeBytes: offset,
        status: 'failed' as const,
      };
      return this.#endFile(entry, end, readError(error));
    }
    // The file ended before its size: it shrank while it was read.
    const blake3 = isResumed ? ZERO_HASH : hasher.digest();
    await this.#endFile(entry, { blake3, sizeBytes: offset, status: 'changed' }, statusError('changed'));
  }

  async #finishSeekable(
    entry: ManifestEntry,
    input: ByteSource,
    buffer: Uint8Array,
    contentLength: number,
    sizeBytes: number,
    hash: Hasher | Promise<Uint8Array>,
  ): Promise<void> {
    const status = await input.check();
    const blake3 = hash instanceof Promise ? await hash : hash.digest();
    const end: FileEnd = { blake3, sizeBytes, status };
    await this.#append(this.#options.builder.data(buffer, entry.file, contentLength, end));
    this.#options.onFile({ path: entry.path, end, error: statusError(status) });
  }

  async #startRead(
    input: ByteSource,
    offset: number,
    size: number,
  ): Promise<{ readonly buffers: readonly Uint8Array[]; readonly length: number }> {
    const wanted = Math.min(READ_AHEAD_RECORDS, Math.ceil((size - offset) / this.#recordSizeBytes));
    if (wanted <= 0) return { buffers: [], length: 0 };
    const { builder } = this.#options;
    const buffers = Array.from({ length: wanted }, () => this.#takeBuffer());
    const parts = buffers.map((buffer) => builder.contentOf(buffer));
    let length = 0;
    const limit = Math.min(wanted * this.#recordSizeBytes, size - offset);
    while (length < limit) {
      const count = await readInput(input, dropBytes(parts, length, limit), offset + length);
      if (count === 0) break;
      length += count;
    }
    return { buffers, length };
  }

  /** A source whose end nobody knows: what is there goes out at once when nothing is on its way. */
  async #sendStream(entry: ManifestEntry, input: ByteSource): Promise<void> {
    const { builder, digester, window, clock } = this.#options;
    const hasher = digester.createHasher();
    const reader = new StreamReader(input);
    let offset = 0;
    let failure: SluiceError | null = null;
    for (;;) {
      const buffer = this.#takeBuffer();
      const content = builder.contentOf(buffer);
      let filled = 0;
      try {
        filled = await reader.fill(content, 0);
        while (filled > 0 && filled < content.length && !window.isIdle) {
          const more = await reader.fillWithin(content, filled, LIVE_FLUSH_MS, clock);
          if (more === 0) break;
          filled += more;
        }
      } catch (error) {
        failure = readError(error);
      }
      if (filled === 0) break;
      hasher.update(content.subarray(0, filled));
      offset += filled;
      await this.#append(builder.data(buffer, entry.file, filled, null));
    }
    const end: FileEnd = {
      blake3: hasher.digest(),
      sizeBytes: offset,
      status: failure === null ? 'ok' : 'failed',
    };
    await this.#endFile(entry, end, failure);
  }

  async #endFile(entry: ManifestEntry, end: FileEnd, error: SluiceError | null): Promise<void> {
    await this.#append(this.#options.builder.data(this.#takeBuffer(), entry.file, 0, end));
    this.#options.onFile({ path: entry.path, end, error });
  }

  async #hashWhole(input: ByteSource, size: number): Promise<Uint8Array> {
    const hasher = this.#options.digester.createHasher();
    const buffer = new Uint8Array(READ_AHEAD_RECORDS * this.#recordSizeBytes);
    for (let offset = 0; offset < size; ) {
      const count = await readInput(
        input,
        [buffer.subarray(0, Math.min(buffer.length, size - offset))],
        offset,
      );
      if (count === 0) break;
      hasher.update(buffer.subarray(0, count));
      offset += count;
    }
    return hasher.digest();
  }

  get #recordSizeBytes(): number {
    return this.#options.builder.recordSizeBytes;
  }

  #takeBuffer(): Uint8Array {
    return this.#options.buffers.pop() ?? new Uint8Array(this.#options.builder.recordBufferBytes);
  }
}

const ZERO_HASH = new Uint8Array(32);

interface SmallFile extends PackedFile {
  readonly path: readonly string[];
  readonly error: SluiceError | null;
}

/** Gives a live stream piece by piece, and can stop waiting without losing the piece that is on its way. */
class StreamReader {
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

function isPackable({ source, entry }: PlannedFile, builder: LogBuilder): boolean {
  const size = source?.sizeBytes ?? entry.sizeBytes;
  if (source === null) return true;
  return isSmall(source) && (size ?? 0) + PACK_ROW_BYTES <= builder.recordSizeBytes - FILE_END_BYTES;
}

async function readWhole(source: SourceEntry): Promise<{ content: Uint8Array; status: FileStatus }> {
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

/** Failures of the source are told apart from failures of the transfer by this wrapper. */
class ReadFailure extends Error {}

async function readInput(input: ByteSource, parts: readonly Uint8Array[], offset: number): Promise<number> {
  try {
    return await input.read(parts, offset);
  } catch (error) {
    throw new ReadFailure('the source cannot be read', { cause: error });
  }
}

function isReadFailure(error: unknown): boolean {
  return error instanceof ReadFailure;
}

function readError(error: unknown): SluiceError {
  const cause = error instanceof ReadFailure ? error.cause : error;
  if (cause instanceof SluiceError) return cause;
  return new SluiceError('localDisk', cause instanceof Error ? cause.message : String(cause), { cause });
}

function goneError(): SluiceError {
  return new SluiceError('localDisk', 'The file is gone.');
}

function statusError(status: FileStatus): SluiceError | null {
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

/** The parts from `from` to `to`, counted over all of them. */
function dropBytes(parts: readonly Uint8Array[], from: number, to: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let at = 0;
  for (const part of parts) {
    const start = Math.max(0, from - at);
    const end = Math.min(part.length, to - at);
    if (end > start) left.push(part.subarray(start, end));
    at += part.length;
  }
  return left;
}
