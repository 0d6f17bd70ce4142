/**
 * Finds out what a stored log holds when it is opened. Below the commit mark nothing is read (a log of terabytes opens
 * at once; readers verify what they read), but it must be there. Above the mark every record is verified: complete
 * ones are kept, the torn tail is cut off. A loss below the mark is corruption and is reported, never cut off.
 */
import { type Digester, emptyLog, type LogSnapshot, LogState, SluiceError } from '../../protocol/index.ts';
import { decodeMark, encodeMark } from './log-mark.ts';
import type { LogStorage } from './log-store.ts';
import { corruptedAt, INDEX_ENTRY_BYTES, RecordIndex } from './record-index.ts';
import { readVerifiedSpan, type VerifiedSpan } from './verified-span.ts';

/** Whether a commit waits for the disk, or only for the operating system (safe when just the process dies). */
export type Durability = 'disk' | 'os';

export interface RecoveryOptions {
  /** H: BLAKE3 of the transfer header, the first chain value. */
  readonly headerHash: Uint8Array;
  readonly recordSizeBytes: number;
  readonly digester: Digester;
  readonly durability: Durability;
}

export interface RecoveredLog {
  /** Everything that was kept; all of it is durable. */
  readonly snapshot: LogSnapshot;
  readonly index: RecordIndex;
}

const SCAN_SPAN_BYTES = 2 * 1024 * 1024;

/**
 * Without a mark there was no commit yet, or the mark is damaged. More than this behind a bad record is not what a
 * first commit can have left over, bytes.
 */
const MAX_UNMARKED_TAIL_BYTES = 64 * 1024 * 1024;

/** @throws SluiceError `corrupted`; `internal` when storage fails. */
export async function recoverLog(storage: LogStorage, options: RecoveryOptions): Promise<RecoveredLog> {
  const { headerHash, recordSizeBytes, digester, durability } = options;
  const markBytes = await storage.readMark();
  const marked = markBytes === null ? null : decodeMark(markBytes, headerHash, digester);
  const from = marked ?? emptyLog(headerHash);
  if (storage.length < from.position) {
    throw corruptedAt(null, storage.length, `bytes up to ${from.position} were committed and are missing`);
  }
  const state = new LogState(from, recordSizeBytes, digester);
  const index = new RecordIndex(storage, from.index, headerHash, digester);
  while (state.position < storage.length) {
    const { position } = state;
    const span = await readVerifiedSpan(storage, position, storage.length, SCAN_SPAN_BYTES, digester);
    const problem = keepRecords(span, state, index) ?? span.problem;
    if (durability === 'disk' && state.position > position) {
      await storage.rewrite(position, span.chunk.subarray(0, state.position - position));
    }
    await index.flush(state.index);
    if (problem === null) continue;
    if (marked === null && storage.length - state.position > MAX_UNMARKED_TAIL_BYTES) {
      throw corruptedAt(state.index, state.position, problem);
    }
    break;
  }
  const kept = state.snapshot();
  const keptIndexBytes = kept.index * INDEX_ENTRY_BYTES;
  if (storage.length > kept.position || storage.indexLength > keptIndexBytes) {
    await storage.truncate(kept.position, keptIndexBytes);
  }
  if (kept.index > from.index) {
    if (durability === 'disk') await storage.sync();
    await storage.writeMark(encodeMark(kept, headerHash, digester));
  }
  return { snapshot: kept, index };
}

/** Takes the records of a span as long as they keep the rules of the log; says which rule the next one breaks. */
function keepRecords(span: VerifiedSpan, state: LogState, index: RecordIndex): string | null {
  for (const record of span.records) {
    const { position } = state;
    try {
      state.apply(record.header, record.digest);
    } catch (error) {
      if (error instanceof SluiceError) return error.message;
      throw error;
    }
    index.add(record, position, state.chain);
  }
  return null;
}
