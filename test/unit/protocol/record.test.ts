import { describe, expect, test } from 'vitest';
import {
  CODECS,
  decodeRecordHeader,
  encodeRecordHeader,
  finishRecord,
  MAX_BODY_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_KINDS,
  RECORD_OVERHEAD_BYTES,
  type RecordHeaderFields,
  recordAt,
  recordsIn,
  SUITES,
  verifyRecord,
} from '../../../src/protocol/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf, joined } from '../../support/log-fixtures.ts';

const fields: RecordHeaderFields = {
  kind: 'data',
  isFirst: true,
  isLast: true,
  isPadded: true,
  isSyncPoint: true,
  codec: 'zstd',
  suite: 'aes-256-gcm',
  index: 2 ** 45 + 3,
  offset: 2 ** 50 + 7,
  file: 0xffff_fffe,
  plainLength: 1_000,
  bodyLength: 900,
  span: 2 ** 52,
  iv: contentOf(12),
};

function headerBytes(changes: Partial<RecordHeaderFields> = {}): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES).fill(0xff);
  encodeRecordHeader(bytes, { ...fields, ...changes });
  return bytes;
}

function record(body: Uint8Array, index = 0): Uint8Array {
  const bytes = new Uint8Array(RECORD_OVERHEAD_BYTES + body.length);
  bytes.set(body, RECORD_HEADER_BYTES);
  encodeRecordHeader(bytes, { kind: 'manifest', index, plainLength: body.length, bodyLength: body.length });
  finishRecord(bytes, digester);
  return bytes;
}

describe('header', () => {
  test('round trip over a buffer that was used before', () => {
    expect(decodeRecordHeader(headerBytes())).toEqual(fields);
  });

  test('what is left out is raw, plain and zero', () => {
    const bytes = new Uint8Array(RECORD_HEADER_BYTES).fill(0xff);
    encodeRecordHeader(bytes, { kind: 'seal', index: 1, plainLength: 2, bodyLength: 3 });
    expect(decodeRecordHeader(bytes)).toEqual({
      kind: 'seal',
      isFirst: false,
      isLast: false,
      isPadded: false,
      isSyncPoint: false,
      codec: 'raw',
      suite: 'none',
      index: 1,
      offset: 0,
      file: 0,
      plainLength: 2,
      bodyLength: 3,
      span: 0,
      iv: new Uint8Array(12),
    });
  });

  test.each(Object.keys(RECORD_KINDS) as (keyof typeof RECORD_KINDS)[])('kind %s', (kind) => {
    expect(decodeRecordHeader(headerBytes({ kind })).kind).toBe(kind);
    expect(headerBytes({ kind })[1]).toBe(RECORD_KINDS[kind]);
  });

  test.each(Object.keys(CODECS) as (keyof typeof CODECS)[])('codec %s', (codec) => {
    expect(decodeRecordHeader(headerBytes({ codec })).codec).toBe(codec);
  });

  test.each(Object.keys(SUITES) as (keyof typeof SUITES)[])('suite %s', (suite) => {
    expect(decodeRecordHeader(headerBytes({ suite })).suite).toBe(suite);
  });

  test.each([
    ['isFirst', 1],
    ['isLast', 2],
    ['isPadded', 4],
    ['isSyncPoint', 8],
  ] as const)('flag %s is bit %d', (flag, bit) => {
    const none = { isFirst: false, isLast: false, isPadded: false, isSyncPoint: false };
    const bytes = headerBytes({ ...none, [flag]: true });
    expect(bytes[2]).toBe(bit);
    expect(decodeRecordHeader(bytes)).toMatchObject({ ...none, [flag]: true });
  });

  test.each([
    ['format', 0, 2],
    ['format', 0, 0],
    ['kind 0', 1, 0],
    ['kind 6', 1, 6],
    ['flag', 2, 16],
    ['codec', 3, 3],
    ['suite', 4, 2],
    ...[5, 6, 7, 56, 57, 58, 59, 60, 61, 62, 63].map((at) => [`reserved byte ${at}`, at, 1] as const),
    ['highest bit of the reserved word', 56, 0x80],
  ] as const)('an unknown %s is unsupported', (_, at, value) => {
    const bytes = headerBytes();
    bytes[at] = value;
    expect(codeOf(() => decodeRecordHeader(bytes))).toBe('unsupported');
  });

  test('a length above the limit is too large', () => {
    expect(decodeRecordHeader(headerBytes({ bodyLength: MAX_BODY_BYTES })).bodyLength).toBe(MAX_BODY_BYTES);
    expect(codeOf(() => decodeRecordHeader(headerBytes({ bodyLength: MAX_BODY_BYTES + 1 })))).toBe(
      'tooLarge',
    );
    expect(codeOf(() => decodeRecordHeader(headerBytes({ plainLength: MAX_BODY_BYTES + 1 })))).toBe(
      'tooLarge',
    );
  });

  test.each([8, 16, 48])('a counter at %d above 2^53-1 is a protocol error', (at) => {
    const bytes = headerBytes();
    bytes[at] = 1;
    expect(codeOf(() => decodeRecordHeader(bytes))).toBe('protocol');
  });

  test('fewer than 64 bytes are cut off', () => {
    expect(codeOf(() => decodeRecordHeader(headerBytes().subarray(0, 63)))).toBe('protocol');
  });
});

describe('record', () => {
  test('its digest is BLAKE3 of header and body', () => {
    const bytes = record(contentOf(100));
    expect(bytes.subarray(-32)).toEqual(blake3(bytes.subarray(0, -32)));
    expect(verifyRecord(recordAt(bytes, 0), digester)).toBe(true);
  });

  test.each([0, 20, 64, 163, 164, 195])('a flipped bit in byte %d shows', (at) => {
    const view = recordAt(record(contentOf(100)), 0);
    view.bytes[at]! ^= 1;
    expect(verifyRecord(view, digester)).toBe(false);
  });

  test('is read in place, behind others', () => {
    const chunk = joined([record(contentOf(5)), record(contentOf(7, 2), 1)]);
    const view = recordAt(chunk, RECORD_OVERHEAD_BYTES + 5);
    expect(view.header.index).toBe(1);
    expect(view.body).toEqual(contentOf(7, 2));
    expect(view.body.buffer).toBe(chunk.buffer);
    expect(view.bytes.length).toBe(RECORD_OVERHEAD_BYTES + 7);
    expect(view.digest).toEqual(chunk.subarray(-32));
  });

  test('a chunk gives all of its records', () => {
    const parts = [record(contentOf(5)), record(new Uint8Array(0), 1), record(contentOf(9, 3), 2)];
    expect(recordsIn(joined(parts)).map(({ bytes }) => bytes)).toEqual(parts);
    expect(recordsIn(new Uint8Array(0))).toEqual([]);
  });

  test.each([1, 31, 32, 33, 95, 96])('a chunk that lacks its last %d bytes is refused', (missing) => {
    const chunk = joined([record(contentOf(5)), record(contentOf(5), 1)]);
    expect(codeOf(() => recordsIn(chunk.subarray(0, -missing)))).toBe('protocol');
  });
});
