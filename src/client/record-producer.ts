/**
 * Turns planned files into records and puts them into the send window: packs for small files, runs of data records for
 * large ones, early flushes for live streams. Reads ahead by one read, never beyond the room of the window.
 *
 * Memory: the buffers of the window, one read of at most 8 records ahead, and the contents of one pack.
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
  type SendWindow,
  type SluiceError,
} from '../protocol/index.ts';
import type { ByteSource, Clock } from '../runtime/index.ts';
import { PackProducer } from './pack-producer.ts';
import { isSmall, type PlannedBatch, type PlannedFile } from './send-plan.ts';
import {
  goneError,
  isReadFailure,
  type ProducedFile,
  readError,
  readInput,
  StreamReader,
  statusError,
} from './source-reading.ts';

/** Records read with one call of a seekable source. */
const READ_AHEAD_RECORDS = 8;
/** JSON of one manifest record stays below this, characters; the rest goes into the next. */
const MANIFEST_CHARS = 60_000;

export interface RecordProducerOptions {
  readonly builder: LogBuilder;
  readonly window: SendWindow;
  readonly digester: Digester;
  readonly clock: Clock;
  /** Buffers of `builder.recordBufferBytes` to use again. */
  readonly buffers: Uint8Array[];
  /** Resolves when the window has room; rejects when production was stopped. */
  room(): Promise<void>;
  /** A record was put into the window. */
  onRecord(): void;
  /** A file begins. */
  onBegin(path: readonly string[]): void;
  onFile(file: ProducedFile): void;
}

export class RecordProducer {
  readonly #options: RecordProducerOptions;
  readonly #packs: PackProducer;
  /** The live source that is being read. */
  #live: ByteSource | null = null;
  #isStopped = false;

  constructor(options: RecordProducerOptions) {
    this.#options = options;
    this.#packs = new PackProducer({ ...options, append: (record) => this.#append(record) });
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
          await this.#packs.send(small);
          small = [];
        }
        small.push(file);
        continue;
      }
      await this.#packs.send(small);
      small = [];
      await this.#sendLarge(file);
    }
    await this.#packs.send(small);
  }

  async seal(): Promise<void> {
    await this.#append(this.#options.builder.seal());
  }

  /** Makes no record more: what runs ends with what `room` rejects with, and a live source is let go at once. */
  stop(): void {
    this.#isStopped = true;
    // It may have nothing to say for hours, so its next byte is not waited for.
    this.#live?.close().catch(() => {});
  }

  async #append(record: Uint8Array): Promise<void> {
    const { builder, window, onRecord, room } = this.#options;
    if (this.#isStopped) await room();
    window.append(record, builder.state.chain, builder.state.contentBytes);
    onRecord();
    if (!window.hasRoom) await room();
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
      this.#live = null;
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
      if (!isReadFailure(error)) throw error;
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
    const { end, error } = await endOf(input, sizeBytes, hash);
    await this.#append(this.#options.builder.data(buffer, entry.file, contentLength, end));
    this.#options.onFile({ path: entry.path, end, error });
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
    this.#live = input;
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

/** The end of a file that was read to its size. A source that cannot tell it any more fails alone. */
async function endOf(
  input: ByteSource,
  sizeBytes: number,
  hash: Hasher | Promise<Uint8Array>,
): Promise<Pick<ProducedFile, 'end' | 'error'>> {
  try {
    const status = await input.check();
    const blake3 = hash instanceof Promise ? await hash : hash.digest();
    return { end: { blake3, sizeBytes, status }, error: statusError(status) };
  } catch (error) {
    return { end: { blake3: ZERO_HASH, sizeBytes, status: 'failed' }, error: readError(error) };
  }
}

function isPackable({ source, entry }: PlannedFile, builder: LogBuilder): boolean {
  const size = source?.sizeBytes ?? entry.sizeBytes;
  if (source === null) return true;
  return isSmall(source) && (size ?? 0) + PACK_ROW_BYTES <= builder.recordSizeBytes - FILE_END_BYTES;
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
