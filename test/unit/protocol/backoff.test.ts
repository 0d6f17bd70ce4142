import { expect, test } from 'vitest';
import { BACKOFF_CAP_MS, backoffMs } from '../../../src/protocol/index.ts';

const ALMOST_ONE = 1 - 2 ** -53;

test('the ceiling doubles from 0.5 s up to the cap', () => {
  const ceilings = [1, 2, 3, 4, 5, 6, 7, 8, 1_000].map((attempt) =>
    Math.round(backoffMs(attempt, ALMOST_ONE)),
  );
  expect(ceilings).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);
});

test('the wait is spread over all of it', () => {
  expect(backoffMs(3, 0)).toBe(0);
  expect(backoffMs(3, 0.25)).toBe(500);
});

test('it waits at least as long as the server asked for, spread by up to a quarter', () => {
  expect(backoffMs(1, 0, 10_000)).toBe(10_000);
  expect(backoffMs(1, 0.5, 10_000)).toBe(11_250);
  expect(backoffMs(1, ALMOST_ONE, 100)).toBeCloseTo(500);
});

test('a server may ask for more than the cap', () => {
  expect(backoffMs(1, 0, 60_000)).toBeGreaterThan(BACKOFF_CAP_MS);
});
