/**
 * How fast a transfer goes, from the bytes counted so far.
 *
 * Responsible for: a rate that is calm for the eye and honest about a standstill, the time left, and how long
 * nothing has moved. Not responsible for: time (every call brings its own) and what the bytes are.
 *
 * The rate is an exponentially weighted mean in continuous time: an interval of length t weighs 1 - 2^(-t/h), so
 * the result does not depend on how often it is sampled. The first seconds have less than the full weight behind
 * them and are divided by what there is, as in the bias correction of Adam (Kingma and Ba 2015, section 3), but
 * never by less than one second's weight, or the first burst into the socket buffers would look like a rate.
 *
 * Order of calls: `sample` on a steady tick, also when nothing arrived, because only a sample lowers the rate;
 * the readings at any time.
 */

/** Fixed choices of a {@link RateMeter}. */
export interface RateMeterOptions {
  /** Time after which a past rate counts half, ms. Default 5000. Must be above 0. */
  readonly halfLifeMs?: number;
}

/** One meter for one direction of one transfer. It holds a few numbers, however many samples it gets. */
export class RateMeter {
  readonly #halfLifeMs: number;
  #firstMs: number | undefined;
  #lastMs = 0;
  #movedMs = 0;
  #totalBytes = 0;
  #countedBytes = 0;
  #unweighedBytes = 0;
  #weightedRate = 0;

  constructor(options: RateMeterOptions = {}) {
    this.#halfLifeMs = options.halfLifeMs ?? 5000;
    if (!(this.#halfLifeMs > 0)) throw new RangeError('halfLifeMs must be above 0');
  }

  /**
   * Takes the total number of bytes at a time. The first sample is only the starting point, so that what was
   * there before a resume does not count as speed. A total that goes back (resumed at an earlier point) becomes the
   * new starting point without changing the rate; a time that goes back counts as no time.
   */
  sample(nowMs: number, totalBytes: number): void {
    if (this.#firstMs === undefined) {
      this.#firstMs = nowMs;
      this.#lastMs = nowMs;
      this.#movedMs = nowMs;
      this.#totalBytes = totalBytes;
      return;
    }
    const gainedBytes = Math.max(0, totalBytes - this.#totalBytes);
    this.#totalBytes = totalBytes;
    this.#countedBytes += gainedBytes;
    this.#unweighedBytes += gainedBytes;
    const elapsedMs = nowMs - this.#lastMs;
    if (gainedBytes > 0) this.#movedMs = Math.max(this.#movedMs, nowMs);
    if (elapsedMs <= 0) return;
    const rate = this.#unweighedBytes / (elapsedMs / 1000);
    this.#weightedRate += this.#weight(elapsedMs) * (rate - this.#weightedRate);
    this.#unweighedBytes = 0;
    this.#lastMs = nowMs;
  }

  /** Bytes per second at the last sample; 0 until there are two. */
  get bytesPerSecond(): number {
    return this.#weightedRate / this.#weight(Math.max(1000, this.#observedMs()));
  }

  /**
   * Seconds until that many more bytes have passed, at the present rate. Null while an answer would be a guess:
   * until 2 s were observed or 1 % of the bytes (those counted plus those remaining) has passed, and while
   * nothing moves. 0 when nothing remains.
   */
  etaSeconds(remainingBytes: number): number | null {
    if (remainingBytes <= 0) return 0;
    const knownPart = this.#countedBytes / (this.#countedBytes + remainingBytes);
    if (this.#observedMs() < 2000 && knownPart < 0.01) return null;
    const seconds = remainingBytes / this.bytesPerSecond;
    return seconds < MAX_ETA_SECONDS ? seconds : null;
  }

  /** Seconds since the last sample that brought bytes, or since the first sample; 0 before that. */
  stalledSeconds(nowMs: number): number {
    return this.#firstMs === undefined ? 0 : Math.max(0, nowMs - this.#movedMs) / 1000;
  }

  #observedMs(): number {
    return this.#firstMs === undefined ? 0 : this.#lastMs - this.#firstMs;
  }

  #weight(elapsedMs: number): number {
    return 1 - 2 ** (-elapsedMs / this.#halfLifeMs);
  }
}

/** A hundred days: a longer estimate says only that nothing moves. */
const MAX_ETA_SECONDS = 100 * 86_400;
