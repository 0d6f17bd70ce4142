// Progress is told at once, then at most ten times a second, and the last change is never lost.
import { expect, test } from 'vitest';
import { ProgressPace } from '../../../src/client/progress-pace.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function rig(): { clock: FakeClock; pace: ProgressPace; told: number[] } {
  const clock = new FakeClock();
  const told: number[] = [];
  return { clock, told, pace: new ProgressPace(clock, () => told.push(clock.now())) };
}

test('the first change is told at once, further ones together when 100 ms are over', async () => {
  const { clock, pace, told } = rig();
  pace.request();
  expect(told).toEqual([0]);
  for (let i = 0; i < 9; i++) {
    await clock.advance(10);
    pace.request();
  }
  expect(told).toEqual([0]);
  await clock.advance(10);
  expect(told).toEqual([0, 100]);
  expect(clock.nextTimerAt).toBeNull();
});

test('after a pause a change is told at once again', async () => {
  const { clock, pace, told } = rig();
  pace.request();
  await clock.advance(100);
  pace.request();
  expect(told).toEqual([0, 100]);
});

test('a second of changes is told eleven times', async () => {
  const { clock, pace, told } = rig();
  for (let ms = 0; ms <= 1_000; ms++) {
    pace.request();
    await clock.advance(1);
  }
  expect(told).toHaveLength(11);
});

test('once stopped nothing is told', async () => {
  const { clock, pace, told } = rig();
  pace.request();
  pace.request();
  pace.stop();
  await clock.advance(1_000);
  expect(told).toEqual([0]);
  expect(clock.nextTimerAt).toBeNull();
});
