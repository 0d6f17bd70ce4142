/** Small files: read several at a time, hash, and put as many into one record as fit. */
import {
  type Digester,
  type FileStatus,
  type LogBuilder,
  PACK_ROW_BYTES,
  type PackedFile,
  type SluiceError,
} from '../protocol/index.ts';
import type { PlannedFile } from './send-plan.ts';
import type { ProducedFile } from './source-reading.ts';
import { goneError, readError, readWhole, statusError } from './source-reading.ts';

/** Small files read at the same time. */
const SMALL_READS = 16;

export interface PackProducerOptions {
  readonly builder: LogBuilder;
  readonly digester: Digester;
  /** Puts a record into the window and waits for room. */
  append(record: Uint8Array): Promise<void>;
  onFile(file: ProducedFile): void;
}

interface SmallFile extends PackedFile {
  readonly path: readonly string[];
  readonly error: SluiceError | null;
}

export class PackProducer {
  readonly #options: PackProducerOptions;

  constructor(options: PackProducerOptions) {
    this.#options = options;
  }

  /** Sends small files whose numbers are consecutive. */
  async send(files: readonly PlannedFile[]): Promise<void> {
    const { builder } = this.#options;
    const reads: Promise<SmallFile>[] = [];
    let packed: SmallFile[] = [];
    let bytes = 0;
    let first = files[0]?.entry.file ?? 0;
    for (let i = 0; i < files.length; i++) {
      while (reads.length < SMALL_READS && i + reads.length < files.length) {
        reads.push(this.#read(files[i + reads.length] as PlannedFile));
      }
      const file = await (reads.shift() as Promise<SmallFile>);
      const length = PACK_ROW_BYTES + file.content.length;
      if (bytes + length > builder.recordSizeBytes) {
        await this.#append(first, packed);
        first += packed.length;
        packed = [];
        bytes = 0;
      }
      packed.push(file);
      bytes += length;
    }
    if (packed.length > 0) await this.#append(first, packed);
  }

  async #append(first: number, files: readonly SmallFile[]): Promise<void> {
    await this.#options.append(this.#options.builder.pack(first, files));
    for (const { path, content, blake3, status, error } of files) {
      this.#options.onFile({ path, end: { blake3, sizeBytes: content.length, status }, error });
    }
  }

  async #read({ entry, source }: PlannedFile): Promise<SmallFile> {
    const file = (content: Uint8Array, status: FileStatus, error: SluiceError | null): SmallFile => ({
      path: entry.path,
      content,
      status,
      error,
      blake3: this.#options.digester.digest(content),
    });
    if (source === null) return file(EMPTY, 'removed', goneError());
    try {
      const { content, status } = await readWhole(source);
      return file(content, status, statusError(status));
    } catch (error) {
      return file(EMPTY, 'failed', readError(error));
    }
  }
}

const EMPTY = new Uint8Array(0);
