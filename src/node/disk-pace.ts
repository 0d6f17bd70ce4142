/**
 * Decides whether small operations on files may block. In the page cache one takes microseconds, several
 * times less than handing it to another thread and waiting; ten thousand small files feel that. On a disk
 * that has to fetch, several at once in threads are faster; on one that sleeps, or a network that hangs, a
 * blocked event loop would look dead to its peers. So each blocking operation is timed, and one that took
 * long sends the next ones through threads.
 */

/** An operation that took this long was no cache hit, ms; so many after it go through threads. */
const FETCH_MS = 0.2;
const THREADED_AFTER_FETCH = 16;
/** An operation that took this long is a reason not to block at all for a while, ms. */
const STALL_MS = 20;
const THREADED_AFTER_STALL_MS = 2_000;

export class DiskPace {
  #threadedUntil = 0;
  #threadedLeft = 0;

  /** Asks once before each small operation: true when it may block. */
  mayBlock(): boolean {
    if (this.#threadedLeft > 0) {
      this.#threadedLeft -= 1;
      return false;
    }
    return performance.now() >= this.#threadedUntil;
  }

  /** Runs a blocking operation and learns from how long it took. */
  run<T>(operation: () => T): T {
    const startedAt = performance.now();
    try {
      return operation();
    } finally {
      const endedAt = performance.now();
      const tookMs = endedAt - startedAt;
      if (tookMs > FETCH_MS) this.#threadedLeft = THREADED_AFTER_FETCH;
      if (tookMs > STALL_MS) this.#threadedUntil = endedAt + THREADED_AFTER_STALL_MS;
    }
  }
}
