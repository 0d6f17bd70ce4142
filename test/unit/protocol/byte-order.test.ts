import { describe, expect, test } from 'vitest';
import { equalBytes, readU64, viewOf, writeU64 } from '../../../src/protocol/byte-order.ts';
import { codeOf } from '../../support/errors.ts';

const view = () => new DataView(new ArrayBuffer(16));

describe('u64', () => {
  test.each([0, 1, 0xffff_ffff, 0x1_0000_0000, 0x1_2345_6789_abcd, Number.MAX_SAFE_INTEGER])(
    '%d survives',
    (value) => {
      const v = view();
      writeU64(v, 3, value);
      expect(readU64(v, 3)).toBe(value);
      expect(v.getBigUint64(3)).toBe(BigInt(value));
    },
  );

  test.each([-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('%d cannot be written', (value) => {
    expect(() => writeU64(view(), 0, value)).toThrow(RangeError);
  });

  test.each([2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])('%d is a protocol error', (value) => {
    const v = view();
    v.setBigUint64(0, value);
    expect(codeOf(() => readU64(v, 0))).toBe('protocol');
  });
});

test('a view covers exactly the bytes of its array', () => {
  const bytes = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3);
  expect(viewOf(bytes).byteLength).toBe(2);
  expect(viewOf(bytes).getUint16(0)).toBe(0x0203);
});

test.each([
  [[], [], true],
  [[1, 2], [1, 2], true],
  [[1, 2], [1, 3], false],
  [[1, 2], [1], false],
  [[1], [1, 2], false],
])('equalBytes(%j, %j) is %j', (a, b, expected) => {
  expect(equalBytes(new Uint8Array(a), new Uint8Array(b))).toBe(expected);
});
