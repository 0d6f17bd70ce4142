/**
 * A few bytes on disk that are replaced as a whole. Two slots take turns; each fits one 512-byte sector and has a
 * number and a check, so a torn write spoils only the newer one and the older is read. Not here: what the bytes mean.
 *
 * ```
 * 0 sequence u64 | 8 length u32 | 12 bytes | then crc32 u32 of all before
 * ```
 */
import fs from 'node:fs';
import { crc32 } from 'node:zlib';
import { viewOf } from '../../protocol/byte-order.ts';
import {
  closeFile,
  dataSync,
  type FileOperations,
  openFile,
  readFully,
  writeFully,
} from './file-operations.ts';
import { MAX_MARK_BYTES } from './log-store.ts';
import { FILE_MODE } from './segment-files.ts';

const { O_CREAT, O_RDWR } = fs.constants;
const SLOT_BYTES = 512;
/** The slots lie in different pages, so that no device rewrites one when it writes the other. */
const SLOT_DISTANCE = 4_096;
const HEAD_BYTES = 12;
const CRC_BYTES = 4;

interface SlotContent {
  readonly sequence: bigint;
  readonly bytes: Uint8Array;
}

export class MarkFile {
  readonly #path: string;
  readonly #operations: FileOperations;
  #fd: number | null = null;
  #latest: SlotContent | null = null;
  /** Perhaps not on disk: written since the last sync, or by a process that died before its next. */
  #isDirty = true;

  private constructor(path: string, operations: FileOperations) {
    this.#path = path;
    this.#operations = operations;
  }

  static async open(path: string, operations: FileOperations): Promise<MarkFile> {
    const file = new MarkFile(path, operations);
    const fd = await openFile(path, O_RDWR, FILE_MODE).catch(ignoreMissing);
    if (fd === null) return file;
    file.#fd = fd;
    for (const at of [0, SLOT_DISTANCE]) {
      const slot = new Uint8Array(SLOT_BYTES);
      await readFully(operations, fd, slot, at);
      const content = decodeSlot(slot);
      if (content !== null && content.sequence > (file.#latest?.sequence ?? -1n)) file.#latest = content;
    }
    return file;
  }

  read(): Uint8Array | null {
    return this.#latest?.bytes.slice() ?? null;
  }

  /** Resolves to true when this created the file: its folder has to be synced. */
  async write(bytes: Uint8Array): Promise<boolean> {
    if (bytes.length > MAX_MARK_BYTES) throw new RangeError('the mark is too long');
    const isNew = this.#fd === null;
    this.#fd ??= await openFile(this.#path, O_RDWR | O_CREAT, FILE_MODE);
    const sequence = (this.#latest?.sequence ?? -1n) + 1n;
    const content = { sequence, bytes: bytes.slice() };
    const at = sequence % 2n === 0n ? 0 : SLOT_DISTANCE;
    this.#isDirty = true;
    // The whole file at first: replacing a mark must never need room on the disk.
    if (isNew) await writeFully(this.#operations, this.#fd, new Uint8Array(SLOT_DISTANCE + SLOT_BYTES), 0);
    await writeFully(this.#operations, this.#fd, encodeSlot(content), at);
    this.#isDirty = true;
    this.#latest = content;
    return isNew;
  }

  async sync(): Promise<void> {
    if (this.#fd === null || !this.#isDirty) return;
    this.#isDirty = false;
    await dataSync(this.#operations, this.#fd);
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = null;
    if (fd !== null) await closeFile(fd);
  }
}

function encodeSlot({ sequence, bytes }: SlotContent): Uint8Array {
  const slot = new Uint8Array(SLOT_BYTES);
  const view = viewOf(slot);
  const end = HEAD_BYTES + bytes.length;
  view.setBigUint64(0, sequence);
  view.setUint32(8, bytes.length);
  slot.set(bytes, HEAD_BYTES);
  view.setUint32(end, crc32(slot.subarray(0, end)));
  return slot;
}

function decodeSlot(slot: Uint8Array): SlotContent | null {
  const view = viewOf(slot);
  const end = HEAD_BYTES + view.getUint32(8);
  // A slot of zeros was never written: no mark is empty.
  if (end === HEAD_BYTES || end > SLOT_BYTES - CRC_BYTES) return null;
  if (view.getUint32(end) !== crc32(slot.subarray(0, end))) return null;
  return { sequence: view.getBigUint64(0), bytes: slot.slice(HEAD_BYTES, end) };
}

/** For `catch`: null when there is no such file. */
function ignoreMissing(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  throw error;
}
