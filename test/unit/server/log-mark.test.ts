import { expect, test } from 'vitest';
import type { LogSnapshot } from '../../../src/protocol/index.ts';
import { decodeMark, encodeMark } from '../../../src/server/log/log-mark.ts';
import { MAX_MARK_BYTES } from '../../../src/server/log/log-store.ts';
import { blake3, digester } from '../../support/digester.ts';
import { contentOf, startOfLog } from '../../support/log-fixtures.ts';

const H = startOfLog().chain;

const full: LogSnapshot = {
  index: 2 ** 53 - 1,
  position: 2 ** 53 - 2,
  chain: contentOf(32),
  nextFile: 1_000_001,
  openFiles: Array.from({ length: 16 }, (_, i) => ({ file: i + 999_000, nextOffset: 2 ** 52 + i })),
  endedFiles: 1_000_000,
  contentBytes: 2 ** 53 - 3,
  isSealed: true,
};

test.each([
  ['an empty log', startOfLog()],
  ['the largest state', full],
])('%s is read back as it was', (_, snapshot) => {
  const mark = encodeMark(snapshot, H, digester);
  expect(mark.length).toBeLessThanOrEqual(MAX_MARK_BYTES);
  expect(decodeMark(mark, H, digester)).toEqual(snapshot);
});

test('any flipped bit, any cut and another transfer make it unreadable', () => {
  const mark = encodeMark(full, H, digester);
  for (let bit = 0; bit < mark.length * 8; bit++) {
    const damaged = mark.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(decodeMark(damaged, H, digester)).toBe(null);
  }
  for (let length = 0; length < mark.length; length++) {
    expect(decodeMark(mark.subarray(0, length), H, digester)).toBe(null);
  }
  expect(decodeMark(mark, blake3(H), digester)).toBe(null);
});
