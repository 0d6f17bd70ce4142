/**
 * A receiver's place in a log, and what is given to it next: the outbox of its stream. Near the end it gives records
 * from memory, by reference; further back it reads spans from disk, before they are asked for. A cursor is a position
 * and nothing else, so a slow one costs the others nothing, and going back is setting it.
 *
 * Memory: at most two spans of about 1 MiB, and never more than the receiver has credit for (but one record).
 */
import { type Outbox, recordLengthAt, SluiceError } from '../../protocol/index.ts';
import type { HotRecords, LogPlace } from './hot-records.ts';
import type { ReadAhead } from './read-ahead.ts';
import type { ReadSpan } from './shared-reads.ts';

/** The part of a transfer that a cursor reads. */
export interface CursorSource {
  readonly hot: HotRecords;
  /** What is read at once when nothing speaks for less, bytes. */
  readonly spanBytes: number;
  /** Records before this place were written and may be given out. */
  readonly written: LogPlace;
  /** Whole verified records from `position` on, at least one, at most `maxBytes` unless one is longer. */
  read(position: number, maxBytes: number): Promise<ReadSpan>;
  /** The same, from the disk and not from anybody's memory. */
  readFresh(position: number, maxBytes: number): Promise<ReadSpan>;
  /** Where the record `index` starts. */
  seek(index: number): Promise<{ readonly position: number }>;
}

export interface CursorListener {
  /** Bytes the receiver still takes. */
  creditBytes(): number;
  /** There may be something to give now. */
  onReady(): void;
  /** The cursor cannot go on: `corrupted`, or what the storage failed with. Last call. */
  onFailed(error: SluiceError): void;
}

/** A span read from disk. `grantedBytes` is what it counts in the read-ahead budget. */
interface Span {
  readonly chunk: Uint8Array;
  readonly first: LogPlace;
  readonly records: number;
  readonly grantedBytes: number;
}

/** What `take` gives next. */
interface Piece {
  readonly chunk: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly records: number;
}

const MIN_SPAN_BYTES: number = 256 * 1024;
const MAX_SPANS = 2;

export class Cursor implements Outbox {
  readonly #source: CursorSource;
  readonly #readAhead: ReadAhead;
  readonly #listener: CursorListener;
  #index: number;
  #position: number;
  #givenBytes = 0;
  /** Without gaps; the first one holds `#position`. */
  #spans: Span[] = [];
  #piece: Piece | null = null;
  #isReading = false;
  #isSeeking = false;
  #isClosed = false;
  /** Rises with every jump, so that a read that was begun before it is thrown away. */
  #jumps = 0;
  /** Before this position hot records are not used: the receiver found one of them damaged. */
  #diskUntil = 0;

  constructor(source: CursorSource, from: LogPlace, readAhead: ReadAhead, listener: CursorListener) {
    this.#source = source;
    this.#index = from.index;
    this.#position = from.position;
    this.#readAhead = readAhead;
    this.#listener = listener;
  }

  /** Index of the next record to give. */
  get index(): number {
    return this.#index;
  }

  /** Bytes of the log before it. */
  get position(): number {
    return this.#position;
  }

  /** Bytes given so far, those that were given twice counted twice. */
  get givenBytes(): number {
    return this.#givenBytes;
  }

  /** Bytes read from disk and not yet given. */
  get heldBytes(): number {
    return this.#spans.reduce((sum, { chunk }) => sum + chunk.length, 0);
  }

  nextLength(maxBytes: number): number {
    if (this.#isClosed || this.#isSeeking) return 0;
    this.#piece = this.#findPiece(maxBytes);
    this.#prefetch();
    return this.#piece === null ? 0 : this.#piece.end - this.#piece.start;
  }

  take(): Uint8Array {
    const piece = this.#piece;
    if (piece === null) throw new RangeError('the cursor has nothing to give');
    this.#piece = null;
    this.#index += piece.records;
    this.#position += piece.end - piece.start;
    this.#givenBytes += piece.end - piece.start;
    const span = this.#spans[0];
    if (span !== undefined && this.#position >= span.first.position + span.chunk.length) this.#dropSpan();
    const isWhole = piece.start === 0 && piece.end === piece.chunk.length;
    return isWhole ? piece.chunk : piece.chunk.subarray(piece.start, piece.end);
  }

  /**
   * Goes back to `index`, reading it anew from disk.
   * @throws SluiceError `protocol` for an index that was never given.
   */
  rewindTo(index: number): void {
    if (index > this.#index) throw new SluiceError('protocol', 'A record was rejected before it was sent.');
    this.#diskUntil = Math.max(this.#diskUntil, this.#position);
    this.#dropSpans();
    this.#isSeeking = true;
    const jump = this.#jumps;
    this.#source.seek(index).then(
      ({ position }) => {
        if (this.#isClosed || jump !== this.#jumps) return;
        this.#isSeeking = false;
        this.#index = index;
        this.#position = position;
        this.#listener.onReady();
      },
      (error: unknown) => this.#fail(error, jump),
    );
  }

  /** Lets go of everything. Nothing is called afterwards. */
  close(): void {
    this.#isClosed = true;
    this.#dropSpans();
  }

  #findPiece(maxBytes: number): Piece | null {
    const span = this.#spans[0];
    if (span !== undefined) {
      const recordsLeft = span.first.index + span.records - this.#index;
      return cutPiece(span.chunk, this.#position - span.first.position, recordsLeft, maxBytes);
    }
    if (this.#position >= this.#source.written.position || this.#position < this.#diskUntil) return null;
    const hot = this.#source.hot.find(this.#position);
    if (hot === null) return null;
    return cutPiece(hot.chunk, this.#position - hot.first.position, hot.next.index - this.#index, maxBytes);
  }

  /** Reads the next span when it is wanted, allowed and not in memory anyway. One read at a time. */
  #prefetch(): void {
    if (this.#isReading || this.#spans.length >= MAX_SPANS) return;
    const last = this.#spans.at(-1);
    const first = last === undefined ? { index: this.#index, position: this.#position } : endOf(last);
    const { position } = first;
    if (position >= this.#source.written.position) return;
    if (position >= this.#diskUntil && this.#source.hot.has(position)) return;
    const wanted = Math.min(
      this.#source.spanBytes,
      this.#listener.creditBytes() - (position - this.#position),
    );
    if (wanted <= 0) return;
    const granted = this.#readAhead.take(wanted, last === undefined ? MIN_SPAN_BYTES : 0);
    if (granted <= 0) return;
    this.#read(first, granted);
  }

  #read(first: LogPlace, grantedBytes: number): void {
    this.#isReading = true;
    const jump = this.#jumps;
    const isFresh = first.position < this.#diskUntil;
    const reading = isFresh
      ? this.#source.readFresh(first.position, grantedBytes)
      : this.#source.read(first.position, grantedBytes);
    reading.then(
      ({ chunk, records }) => {
        this.#isReading = false;
        if (this.#isClosed || jump !== this.#jumps) {
          this.#readAhead.give(grantedBytes);
          if (!this.#isClosed) this.#listener.onReady();
          return;
        }
        this.#spans.push({ chunk, first, records, grantedBytes });
        if (records === 0) return this.#fail(new SluiceError('internal', 'A read gave no record.'), jump);
        this.#listener.onReady();
      },
      (error: unknown) => {
        this.#isReading = false;
        this.#readAhead.give(grantedBytes);
        this.#fail(error, jump);
      },
    );
  }

  #fail(error: unknown, jump: number): void {
    if (this.#isClosed) return;
    if (jump !== this.#jumps) return this.#listener.onReady();
    this.close();
    this.#listener.onFailed(SluiceError.from(error));
  }

  #dropSpan(): void {
    const span = this.#spans.shift();
    if (span !== undefined) this.#readAhead.give(span.grantedBytes);
  }

  #dropSpans(): void {
    this.#jumps += 1;
    this.#piece = null;
    while (this.#spans.length > 0) this.#dropSpan();
  }
}

function endOf(span: Span): LogPlace {
  return { index: span.first.index + span.records, position: span.first.position + span.chunk.length };
}

/** As many whole records from `start` on as fit into `maxBytes`, but one at least. */
function cutPiece(chunk: Uint8Array, start: number, recordsLeft: number, maxBytes: number): Piece {
  if (chunk.length - start <= maxBytes) return { chunk, start, end: chunk.length, records: recordsLeft };
  let end = start;
  let records = 0;
  while (records < recordsLeft) {
    const next = end + recordLengthAt(chunk, end);
    if (records > 0 && next - start > maxBytes) break;
    end = next;
    records += 1;
  }
  return { chunk, start, end, records };
}
