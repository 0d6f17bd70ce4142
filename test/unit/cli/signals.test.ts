import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { onInterrupt, stopOnInterrupt } from '../../../src/cli/signals.ts';

let nowMs = 0;
const now = () => nowMs;

beforeEach(() => {
  nowMs = 0;
});

describe('onInterrupt', () => {
  function rig() {
    const source = new EventEmitter();
    const calls: string[] = [];
    const forget = onInterrupt(
      { stop: () => calls.push('stop'), endAtOnce: () => calls.push('end') },
      now,
      source,
    );
    return { source, calls, forget };
  }

  test('the first signal stops in order, the second ends at once', () => {
    const { source, calls } = rig();
    source.emit('SIGINT');
    nowMs += 500;
    source.emit('SIGTERM');
    expect(calls).toEqual(['stop', 'end']);
  });

  test('one Ctrl-C that arrives twice (terminal and npx) is one', () => {
    const { source, calls } = rig();
    source.emit('SIGINT');
    nowMs += 20;
    source.emit('SIGINT');
    expect(calls).toEqual(['stop']);
  });

  test('after the end signals are those of the system again', () => {
    const { source, forget } = rig();
    forget();
    expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0);
  });
});

test('a transfer that does not stop is ended', () => {
  vi.useFakeTimers();
  try {
    const source = new EventEmitter();
    const said: string[] = [];
    const endAtOnce = vi.fn();
    const transfer = { stop: vi.fn(() => new Promise<void>(() => {})) };
    const forget = stopOnInterrupt(transfer, { say: (line) => said.push(line), endAtOnce }, now, source);
    source.emit('SIGTERM');
    expect(transfer.stop).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(1000);
    expect(said).toEqual(['Stopping. Ctrl-C again ends at once.']);
    expect(endAtOnce).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2000);
    expect(endAtOnce).toHaveBeenCalledOnce();
    forget();
  } finally {
    vi.useRealTimers();
  }
});
