/**
 * Reads whole records from storage and verifies each. Readers, recovery and the repair of the index share it; what an
 * unverifiable record means (torn tail or corruption) is theirs to say. Rules of the log are not checked here.
 */
import { viewOf } from '../../protocol/byte-order.ts';
import {
  type Digester,
  MAX_BODY_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  type RecordView,
  recordAt,
  SluiceError,
  verifyRecord,
} from '../../protocol/index.ts';
import type { LogStorage } from './log-store.ts';
import { readFailure } from './storage-failure.ts';

const MAX_RECORD_BYTES = RECORD_OVERHEAD_BYTES + MAX_BODY_BYTES;
const BODY_LENGTH_AT = 32;

export interface VerifiedSpan {
  /** The records one after another: a view of what was read. */
  readonly chunk: Uint8Array;
  readonly records: readonly RecordView[];
  /** Why the record behind them cannot be had, in words, or null: it was not looked at, or there is none. */
  readonly problem: string | null;
}

/**
 * Reads about `maxBytes`, at least one record, from `position`, where a record begins; none beyond `end`.
 * @throws SluiceError `corrupted` when the disk refuses to give the bytes (EIO), `internal` for other failed reads.
 */
export async function readVerifiedSpan(
  storage: LogStorage,
  position: number,
  end: number,
  maxBytes: number,
  digester: Digester,
): Promise<VerifiedSpan> {
  const available = end - position;
  let bytes = await readBytes(
    storage,
    position,
    Math.min(available, Math.max(maxBytes, RECORD_HEADER_BYTES)),
  );
  const firstBytes = claimedBytesAt(bytes, 0) ?? 0;
  // A record larger than `maxBytes`: its header says how much it takes, and what it may say is bounded.
  if (firstBytes > bytes.length && firstBytes <= Math.min(available, MAX_RECORD_BYTES)) {
    bytes = await readBytes(storage, position, firstBytes);
  }
  return verifySpan(bytes, available, digester);
}

function verifySpan(bytes: Uint8Array, available: number, digester: Digester): VerifiedSpan {
  const records: RecordView[] = [];
  let problem: string | null = null;
  let at = 0;
  while (at < bytes.length) {
    const record = wholeRecordAt(bytes, at, available);
    if (typeof record === 'string' || record === null) {
      problem = record;
      break;
    }
    const before = records.at(-1);
    if (!verifyRecord(record, digester)) problem = 'its digest does not match';
    else if (before !== undefined && record.header.index !== before.header.index + 1)
      problem = 'its index is wrong';
    if (problem !== null) break;
    records.push(record);
    at += record.bytes.length;
  }
  // A file that is shorter than it is known to be.
  if (records.length === 0 && problem === null && available > 0) problem = 'its bytes are missing';
  return { chunk: bytes.subarray(0, at), records, problem };
}

/** The record at `at`; what is wrong with it; or null when only its start was read. */
function wholeRecordAt(bytes: Uint8Array, at: number, available: number): RecordView | string | null {
  const recordBytes = claimedBytesAt(bytes, at);
  if (recordBytes === null) return available - at < RECORD_HEADER_BYTES ? 'it is cut off' : null;
  if (recordBytes > MAX_RECORD_BYTES) return 'its length is not valid';
  if (at + recordBytes > bytes.length) return at + recordBytes > available ? 'it is cut off' : null;
  try {
    return recordAt(bytes, at);
  } catch (error) {
    if (error instanceof SluiceError) return `its header is not valid (${error.detail})`;
    throw error;
  }
}

/** What the header at `at` says its record takes, unchecked, or null when not all of the header is there. */
function claimedBytesAt(bytes: Uint8Array, at: number): number | null {
  if (bytes.length - at < RECORD_HEADER_BYTES) return null;
  return RECORD_OVERHEAD_BYTES + viewOf(bytes).getUint32(at + BODY_LENGTH_AT);
}

async function readBytes(storage: LogStorage, position: number, length: number): Promise<Uint8Array> {
  try {
    return await storage.read(position, length);
  } catch (error) {
    throw readFailure(error, position);
  }
}
