// Small logs for tests, built with the code under test; test/support/oracle.ts builds them without it.
import {
  emptyLog,
  encodeTransferHeader,
  type FileEnd,
  type FileStatus,
  LogBuilder,
  type LogSnapshot,
  type Manifest,
  type PackedFile,
  type TransferHeader,
} from '../../src/protocol/index.ts';
import { blake3, digester } from './digester.ts';

export const RECORD_SIZE = 64 * 1024;

export const header: TransferHeader = {
  id: new Uint8Array(16).fill(7),
  suite: 'none',
  codecs: ['raw'],
  recordSizeBytes: RECORD_SIZE,
  requires: [],
  commitment: new Uint8Array(32),
};

export const emptyManifest: Manifest = {
  name: null,
  message: null,
  totalFiles: null,
  totalBytes: null,
  entries: [],
};

export function startOfLog(): LogSnapshot {
  return emptyLog(blake3(encodeTransferHeader(header)));
}

export function newBuilder(): LogBuilder {
  return new LogBuilder(startOfLog(), RECORD_SIZE, digester);
}

/** Deterministic bytes that differ for every seed. */
export function contentOf(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export function endOf(content: Uint8Array, status: FileStatus = 'ok'): FileEnd {
  return { blake3: blake3(content), sizeBytes: content.length, status };
}

export function packed(content: Uint8Array, status: FileStatus = 'ok'): PackedFile {
  return { blake3: blake3(content), status, content };
}

/** One data record with a copy of `content`. */
export function dataRecord(
  builder: LogBuilder,
  file: number,
  content: Uint8Array,
  end: FileEnd | null = null,
): Uint8Array {
  const buffer = new Uint8Array(builder.recordBufferBytes);
  builder.contentOf(buffer).set(content);
  return builder.data(buffer, file, content.length, end);
}

/** A sealed log with a record of every kind. */
export function logOfAllKinds(): Uint8Array[] {
  const builder = newBuilder();
  const content = contentOf(3_000);
  return [
    builder.manifest({ ...emptyManifest, name: 'all kinds', totalFiles: 4 }),
    dataRecord(builder, 1, content.subarray(0, 1_000)),
    builder.hole(2, 5_000, null),
    dataRecord(builder, 1, content.subarray(1_000), endOf(content)),
    builder.hole(2, 10, { blake3: new Uint8Array(32), sizeBytes: 5_010, status: 'ok' }),
    builder.pack(3, [packed(contentOf(10, 2)), packed(new Uint8Array(0))]),
    builder.seal(),
  ];
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
