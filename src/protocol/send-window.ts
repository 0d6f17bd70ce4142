/**
 * The sender's window: encoded records that are not durable yet. It gives them to a connection in order, replays the
 * very same bytes after a reconnect or a NACK, and lets them go when they are durable. Within an epoch no index is
 * encoded twice, because nobody but this window is asked for a record again.
 *
 * Memory: `heldBytes` is bounded by the caller, which appends only while `hasRoom`; at most `windowBytes` plus one
 * batch.
 */

import { equalBytes } from './byte-order.ts';

import type { LogPoint } from './control-message.ts';
import { SluiceError } from './sluice-error.ts';
import type { Outbox } from './stream.ts';

interface HeldRecord {
  readonly bytes: Uint8Array;
  /** Chain after this record. */
  readonly chain: Uint8Array;
  /** Content bytes of the log after this record, for progress. */
  readonly contentBytes: number;
}

export class SendWindow implements Outbox {
  readonly #windowBytes: number;
  /** Called with each record that became durable, so that its buffer can be used again. */
  readonly #onRelease: (record: Uint8Array) => void;
  #held: HeldRecord[] = [];
  /** Index of the first held record: everything below is durable. */
  #base: LogPoint;
  #next: number;
  #heldBytes = 0;
  #sentIndex: number;
  #durableContentBytes: number;
  #isOpen = false;
  #isPaused = false;
  /** Records below this went out twice: a socket may still hold them when they are durable. */
  #repeatedBelow = 0;

  /** `from` is the durable point the log goes on from; `contentBytes` what it holds up to there. */
  constructor(
    from: LogPoint,
    windowBytes: number,
    onRelease: (record: Uint8Array) => void = () => {},
    contentBytes = 0,
  ) {
    this.#windowBytes = windowBytes;
    this.#onRelease = onRelease;
    this.#base = from;
    this.#next = from.index;
    this.#sentIndex = from.index;
    this.#durableContentBytes = contentBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get hasRoom(): boolean {
    return this.#heldBytes < this.#windowBytes;
  }

  /** Content bytes of the durable part of the log. */
  get durableContentBytes(): number {
    return this.#durableContentBytes;
  }

  /** Content bytes of the part of the log that was handed to a connection. */
  get sentContentBytes(): number {
    return this.#held[this.#sentIndex - 1 - this.#base.index]?.contentBytes ?? this.#durableContentBytes;
  }

  get durable(): LogPoint {
    return this.#base;
  }

  /** Nothing waits to be sent or to become durable. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** Nothing was sent that is not durable: a live source need not wait for more bytes. */
  get isIdle(): boolean {
    return this.#next === this.#base.index;
  }

  /** Takes the next encoded record. The bytes belong to the window until they are released. */
  append(bytes: Uint8Array, chain: Uint8Array, contentBytes = 0): void {
    this.#held.push({ bytes, chain, contentBytes });
    this.#heldBytes += bytes.length;
  }

  /**
   * A connection is there and the server stands at `durable`: everything above goes out again.
   * @throws SluiceError `dataLost` when the server is behind what it had acknowledged, `conflict` when it has another
   * log than this one.
   */
  handleOpened(durable: LogPoint): void {
    if (durable.index < this.#base.index) {
      throw new SluiceError(
        'dataLost',
        `It had acknowledged ${this.#base.index} records and has ${durable.index}.`,
      );
    }
    this.handleDurable(durable);
    this.#next = this.#base.index;
    this.#isOpen = true;
  }

  /** @throws SluiceError `conflict` when the chain is not that of our records. */
  handleDurable(durable: LogPoint): void {
    const count = durable.index - this.#base.index;
    if (count < 0) return;
    const last = count === 0 ? this.#base : this.#held[count - 1];
    if (last === undefined || !equalBytes(last.chain, durable.chain)) {
      throw new SluiceError('conflict', 'The server holds other records than this sender sent.');
    }
    for (const [i, { bytes, contentBytes }] of this.#held.slice(0, count).entries()) {
      this.#heldBytes -= bytes.length;
      this.#durableContentBytes = contentBytes;
      if (this.#base.index + i >= this.#repeatedBelow) this.#onRelease(bytes);
    }
    this.#held = this.#held.slice(count);
    this.#base = durable;
    this.#next = Math.max(this.#next, durable.index);
  }

  /** Go back to `index`. @throws SluiceError `conflict` when that record is gone: it was durable. */
  handleNack(index: number): void {
    if (index < this.#base.index) throw new SluiceError('conflict', `Record ${index} was durable already.`);
    if (index < this.#next) this.#repeatedBelow = this.#next;
    this.#next = Math.min(this.#next, index);
  }

  /** The connection or stream is gone; nothing is given out until `handleOpened`. */
  handleClosed(): void {
    this.#isOpen = false;
  }

  /** While paused nothing more is given out. The caller wakes the stream afterwards. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
  }

  /** Records given out at least once. */
  get sentIndex(): number {
    return this.#sentIndex;
  }

  nextLength(): number {
    return this.#isOpen && !this.#isPaused
      ? (this.#held[this.#next - this.#base.index]?.bytes.length ?? 0)
      : 0;
  }

  take(): Uint8Array {
    const record = this.#held[this.#next - this.#base.index];
    if (record === undefined) throw new RangeError('the window has nothing to send');
    this.#next += 1;
    this.#sentIndex = Math.max(this.#sentIndex, this.#next);
    return record.bytes;
  }
}
