import { describe, expect, test } from 'vitest';
import {
  decodePack,
  encodePack,
  PACK_ROW_BYTES,
  type PackedFile,
  packLength,
} from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf, packed } from '../../support/log-fixtures.ts';

const files: PackedFile[] = [
  packed(contentOf(10)),
  packed(new Uint8Array(0), 'removed'),
  packed(contentOf(300, 2), 'changed'),
];

const encoded = (): Uint8Array => {
  const bytes = new Uint8Array(packLength(files)).fill(0xff);
  encodePack(bytes, files);
  return bytes;
};

test('round trip, over a buffer that was used before', () => {
  expect(decodePack(encoded(), 3)).toEqual(files);
});

test('its length is a row and the content per file', () => {
  expect(packLength(files)).toBe(3 * PACK_ROW_BYTES + 310);
  expect(packLength([])).toBe(0);
});

test('contents are views', () => {
  const bytes = encoded();
  expect(decodePack(bytes, 3)[0]!.content.buffer).toBe(bytes.buffer);
});

describe('refused', () => {
  test.each([0, 2, 4, 1_000_000, Number.MAX_SAFE_INTEGER])('a count of %d', (count) => {
    expect(codeOf(() => decodePack(encoded(), count))).toBe('protocol');
  });

  test('a count of 0 for nothing', () => {
    expect(codeOf(() => decodePack(new Uint8Array(0), 0))).toBe('protocol');
  });

  test('a file that goes beyond the end', () => {
    const bytes = encoded();
    bytes[2 * PACK_ROW_BYTES] = 0xff;
    expect(codeOf(() => decodePack(bytes, 3))).toBe('protocol');
  });

  test('bytes that belong to no file', () => {
    expect(codeOf(() => decodePack(new Uint8Array([...encoded(), 0]), 3))).toBe('protocol');
  });

  test.each([5, 6, 7])('reserved byte %d of a row', (at) => {
    const bytes = encoded();
    bytes[PACK_ROW_BYTES + at] = 1;
    expect(codeOf(() => decodePack(bytes, 3))).toBe('unsupported');
  });

  test('an unknown status', () => {
    const bytes = encoded();
    bytes[4] = 4;
    expect(codeOf(() => decodePack(bytes, 3))).toBe('unsupported');
  });
});
