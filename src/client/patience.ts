/** How often a stream that the server resets is opened again: as long as it sometimes helps, and not for ever. */
import type { Clock } from '../runtime/index.ts';

export class Patience {
  readonly #clock: Clock;
  readonly #giveUpAfterMs: number;
  #attempt = 0;
  #since: number | null = null;

  /** Out of patience when nothing helped for `giveUpAfterMs`. */
  constructor(clock: Clock, giveUpAfterMs: number) {
    this.#clock = clock;
    this.#giveUpAfterMs = giveUpAfterMs;
  }

  /** Something went well: what comes now is new trouble. */
  restore(): void {
    this.#attempt = 0;
    this.#since = null;
  }

  /** The number of the next attempt, from 1; null when it is enough. */
  next(): number | null {
    const now = this.#clock.now();
    this.#since ??= now;
    if (now - this.#since >= this.#giveUpAfterMs) return null;
    this.#attempt += 1;
    return this.#attempt;
  }
}
