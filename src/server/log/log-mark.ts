/**
 * The commit mark: what the log was at its last commit, in a compact form. Recovery tells a torn tail (above it) from
 * corruption (below it), and goes on from it without reading what lies below. Not here: where it is kept (LogStorage).
 *
 * ```
 *  0 version=1 | 1 flags (1 = sealed) | 2 open files u16 | 4 nextFile u32 | 8 index u64 | 16 position u64
 * 24 endedFiles u32 | 28 zero u32 | 32 contentBytes u64 | 40 chain[32] | 72 open files: file u32, nextOffset u64, ...
 * last 16 bytes: start of BLAKE3(H || all before), where H = BLAKE3(transfer header)
 * ```
 */
import { equalBytes, readU64, viewOf, writeU64 } from '../../protocol/byte-order.ts';
import { type Digester, type LogSnapshot, MAX_OPEN_FILES, type OpenFile } from '../../protocol/index.ts';

const MARK_VERSION = 1;
const FIXED_BYTES = 72;
const OPEN_FILE_BYTES = 12;
const CHECK_BYTES = 16;
const SEALED = 1;

/** At most 280 bytes. */
export function encodeMark(snapshot: LogSnapshot, headerHash: Uint8Array, digester: Digester): Uint8Array {
  const { openFiles } = snapshot;
  const end = FIXED_BYTES + openFiles.length * OPEN_FILE_BYTES;
  const mark = new Uint8Array(end + CHECK_BYTES);
  const view = viewOf(mark);
  mark[0] = MARK_VERSION;
  mark[1] = snapshot.isSealed ? SEALED : 0;
  view.setUint16(2, openFiles.length);
  view.setUint32(4, snapshot.nextFile);
  writeU64(view, 8, snapshot.index);
  writeU64(view, 16, snapshot.position);
  view.setUint32(24, snapshot.endedFiles);
  writeU64(view, 32, snapshot.contentBytes);
  mark.set(snapshot.chain, 40);
  for (const [i, { file, nextOffset }] of openFiles.entries()) {
    view.setUint32(FIXED_BYTES + i * OPEN_FILE_BYTES, file);
    writeU64(view, FIXED_BYTES + i * OPEN_FILE_BYTES + 4, nextOffset);
  }
  mark.set(checkOf(mark.subarray(0, end), headerHash, digester), end);
  return mark;
}

/** Null for anything that `encodeMark` did not write for this transfer. */
export function decodeMark(mark: Uint8Array, headerHash: Uint8Array, digester: Digester): LogSnapshot | null {
  const end = mark.length - CHECK_BYTES;
  if (end < FIXED_BYTES || mark[0] !== MARK_VERSION) return null;
  if (!equalBytes(checkOf(mark.subarray(0, end), headerHash, digester), mark.subarray(end))) return null;
  const view = viewOf(mark);
  const openCount = view.getUint16(2);
  if (openCount > MAX_OPEN_FILES || end !== FIXED_BYTES + openCount * OPEN_FILE_BYTES) return null;
  const openFiles: OpenFile[] = [];
  for (let at = FIXED_BYTES; at < end; at += OPEN_FILE_BYTES) {
    openFiles.push({ file: view.getUint32(at), nextOffset: readU64(view, at + 4) });
  }
  return {
    index: readU64(view, 8),
    position: readU64(view, 16),
    chain: mark.slice(40, 72),
    nextFile: view.getUint32(4),
    openFiles,
    endedFiles: view.getUint32(24),
    contentBytes: readU64(view, 32),
    isSealed: (view.getUint8(1) & SEALED) !== 0,
  };
}

function checkOf(content: Uint8Array, headerHash: Uint8Array, digester: Digester): Uint8Array {
  const joined = new Uint8Array(headerHash.length + content.length);
  joined.set(headerHash, 0);
  joined.set(content, headerHash.length);
  return digester.digest(joined).subarray(0, CHECK_BYTES);
}
