import { expect, test } from 'vitest';
import { decodeBase64Url, encodeBase64Url } from '../../../src/protocol/index.ts';
import { contentOf } from '../../support/log-fixtures.ts';

test.each(Array.from({ length: 67 }, (_, length) => length))('%d bytes: as Node writes them', (length) => {
  const bytes = contentOf(length, length + 1);
  const text = encodeBase64Url(bytes);
  expect(text).toBe(Buffer.from(bytes).toString('base64url'));
  expect(decodeBase64Url(text)).toEqual(bytes);
});

test('all values of a byte survive', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect(decodeBase64Url(encodeBase64Url(bytes))).toEqual(bytes);
});

test.each([
  ['A', 'a length no bytes have'],
  ['AAAAA', 'a length no bytes have'],
  ['AA==', 'padding'],
  ['AB', 'bits that are not used are set'],
  ['AAB', 'bits that are not used are set'],
  ['+/+/', 'the other alphabet'],
  ['AA A', 'white space'],
  ['AAé', 'a letter outside'],
  ['😀AA', 'a character of two code units'],
])('%j is refused: %s', (text) => {
  expect(decodeBase64Url(text)).toBeNull();
});
