// Events for listeners and iterators: order, the end with and without an error, and the bound of what waits.
import { expect, test } from 'vitest';
import { EventFeed } from '../../../src/client/event-feed.ts';
import { settle } from '../../support/fake-clock.ts';

interface TestEvent {
  readonly type: 'progress' | 'file' | 'done';
  readonly n: number;
}

const file = (n: number): TestEvent => ({ type: 'file', n });
const progress = (n: number): TestEvent => ({ type: 'progress', n });

async function all(iterator: AsyncIterator<TestEvent>): Promise<number[]> {
  const numbers: number[] = [];
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) numbers.push(next.value.n);
  return numbers;
}

test('every listener gets every event until it stops', () => {
  const feed = new EventFeed<TestEvent>();
  const first: number[] = [];
  const second: number[] = [];
  const stop = feed.on(({ n }) => first.push(n));
  feed.on(({ n }) => second.push(n));
  feed.emit(file(1));
  stop();
  feed.emit(file(2));
  expect([first, second]).toEqual([[1], [1, 2]]);
});

test('a listener may stop itself or add another one while an event is told', () => {
  const feed = new EventFeed<TestEvent>();
  const seen: string[] = [];
  const stop = feed.on(({ n }) => {
    seen.push(`first ${n}`);
    stop();
    feed.on((event) => seen.push(`late ${event.n}`));
  });
  feed.on(({ n }) => seen.push(`second ${n}`));
  feed.emit(file(1));
  feed.emit(file(2));
  expect(seen).toEqual(['first 1', 'second 1', 'second 2', 'late 2']);
});

test('an iterator gives what came before it was read, and what comes while it waits', async () => {
  const feed = new EventFeed<TestEvent>();
  const iterator = feed.iterate();
  feed.emit(file(1));
  expect(await iterator.next()).toEqual({ done: false, value: file(1) });
  const waiting = iterator.next();
  await settle();
  feed.emit(file(2));
  expect(await waiting).toEqual({ done: false, value: file(2) });
});

test('the end comes after the events before it, and nothing comes after the end', async () => {
  const feed = new EventFeed<TestEvent>();
  const iterator = feed.iterate();
  const listened: number[] = [];
  feed.on(({ n }) => listened.push(n));
  feed.emit(file(1));
  feed.end();
  feed.emit(file(2));
  expect(await all(iterator)).toEqual([1]);
  expect(listened).toEqual([1]);
});

test('a failure is thrown once, after the events before it', async () => {
  const feed = new EventFeed<TestEvent>();
  const iterator = feed.iterate();
  feed.emit(file(1));
  feed.end(new Error('broken'));
  expect((await iterator.next()).done).toBe(false);
  await expect(iterator.next()).rejects.toThrow('broken');
  expect((await iterator.next()).done).toBe(true);
});

test('an iterator that begins after the end learns how it ended', async () => {
  const done = new EventFeed<TestEvent>();
  done.end();
  expect((await done.iterate().next()).done).toBe(true);
  const failed = new EventFeed<TestEvent>();
  failed.end(new Error('broken'));
  await expect(failed.iterate().next()).rejects.toThrow('broken');
});

test('an iterator that is not read keeps the newest of progress, and at most 10,000 events', async () => {
  const feed = new EventFeed<TestEvent>();
  const iterator = feed.iterate();
  for (let n = 0; n < 50_000; n++) feed.emit(progress(n));
  feed.emit(file(50_000));
  feed.end();
  expect(await all(iterator)).toEqual([49_999, 50_000]);

  const other = new EventFeed<TestEvent>();
  const late = other.iterate();
  for (let n = 0; n < 10_005; n++) other.emit(file(n));
  other.end();
  const numbers = await all(late);
  expect([numbers.length, numbers[0], numbers.at(-1)]).toEqual([10_000, 5, 10_004]);
});

test('leaving an iterator lets go of it, also while it waits', async () => {
  const feed = new EventFeed<TestEvent>();
  const iterator = feed.iterate();
  const waiting = iterator.next();
  await iterator.return?.();
  expect((await waiting).done).toBe(true);
  feed.emit(file(1));
  expect((await iterator.next()).done).toBe(true);
});

test('two reads at once get two events', async () => {
  const feed = new EventFeed<TestEvent>();
  const iterator = feed.iterate();
  const reads = [iterator.next(), iterator.next()];
  await settle();
  feed.emit(file(1));
  feed.emit(file(2));
  expect((await Promise.all(reads)).map(({ value }) => (value as TestEvent).n)).toEqual([1, 2]);
});

test('iterators do not take events from each other', async () => {
  const feed = new EventFeed<TestEvent>();
  const [one, two] = [feed.iterate(), feed.iterate()];
  feed.emit(file(1));
  feed.end();
  expect([await all(one), await all(two)]).toEqual([[1], [1]]);
});
