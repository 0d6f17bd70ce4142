/**
 * Flow control: how many bytes the other side may send, as absolute limits per stream (SPEC 6). Whole record bytes
 * count, headers and digests included. Credit is returned when bytes were *written*, not when they arrived.
 *
 * Every stream is always granted a floor of two full records, so that none can starve. What it gets beyond that is
 * taken from a pool: the connection's, and behind it one for the whole process. So the sum of all grants is bounded
 * by `pool + streams * floor`, and that is the worst-case memory of a side that holds everything it granted.
 */

/** The sending side of one stream. */
export class CreditLimit {
  #limit: number;
  #spent = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get availableBytes(): number {
    return this.#limit - this.#spent;
  }

  /** A smaller limit than before is ignored, so a repeated or reordered message does no harm. Returns true if raised. */
  raise(limitBytes: number): boolean {
    if (limitBytes <= this.#limit) return false;
    this.#limit = limitBytes;
    return true;
  }

  spend(bytes: number): void {
    this.#spent += bytes;
  }
}

/** Bytes that several streams share beyond their floors. */
export class CreditPool {
  readonly #totalBytes: number;
  readonly #parent: CreditPool | null;
  #takenBytes = 0;

  constructor(totalBytes: number, parent: CreditPool | null = null) {
    this.#totalBytes = totalBytes;
    this.#parent = parent;
  }

  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Takes up to `bytes`; returns how many it got. */
  take(bytes: number): number {
    let got = Math.max(0, Math.min(bytes, this.#totalBytes - this.#takenBytes));
    if (this.#parent !== null) got = this.#parent.take(got);
    this.#takenBytes += got;
    return got;
  }

  give(bytes: number): void {
    this.#takenBytes -= bytes;
    this.#parent?.give(bytes);
  }
}

/** The receiving side of one stream. */
export class CreditGrant {
  readonly #pool: CreditPool;
  readonly #floorBytes: number;
  readonly #windowBytes: number;
  #extraBytes = 0;
  #granted: number;
  #announced: number;
  #received = 0;
  #consumed = 0;
  #isShrinking = false;

  /** `windowBytes` is what it wants, `floorBytes` (two full records) what it always gets. */
  constructor(pool: CreditPool, floorBytes: number, windowBytes: number) {
    this.#pool = pool;
    this.#floorBytes = floorBytes;
    this.#windowBytes = Math.max(windowBytes, floorBytes);
    this.#granted = floorBytes;
    this.#announced = 0;
    this.#renew();
  }

  /** Bytes received and not yet consumed: what this side holds in memory for the stream. */
  get heldBytes(): number {
    return this.#received - this.#consumed;
  }

  get consumedBytes(): number {
    return this.#consumed;
  }

  /** Counts bytes that arrived; false when they go beyond the grant (SPEC 6.2: fatal). */
  receive(bytes: number): boolean {
    this.#received += bytes;
    return this.#received <= this.#announced;
  }

  consume(bytes: number): void {
    this.#consumed += bytes;
    if (this.#isShrinking) this.#giveBack();
    else this.#renew();
  }

  /** A quarter of the window, bytes: so much news is worth a message of its own. */
  get dueBytes(): number {
    return (this.#floorBytes + this.#extraBytes) / 4;
  }

  /** A quarter of the window can be granted anew: worth telling. */
  get isDue(): boolean {
    return this.#granted - this.#announced >= this.dueBytes;
  }

  /** The new absolute limit when it is worth telling, else null. */
  pollLimit(): number | null {
    return this.isDue ? this.limit() : null;
  }

  /** The absolute limit, to be sent now. */
  limit(): number {
    this.#announced = this.#granted;
    return this.#announced;
  }

  /**
   * Falls back to the floor: what goes beyond it returns to the pool as it is consumed. Not sooner, because a limit
   * cannot be taken back, and bytes that are held are memory in use. From the floor it grows again.
   */
  shrink(): void {
    this.#isShrinking = this.#extraBytes > 0;
  }

  close(): void {
    this.#pool.give(this.#extraBytes);
    this.#extraBytes = 0;
    this.#isShrinking = false;
  }

  #giveBack(): void {
    const neededBytes = Math.max(0, this.#granted - this.#consumed - this.#floorBytes);
    const spareBytes = Math.max(0, this.#extraBytes - neededBytes);
    this.#pool.give(spareBytes);
    this.#extraBytes -= spareBytes;
    this.#isShrinking = this.#extraBytes > 0;
    this.#granted = Math.max(this.#granted, this.#consumed + this.#floorBytes + this.#extraBytes);
  }

  #renew(): void {
    const missing = this.#windowBytes - this.#floorBytes - this.#extraBytes;
    if (missing > 0) this.#extraBytes += this.#pool.take(missing);
    this.#granted = Math.max(this.#granted, this.#consumed + this.#floorBytes + this.#extraBytes);
  }
}
