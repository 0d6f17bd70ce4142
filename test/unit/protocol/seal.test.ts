import { expect, test } from 'vitest';
import { decodeSeal, encodeSeal } from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf } from '../../support/log-fixtures.ts';

const seal = { records: 7, files: 3, contentBytes: 2 ** 41, chain: contentOf(32) };
const json = { records: 7, files: 3, bytes: 1, chain: Buffer.from(contentOf(32)).toString('base64url') };
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('round trip', () => {
  expect(decodeSeal(encodeSeal(seal))).toEqual(seal);
});

test('unknown keys are ignored', () => {
  expect(decodeSeal(bytes({ ...json, later: [1] })).records).toBe(7);
});

test.each([
  ['no JSON', Buffer.from('{')],
  ['bytes that are not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d])],
  ['a list', bytes([])],
  ['null', bytes(null)],
  ['a negative count', bytes({ ...json, records: -1 })],
  ['a fraction', bytes({ ...json, files: 0.5 })],
  ['too large a count', bytes({ ...json, bytes: 2 ** 53 })],
  ['a text for a count', bytes({ ...json, bytes: '1' })],
  ['a short chain', bytes({ ...json, chain: 'AAAA' })],
  ['no chain', bytes({ ...json, chain: undefined })],
])('%s is refused', (_, plain) => {
  expect(codeOf(() => decodeSeal(plain))).toBe('protocol');
});
