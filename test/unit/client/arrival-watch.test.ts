// Silence while receiving: named after a second, ended after the time its user gave, and borne while we are the cause.
import { expect, test } from 'vitest';
import { ArrivalWatch } from '../../../src/client/arrival-watch.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function rig(waitTimeoutMs: number | null = null) {
  const clock = new FakeClock();
  const told: string[] = [];
  const state = { isWaiting: true };
  const watch = new ArrivalWatch({
    clock,
    waitTimeoutMs,
    isWaiting: () => state.isWaiting,
    onQuiet: () => told.push(`quiet ${clock.now()}`),
    onTimeout: () => told.push(`timeout ${clock.now()}`),
  });
  return { clock, watch, told, state };
}

test('a second of silence is told once, until something arrives again', async () => {
  const { clock, watch, told } = rig();
  watch.note();
  await clock.advance(5_000);
  expect(told).toEqual(['quiet 1000']);
  watch.note();
  await clock.advance(5_000);
  expect(told).toEqual(['quiet 1000', 'quiet 6000']);
  expect(clock.nextTimerAt).toBeNull();
});

test('what arrives puts both off, without a timer of its own', async () => {
  const { clock, watch, told } = rig(3_000);
  for (let i = 0; i < 100; i++) {
    watch.note();
    await clock.advance(100);
  }
  expect(told).toEqual([]);
  await clock.advance(10_000);
  expect(told).toEqual(['quiet 10900', 'timeout 12900']);
});

test('silence that is our own doing is not told', async () => {
  const { clock, watch, told, state } = rig(2_000);
  state.isWaiting = false;
  watch.note();
  await clock.advance(10_000);
  expect(told).toEqual([]);
  state.isWaiting = true;
  await clock.advance(100);
  expect(told.map((text) => text.split(' ')[0]).sort()).toEqual(['quiet', 'timeout']);
});

test('once stopped nothing is told', async () => {
  const { clock, watch, told } = rig(2_000);
  watch.note();
  watch.stop();
  await clock.advance(10_000);
  expect(told).toEqual([]);
  expect(clock.nextTimerAt).toBeNull();
});
