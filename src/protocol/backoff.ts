/** How long to wait before the next attempt to connect: full jitter, as the number of failures grows (SPEC 7.3). */

export const BACKOFF_BASE_MS = 250;
export const BACKOFF_CAP_MS = 20_000;
/** A connection that was ready this long counts as good: the next failure starts from the beginning. */
export const BACKOFF_RESET_MS = 30_000;

/**
 * Milliseconds to wait before attempt `attempt` (1 = first retry): random between 0 and min(20 s, 0.25 s * 2^n),
 * but not below what the server asked for. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, random: number, retryAfterMs: number | null = null): number {
  const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
  const wait = random * ceiling;
  return retryAfterMs === null ? wait : Math.max(wait, retryAfterMs * (1 + random / 4));
}
