// The rate of a transfer: its start, its half-life, standstill, resume, and what it says about the time left.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RateMeter } from '../../../src/cli/rate-meter.ts';

/** Samples a steady transfer every `stepMs` and returns where it ended. */
function run(
  meter: RateMeter,
  from: { ms: number; bytes: number },
  forMs: number,
  rate: number,
  stepMs = 100,
) {
  for (let ms = stepMs; ms <= forMs; ms += stepMs)
    meter.sample(from.ms + ms, from.bytes + (rate * ms) / 1000);
  return { ms: from.ms + forMs, bytes: from.bytes + (rate * forMs) / 1000 };
}

function started(startBytes = 0): RateMeter {
  const meter = new RateMeter();
  meter.sample(0, startBytes);
  return meter;
}

const start = { ms: 0, bytes: 0 };

test('says nothing before the second sample', () => {
  const meter = new RateMeter();
  expect([meter.bytesPerSecond, meter.etaSeconds(10), meter.stalledSeconds(5000)]).toEqual([0, null, 0]);
  meter.sample(1000, 500);
  expect([meter.bytesPerSecond, meter.etaSeconds(10), meter.stalledSeconds(1000)]).toEqual([0, null, 0]);
});

test.each([1, 10, 100, 500, 1000])('a steady rate is right after a second, sampled every %i ms', (stepMs) => {
  const meter = started();
  run(meter, start, 1000, 5000, stepMs);
  expect(meter.bytesPerSecond).toBeCloseTo(5000, 6);
  run(meter, { ms: 1000, bytes: 5000 }, 20_000, 5000, stepMs);
  expect(meter.bytesPerSecond).toBeCloseTo(5000, 6);
});

test('a burst at the start does not look like a rate', () => {
  const meter = started();
  meter.sample(1, 8_000_000);
  expect(meter.bytesPerSecond).toBeLessThan(8_600_000);
});

test('a past rate counts half after five seconds, or the half-life given', () => {
  for (const [meter, halfLifeMs] of [
    [new RateMeter(), 5000],
    [new RateMeter({ halfLifeMs: 1000 }), 1000],
  ] as const) {
    meter.sample(0, 0);
    const end = run(meter, start, 200_000, 1000);
    run(meter, end, halfLifeMs, 0);
    expect(meter.bytesPerSecond).toBeCloseTo(500, 3);
    run(meter, { ...end, ms: end.ms + halfLifeMs }, halfLifeMs, 0);
    expect(meter.bytesPerSecond).toBeCloseTo(250, 3);
  }
});

test.each([0, -1, Number.NaN])('refuses a half-life of %d', (halfLifeMs) => {
  expect(() => new RateMeter({ halfLifeMs })).toThrow(RangeError);
});

test('bytes there before a resume are no speed', () => {
  const meter = started(1e12);
  run(meter, { ms: 0, bytes: 1e12 }, 3000, 100);
  expect(meter.bytesPerSecond).toBeCloseTo(100, 3);
});

test('a total that goes back is a new starting point', () => {
  const meter = started();
  run(meter, start, 10_000, 1000);
  meter.sample(10_100, 4000);
  expect(meter.bytesPerSecond).toBeGreaterThan(900);
  run(meter, { ms: 10_100, bytes: 4000 }, 30_000, 1000);
  expect(meter.bytesPerSecond).toBeGreaterThan(980);
  expect(meter.bytesPerSecond).toBeLessThanOrEqual(1000);
});

test('samples at one time, or back in time, lose no bytes', () => {
  const meter = started();
  for (let second = 1; second <= 60; second += 1) {
    meter.sample(second * 1000, second * 1000 - 500);
    meter.sample(second * 1000, second * 1000);
    meter.sample(second * 1000 - 300, second * 1000);
  }
  expect(meter.bytesPerSecond).toBeGreaterThan(900);
  expect(meter.bytesPerSecond).toBeLessThanOrEqual(1000);
});

describe('etaSeconds', () => {
  test.each<[string, number, number, number, number | null]>([
    ['too early and too little', 1900, 10, 100_000, null],
    ['two seconds', 2000, 10, 100_000, 10_000],
    ['one per cent before that', 1000, 100, 9900, 99],
    ['just less than one per cent', 1000, 100, 9901, null],
    ['nothing left', 100, 0, 0, 0],
    ['nothing moves', 5000, 0, 10, null],
    ['more than a hundred days', 5000, 1, 1e9, null],
  ])('%s', (_what, forMs, rate, remaining, expected) => {
    const meter = started();
    run(meter, start, forMs, rate);
    const eta = meter.etaSeconds(remaining);
    if (expected === null) expect(eta).toBeNull();
    else expect(eta).toBeCloseTo(expected, 3);
  });
});

test('counts the seconds since bytes last came', () => {
  const meter = started();
  const end = run(meter, start, 2000, 1000);
  run(meter, end, 7000, 0);
  expect(meter.stalledSeconds(9000)).toBe(7);
  expect(meter.stalledSeconds(9500)).toBe(7.5);
  meter.sample(10_000, 5000);
  expect(meter.stalledSeconds(10_000)).toBe(0);
  expect(meter.stalledSeconds(9000)).toBe(0);
});

test('is never negative, never beyond the fastest interval, whatever the samples', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: -1e9, max: 1e9 })));
  fc.assert(
    fc.property(steps, (samples) => {
      const meter = started();
      let ms = 0;
      let bytes = 0;
      let gained = 0;
      for (const [elapsedMs, change] of samples) {
        ms += elapsedMs;
        bytes = Math.max(0, bytes + change);
        gained += Math.max(0, change);
        meter.sample(ms, bytes);
        expect(meter.bytesPerSecond).toBeGreaterThanOrEqual(0);
        // All bytes in the shortest time the correction allows, one second, and the convexity of the weight.
        expect(meter.bytesPerSecond).toBeLessThanOrEqual(gained * 1.1);
        const eta = meter.etaSeconds(1000);
        expect(eta === null || (eta >= 0 && Number.isFinite(eta))).toBe(true);
      }
    }),
  );
});
