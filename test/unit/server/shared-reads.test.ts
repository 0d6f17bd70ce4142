import { expect, test } from 'vitest';
import { type ReadSpan, SharedReads } from '../../../src/server/hub/shared-reads.ts';

/** Reads of a log of zeros that are answered when the test says so. */
function newReads() {
  const calls: { position: number; answer: () => void; fail: (error: Error) => void }[] = [];
  const reads = new SharedReads(
    (position, maxBytes) =>
      new Promise<ReadSpan>((resolve, reject) => {
        const answer = (): void => resolve({ chunk: new Uint8Array(maxBytes), records: 1 });
        calls.push({ position, answer, fail: reject });
      }),
  );
  return { reads, calls };
}

test('one read serves all who want the same place, while it is under way and afterwards', async () => {
  const { reads, calls } = newReads();
  const [first, second] = [reads.read(0, 100), reads.read(0, 100)];
  expect(calls).toHaveLength(1);
  calls[0]?.answer();
  const [a, b] = await Promise.all([first, second]);
  expect(a.chunk).toBe(b.chunk);
  expect(await reads.read(0, 100)).toMatchObject({ records: 1 });
  expect((await reads.read(0, 200)).chunk).toBe(a.chunk);
  expect(calls).toHaveLength(1);
});

test('nobody gets more than was asked for', async () => {
  const { reads, calls } = newReads();
  void reads.read(0, 100);
  void reads.read(0, 50);
  expect(calls).toHaveLength(2);
  for (const { answer } of calls.splice(0)) answer();
  expect((await reads.read(0, 60)).chunk).toHaveLength(50);
  expect(calls).toHaveLength(0);
});

test('a fresh read does not come from memory', async () => {
  const { reads, calls } = newReads();
  void reads.read(0, 100);
  void reads.readFresh(0, 100);
  expect(calls).toHaveLength(2);
});

test('a failed read is not shared with later ones', async () => {
  const { reads, calls } = newReads();
  const first = reads.read(0, 100);
  calls[0]?.fail(new Error('the disk'));
  await expect(first).rejects.toThrow('the disk');
  void reads.read(0, 100);
  expect(calls).toHaveLength(2);
});
