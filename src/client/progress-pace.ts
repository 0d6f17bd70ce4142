/** Reports progress at most ten times a second, and never leaves the last change untold. */
import type { Clock, Timer } from '../runtime/index.ts';

const INTERVAL_MS = 100;

export class ProgressPace {
  readonly #clock: Clock;
  readonly #report: () => void;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;

  constructor(clock: Clock, report: () => void) {
    this.#clock = clock;
    this.#report = report;
  }

  /** Something changed: it is reported now, or when the interval is over. */
  request(): void {
    if (this.#timer !== null) return;
    const waitMs = this.#reportedAt + INTERVAL_MS - this.#clock.now();
    if (waitMs <= 0) return this.#reportNow();
    this.#timer = this.#clock.setTimer(() => this.#reportNow(), waitMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #reportNow(): void {
    this.#timer = null;
    this.#reportedAt = this.#clock.now();
    this.#report();
  }
}
