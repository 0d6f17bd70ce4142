/**
 * Reads a log as a receiver does: verifies each record, follows the rules of the log, and says what each record means.
 * Pure: it neither writes files nor talks to a server.
 */

import { equalBytes } from './byte-order.ts';
import type { Digester } from './digester.ts';
import { decodeFileEnd, FILE_END_BYTES, type FileEnd } from './file-end.ts';
import { type LogSnapshot, LogState } from './log-state.ts';
import { decodeManifest, type Manifest } from './manifest.ts';
import { decodePack, type PackedFile } from './pack.ts';
import { type Codec, intactRecordsIn, type RecordHeader, type RecordView } from './record.ts';
import { decodeSeal, type Seal } from './seal.ts';
import { SluiceError } from './sluice-error.ts';

/** What a record means. Contents are views into the chunk they came in. */
export type LogItem =
  | { readonly type: 'manifest'; readonly manifest: Manifest }
  | {
      readonly type: 'data';
      readonly file: number;
      readonly offset: number;
      readonly content: Uint8Array;
      /** Present on the last record of the file. */
      readonly end: FileEnd | null;
    }
  | {
      readonly type: 'hole';
      readonly file: number;
      readonly offset: number;
      readonly span: number;
      readonly end: FileEnd | null;
    }
  | { readonly type: 'pack'; readonly firstFile: number; readonly files: readonly PackedFile[] }
  | { readonly type: 'seal'; readonly seal: Seal };

export interface ReadRecord {
  readonly item: LogItem;
  /** Bytes of the whole record, for credit. */
  readonly bytes: number;
  /** The log after this record. */
  readonly index: number;
}

export interface ReadResult {
  readonly records: readonly ReadRecord[];
  /** Index to go back to because a record was damaged (NACK), or null. What follows it in the chunk is dropped. */
  readonly damagedIndex: number | null;
  /** Bytes that were dropped: damaged, or after a damaged one. Their credit must be returned as well. */
  readonly droppedBytes: number;
}

/** Restores a body that is not raw to exactly `plainLength` bytes, or throws. Encrypted bodies are not read in v1.0. */
export type Inflate = (codec: Exclude<Codec, 'raw'>, body: Uint8Array, plainLength: number) => Uint8Array;

/** A record that comes damaged this often is not damaged by chance. */
export const MAX_REPAIRS = 8;

export class LogReader {
  readonly #digester: Digester;
  readonly #inflate: Inflate;
  readonly #state: LogState;
  /** After a NACK: records above this index are late and dropped without a word until it comes. */
  #isWaitingForRepair = false;
  /** NACKs since the log last went on. */
  #repairs = 0;
  /** After two NACKs in a row the same records may come twice. */
  #mayRepeat = false;

  constructor(from: LogSnapshot, recordSizeBytes: number, digester: Digester, inflate: Inflate) {
    this.#digester = digester;
    this.#inflate = inflate;
    this.#state = new LogState(from, recordSizeBytes, digester);
  }

  get state(): Readonly<LogState> {
    return this.#state;
  }

  /**
   * Reads a chunk of whole records.
   * @throws SluiceError `protocol`, `unsupported`, `tooLarge`: the log breaks its rules; `integrity`: the seal does
   * not match what was read; `digestMismatch`: the same record came damaged `MAX_REPAIRS` times. One damaged record is
   * not an error but a `damagedIndex`.
   */
  read(chunk: Uint8Array): ReadResult {
    const { records: views, damagedBytes } = intactRecordsIn(chunk, this.#digester);
    const records: ReadRecord[] = [];
    let droppedBytes = damagedBytes;
    for (const view of views) {
      if (this.#isLateOrRepeated(view.header.index)) {
        droppedBytes += view.bytes.length;
      } else {
        records.push(this.#readRecord(view));
        this.#isWaitingForRepair = false;
        this.#repairs = 0;
      }
    }
    if (damagedBytes > 0) this.#askForRepair();
    return { records, damagedIndex: damagedBytes > 0 ? this.#state.index : null, droppedBytes };
  }

  #isLateOrRepeated(index: number): boolean {
    return index > this.#state.index
      ? this.#isWaitingForRepair
      : index < this.#state.index && this.#mayRepeat;
  }

  #askForRepair(): void {
    this.#repairs += 1;
    if (this.#repairs > MAX_REPAIRS)
      throw new SluiceError('digestMismatch', `Record ${this.#state.index}, again and again.`);
    if (this.#isWaitingForRepair) this.#mayRepeat = true;
    this.#isWaitingForRepair = true;
  }

  #readRecord(view: RecordView): ReadRecord {
    const { header } = view;
    const before = header.kind === 'seal' ? this.#state.snapshot() : null;
    this.#state.apply(header, view.digest);
    const plain = this.#plainOf(view);
    const item = readItem(header, plain);
    if (item.type === 'seal' && before !== null) checkSeal(item.seal, before);
    return { item, bytes: view.bytes.length, index: this.#state.index };
  }

  #plainOf({ header, body }: RecordView): Uint8Array {
    if (header.suite !== 'none') throw new SluiceError('unsupported', 'The transfer is encrypted.');
    if (header.isPadded) throw new SluiceError('unsupported', 'The transfer uses padding.');
    const plain = header.codec === 'raw' ? body : this.#inflate(header.codec, body, header.plainLength);
    if (plain.length !== header.plainLength)
      throw new SluiceError('protocol', 'A record has not the length it declares.');
    return plain;
  }
}

function readItem(header: RecordHeader, plain: Uint8Array): LogItem {
  switch (header.kind) {
    case 'manifest':
      return { type: 'manifest', manifest: decodeManifest(plain) };
    case 'seal':
      return { type: 'seal', seal: decodeSeal(plain) };
    case 'pack': {
      const files = decodePack(plain, header.offset);
      const span = files.reduce((sum, { content }) => sum + content.length, 0);
      if (span !== header.span) throw new SluiceError('protocol', 'A pack has not the span it declares.');
      return { type: 'pack', firstFile: header.file, files };
    }
    case 'data': {
      const content = plain.subarray(0, header.span);
      const end = readEnd(header, plain, header.span);
      return { type: 'data', file: header.file, offset: header.offset, content, end };
    }
    case 'hole':
      return {
        type: 'hole',
        file: header.file,
        offset: header.offset,
        span: header.span,
        end: readEnd(header, plain, 0),
      };
  }
}

function readEnd(header: RecordHeader, plain: Uint8Array, contentLength: number): FileEnd | null {
  if (plain.length !== contentLength + (header.isLast ? FILE_END_BYTES : 0)) {
    throw new SluiceError('protocol', 'A record has not the span it declares.');
  }
  if (!header.isLast) return null;
  const end = decodeFileEnd(plain.subarray(contentLength));
  if (end.sizeBytes !== header.offset + header.span)
    throw new SluiceError('protocol', 'A file has not the size it declares.');
  return end;
}

function checkSeal(seal: Seal, before: LogSnapshot): void {
  const isRight =
    seal.records === before.index &&
    seal.files === before.endedFiles &&
    seal.contentBytes === before.contentBytes &&
    equalBytes(seal.chain, before.chain);
  if (!isRight) throw new SluiceError('integrity', 'The seal of the transfer does not match its records.');
}
