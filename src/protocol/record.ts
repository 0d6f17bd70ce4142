/**
 * The record: 64-byte header, body, 32-byte digest; the same bytes on the wire, on disk and in object storage.
 * Here: its layout, and reading and writing it. Not here: what a body means (manifest.ts, pack.ts, ...) and which
 * record may follow which (log-state.ts).
 *
 * ```
 *  0 format=1 | 1 kind | 2 flags | 3 codec | 4 suite | 5..7 zero | 8 index u64 | 16 offset u64 | 24 file u32
 * 28 plainLength u32 | 32 bodyLength u32 | 36 iv[12] | 48 span u64 | 56 zero u64
 * digest = BLAKE3(header || body)
 * ```
 */
import { equalBytes, readU64, viewOf, writeU64 } from './byte-order.ts';
import type { Digester } from './digester.ts';
import { MAX_BODY_BYTES } from './limits.ts';
import { SluiceError } from './sluice-error.ts';

export const RECORD_FORMAT = 1;
export const RECORD_HEADER_BYTES = 64;
export const DIGEST_BYTES = 32;
/** What a record costs beyond its body. */
export const RECORD_OVERHEAD_BYTES: number = RECORD_HEADER_BYTES + DIGEST_BYTES;

/** Where `bodyLength` stands in the header. */
const BODY_LENGTH_AT = 32;

/** SPEC 3.3. */
export const RECORD_KINDS = { manifest: 1, data: 2, pack: 3, hole: 4, seal: 5 } as const;
export type RecordKind = keyof typeof RECORD_KINDS;

/** SPEC 3.2. `first` and `last` mark the first and last record of a file. */
export const RECORD_FLAGS = { first: 1, last: 2, padded: 4, syncPoint: 8 } as const;
const KNOWN_FLAGS = 15;

/** How a body was compressed before encryption. Every receiver decodes all of them. */
export const CODECS = { raw: 0, 'deflate-raw': 1, zstd: 2 } as const;
export type Codec = keyof typeof CODECS;

/** How a body is encrypted. */
export const SUITES = { none: 0, 'aes-256-gcm': 1 } as const;
export type Suite = keyof typeof SUITES;

export interface RecordHeader {
  readonly kind: RecordKind;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** The plaintext ends with padding that the receiver drops (reserved: no v1.0 sender sets it). */
  readonly isPadded: boolean;
  /** A reader may start here without what came before (reserved: no v1.0 sender sets it). */
  readonly isSyncPoint: boolean;
  readonly codec: Codec;
  readonly suite: Suite;
  /** Position in the log, from 0, without holes. */
  readonly index: number;
  /** data, hole: bytes from the start of the file. pack: number of files in it. Otherwise 0. */
  readonly offset: number;
  /** data, hole: the file. pack: the first of its consecutive files. Otherwise 0. */
  readonly file: number;
  /** Length of the plaintext body (content plus file end), bytes. */
  readonly plainLength: number;
  /** Length of the stored body, bytes. */
  readonly bodyLength: number;
  /** Bytes of file content this record stands for. */
  readonly span: number;
  /** 12 bytes, all zero without encryption. */
  readonly iv: Uint8Array;
}

const ZERO_IV = new Uint8Array(12);

/** What the writer of a record says; the rest has a default. */
export type RecordHeaderFields = Pick<RecordHeader, 'kind' | 'index' | 'plainLength' | 'bodyLength'> &
  Partial<RecordHeader>;

/** Writes the 64 header bytes at the start of `record`. */
export function encodeRecordHeader(record: Uint8Array, fields: RecordHeaderFields): void {
  const view = viewOf(record);
  record.fill(0, 0, RECORD_HEADER_BYTES);
  record[0] = RECORD_FORMAT;
  record[1] = RECORD_KINDS[fields.kind];
  record[2] =
    (fields.isFirst ? RECORD_FLAGS.first : 0) |
    (fields.isLast ? RECORD_FLAGS.last : 0) |
    (fields.isPadded ? RECORD_FLAGS.padded : 0) |
    (fields.isSyncPoint ? RECORD_FLAGS.syncPoint : 0);
  record[3] = CODECS[fields.codec ?? 'raw'];
  record[4] = SUITES[fields.suite ?? 'none'];
  writeU64(view, 8, fields.index);
  writeU64(view, 16, fields.offset ?? 0);
  view.setUint32(24, fields.file ?? 0);
  view.setUint32(28, fields.plainLength);
  view.setUint32(32, fields.bodyLength);
  record.set(fields.iv ?? ZERO_IV, 36);
  writeU64(view, 48, fields.span ?? 0);
}

/**
 * Reads the header at the start of `bytes`.
 * @throws SluiceError `unsupported` for an unknown format, kind, flag, codec, suite or a non-zero reserved byte;
 * `tooLarge` for a body above `MAX_BODY_BYTES`; `protocol` when there are fewer than 64 bytes or a counter is too big.
 */
export function decodeRecordHeader(bytes: Uint8Array): RecordHeader {
  if (bytes.length < RECORD_HEADER_BYTES) throw new SluiceError('protocol', 'A record is cut off.');
  const view = viewOf(bytes);
  const kind = KIND_BY_NUMBER[view.getUint8(1)];
  const flags = view.getUint8(2);
  const codec = CODEC_BY_NUMBER[view.getUint8(3)];
  const suite = SUITE_BY_NUMBER[view.getUint8(4)];
  // SPEC 3.2: never skipped in silence, because a stored log may be read by an older version.
  if (view.getUint8(0) !== RECORD_FORMAT) throw unsupported('record format', view.getUint8(0));
  if (kind === undefined) throw unsupported('record kind', view.getUint8(1));
  if ((flags & ~KNOWN_FLAGS) !== 0) throw unsupported('record flags', flags);
  if (codec === undefined) throw unsupported('codec', view.getUint8(3));
  if (suite === undefined) throw unsupported('cipher suite', view.getUint8(4));
  const reserved = view.getUint8(5) | view.getUint16(6) | view.getUint32(56) | view.getUint32(60);
  if (reserved !== 0) throw unsupported('reserved bytes', reserved);
  const bodyLength = view.getUint32(32);
  const plainLength = view.getUint32(28);
  if (bodyLength > MAX_BODY_BYTES || plainLength > MAX_BODY_BYTES) {
    throw new SluiceError('tooLarge', `A record claims ${Math.max(bodyLength, plainLength)} bytes.`);
  }
  return {
    kind,
    isFirst: (flags & RECORD_FLAGS.first) !== 0,
    isLast: (flags & RECORD_FLAGS.last) !== 0,
    isPadded: (flags & RECORD_FLAGS.padded) !== 0,
    isSyncPoint: (flags & RECORD_FLAGS.syncPoint) !== 0,
    codec,
    suite,
    index: readU64(view, 8),
    offset: readU64(view, 16),
    file: view.getUint32(24),
    plainLength,
    bodyLength,
    span: readU64(view, 48),
    iv: bytes.subarray(36, 48),
  };
}

/** Digests header and body of a whole record and writes the digest behind them. Returns the digest (a view). */
export function finishRecord(record: Uint8Array, digester: Digester): Uint8Array {
  const at = record.length - DIGEST_BYTES;
  record.set(digester.digest(record.subarray(0, at)), at);
  return record.subarray(at);
}

/** A whole record with its header already read. All fields are views into one buffer. */
export interface RecordView {
  readonly header: RecordHeader;
  /** Header, body and digest. */
  readonly bytes: Uint8Array;
  readonly body: Uint8Array;
  readonly digest: Uint8Array;
}

/**
 * Reads the record that starts at `at` in `chunk`, without copying and without checking its digest.
 * @throws SluiceError as `decodeRecordHeader`, and `protocol` when the record is cut off.
 */
export function recordAt(chunk: Uint8Array, at: number): RecordView {
  const header = decodeRecordHeader(at === 0 ? chunk : chunk.subarray(at));
  const bodyEnd = at + RECORD_HEADER_BYTES + header.bodyLength;
  const end = bodyEnd + DIGEST_BYTES;
  if (end > chunk.length) throw new SluiceError('protocol', 'A record is cut off.');
  return {
    header,
    bytes: chunk.subarray(at, end),
    body: chunk.subarray(at + RECORD_HEADER_BYTES, bodyEnd),
    digest: chunk.subarray(bodyEnd, end),
  };
}

/** Length of the record that starts at `at` in a chunk that is known to hold whole records. Checks nothing. */
export function recordLengthAt(chunk: Uint8Array, at: number): number {
  const field = at + BODY_LENGTH_AT;
  const bodyLength = new DataView(chunk.buffer, chunk.byteOffset + field, 4).getUint32(0);
  return RECORD_OVERHEAD_BYTES + bodyLength;
}

/** Reads all records of a chunk that holds whole records only. @throws as `recordAt`. */
export function recordsIn(chunk: Uint8Array): RecordView[] {
  const records: RecordView[] = [];
  for (let at = 0; at < chunk.length; ) {
    const record = recordAt(chunk, at);
    records.push(record);
    at += record.bytes.length;
  }
  return records;
}

/** True when the digest behind the record is that of its header and body. */
export function verifyRecord(record: RecordView, digester: Digester): boolean {
  return equalBytes(
    digester.digest(record.bytes.subarray(0, record.bytes.length - DIGEST_BYTES)),
    record.digest,
  );
}

/** The records of a chunk up to the first damaged one. */
export interface IntactRecords {
  readonly records: readonly RecordView[];
  /** Bytes from the first damaged record on; 0 when there is none. Where a record after it starts is not known. */
  readonly damagedBytes: number;
}

/**
 * Reads and verifies the records of a chunk that came over a network. A header that makes no sense is a damaged one as
 * well, unless the digest shows that it was meant.
 * @throws as `decodeRecordHeader`, for a record that is intact.
 */
export function intactRecordsIn(chunk: Uint8Array, digester: Digester): IntactRecords {
  const records: RecordView[] = [];
  for (let at = 0; at < chunk.length; ) {
    const record = intactRecordAt(chunk, at, digester);
    if (record === null) return { records, damagedBytes: chunk.length - at };
    records.push(record);
    at += record.bytes.length;
  }
  return { records, damagedBytes: 0 };
}

function intactRecordAt(chunk: Uint8Array, at: number, digester: Digester): RecordView | null {
  try {
    const record = recordAt(chunk, at);
    return verifyRecord(record, digester) ? record : null;
  } catch (error) {
    if (isMeant(chunk.subarray(at), digester)) throw error;
    return null;
  }
}

/** True when the digest is right where the header, be it nonsense, says that the record ends. */
function isMeant(bytes: Uint8Array, digester: Digester): boolean {
  if (bytes.length < RECORD_OVERHEAD_BYTES) return false;
  const bodyEnd = RECORD_HEADER_BYTES + viewOf(bytes).getUint32(32);
  const end = bodyEnd + DIGEST_BYTES;
  return (
    end <= bytes.length &&
    equalBytes(digester.digest(bytes.subarray(0, bodyEnd)), bytes.subarray(bodyEnd, end))
  );
}

function unsupported(what: string, value: number): SluiceError {
  return new SluiceError('unsupported', `Unknown ${what} ${value}.`);
}

function invert<K extends string>(table: Readonly<Record<K, number>>): readonly (K | undefined)[] {
  const names: (K | undefined)[] = [];
  for (const [name, number] of Object.entries(table) as [K, number][]) names[number] = name;
  return names;
}

const KIND_BY_NUMBER = invert(RECORD_KINDS);
const CODEC_BY_NUMBER = invert(CODECS);
const SUITE_BY_NUMBER = invert(SUITES);
