/** Time and randomness of the machine. */
import { randomFillSync } from 'node:crypto';
import type { Clock, RandomSource } from '../runtime/index.ts';

/** Monotonic time is `performance.now()`; the wall clock may jump and is for expiry and display only. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(callback, delayMs) {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/** `bytes` is cryptographically strong; `fraction` is not and need not be: it spreads retries. */
export const systemRandom: RandomSource = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
  fraction: () => Math.random(),
};
