import { expect, test } from 'vitest';
import { ControlAllowance } from '../../../src/protocol/control-allowance.ts';
import { CONTROL_BURST_CHARS, CONTROL_CHARS_PER_SECOND } from '../../../src/protocol/index.ts';

const COST = 64;

test('takes a burst, each message at its length and a fixed cost', () => {
  const allowance = new ControlAllowance(0);
  expect(allowance.take(CONTROL_BURST_CHARS - COST, 0)).toBe(true);
  expect(allowance.take(0, 0)).toBe(false);
});

test('tiny messages are not free', () => {
  const allowance = new ControlAllowance(0);
  let taken = 0;
  while (allowance.take(2, 0)) taken += 1;
  expect(taken).toBe(Math.floor(CONTROL_BURST_CHARS / (COST + 2)));
});

test('fills up again with time, up to the burst', () => {
  const allowance = new ControlAllowance(0);
  allowance.take(CONTROL_BURST_CHARS - COST, 0);
  expect(allowance.take(CONTROL_CHARS_PER_SECOND - COST, 1_000)).toBe(true);
  expect(allowance.take(0, 1_000)).toBe(false);
  const rested = new ControlAllowance(0);
  expect(rested.take(CONTROL_BURST_CHARS - COST + 1, 1_000_000)).toBe(false);
});

test('a clock that goes back gives nothing', () => {
  const allowance = new ControlAllowance(1_000);
  allowance.take(CONTROL_BURST_CHARS - COST, 1_000);
  expect(allowance.take(0, 0)).toBe(false);
});
