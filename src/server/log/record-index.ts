/**
 * The index of a log: where each record is, its digest and the chain after it. Entries gather in memory and go to
 * storage in batches with each commit. What is read back is checked against the record it names; where it is wrong
 * or missing it is rebuilt from the records, so nothing here needs to be durable.
 *
 * Memory: 88 bytes for every record that was accepted and not yet committed; after a burst 88 KiB stay allocated.
 *
 * ```
 * 0 position u64 | 8 bodyLength u32 | 12 file u32 | 16 digest[32] | 48 chain after[32] | 80 kind | 81 flags | 82 zero u16
 * 84 crc32 u32 of all before, started from the record's index: an entry in the wrong place is a wrong entry
 * ```
 */
import { crc32 } from 'node:zlib';
import { equalBytes, readU64, viewOf, writeU64 } from '../../protocol/byte-order.ts';
import {
  type Digester,
  nextChain,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  type RecordView,
  SluiceError,
} from '../../protocol/index.ts';
import type { LogStorage } from './log-store.ts';
import { readFailure } from './storage-failure.ts';
import { readVerifiedSpan } from './verified-span.ts';

export const INDEX_ENTRY_BYTES = 88;
const CRC_AT = 84;
const KIND_AT = 80;
const DIGEST_BYTES = 32;
const INDEX_IN_HEADER = 8;
const FIRST_CAPACITY = 64 * INDEX_ENTRY_BYTES;
/** A batch of entries much larger than usual is not kept as capacity. */
const KEPT_CAPACITY = 1_024 * INDEX_ENTRY_BYTES;
const REPAIR_SPAN_BYTES = 1024 * 1024;

export interface IndexEntry {
  readonly position: number;
  readonly bodyLength: number;
  readonly digest: Uint8Array;
  /** The chain after this record. */
  readonly chain: Uint8Array;
}

/** Where the record behind an entry begins. */
export function positionAfter(entry: IndexEntry): number {
  return entry.position + RECORD_OVERHEAD_BYTES + entry.bodyLength;
}

export class RecordIndex {
  readonly #storage: LogStorage;
  readonly #headerHash: Uint8Array;
  readonly #digester: Digester;
  /** Entries below this are in storage, as far as we know. */
  #stored: number;
  /** Entries from `#stored` on. */
  #pending = new Uint8Array(FIRST_CAPACITY);
  #pendingBytes = 0;
  /** Repairs run one after another: several cursors often need the same one. */
  #repairing: Promise<unknown> = Promise.resolve();

  constructor(storage: LogStorage, stored: number, headerHash: Uint8Array, digester: Digester) {
    this.#storage = storage;
    this.#stored = stored;
    this.#headerHash = headerHash;
    this.#digester = digester;
  }

  /** Records it has an entry for. */
  get length(): number {
    return this.#stored + this.#pendingBytes / INDEX_ENTRY_BYTES;
  }

  /** Takes the next record; `position` is where it begins and `chain` the value after it. */
  add(record: RecordView, position: number, chain: Uint8Array): void {
    const end = this.#pendingBytes + INDEX_ENTRY_BYTES;
    if (end > this.#pending.length) this.#grow(Math.max(FIRST_CAPACITY, this.#pending.length * 2));
    encodeEntry(this.#pending, this.#pendingBytes, record, position, chain);
    this.#pendingBytes = end;
  }

  /** Forgets the entries from `length` on, none of which was given to `flush`. */
  cutTo(length: number): void {
    this.#pendingBytes = Math.max(0, length - this.#stored) * INDEX_ENTRY_BYTES;
  }

  /**
   * Writes the entries below `upTo`. One call at a time. Never rejects: entries that cannot be written are given up,
   * or memory would grow without bound on a full disk; they are rebuilt when somebody asks for them.
   */
  async flush(upTo: number): Promise<void> {
    const bytes = (upTo - this.#stored) * INDEX_ENTRY_BYTES;
    if (bytes <= 0) return;
    try {
      // `add` may replace the buffer meanwhile, but never touches these entries.
      await this.#storage.writeIndex(this.#stored * INDEX_ENTRY_BYTES, this.#pending.subarray(0, bytes));
    } catch {}
    this.#stored = upTo;
    this.#pending.copyWithin(0, bytes, this.#pendingBytes);
    this.#pendingBytes -= bytes;
    if (this.#pending.length > KEPT_CAPACITY && this.#pendingBytes * 2 <= KEPT_CAPACITY)
      this.#grow(KEPT_CAPACITY);
  }

  /**
   * The entry of record `index`, which must be below `length`; its place and digest agree with the record.
   * @throws SluiceError `corrupted` when it had to be rebuilt and a record on the way does not verify.
   */
  async entryOf(index: number): Promise<IndexEntry> {
    const known = await this.#checkedEntry(index);
    if (known !== null) return known;
    const repair = this.#repairing.then(
      async () => (await this.#checkedEntry(index)) ?? (await this.#rebuild(index)),
    );
    this.#repairing = repair.catch(() => {});
    return repair;
  }

  /** The record that begins at `position`, as far as the index knows. For messages. */
  async indexAt(position: number): Promise<number | null> {
    let low = 0;
    let high = this.length - 1;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const entry = await this.#storedEntry(middle);
      if (entry === null) return null;
      if (entry.position === position) return middle;
      if (entry.position < position) low = middle + 1;
      else high = middle - 1;
    }
    return null;
  }

  #grow(capacity: number): void {
    const larger = new Uint8Array(capacity);
    larger.set(this.#pending.subarray(0, this.#pendingBytes));
    this.#pending = larger;
  }

  /** From memory or storage; checked for its own integrity only. */
  async #storedEntry(index: number): Promise<IndexEntry | null> {
    const inMemory = (index - this.#stored) * INDEX_ENTRY_BYTES;
    if (inMemory >= 0) return decodeEntry(this.#pending.slice(inMemory, inMemory + INDEX_ENTRY_BYTES), index);
    const bytes = await this.#storage
      .readIndex(index * INDEX_ENTRY_BYTES, INDEX_ENTRY_BYTES)
      .catch(() => null);
    return bytes === null ? null : decodeEntry(bytes, index);
  }

  /** Null unless the digest stands where the entry says the record ends, and the next record begins there. */
  async #checkedEntry(index: number): Promise<IndexEntry | null> {
    const isInMemory = index >= this.#stored;
    const entry = await this.#storedEntry(index);
    if (entry === null || isInMemory) return entry;
    const end = positionAfter(entry);
    const around = await this.#storage
      .read(end - DIGEST_BYTES, DIGEST_BYTES + RECORD_HEADER_BYTES)
      .catch((error: unknown) => {
        throw readFailure(error, end);
      });
    if (!equalBytes(around.subarray(0, DIGEST_BYTES), entry.digest)) return null;
    if (around.length < DIGEST_BYTES + RECORD_HEADER_BYTES) return entry;
    return viewOf(around).getBigUint64(DIGEST_BYTES + INDEX_IN_HEADER) === BigInt(index + 1) ? entry : null;
  }

  /** Walks the records from the nearest entry that is right, verifies them and writes their entries anew. */
  async #rebuild(index: number): Promise<IndexEntry> {
    let next = 0;
    let position = 0;
    let chain = this.#headerHash;
    for (let back = 1; index - back >= 0; back *= 2) {
      const anchor = await this.#checkedEntry(index - back);
      if (anchor === null) continue;
      next = index - back + 1;
      position = positionAfter(anchor);
      chain = anchor.chain;
      break;
    }
    while (true) {
      const { length } = this.#storage;
      const span = await readVerifiedSpan(this.#storage, position, length, REPAIR_SPAN_BYTES, this.#digester);
      const entries = new Uint8Array(span.records.length * INDEX_ENTRY_BYTES);
      let count = 0;
      for (const record of span.records) {
        if (record.header.index !== next + count || next + count > index) break;
        chain = nextChain(this.#digester, chain, record.digest);
        encodeEntry(entries, count * INDEX_ENTRY_BYTES, record, position, chain);
        position += record.bytes.length;
        count += 1;
      }
      if (count === 0) throw corruptedAt(next, position, span.problem ?? 'its index is wrong');
      const rebuilt = entries.subarray(0, count * INDEX_ENTRY_BYTES);
      await this.#storage.writeIndex(next * INDEX_ENTRY_BYTES, rebuilt).catch(() => {});
      next += count;
      if (next > index) return decodeEntry(rebuilt.slice(-INDEX_ENTRY_BYTES), index) as IndexEntry;
    }
  }
}

/** A record of a stored log that does not verify. */
export function corruptedAt(index: number | null, position: number, problem: string): SluiceError {
  return new SluiceError('corrupted', `Record ${index ?? '?'} at byte ${position}: ${problem}.`);
}

function encodeEntry(
  into: Uint8Array,
  at: number,
  record: RecordView,
  position: number,
  chain: Uint8Array,
): void {
  const entry = into.subarray(at, at + INDEX_ENTRY_BYTES);
  const view = viewOf(entry);
  writeU64(view, 0, position);
  view.setUint32(8, record.header.bodyLength);
  view.setUint32(12, record.header.file);
  entry.set(record.digest, 16);
  entry.set(chain, 48);
  // Kind and flags as they stand in the record.
  view.setUint32(KIND_AT, ((record.bytes[1] ?? 0) * 256 + (record.bytes[2] ?? 0)) * 65_536);
  view.setUint32(CRC_AT, crc32(entry.subarray(0, CRC_AT), seedOf(record.header.index)));
}

/** `entry` is kept: its fields become views of it. */
function decodeEntry(entry: Uint8Array, index: number): IndexEntry | null {
  if (entry.length < INDEX_ENTRY_BYTES || entry[KIND_AT] === 0) return null;
  const view = viewOf(entry);
  if (view.getUint32(CRC_AT) !== crc32(entry.subarray(0, CRC_AT), seedOf(index))) return null;
  return {
    position: readU64(view, 0),
    bodyLength: view.getUint32(8),
    digest: entry.subarray(16, 48),
    chain: entry.subarray(48, 80),
  };
}

function seedOf(index: number): number {
  return index % 0x1_0000_0000;
}
