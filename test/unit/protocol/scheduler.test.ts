import { describe, expect, test } from 'vitest';
import { type Priority, Scheduler } from '../../../src/protocol/index.ts';

const KIB = 1024;
const CLASSES: readonly Priority[] = ['interactive', 'normal', 'background'];

/** Sends `turns` messages; `sizeOf` says how long the next message of a stream is. Returns bytes by stream. */
function run(
  scheduler: Scheduler,
  turns: number,
  sizeOf: (stream: number, turn: number) => number,
): Map<number, number> {
  const sent = new Map<number, number>();
  for (let turn = 0; turn < turns; turn++) {
    const stream = scheduler.next();
    if (stream === null) break;
    const bytes = sizeOf(stream, turn);
    scheduler.charge(stream, bytes);
    sent.set(stream, (sent.get(stream) ?? 0) + bytes);
  }
  return sent;
}

function withStreams(...priorities: Priority[]): Scheduler {
  const scheduler = new Scheduler();
  for (const [i, priority] of priorities.entries()) {
    scheduler.add(i + 1, priority);
    scheduler.wake(i + 1);
  }
  return scheduler;
}

describe('shares of the classes are 8:4:1', () => {
  test.each([
    ['small messages', () => 1 * KIB],
    ['messages of a record', () => 256 * KIB],
    ['messages of the largest size', () => 1024 * KIB],
    [
      'small ones for the interactive, large ones for the rest',
      (stream: number) => (stream === 1 ? 4 : 1024) * KIB,
    ],
    [
      'large ones for the interactive, small ones for the rest',
      (stream: number) => (stream === 1 ? 1024 : 4) * KIB,
    ],
    ['mixed sizes', (_: number, turn: number) => (1 + ((turn * 7_919) % 1024)) * KIB],
  ])('with %s', (_, sizeOf) => {
    const sent = run(withStreams(...CLASSES), 20_000, sizeOf);
    const total = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    expect(sent.get(1)! / total).toBeCloseTo(8 / 13, 1.5);
    expect(sent.get(2)! / total).toBeCloseTo(4 / 13, 1.5);
    expect(sent.get(3)! / total).toBeCloseTo(1 / 13, 1.5);
  });

  test('however many streams a class has', () => {
    const sent = run(
      withStreams('interactive', 'background', 'background', 'background', 'background'),
      20_000,
      () => 100 * KIB,
    );
    expect(sent.get(1)! / (sent.get(2)! * 4)).toBeCloseTo(8, 0);
  });

  test('also when a stream sleeps after each message', () => {
    const scheduler = withStreams(...CLASSES);
    const sent = new Map<number, number>();
    for (let turn = 0; turn < 20_000; turn++) {
      const stream = scheduler.next()!;
      const bytes = (stream === 3 ? 1024 : 64) * KIB;
      scheduler.charge(stream, bytes);
      sent.set(stream, (sent.get(stream) ?? 0) + bytes);
      // What a window of one record does: nothing to send for a moment, then again.
      if (stream === 3) {
        scheduler.sleep(3);
        scheduler.next();
        scheduler.wake(3);
      }
    }
    expect(sent.get(1)! / sent.get(3)!).toBeCloseTo(8, 0);
  });
});

test('one class alone gets everything, at once', () => {
  const scheduler = withStreams('background');
  expect(run(scheduler, 10, () => 1024 * KIB).get(1)).toBe(10 * 1024 * KIB);
});

test('nobody starves: the background has its turn within 13 quanta', () => {
  const scheduler = withStreams(...CLASSES);
  let before = 0;
  for (let stream = scheduler.next(); stream !== 3; stream = scheduler.next()) {
    scheduler.charge(stream!, 64 * KIB);
    before += 1;
  }
  expect(before).toBeLessThanOrEqual(13);
});

test('a class that slept saves nothing up', () => {
  const scheduler = withStreams('interactive', 'background');
  scheduler.sleep(1);
  run(scheduler, 1_000, () => 64 * KIB);
  scheduler.wake(1);
  const sent = run(scheduler, 900, () => 64 * KIB);
  expect(sent.get(1)! / sent.get(2)!).toBeCloseTo(8, 0);
});

test('an old debt is forgiven while the class sleeps', () => {
  const scheduler = withStreams('interactive', 'background');
  scheduler.sleep(1);
  scheduler.charge(scheduler.next()!, 10 * 1024 * KIB);
  scheduler.wake(1);
  scheduler.sleep(2);
  run(scheduler, 2_000, () => 1024 * KIB);
  scheduler.wake(2);
  const sent = run(scheduler, 100, () => 64 * KIB);
  expect(sent.get(2)).toBeGreaterThan(0);
});

test('streams of a class take turns', () => {
  const scheduler = withStreams('normal', 'normal', 'normal');
  const turns: (number | null)[] = [];
  for (let i = 0; i < 6; i++) {
    const stream = scheduler.next();
    turns.push(stream);
    scheduler.charge(stream!, 300 * KIB);
  }
  expect(turns).toEqual([1, 2, 3, 1, 2, 3]);
});

test('a stream that wakes waits behind those that are ready, and a second wake changes nothing', () => {
  const scheduler = withStreams('normal', 'normal');
  scheduler.sleep(1);
  scheduler.wake(1);
  scheduler.wake(2);
  expect(scheduler.next()).toBe(2);
});

test('asking twice without sending gives the same answer', () => {
  const scheduler = withStreams('normal', 'normal');
  expect([scheduler.next(), scheduler.next()]).toEqual([1, 1]);
});

test('only streams that are known and ready have a turn', () => {
  const scheduler = new Scheduler();
  expect(scheduler.next()).toBeNull();
  scheduler.add(1, 'normal');
  expect(scheduler.next()).toBeNull();
  scheduler.wake(9);
  scheduler.charge(9, 1);
  expect(scheduler.next()).toBeNull();
  scheduler.wake(1);
  expect(scheduler.next()).toBe(1);
  scheduler.remove(1);
  expect(scheduler.next()).toBeNull();
  scheduler.wake(1);
  expect(scheduler.next()).toBeNull();
});

test('charging a stream that sleeps does not wake it', () => {
  const scheduler = withStreams('normal');
  scheduler.sleep(1);
  scheduler.charge(1, 5);
  expect(scheduler.next()).toBeNull();
});
