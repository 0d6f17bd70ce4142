import { describe, expect, test } from 'vitest';
import {
  encodeJson,
  parseObject,
  readArray,
  readBoolean,
  readBytes,
  readCount,
  readOneOf,
  readOptional,
  readString,
} from '../../../src/protocol/json-shape.ts';
import { codeOf } from '../../support/errors.ts';

const MAX = Number.MAX_SAFE_INTEGER;

describe('what is read', () => {
  test('an object, from text or UTF-8', () => {
    expect(parseObject('{"a":"ü"}', 'x')).toEqual({ a: 'ü' });
    expect(parseObject(encodeJson({ a: 'ü' }), 'x')).toEqual({ a: 'ü' });
  });

  test('values at their limits', () => {
    expect(readCount({ a: 0 }, 'a')).toBe(0);
    expect(readCount({ a: MAX }, 'a')).toBe(MAX);
    expect(readCount({ a: 5 }, 'a', 5)).toBe(5);
    expect(readString({ a: 'xyz' }, 'a', 3)).toBe('xyz');
    expect(readBoolean({ a: false }, 'a')).toBe(false);
    expect(readArray({ a: [1, 2] }, 'a', 2)).toEqual([1, 2]);
    expect(readOneOf({ a: 'y' }, 'a', ['x', 'y'])).toBe('y');
    expect(readBytes({ a: 'AQI' }, 'a', 2)).toEqual(new Uint8Array([1, 2]));
    expect(readBytes({ a: 'AQI' }, 'a', { max: 2 })).toEqual(new Uint8Array([1, 2]));
    expect(readBytes({ a: '' }, 'a', { max: 2 })).toEqual(new Uint8Array(0));
  });

  test('missing and null are the fallback, anything else is read', () => {
    expect(readOptional({}, 'a', 7, () => 8)).toBe(7);
    expect(readOptional({ a: null }, 'a', 7, () => 8)).toBe(7);
    expect(readOptional({ a: 0 }, 'a', 7, () => 8)).toBe(8);
    expect(readOptional({ a: false }, 'a', 7, () => 8)).toBe(8);
  });
});

test.each([
  ['no JSON', () => parseObject('{', 'x')],
  ['two values', () => parseObject('{}{}', 'x')],
  ['a list', () => parseObject('[]', 'x')],
  ['null', () => parseObject('null', 'x')],
  ['a byte order mark', () => parseObject(new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d]), 'x')],
  [
    'bytes that are not UTF-8',
    () => parseObject(new Uint8Array([0x7b, 0x22, 0xc3, 0x22, 0x3a, 0x31, 0x7d]), 'x'),
  ],
  ['a count that is missing', () => readCount({}, 'a')],
  ['a count above 2^53-1', () => readCount({ a: MAX + 1 }, 'a')],
  ['a count above its limit', () => readCount({ a: 6 }, 'a', 5)],
  ['a text that is too long', () => readString({ a: 'xyzw' }, 'a', 3)],
  ['a number for a boolean', () => readBoolean({ a: 1 }, 'a')],
  ['too long a list', () => readArray({ a: [1, 2, 3] }, 'a', 2)],
  ['an object like a list', () => readArray({ a: { length: 0 } }, 'a', 2)],
  ['a choice that is none', () => readOneOf({ a: 'z' }, 'a', ['x', 'y'])],
  ['fewer bytes', () => readBytes({ a: 'AQ' }, 'a', 2)],
  ['more bytes', () => readBytes({ a: 'AQID' }, 'a', { max: 2 })],
])('%s is refused', (_, read) => {
  expect(codeOf(read)).toBe('protocol');
});
