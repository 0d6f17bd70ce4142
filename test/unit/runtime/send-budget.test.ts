// How much may wait in the socket: from the rate the network takes, and only from what was measured honestly.
import { expect, test } from 'vitest';
import { SendBudget } from '../../../src/runtime/index.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Observes a socket that takes `bytesPerMs` and always has something waiting. */
function busy(
  budget: SendBudget,
  bytesPerMs: number,
  fromMs: number,
  untilMs: number,
  alreadyTaken = 0,
): number {
  let taken = alreadyTaken;
  for (let now = fromMs; now <= untilMs; now += 5) {
    budget.observe(now, taken + MIB, MIB);
    taken += bytesPerMs * 5;
  }
  return taken;
}

test('before anything was measured it is generous', () => {
  const budget = new SendBudget();
  expect([budget.bytesPerSecond, budget.bufferBytes]).toEqual([null, 2 * MIB]);
  expect(budget.messageBytes).toBe(MIB + 32 * KIB);
});

test('a busy socket tells the rate: 30 ms of it may wait, a message takes 20 ms', () => {
  const budget = new SendBudget();
  busy(budget, 10_000, 0, 2_000);
  expect(budget.bytesPerSecond).toBeCloseTo(10_000_000, -5);
  expect(budget.bufferBytes).toBeCloseTo(300_000, -4);
  expect(budget.messageBytes).toBeCloseTo(200_000, -4);
});

test('a slow line still gets a little, a fast one not too much', () => {
  const slow = new SendBudget();
  busy(slow, 10, 0, 1_000);
  expect([slow.bufferBytes, slow.messageBytes]).toEqual([64 * KIB, 16 * KIB]);
  const fast = new SendBudget();
  busy(fast, 1_000_000, 0, 1_000);
  expect([fast.bufferBytes, fast.messageBytes]).toEqual([4 * MIB, MIB + 32 * KIB]);
});

test('a socket that ran empty says nothing of a slow line', () => {
  const budget = new SendBudget();
  for (let now = 0; now < 2_000; now += 10) budget.observe(now, now * 10, 0);
  expect(budget.bytesPerSecond).toBeNull();
});

test('but it may show that a line is faster than was thought', () => {
  const budget = new SendBudget();
  const taken = busy(budget, 1_000, 0, 500);
  const before = budget.bytesPerSecond as number;
  budget.observe(600, taken + 5_000_000, 0);
  budget.observe(700, taken + 10_000_000, 0);
  expect(budget.bytesPerSecond).toBeGreaterThan(before * 5);
});

test('follows a line that becomes slower within a second', () => {
  const budget = new SendBudget();
  const taken = busy(budget, 50_000, 0, 1_000);
  busy(budget, 500, 1_005, 2_500, taken);
  expect(budget.bytesPerSecond).toBeLessThan(1_500_000);
});

test('looks at most every 50 ms', () => {
  const budget = new SendBudget();
  budget.observe(0, MIB, MIB);
  budget.observe(49, 10 * MIB, MIB);
  expect(budget.bytesPerSecond).toBeNull();
  budget.observe(50, 10 * MIB, MIB);
  expect(budget.bytesPerSecond).toBe((9 * MIB * 1_000) / 50);
});
