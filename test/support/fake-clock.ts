// A clock that stands still until the test moves it.
import type { Clock, Timer } from '../../src/runtime/index.ts';

interface PendingTimer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Wall time when monotonic time is 0. */
const WALL_START_MS = Date.UTC(2030, 0, 1);

export class FakeClock implements Clock {
  #now = 0;
  #made = 0;
  readonly #timers = new Set<PendingTimer>();

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return WALL_START_MS + this.#now;
  }

  setTimer(callback: () => void, delayMs: number): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#made++, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** When the next timer is due, ms, or null. */
  get nextTimerAt(): number | null {
    return this.#next()?.at ?? null;
  }

  /** Moves time on, timer by timer, and lets promises settle in between. */
  async advance(byMs: number): Promise<void> {
    const until = this.#now + byMs;
    await settle();
    for (let next = this.#next(); next !== null && next.at <= until; next = this.#next()) {
      this.#fire(next);
      await settle();
    }
    this.#now = until;
  }

  /** Moves time on until `promise` settles. Throws when nothing is left to wait for. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const mark = (): void => {
      isSettled = true;
    };
    promise.then(mark, mark);
    await settle();
    while (!isSettled) {
      const next = this.#next();
      if (next === null) throw new Error('no timer is left, and the promise has not settled');
      this.#fire(next);
      await settle();
    }
    return promise;
  }

  #next(): PendingTimer | null {
    let first: PendingTimer | null = null;
    for (const timer of this.#timers) {
      if (first === null || timer.at < first.at || (timer.at === first.at && timer.order < first.order)) {
        first = timer;
      }
    }
    return first;
  }

  #fire(timer: PendingTimer): void {
    this.#now = Math.max(this.#now, timer.at);
    this.#timers.delete(timer);
    timer.callback();
  }
}

/** Lets every promise that can settle without time or I/O do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
