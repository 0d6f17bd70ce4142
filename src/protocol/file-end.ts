/** The 48 bytes that end a file: behind the content in the plaintext of its last record, and per file in a pack (40). */
import { readU64, viewOf, writeU64 } from './byte-order.ts';
import { SluiceError } from './sluice-error.ts';

/**
 * - `ok`: the content is whole.
 * - `changed`: the source changed while it was read; the content is not a state the file ever had.
 * - `failed`: the source could not be read to its end.
 * - `removed`: the source disappeared before it was read.
 */
export const FILE_STATUSES = ['ok', 'changed', 'failed', 'removed'] as const;
export type FileStatus = (typeof FILE_STATUSES)[number];

export interface FileEnd {
  /** Whole-file BLAKE3 of all content bytes, 32 bytes. */
  readonly blake3: Uint8Array;
  /** All content bytes of the file. */
  readonly sizeBytes: number;
  readonly status: FileStatus;
}

/** 0 blake3[32] | 32 size u64 | 40 status u8 | 41..47 zero */
export const FILE_END_BYTES = 48;

export function encodeFileEnd(into: Uint8Array, end: FileEnd): void {
  into.fill(0, 0, FILE_END_BYTES);
  into.set(end.blake3, 0);
  writeU64(viewOf(into), 32, end.sizeBytes);
  into[40] = FILE_STATUSES.indexOf(end.status);
}

/** @throws SluiceError `protocol` on a wrong length, `unsupported` on an unknown status or non-zero reserved byte. */
export function decodeFileEnd(bytes: Uint8Array): FileEnd {
  if (bytes.length !== FILE_END_BYTES) throw new SluiceError('protocol', 'A file end has the wrong length.');
  const status = decodeFileStatus(bytes[40] ?? 255);
  for (let i = 41; i < FILE_END_BYTES; i++) {
    if (bytes[i] !== 0) throw new SluiceError('unsupported', 'Reserved bytes of a file end are set.');
  }
  // Not slice(): on a Node Buffer that is a view, and the record is let go before its hash is.
  return { blake3: new Uint8Array(bytes.subarray(0, 32)), sizeBytes: readU64(viewOf(bytes), 32), status };
}

/** @throws SluiceError `unsupported` for an unknown number. */
export function decodeFileStatus(value: number): FileStatus {
  const status = FILE_STATUSES[value];
  if (status === undefined) throw new SluiceError('unsupported', `Unknown file status ${value}.`);
  return status;
}
