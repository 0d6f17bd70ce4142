/**
 * How much all receivers of a process may hold that was read from disk and not yet sent. Every receiver may always
 * hold one read of at least `floorBytes` (one record, if that is longer), so nobody starves; what goes beyond comes
 * out of one budget.
 *
 * Memory: `maxBytes` + receivers that read from disk * the longest record (about 1 MiB).
 */
export class ReadAhead {
  readonly #maxBytes: number;
  #takenBytes = 0;

  /** `maxBytes`: over all receivers, default of the server 64 MiB. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Bytes that may be read now: up to `wantedBytes`, never less than the lower of that and `floorBytes`. */
  take(wantedBytes: number, floorBytes: number): number {
    const free = Math.max(0, this.#maxBytes - this.#takenBytes);
    const bytes = Math.min(wantedBytes, Math.max(floorBytes, free));
    this.#takenBytes += bytes;
    return bytes;
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes;
  }
}
