import { describe, expect, test } from 'vitest';
import { type LogPoint, SendWindow } from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf } from '../../support/log-fixtures.ts';

const chainAt = (index: number) => contentOf(32, index + 1);
const point = (index: number): LogPoint => ({ index, chain: chainAt(index) });
const record = (index: number) => new Uint8Array(100 + index).fill(index);

/** An open window that starts at `base` and holds the `count` records behind it. */
function windowOf(
  count: number,
  base = 0,
  limit = 1_000,
  onRelease?: (bytes: Uint8Array) => void,
): SendWindow {
  const window = new SendWindow(point(base), limit, onRelease, base * 10);
  for (let i = base; i < base + count; i++) window.append(record(i), chainAt(i + 1), (i + 1) * 10);
  window.handleOpened(point(base));
  return window;
}

/** Everything the window gives out now, by the index it was made with. */
function drain(window: SendWindow): number[] {
  const taken: number[] = [];
  while (window.nextLength() > 0) {
    const length = window.nextLength();
    const bytes = window.take();
    expect(bytes.length).toBe(length);
    taken.push(bytes.length - 100);
  }
  return taken;
}

test('gives records once, in order', () => {
  const window = windowOf(3);
  expect(window.isIdle).toBe(true);
  expect(drain(window)).toEqual([0, 1, 2]);
  expect(drain(window)).toEqual([]);
  expect(window.isIdle).toBe(false);
  expect(() => window.take()).toThrow(RangeError);
  expect(window.sentIndex).toBe(3);
});

test('gives nothing before a connection is there', () => {
  const window = new SendWindow(point(0), 1_000);
  window.append(record(0), chainAt(1));
  expect(drain(window)).toEqual([]);
  window.handleOpened(point(0));
  expect(drain(window)).toEqual([0]);
});

test('gives nothing while paused', () => {
  const window = windowOf(2);
  window.setPaused(true);
  expect(drain(window)).toEqual([]);
  window.setPaused(false);
  expect(drain(window)).toEqual([0, 1]);
});

test('has room until it holds its window; what is durable is let go, in order', () => {
  const released: Uint8Array[] = [];
  const window = windowOf(3, 0, 310, (bytes) => released.push(bytes));
  expect([window.heldBytes, window.hasRoom]).toEqual([303, true]);
  window.append(record(3), chainAt(4), 40);
  expect([window.heldBytes, window.hasRoom]).toEqual([406, false]);
  drain(window);
  window.handleDurable(point(2));
  expect(released).toEqual([record(0), record(1)]);
  expect([window.heldBytes, window.hasRoom, window.durable, window.isEmpty]).toEqual([
    205,
    true,
    point(2),
    false,
  ]);
  window.handleDurable(point(4));
  expect([window.heldBytes, window.isEmpty, window.isIdle]).toEqual([0, true, true]);
});

test('an older durable point says nothing new', () => {
  const window = windowOf(3);
  drain(window);
  window.handleDurable(point(2));
  window.handleDurable(point(1));
  window.handleDurable(point(2));
  expect(window.durable).toEqual(point(2));
});

test('progress: content that was handed out and content that is durable', () => {
  const window = windowOf(3, 2);
  expect([window.sentContentBytes, window.durableContentBytes]).toEqual([20, 20]);
  window.take();
  window.take();
  expect([window.sentContentBytes, window.durableContentBytes]).toEqual([40, 20]);
  window.handleDurable(point(3));
  expect([window.sentContentBytes, window.durableContentBytes]).toEqual([40, 30]);
  window.handleDurable(point(4));
  expect([window.sentContentBytes, window.durableContentBytes]).toEqual([40, 40]);
});

describe('after a reconnect', () => {
  test('the very same bytes go out again from the durable point', () => {
    const window = windowOf(0);
    const bytes = record(0);
    window.append(bytes, chainAt(1));
    window.append(record(1), chainAt(2));
    expect(window.take()).toBe(bytes);
    window.handleClosed();
    expect(drain(window)).toEqual([]);
    window.handleOpened(point(0));
    expect(window.take()).toBe(bytes);
    expect(window.sentIndex).toBe(1);
  });

  test('what the server made durable meanwhile does not', () => {
    const window = windowOf(4);
    drain(window);
    window.handleClosed();
    window.handleOpened(point(3));
    expect(drain(window)).toEqual([3]);
  });

  test('a server behind what it had acknowledged has lost data', () => {
    const window = windowOf(4);
    window.handleDurable(point(2));
    window.handleClosed();
    expect(codeOf(() => window.handleOpened(point(1)))).toBe('dataLost');
    expect(drain(window)).toEqual([]);
  });

  test.each([
    ['another chain at the same point', { index: 2, chain: chainAt(9) }],
    ['another chain further on', { index: 3, chain: chainAt(9) }],
    ['more records than were sent', point(5)],
  ])('%s is a conflict', (_, durable) => {
    const window = windowOf(4);
    window.handleDurable(point(2));
    window.handleClosed();
    expect(codeOf(() => window.handleOpened(durable))).toBe('conflict');
    expect([window.durable, window.heldBytes]).toEqual([point(2), 205]);
  });
});

describe('NACK', () => {
  test('goes back', () => {
    const window = windowOf(4);
    drain(window);
    window.handleNack(1);
    expect(drain(window)).toEqual([1, 2, 3]);
    expect(window.sentIndex).toBe(4);
  });

  test('never goes forward', () => {
    const window = windowOf(4);
    window.take();
    window.handleNack(3);
    expect(drain(window)).toEqual([1, 2, 3]);
  });

  test('of a durable record is a conflict', () => {
    const window = windowOf(4);
    drain(window);
    window.handleDurable(point(2));
    expect(codeOf(() => window.handleNack(1))).toBe('conflict');
    window.handleNack(2);
    expect(drain(window)).toEqual([2, 3]);
  });

  test('records that became durable before they went out again are not sent', () => {
    const window = windowOf(4);
    drain(window);
    window.handleNack(0);
    window.handleDurable(point(3));
    expect(drain(window)).toEqual([3]);
  });
});

test('a record that went out twice is not released: a socket may still hold its bytes', () => {
  const released: Uint8Array[] = [];
  const start = { index: 0, chain: new Uint8Array(32) };
  const window = new SendWindow(start, 1_000, (record) => released.push(record));
  const chains = [1, 2].map((value) => new Uint8Array(32).fill(value));
  for (const chain of chains) window.append(new Uint8Array(10), chain);
  window.handleOpened(start);
  window.take();
  window.handleNack(0);
  window.take();
  window.take();
  window.handleDurable({ index: 2, chain: chains[1] as Uint8Array });
  expect(released).toHaveLength(1);
});
