/** Silence while receiving: named after a second, ended after the time its user gave. */
import { expect, test } from 'vitest';
import { ArrivalWatch } from '../../../src/client/arrival-watch.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function watchWith(waitTimeoutMs: number | null): {
  clock: FakeClock;
  watch: ArrivalWatch;
  told: string[];
  setWaiting: (isWaiting: boolean) => void;
} {
  const clock = new FakeClock();
  const told: string[] = [];
  let isWaiting = true;
  const watch = new ArrivalWatch({
    clock,
    waitTimeoutMs,
    isWaiting: () => isWaiting,
    onQuiet: () => told.push(`quiet ${clock.now()}`),
    onTimeout: (ms) => told.push(`timeout ${ms} ${clock.now()}`),
  });
  const setWaiting = (value: boolean): void => {
    isWaiting = value;
  };
  return { clock, watch, told, setWaiting };
}

test('a second without data is told once, and again after the next data', async () => {
  const { clock, watch, told } = watchWith(null);
  const start = clock.now();
  watch.note();
  await clock.advance(5_000);
  expect(told).toEqual([`quiet ${start + 1_000}`]);
  watch.note();
  await clock.advance(999);
  expect(told).toHaveLength(1);
  await clock.advance(1_001);
  expect(told).toHaveLength(2);
});

test('data puts both off, and what is still being written is no silence', async () => {
  const { clock, watch, told, setWaiting } = watchWith(3_000);
  watch.note();
  for (let i = 0; i < 10; i++) {
    await clock.advance(900);
    watch.note();
  }
  expect(told).toEqual([]);
  setWaiting(false);
  await clock.advance(60_000);
  expect(told).toEqual([]);
  setWaiting(true);
  await clock.advance(200);
  expect(told.map((line) => line.split(' ')[0]).sort()).toEqual(['quiet', 'timeout']);
});

test('after stop nothing is told', async () => {
  const { clock, watch, told } = watchWith(100);
  watch.note();
  watch.stop();
  await clock.advance(10_000);
  expect(told).toEqual([]);
});
