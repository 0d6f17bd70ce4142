/**
 * How much may wait in the socket, and how large one data message may be. Both follow the measured rate: what waits in
 * the socket delays every control message behind it, so it is kept near 30 ms of the rate; a record that would take
 * longer than 20 ms goes in fragments. Pure: the caller brings time and counts.
 */

const BUFFER_MS = 30;
const MESSAGE_MS = 20;
const SAMPLE_MS = 50;
const KIB = 1024;
const MIB = 1024 * KIB;
/** Start and bounds of what may wait in the socket, bytes. Worst case per connection: the upper bound + one message. */
const START_BUFFER_BYTES: number = 2 * MIB;
const MIN_BUFFER_BYTES: number = 64 * KIB;
const MAX_BUFFER_BYTES: number = 4 * MIB;
const MIN_MESSAGE_BYTES: number = 16 * KIB;
/** Below the limit of a data message (1 MiB + 64 KiB), above 1 MiB of content with the headers of its records. */
const MAX_MESSAGE_BYTES: number = MIB + 32 * KIB;
/** Weight of a new sample of the rate. */
const SMOOTHING = 0.3;

export class SendBudget {
  #rate: number | null = null;
  #sampleAt: number | null = null;
  #takenAtSample = 0;
  #wasEmpty = false;

  /** Bytes a second the network took when it was the limit, or null when that was never seen. */
  get bytesPerSecond(): number | null {
    return this.#rate;
  }

  get bufferBytes(): number {
    return this.#rate === null
      ? START_BUFFER_BYTES
      : clamp((this.#rate * BUFFER_MS) / 1000, MIN_BUFFER_BYTES, MAX_BUFFER_BYTES);
  }

  get messageBytes(): number {
    return this.#rate === null
      ? MAX_MESSAGE_BYTES
      : clamp((this.#rate * MESSAGE_MS) / 1000, MIN_MESSAGE_BYTES, MAX_MESSAGE_BYTES);
  }

  /** Looks at the socket: `sentBytes` handed over so far, `bufferedBytes` of them still waiting. */
  observe(now: number, sentBytes: number, bufferedBytes: number): void {
    const taken = sentBytes - bufferedBytes;
    this.#wasEmpty ||= bufferedBytes === 0;
    if (this.#sampleAt === null) return this.#startSample(now, taken, bufferedBytes);
    const elapsedMs = now - this.#sampleAt;
    if (elapsedMs < SAMPLE_MS) return;
    const sample = ((taken - this.#takenAtSample) * 1000) / elapsedMs;
    // A socket that ran empty was limited by us, so the sample is only a lower bound of the rate.
    if (!this.#wasEmpty)
      this.#rate = this.#rate === null ? sample : this.#rate + SMOOTHING * (sample - this.#rate);
    else if (this.#rate !== null && sample > this.#rate) this.#rate = sample;
    this.#startSample(now, taken, bufferedBytes);
  }

  #startSample(now: number, taken: number, bufferedBytes: number): void {
    this.#sampleAt = now;
    this.#takenAtSample = taken;
    this.#wasEmpty = bufferedBytes === 0;
  }
}

/** Whole bytes: half a byte would be charged to the credit of a stream and never come back. */
function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, Math.floor(value)));
}
