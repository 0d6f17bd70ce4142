/**
 * Watches for silence while receiving: a short one gets a name on the screen, a long one ends the transfer if its user
 * asked for that. One timer each that looks around when it fires is cheaper than one that is set again at every message.
 */
import type { Clock, Timer } from '../runtime/index.ts';

/** Without data for so long, the sender is what we wait for, ms. */
const QUIET_MS = 1_000;
/** A look that came too early is repeated no sooner than this, ms. */
const MIN_LOOK_MS = 100;

export interface ArrivalWatchOptions {
  readonly clock: Clock;
  /** Null = any silence is borne. */
  readonly waitTimeoutMs: number | null;
  /** False while silence is our own doing: something is still being written, or a user is being asked. */
  isWaiting(): boolean;
  onQuiet(): void;
  onTimeout(waitTimeoutMs: number): void;
}

export class ArrivalWatch {
  readonly #options: ArrivalWatchOptions;
  #arrivedAt: number;
  #quietTimer: Timer | null = null;
  #waitTimer: Timer | null = null;

  constructor(options: ArrivalWatchOptions) {
    this.#options = options;
    this.#arrivedAt = options.clock.now();
  }

  /** Something arrived, or the wait begins. */
  note(): void {
    const { clock, waitTimeoutMs } = this.#options;
    this.#arrivedAt = clock.now();
    this.#quietTimer ??= clock.setTimer(() => this.#lookForQuiet(), QUIET_MS);
    if (waitTimeoutMs === null) return;
    this.#waitTimer ??= clock.setTimer(() => this.#lookForTimeout(waitTimeoutMs), waitTimeoutMs);
  }

  stop(): void {
    this.#quietTimer?.cancel();
    this.#waitTimer?.cancel();
  }

  #lookForQuiet(): void {
    const { clock, isWaiting, onQuiet } = this.#options;
    this.#quietTimer = null;
    const leftMs = this.#arrivedAt + QUIET_MS - clock.now();
    if (leftMs <= 0 && isWaiting()) return onQuiet();
    this.#quietTimer = clock.setTimer(() => this.#lookForQuiet(), Math.max(leftMs, MIN_LOOK_MS));
  }

  #lookForTimeout(waitTimeoutMs: number): void {
    const { clock, isWaiting, onTimeout } = this.#options;
    this.#waitTimer = null;
    const leftMs = this.#arrivedAt + waitTimeoutMs - clock.now();
    if (leftMs <= 0 && isWaiting()) return onTimeout(waitTimeoutMs);
    this.#waitTimer = clock.setTimer(
      () => this.#lookForTimeout(waitTimeoutMs),
      Math.max(leftMs, MIN_LOOK_MS),
    );
  }
}
