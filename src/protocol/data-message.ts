/**
 * Data messages: the binary WebSocket messages. An 8-byte header names the stream; behind it stand whole records, or
 * one fragment of a record (for slow links, so that control messages do not wait behind a whole one).
 *
 * ```
 * records:  0 type=1 | 1..3 zero | 4 stream u32 | records...
 * fragment: 0 type=2 | 1 flags (1 = last) | 2..3 zero | 4 stream u32 | 8 index u64 | 16 offset u32 | 20 length u32 | bytes...
 * ```
 */
import { readU64, viewOf, writeU64 } from './byte-order.ts';
import { MAX_BODY_BYTES, MAX_DATA_MESSAGE_BYTES } from './limits.ts';
import { RECORD_OVERHEAD_BYTES } from './record.ts';
import { SluiceError } from './sluice-error.ts';

export const DATA_HEADER_BYTES = 8;
export const FRAGMENT_HEADER_BYTES = 24;
const TYPE_RECORDS = 1;
const TYPE_FRAGMENT = 2;
const FLAG_LAST = 1;

export interface RecordsMessage {
  readonly type: 'records';
  readonly stream: number;
  /** One or more whole records. */
  readonly chunk: Uint8Array;
}

export interface FragmentMessage {
  readonly type: 'fragment';
  readonly stream: number;
  /** Index of the record. */
  readonly index: number;
  /** Where `chunk` stands in the record, bytes. */
  readonly offset: number;
  /** Length of the whole record, bytes. */
  readonly recordBytes: number;
  readonly isLast: boolean;
  readonly chunk: Uint8Array;
}

export function encodeRecordsHeader(stream: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(DATA_HEADER_BYTES);
  bytes[0] = TYPE_RECORDS;
  viewOf(bytes).setUint32(4, stream);
  return bytes;
}

export function encodeFragmentHeader(
  fragment: Omit<FragmentMessage, 'type' | 'chunk'>,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAGMENT_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes[0] = TYPE_FRAGMENT;
  bytes[1] = fragment.isLast ? FLAG_LAST : 0;
  view.setUint32(4, fragment.stream);
  writeU64(view, 8, fragment.index);
  view.setUint32(16, fragment.offset);
  view.setUint32(20, fragment.recordBytes);
  return bytes;
}

/**
 * Reads a data message that may arrive in several parts (WebSocket fragments). When the first part is exactly the
 * header, as our own senders write it, nothing is copied.
 * @throws SluiceError `tooLarge`, or `protocol` when malformed.
 */
export function decodeDataMessage(parts: readonly Uint8Array[]): RecordsMessage | FragmentMessage {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > MAX_DATA_MESSAGE_BYTES) throw new SluiceError('tooLarge', 'A data message is too long.');
  const first = parts[0];
  const isSplitAtHeader =
    parts.length > 1 &&
    ((first?.length === DATA_HEADER_BYTES && first[0] === TYPE_RECORDS) ||
      (first?.length === FRAGMENT_HEADER_BYTES && first[0] === TYPE_FRAGMENT));
  if (isSplitAtHeader) return decode(first, joined(parts.slice(1), length - first.length));
  const whole = joined(parts, length);
  const headerBytes = whole[0] === TYPE_FRAGMENT ? FRAGMENT_HEADER_BYTES : DATA_HEADER_BYTES;
  return decode(whole.subarray(0, headerBytes), whole.subarray(headerBytes));
}

function decode(header: Uint8Array, chunk: Uint8Array): RecordsMessage | FragmentMessage {
  if (header.length < DATA_HEADER_BYTES || chunk.length === 0) {
    throw new SluiceError('protocol', 'A data message is cut off.');
  }
  const view = viewOf(header);
  const type = view.getUint8(0);
  const flags = view.getUint8(1);
  if (view.getUint16(2) !== 0) throw new SluiceError('protocol', 'Reserved bytes of a data message are set.');
  const stream = view.getUint32(4);
  if (type === TYPE_RECORDS && flags === 0) return { type: 'records', stream, chunk };
  if (type !== TYPE_FRAGMENT || (flags & ~FLAG_LAST) !== 0 || header.length < FRAGMENT_HEADER_BYTES) {
    throw new SluiceError('protocol', 'Unknown kind of data message.');
  }
  const fragment: FragmentMessage = {
    type: 'fragment',
    stream,
    index: readU64(view, 8),
    offset: view.getUint32(16),
    recordBytes: view.getUint32(20),
    isLast: (flags & FLAG_LAST) !== 0,
    chunk,
  };
  const end = fragment.offset + chunk.length;
  if (fragment.recordBytes > MAX_BODY_BYTES + RECORD_OVERHEAD_BYTES) {
    throw new SluiceError('tooLarge', 'A fragmented record is too long.');
  }
  if (end > fragment.recordBytes || fragment.isLast !== (end === fragment.recordBytes)) {
    throw new SluiceError('protocol', 'A fragment does not fit its record.');
  }
  return fragment;
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const only = parts[0];
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Puts the fragments of one stream together. Holds at most one record. */
export class FragmentAssembler {
  #record: Uint8Array | null = null;
  #index = 0;
  #filled = 0;

  /**
   * Takes the next fragment; returns the whole record after the last one, else null.
   * @throws SluiceError `protocol` when fragments are out of order.
   */
  add(fragment: FragmentMessage): Uint8Array | null {
    if (fragment.offset === 0) {
      this.#record = new Uint8Array(fragment.recordBytes);
      this.#index = fragment.index;
      this.#filled = 0;
    }
    const record = this.#record;
    const isNext =
      record !== null &&
      fragment.index === this.#index &&
      fragment.offset === this.#filled &&
      fragment.recordBytes === record.length;
    if (!isNext) throw new SluiceError('protocol', 'Fragments of a record are out of order.');
    record.set(fragment.chunk, fragment.offset);
    this.#filled += fragment.chunk.length;
    if (!fragment.isLast) return null;
    this.#record = null;
    return record;
  }

  /** Bytes of a record that is not whole yet. */
  get heldBytes(): number {
    return this.#record === null ? 0 : this.#filled;
  }

  /** Gives up the record that is not whole, because its sender went back. Returns how many bytes of it had come. */
  abandon(): number {
    const bytes = this.heldBytes;
    this.#record = null;
    return bytes;
  }
}
