import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SendBudget } from '../../../src/runtime/send-budget.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** A budget that has watched a network take `bytesPerSecond` for a second, with something always waiting. */
function budgetAt(bytesPerSecond: number): SendBudget {
  const budget = new SendBudget();
  const waiting = 1_000;
  for (let now = 0; now <= 1_000; now += 50) {
    const taken = Math.round((bytesPerSecond * now) / 1_000);
    budget.observe(now, taken + waiting, waiting);
  }
  return budget;
}

test('before the network was the limit, a message takes 1 MiB of content and 2 MiB may wait', () => {
  const { bytesPerSecond, bufferBytes, messageBytes } = new SendBudget();
  expect([bytesPerSecond, bufferBytes]).toEqual([null, 2 * MIB]);
  expect(messageBytes).toBeGreaterThanOrEqual(MIB + 4 * 96);
  expect(messageBytes).toBeLessThan(MIB + 64 * KIB);
});

test('30 ms of the rate may wait, a message takes 20 ms of it', () => {
  const budget = budgetAt(10_000_000);
  expect(budget.bytesPerSecond).toBeCloseTo(10_000_000, 0);
  expect([budget.bufferBytes, budget.messageBytes]).toEqual([300_000, 200_000]);
});

// A fraction went through fragments into the credit of a stream, from there into the length of a read, which never ended.
test('budgets are whole bytes and within their bounds, whatever the rate', () => {
  fc.assert(
    fc.property(fc.double({ min: 1, max: 1e10, noNaN: true }), (bytesPerSecond) => {
      const { bufferBytes, messageBytes } = budgetAt(bytesPerSecond);
      expect(Number.isSafeInteger(bufferBytes) && Number.isSafeInteger(messageBytes)).toBe(true);
      expect(bufferBytes >= 64 * KIB && bufferBytes <= 4 * MIB).toBe(true);
      expect(messageBytes >= 16 * KIB && messageBytes < MIB + 64 * KIB).toBe(true);
    }),
  );
});
