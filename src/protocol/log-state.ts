/**
 * The rules of a log: which record may come next, and what is known after it. Sender, server and receiver all run
 * this one class over the records they write, append or read; none of them trusts another to have done it.
 * It never sees plaintext, so it works the same on encrypted logs. It verifies no digest.
 */
import { nextChain } from './chain.ts';
import type { Digester } from './digester.ts';
import { BODY_SLACK_BYTES, MAX_FILES, MAX_OPEN_FILES } from './limits.ts';
import { RECORD_OVERHEAD_BYTES, type RecordHeader } from './record.ts';
import { SluiceError } from './sluice-error.ts';

/** A file that has begun and not ended. */
export interface OpenFile {
  readonly file: number;
  /** Where its next record starts, bytes. */
  readonly nextOffset: number;
}

/** Everything the rules need to go on from a point of the log. Small and of bounded size: it is stored at each commit. */
export interface LogSnapshot {
  /** Records so far: the index of the next one. */
  readonly index: number;
  /** Bytes of whole records so far. */
  readonly position: number;
  /** 32 bytes that name the prefix. */
  readonly chain: Uint8Array;
  /** Every file below this number has begun. */
  readonly nextFile: number;
  /** At most 16, ascending. */
  readonly openFiles: readonly OpenFile[];
  /** Files that have ended. */
  readonly endedFiles: number;
  readonly contentBytes: number;
  readonly isSealed: boolean;
}

/** The empty log of a transfer whose header hashes to `headerHash`. */
export function emptyLog(headerHash: Uint8Array): LogSnapshot {
  return {
    index: 0,
    position: 0,
    chain: headerHash,
    nextFile: 1,
    openFiles: [],
    endedFiles: 0,
    contentBytes: 0,
    isSealed: false,
  };
}

export class LogState {
  readonly #digester: Digester;
  readonly #recordSizeBytes: number;
  readonly #openFiles: Map<number, number>;
  #index: number;
  #position: number;
  #chain: Uint8Array;
  #nextFile: number;
  #endedFiles: number;
  #contentBytes: number;
  #isSealed: boolean;

  constructor(from: LogSnapshot, recordSizeBytes: number, digester: Digester) {
    this.#digester = digester;
    this.#recordSizeBytes = recordSizeBytes;
    this.#index = from.index;
    this.#position = from.position;
    this.#chain = from.chain;
    this.#nextFile = from.nextFile;
    this.#openFiles = new Map(from.openFiles.map(({ file, nextOffset }) => [file, nextOffset]));
    this.#endedFiles = from.endedFiles;
    this.#contentBytes = from.contentBytes;
    this.#isSealed = from.isSealed;
  }

  get index(): number {
    return this.#index;
  }
  get position(): number {
    return this.#position;
  }
  get chain(): Uint8Array {
    return this.#chain;
  }
  get nextFile(): number {
    return this.#nextFile;
  }
  get endedFiles(): number {
    return this.#endedFiles;
  }
  get contentBytes(): number {
    return this.#contentBytes;
  }
  get isSealed(): boolean {
    return this.#isSealed;
  }
  get openFileCount(): number {
    return this.#openFiles.size;
  }

  /** Next offset of an open file, or null when it is not open. */
  nextOffsetOf(file: number): number | null {
    return this.#openFiles.get(file) ?? null;
  }

  snapshot(): LogSnapshot {
    return {
      index: this.#index,
      position: this.#position,
      chain: this.#chain,
      nextFile: this.#nextFile,
      openFiles: [...this.#openFiles].map(([file, nextOffset]) => ({ file, nextOffset })),
      endedFiles: this.#endedFiles,
      contentBytes: this.#contentBytes,
      isSealed: this.#isSealed,
    };
  }

  /**
   * Takes the next record, or throws and changes nothing.
   * @throws SluiceError `sealed`, `protocol` (wrong place, broken rule), `tooLarge`, `limit` (too many files).
   */
  apply(header: RecordHeader, digest: Uint8Array): void {
    this.#check(header);
    switch (header.kind) {
      case 'manifest':
        break;
      case 'data':
      case 'hole':
        this.#applySpan(header);
        break;
      case 'pack':
        this.#nextFile = header.file + header.offset;
        this.#endedFiles += header.offset;
        break;
      case 'seal':
        this.#isSealed = true;
        break;
    }
    this.#contentBytes += header.span;
    this.#index += 1;
    this.#position += RECORD_OVERHEAD_BYTES + header.bodyLength;
    this.#chain = nextChain(this.#digester, this.#chain, digest);
  }

  #applySpan(header: RecordHeader): void {
    if (header.isFirst) this.#nextFile = header.file + 1;
    if (header.isLast) {
      this.#openFiles.delete(header.file);
      this.#endedFiles += 1;
    } else {
      this.#openFiles.set(header.file, header.offset + header.span);
    }
  }

  #check(header: RecordHeader): void {
    if (this.#isSealed) throw new SluiceError('sealed');
    if (header.index !== this.#index) broken(`Record ${header.index} came where ${this.#index} belongs.`);
    if (header.bodyLength > this.#recordSizeBytes + BODY_SLACK_BYTES) {
      throw new SluiceError('tooLarge', 'A record is larger than the record size of its transfer.');
    }
    // SPEC 3.3: record 0 names the transfer, so that it can be shown before anything else.
    if (this.#index === 0 && header.kind !== 'manifest') broken('Record 0 is not a manifest.');
    if (!Number.isSafeInteger(this.#contentBytes + header.span))
      broken('The content is larger than 2^53-1 bytes.');
    switch (header.kind) {
      case 'manifest':
      case 'seal':
        return this.#checkPlain(header);
      case 'data':
      case 'hole':
        return this.#checkSpan(header);
      case 'pack':
        return this.#checkPack(header);
    }
  }

  #checkPlain(header: RecordHeader): void {
    if (header.file !== 0 || header.offset !== 0 || header.span !== 0 || header.isFirst || header.isLast) {
      broken('A manifest or seal has fields of a file.');
    }
    if (header.kind === 'seal' && this.#openFiles.size > 0)
      broken('The seal comes before the end of a file.');
  }

  #checkSpan(header: RecordHeader): void {
    if (header.kind === 'data' && header.span > this.#recordSizeBytes)
      broken('A record spans too many bytes.');
    if (!Number.isSafeInteger(header.offset + header.span)) broken('A file is larger than 2^53-1 bytes.');
    if (header.isFirst) {
      // SPEC 3.5: files begin in ascending order, so "nextFile + open files" tells which have ended.
      this.#checkNewFiles(header.file, 1);
      if (header.offset !== 0) broken('A file does not begin at its start.');
      if (!header.isLast && this.#openFiles.size >= MAX_OPEN_FILES) broken('Too many files are open.');
    } else if (this.#openFiles.get(header.file) !== header.offset) {
      broken(`File ${header.file} does not go on at ${header.offset}.`);
    }
  }

  #checkPack(header: RecordHeader): void {
    if (header.isFirst || header.isLast || header.offset < 1) broken('A pack has fields of a file.');
    if (header.span > this.#recordSizeBytes) broken('A pack spans too many bytes.');
    this.#checkNewFiles(header.file, header.offset);
  }

  #checkNewFiles(first: number, count: number): void {
    if (first < this.#nextFile) broken(`File ${first} begins out of order.`);
    if (first + count - 1 > MAX_FILES)
      throw new SluiceError('limit', `A transfer holds at most ${MAX_FILES} files.`);
  }
}

function broken(rule: string): never {
  throw new SluiceError('protocol', rule);
}
