/**
 * The plaintext of a pack record: many whole small files in one record. First a table of one 40-byte row per file,
 * then the contents one after another. The files are numbered consecutively from the header's `file`; their count is
 * the header's `offset`; their contents together are its `span`.
 */
import { viewOf } from './byte-order.ts';
import { decodeFileStatus, FILE_STATUSES, type FileStatus } from './file-end.ts';
import { SluiceError } from './sluice-error.ts';

/** 0 size u32 | 4 status u8 | 5..7 zero | 8 blake3[32] */
export const PACK_ROW_BYTES = 40;

export interface PackedFile {
  readonly blake3: Uint8Array;
  readonly status: FileStatus;
  readonly content: Uint8Array;
}

/** Bytes the plaintext of a pack of these files takes. */
export function packLength(files: readonly { readonly content: Uint8Array }[]): number {
  return files.reduce((sum, { content }) => sum + PACK_ROW_BYTES + content.length, 0);
}

/** Writes table and contents into `into`, which must be `packLength(files)` long. */
export function encodePack(into: Uint8Array, files: readonly PackedFile[]): void {
  const view = viewOf(into);
  let at = files.length * PACK_ROW_BYTES;
  for (const [i, { blake3, status, content }] of files.entries()) {
    const row = i * PACK_ROW_BYTES;
    into.fill(0, row, row + PACK_ROW_BYTES);
    view.setUint32(row, content.length);
    into[row + 4] = FILE_STATUSES.indexOf(status);
    into.set(blake3, row + 8);
    into.set(content, at);
    at += content.length;
  }
}

/**
 * Reads a pack; contents and hashes are views into `plain`.
 * @throws SluiceError `protocol` when the sizes do not add up to the plaintext exactly.
 */
export function decodePack(plain: Uint8Array, count: number): PackedFile[] {
  if (count < 1 || count * PACK_ROW_BYTES > plain.length) {
    throw new SluiceError('protocol', 'The table of a pack does not fit into it.');
  }
  const view = viewOf(plain);
  const files: PackedFile[] = [];
  let at = count * PACK_ROW_BYTES;
  for (let i = 0; i < count; i++) {
    const row = i * PACK_ROW_BYTES;
    const end = at + view.getUint32(row);
    if (end > plain.length) throw new SluiceError('protocol', 'A file of a pack goes beyond its end.');
    if ((view.getUint8(row + 5) | view.getUint16(row + 6)) !== 0) {
      throw new SluiceError('unsupported', 'Reserved bytes of a pack row are set.');
    }
    files.push({
      blake3: plain.subarray(row + 8, row + PACK_ROW_BYTES),
      status: decodeFileStatus(view.getUint8(row + 4)),
      content: plain.subarray(at, end),
    });
    at = end;
  }
  if (at !== plain.length) throw new SluiceError('protocol', 'A pack has bytes that belong to no file.');
  return files;
}
