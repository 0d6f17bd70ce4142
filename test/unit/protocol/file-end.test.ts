import { expect, test } from 'vitest';
import {
  decodeFileEnd,
  decodeFileStatus,
  encodeFileEnd,
  FILE_END_BYTES,
  FILE_STATUSES,
} from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf } from '../../support/log-fixtures.ts';

const encoded = (sizeBytes = 5): Uint8Array => {
  const bytes = new Uint8Array(FILE_END_BYTES).fill(0xff);
  encodeFileEnd(bytes, { blake3: contentOf(32), sizeBytes, status: 'ok' });
  return bytes;
};

test.each(FILE_STATUSES)('status %s survives', (status) => {
  const end = { blake3: contentOf(32), sizeBytes: 2 ** 40 + 1, status };
  const bytes = new Uint8Array(FILE_END_BYTES + 3).fill(0xee);
  encodeFileEnd(bytes, end);
  expect(decodeFileEnd(bytes.subarray(0, FILE_END_BYTES))).toEqual(end);
  expect([...bytes.subarray(FILE_END_BYTES)]).toEqual([0xee, 0xee, 0xee]);
});

test('the hash is a copy, so that the record can be let go, also a Node Buffer', () => {
  const bytes = Buffer.from(encoded());
  const end = decodeFileEnd(bytes);
  bytes.fill(0);
  expect(end.blake3).toEqual(contentOf(32));
});

test.each([0, FILE_END_BYTES - 1, FILE_END_BYTES + 1])('%d bytes are not a file end', (length) => {
  expect(codeOf(() => decodeFileEnd(new Uint8Array(length)))).toBe('protocol');
});

test.each([41, 42, 43, 44, 45, 46, 47])('reserved byte %d is refused', (at) => {
  const bytes = encoded();
  bytes[at] = 1;
  expect(codeOf(() => decodeFileEnd(bytes))).toBe('unsupported');
});

test('an unknown status is refused', () => {
  expect(codeOf(() => decodeFileStatus(4))).toBe('unsupported');
  const bytes = encoded();
  bytes[40] = 255;
  expect(codeOf(() => decodeFileEnd(bytes))).toBe('unsupported');
});

test('a size above 2^53-1 is refused', () => {
  const bytes = encoded();
  bytes[32] = 1;
  expect(codeOf(() => decodeFileEnd(bytes))).toBe('protocol');
});
