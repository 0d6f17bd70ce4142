/**
 * The receivers of one transfer: their cursors, the recent records they share, and the news they are told. What
 * happens to the transfer itself is for transfer.ts.
 *
 * Memory: recent records (hot-records.ts), what cursors read ahead (cursor.ts), and the board (receiver-board.ts).
 */
import { randomBytes } from 'node:crypto';
import type { LogPoint, ReceiverSummary, SluiceError, TransferState } from '../../protocol/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import { Cursor, type CursorSource } from './cursor.ts';
import { type HotBudget, type HotChunk, HotRecords, type LogPlace } from './hot-records.ts';
import type { ReadAhead } from './read-ahead.ts';
import { ReceiverBoard } from './receiver-board.ts';
import { SharedReads } from './shared-reads.ts';

/** What the receivers of all transfers of a hub share. */
export interface AudienceEnvironment {
  readonly clock: Clock;
  readonly hotBudget: HotBudget;
  readonly readAhead: ReadAhead;
  /** Recent records kept per transfer, bytes. */
  readonly hotBytesPerTransfer: number;
  readonly traffic: Traffic;
}

/** Counts of a whole process, bytes of records. */
export interface Traffic {
  /** Written to logs. */
  writtenBytes: number;
  /** Given to receivers that have left; those of present ones are in their cursors. */
  givenBytes: number;
}

/** What a receiver is told besides records. */
export interface TransferStatus {
  readonly state: TransferState;
  readonly isSenderConnected: boolean;
  readonly expiresAtMs: number;
}

export interface FollowerListener {
  /** Bytes the receiver still takes. */
  creditBytes(): number;
  /** Bytes of the log it has taken off its stream. */
  receivedBytes(): number;
  /** Its cursor may have something to give. */
  onReady(): void;
  onStatus(status: TransferStatus): void;
  onDurable(point: LogPoint): void;
  /** It gets nothing any more. Last call. */
  onEnded(error: SluiceError): void;
}

/** A receiver of a transfer. */
export interface Follower {
  readonly id: string;
  readonly cursor: Cursor;
  readonly listener: FollowerListener;
}

/** Receivers learn what is durable at most once in this time, ms. */
const DURABLE_NEWS_MS = 50;
/** Names a receiver to people and to the sender; nothing depends on it being secret. */
const RECEIVER_ID_BYTES = 6;

export class Audience {
  readonly #environment: AudienceEnvironment;
  readonly #source: CursorSource;
  readonly #hot: HotRecords;
  readonly #onReadFailed: (error: SluiceError) => void;
  readonly #followers = new Set<Follower>();
  readonly #board = new ReceiverBoard();
  #durableTimer: Timer | null = null;
  #durableToldAt = Number.NEGATIVE_INFINITY;
  /** What they were not told yet. */
  #durable: LogPoint | null = null;

  /** `onReadFailed` is told why a receiver could not be served, after it was ended. */
  constructor(
    environment: AudienceEnvironment,
    log: Omit<CursorSource, 'hot' | 'readFresh'>,
    onReadFailed: (error: SluiceError) => void,
  ) {
    this.#environment = environment;
    this.#onReadFailed = onReadFailed;
    this.#hot = new HotRecords(environment.hotBudget, environment.hotBytesPerTransfer);
    const reads = new SharedReads((position, maxBytes) => log.read(position, maxBytes));
    this.#source = {
      hot: this.#hot,
      spanBytes: log.spanBytes,
      get written() {
        return log.written;
      },
      read: (position, maxBytes) => reads.read(position, maxBytes),
      readFresh: (position, maxBytes) => reads.readFresh(position, maxBytes),
      seek: (index) => log.seek(index),
    };
  }

  get size(): number {
    return this.#followers.size;
  }

  /** Bytes given to the receivers that are here. */
  get givenBytes(): number {
    let bytes = 0;
    for (const { cursor } of this.#followers) bytes += cursor.givenBytes;
    return bytes;
  }

  /** Adds a receiver whose records begin at `place`. */
  follow(place: LogPlace, listener: FollowerListener): Follower {
    const id = randomBytes(RECEIVER_ID_BYTES).toString('base64url');
    const cursor = new Cursor(this.#source, place, this.#environment.readAhead, {
      creditBytes: () => listener.creditBytes(),
      onReady: () => listener.onReady(),
      onFailed: (error) => {
        this.#end(follower, error);
        this.#onReadFailed(error);
      },
    });
    const follower: Follower = { id, cursor, listener };
    this.#followers.add(follower);
    this.#board.join(id, () => listener.receivedBytes());
    return follower;
  }

  /** The receiver has gone; `isComplete` when it has verified everything. */
  unfollow(follower: Follower, isComplete: boolean): void {
    if (!this.#followers.delete(follower)) return;
    const { cursor, id, listener } = follower;
    const receivedBytes = isComplete ? cursor.position : listener.receivedBytes();
    cursor.close();
    this.#environment.traffic.givenBytes += cursor.givenBytes;
    this.#board.leave(id, isComplete ? 'done' : 'left', receivedBytes);
    if (this.#followers.size === 0) this.#hot.clear();
  }

  /** Records were written: everybody who is at the end gets them from the same buffer. */
  handleWritten(written: HotChunk): void {
    if (this.#followers.size === 0) return;
    this.#hot.push(written);
    for (const { listener } of this.#followers) listener.onReady();
  }

  tellStatus(status: TransferStatus): void {
    for (const { listener } of this.#followers) listener.onStatus(status);
  }

  /** Now if `isUrgent`, otherwise together with what comes soon after. */
  tellDurable(point: LogPoint, isUrgent: boolean): void {
    this.#durable = point;
    if (isUrgent) return this.#tellDurableNow();
    if (this.#followers.size === 0 || this.#durableTimer !== null) return;
    const { clock } = this.#environment;
    const waitMs = this.#durableToldAt + DURABLE_NEWS_MS - clock.now();
    if (waitMs <= 0) return this.#tellDurableNow();
    this.#durableTimer = clock.setTimer(() => this.#tellDurableNow(), waitMs);
  }

  /** What the sender does not know about its receivers yet. */
  pollNews(): ReceiverSummary[] {
    return this.#board.pollNews();
  }

  /** A new sender knows nothing about them. */
  tellNewsAgain(): void {
    this.#board.tellAgain();
  }

  /** Ends everybody; with `status` they are told that first. */
  end(error: SluiceError, status: TransferStatus | null): void {
    this.#durableTimer?.cancel();
    if (status !== null) this.tellStatus(status);
    for (const follower of this.#followers) this.#end(follower, error);
    this.#hot.clear();
  }

  #end(follower: Follower, error: SluiceError): void {
    if (!this.#followers.has(follower)) return;
    this.unfollow(follower, false);
    follower.listener.onEnded(error);
  }

  #tellDurableNow(): void {
    this.#durableTimer?.cancel();
    this.#durableTimer = null;
    this.#durableToldAt = this.#environment.clock.now();
    const point = this.#durable;
    if (point !== null) for (const { listener } of this.#followers) listener.onDurable(point);
  }
}
