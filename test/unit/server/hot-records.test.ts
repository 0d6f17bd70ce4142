import { describe, expect, test } from 'vitest';
import { HotBudget, type HotChunk, HotRecords } from '../../../src/server/hub/hot-records.ts';

const KIB = 1024;
/** What each chunk counts beyond its bytes. */
const OVERHEAD = 512;

/** `count` chunks of `bytes`, each of which counts as `perChunk` records. */
function chunksOf(count: number, bytes: number, perChunk = 1): HotChunk[] {
  return Array.from({ length: count }, (_, i) => ({
    chunk: new Uint8Array(bytes).fill(i),
    first: { index: i * perChunk, position: i * bytes },
    next: { index: (i + 1) * perChunk, position: (i + 1) * bytes },
  }));
}

function pushAll(hot: HotRecords, chunks: readonly HotChunk[]): void {
  for (const chunk of chunks) hot.push(chunk);
}

describe('HotRecords', () => {
  test('finds the chunk of a position, by reference', () => {
    const hot = new HotRecords(new HotBudget(1024 * KIB), 1024 * KIB);
    const chunks = chunksOf(10, 1000);
    pushAll(hot, chunks);
    for (let position = 0; position < 10_000; position += 250) {
      expect(hot.find(position)?.chunk).toBe(chunks[Math.floor(position / 1000)]?.chunk);
    }
    expect(hot.find(10_000)).toBeNull();
  });

  test('is empty at first', () => {
    expect(new HotRecords(new HotBudget(1), 1).find(0)).toBeNull();
  });

  test('drops the oldest beyond its own bound', () => {
    const hot = new HotRecords(new HotBudget(1024 * KIB), 3 * (1000 + OVERHEAD));
    pushAll(hot, chunksOf(200, 1000));
    expect(hot.bytes).toBe(3 * (1000 + OVERHEAD));
    expect(hot.has(196_999)).toBe(false);
    expect(hot.has(197_000)).toBe(true);
  });

  test('keeps the newest chunk even when that alone is too much', () => {
    const budget = new HotBudget(10);
    const hot = new HotRecords(budget, 10);
    pushAll(hot, chunksOf(3, 1000));
    expect(hot.has(2_000)).toBe(true);
    expect(hot.has(1_999)).toBe(false);
    expect(budget.bytes).toBe(1000 + OVERHEAD);
  });

  test('counts a flood of tiny chunks for more than their bytes', () => {
    const hot = new HotRecords(new HotBudget(1024 * KIB), 10 * KIB);
    pushAll(hot, chunksOf(1_000, 1));
    expect(hot.bytes).toBeLessThanOrEqual(10 * KIB);
  });

  test('starts anew after a gap', () => {
    const hot = new HotRecords(new HotBudget(1024 * KIB), 1024 * KIB);
    const chunks = chunksOf(5, 1000);
    pushAll(hot, [chunks[0] as HotChunk, chunks[3] as HotChunk]);
    expect(hot.has(0)).toBe(false);
    expect(hot.has(3_000)).toBe(true);
  });

  test('gives everything back', () => {
    const budget = new HotBudget(1024 * KIB);
    const hot = new HotRecords(budget, 1024 * KIB);
    pushAll(hot, chunksOf(5, 1000));
    hot.clear();
    expect(budget.bytes).toBe(0);
    expect(hot.find(4_000)).toBeNull();
  });
});

describe('HotBudget', () => {
  test('makes the transfer give way that was written to least recently', () => {
    const budget = new HotBudget(6 * (1000 + OVERHEAD));
    const [idle, busy] = [new HotRecords(budget, 1024 * KIB), new HotRecords(budget, 1024 * KIB)];
    pushAll(idle, chunksOf(4, 1000));
    pushAll(busy, chunksOf(4, 1000));
    expect(idle.bytes).toBe(2 * (1000 + OVERHEAD));
    expect(busy.bytes).toBe(4 * (1000 + OVERHEAD));
    pushAll(busy, chunksOf(8, 1000).slice(4));
    // The idle one is left with its newest chunk.
    expect(idle.bytes).toBe(1000 + OVERHEAD);
    expect(budget.bytes).toBeLessThanOrEqual(6 * (1000 + OVERHEAD));
  });
});
