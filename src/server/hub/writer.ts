/**
 * The one who may append to a transfer now. It sorts what a sender hands over: new records go to the log; repeated
 * ones are compared; a damaged one is asked for again and what follows it is dropped until it comes. It knows nothing
 * of connections: whatever produces chunks of records may hold a writer.
 *
 * Memory: what it was handed and has not yet said `onWritten` or `onDropped` of; the caller bounds that by credit.
 */
import { equalBytes, viewOf } from '../../protocol/byte-order.ts';
import {
  type Digester,
  intactRecordsIn,
  type LogPoint,
  MAX_REPAIRS,
  RECORD_HEADER_BYTES,
  type ReceiverSummary,
  SluiceError,
} from '../../protocol/index.ts';

/** Where a record header has its index. */
const INDEX_AT = 8;

/** The part of a log that a writer uses. */
export interface WritableLog {
  readonly received: { readonly index: number; readonly position: number };
  /** Takes the records up to the first bad one and throws then. */
  append(chunk: Uint8Array): void;
  digestAt(index: number): Promise<Uint8Array>;
}

export interface WriterListener {
  /** So many bytes were written, and all records below `index` are: as many new bytes may come. */
  onWritten(bytes: number, index: number): void;
  /** So many bytes were dropped, because they are here already or came in vain: as many new ones may come. */
  onDropped(bytes: number): void;
  onDurable(point: LogPoint): void;
  /** Send again from `index`. */
  onDamaged(index: number): void;
  onReceivers(receivers: readonly ReceiverSummary[]): void;
  /** The writer may not append any more. Last call. */
  onEnded(error: SluiceError): void;
}

export class Writer {
  readonly epoch: number;
  readonly #log: WritableLog;
  readonly #digester: Digester;
  readonly #listener: WriterListener;
  readonly #onClosed: (writer: Writer) => void;
  /** The index that was asked for again, or null. */
  #repairIndex: number | null = null;
  #repairs = 0;
  #isClosed = false;

  constructor(
    epoch: number,
    log: WritableLog,
    digester: Digester,
    listener: WriterListener,
    onClosed: (writer: Writer) => void,
  ) {
    this.epoch = epoch;
    this.#log = log;
    this.#digester = digester;
    this.#listener = listener;
    this.#onClosed = onClosed;
  }

  /** Takes a chunk of whole records, which belongs to the log from now on. A broken rule ends the writer. */
  append(chunk: Uint8Array): void {
    if (this.#isClosed) return;
    const expected = this.#repairIndex ?? this.#log.received.index;
    try {
      if (firstIndexOf(chunk) === expected) this.#appendFresh(chunk);
      else this.#appendMixed(chunk, expected);
    } catch (error) {
      this.end(SluiceError.from(error));
    }
  }

  /** The sender has gone. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClosed(this);
  }

  /** Takes the right to write away. */
  end(error: SluiceError): void {
    if (this.#isClosed) return;
    this.close();
    this.#listener.onEnded(error);
  }

  // --- called by the transfer ---------------------------------------------------------------------------------------

  handleWritten(bytes: number, index: number): void {
    if (!this.#isClosed) this.#listener.onWritten(bytes, index);
  }

  handleDurable(point: LogPoint): void {
    if (!this.#isClosed) this.#listener.onDurable(point);
  }

  handleReceivers(receivers: readonly ReceiverSummary[]): void {
    if (!this.#isClosed) this.#listener.onReceivers(receivers);
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  /** A chunk that begins with repeated records, with such that come too early after a damaged one, or with damage. */
  #appendMixed(chunk: Uint8Array, expected: number): void {
    let at = 0;
    const { records, damagedBytes } = intactRecordsIn(chunk, this.#digester);
    for (const { header, digest, bytes } of records) {
      if (header.index === expected || (header.index > expected && this.#repairIndex === null)) {
        return this.#appendFresh(chunk.subarray(at));
      }
      if (header.index < expected) this.#compare(header.index, digest, bytes.length);
      else this.#listener.onDropped(bytes.length);
      at += bytes.length;
    }
    if (damagedBytes > 0) this.#askForRepair(damagedBytes);
  }

  /** SPEC 8.5: the same index with the same digest is an ack, with another one a conflict. */
  #compare(index: number, digest: Uint8Array, bytes: number): void {
    this.#log.digestAt(index).then(
      (known) => {
        if (this.#isClosed) return;
        if (!equalBytes(known, digest)) return this.end(new SluiceError('conflict'));
        this.#listener.onDropped(bytes);
      },
      (error: unknown) => this.end(SluiceError.from(error)),
    );
  }

  #appendFresh(chunk: Uint8Array): void {
    const before = this.#log.received.position;
    try {
      this.#log.append(chunk);
      this.#repairIndex = null;
      this.#repairs = 0;
    } catch (error) {
      const accepted = this.#log.received.position - before;
      if (accepted > 0) this.#repairs = 0;
      this.#handleRejected(SluiceError.from(error), chunk.subarray(accepted));
    }
  }

  /** SPEC 8.6: whether a record is damaged or breaks a rule is judged by its digest. */
  #handleRejected(error: SluiceError, rest: Uint8Array): void {
    const isDamaged =
      error.code === 'digestMismatch' || intactRecordsIn(rest, this.#digester).records.length === 0;
    if (isDamaged) this.#askForRepair(rest.length);
    else this.end(error);
  }

  #askForRepair(droppedBytes: number): void {
    const { index } = this.#log.received;
    this.#repairs += 1;
    if (this.#repairs > MAX_REPAIRS)
      return this.end(new SluiceError('digestMismatch', `Record ${index}, again and again.`));
    this.#repairIndex = index;
    this.#listener.onDropped(droppedBytes);
    this.#listener.onDamaged(index);
  }
}

/** Unchecked: a wrong one leads to where everything is checked. */
function firstIndexOf(chunk: Uint8Array): number {
  if (chunk.length < RECORD_HEADER_BYTES) return -1;
  const view = viewOf(chunk);
  return view.getUint32(INDEX_AT) * 0x1_0000_0000 + view.getUint32(INDEX_AT + 4);
}
