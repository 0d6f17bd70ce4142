/**
 * Makes records, in order, by the rules of the log. It encodes; it does not read sources, keep records or send them
 * (send-window.ts does). The caller's mistakes show as SluiceError from `LogState`, because the builder checks its own
 * records exactly like everybody else will.
 */
import type { Digester } from './digester.ts';
import { encodeFileEnd, FILE_END_BYTES, type FileEnd } from './file-end.ts';
import { type LogSnapshot, LogState } from './log-state.ts';
import { encodeManifest, type Manifest } from './manifest.ts';
import { encodePack, type PackedFile, packLength } from './pack.ts';
import {
  DIGEST_BYTES,
  decodeRecordHeader,
  encodeRecordHeader,
  finishRecord,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  type RecordHeaderFields,
} from './record.ts';
import { encodeSeal } from './seal.ts';
import { SluiceError } from './sluice-error.ts';

type Fields = Omit<RecordHeaderFields, 'index' | 'plainLength' | 'bodyLength'>;

export class LogBuilder {
  readonly #digester: Digester;
  /** Content of a full record, bytes. */
  readonly recordSizeBytes: number;
  readonly #state: LogState;

  /** Goes on from `from`: the empty log, or the durable point of an earlier sender. */
  constructor(from: LogSnapshot, recordSizeBytes: number, digester: Digester) {
    this.#digester = digester;
    this.recordSizeBytes = recordSizeBytes;
    this.#state = new LogState(from, recordSizeBytes, digester);
  }

  /** What the log is after the last record made. */
  get state(): Readonly<LogState> {
    return this.#state;
  }

  /** Length a buffer for `data` needs so that a full record with a file end fits, bytes. */
  get recordBufferBytes(): number {
    return RECORD_OVERHEAD_BYTES + this.recordSizeBytes + FILE_END_BYTES;
  }

  /** Where in such a buffer the content goes: read straight into this view, then call `data`. */
  contentOf(buffer: Uint8Array): Uint8Array {
    return buffer.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + this.recordSizeBytes);
  }

  manifest(manifest: Manifest): Uint8Array {
    return this.#fromPlain({ kind: 'manifest' }, encodeManifest(manifest));
  }

  /** A record of `contentLength` bytes that already stand in `contentOf(buffer)`; with `end` it is the file's last. */
  data(buffer: Uint8Array, file: number, contentLength: number, end: FileEnd | null): Uint8Array {
    const plainLength = contentLength + (end === null ? 0 : FILE_END_BYTES);
    if (end !== null) encodeFileEnd(buffer.subarray(RECORD_HEADER_BYTES + contentLength), end);
    const record = buffer.subarray(0, RECORD_OVERHEAD_BYTES + plainLength);
    return this.#finish(
      record,
      { kind: 'data', ...this.#place(file, end), span: contentLength },
      plainLength,
    );
  }

  /** A span of zeros that needs no body. */
  hole(file: number, span: number, end: FileEnd | null): Uint8Array {
    const plain = new Uint8Array(end === null ? 0 : FILE_END_BYTES);
    if (end !== null) encodeFileEnd(plain, end);
    return this.#fromPlain({ kind: 'hole', ...this.#place(file, end), span }, plain);
  }

  /** Whole small files, numbered from `firstFile` on. `packLength(files)` must not exceed the record size. */
  pack(firstFile: number, files: readonly PackedFile[]): Uint8Array {
    const plainLength = packLength(files);
    const record = new Uint8Array(RECORD_OVERHEAD_BYTES + plainLength);
    encodePack(record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + plainLength), files);
    const span = files.reduce((sum, { content }) => sum + content.length, 0);
    return this.#finish(record, { kind: 'pack', file: firstFile, offset: files.length, span }, plainLength);
  }

  seal(): Uint8Array {
    const { index, endedFiles, contentBytes, chain } = this.#state;
    return this.#fromPlain(
      { kind: 'seal' },
      encodeSeal({ records: index, files: endedFiles, contentBytes, chain }),
    );
  }

  #place(
    file: number,
    end: FileEnd | null,
  ): Pick<RecordHeaderFields, 'file' | 'offset' | 'isFirst' | 'isLast'> {
    const offset = this.#state.nextOffsetOf(file);
    return { file, offset: offset ?? 0, isFirst: offset === null, isLast: end !== null };
  }

  #fromPlain(fields: Fields, plain: Uint8Array): Uint8Array {
    const record = new Uint8Array(RECORD_OVERHEAD_BYTES + plain.length);
    record.set(plain, RECORD_HEADER_BYTES);
    return this.#finish(record, fields, plain.length);
  }

  #finish(record: Uint8Array, fields: Fields, plainLength: number): Uint8Array {
    if (plainLength > this.recordSizeBytes + FILE_END_BYTES) {
      throw new SluiceError('tooLarge', `A body of ${plainLength} bytes does not fit a record.`);
    }
    encodeRecordHeader(record, {
      ...fields,
      index: this.#state.index,
      plainLength,
      bodyLength: record.length - RECORD_HEADER_BYTES - DIGEST_BYTES,
    });
    this.#state.apply(decodeRecordHeader(record), finishRecord(record, this.#digester));
    return record;
  }
}
