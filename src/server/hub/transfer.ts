/**
 * One transfer that is in use: its log, the one who writes it, those who follow it, and the records they share. It
 * puts events in order: written -> receivers; durable -> sealed in the document -> acknowledged. Who may do what, and
 * when a transfer is opened and closed, is for hub.ts.
 */
import { randomBytes } from 'node:crypto';
import { equalBytes } from '../../protocol/byte-order.ts';
import {
  type Digester,
  decodeTransferHeader,
  type LogPoint,
  type LogSnapshot,
  type ReceiverSummary,
  SluiceError,
  type TransferState,
} from '../../protocol/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import type { TransferLog } from '../log/transfer-log.ts';
import type { Logger } from '../logger.ts';
import { Cursor, type CursorSource } from './cursor.ts';
import { type HotBudget, type HotChunk, HotRecords, type LogPlace } from './hot-records.ts';
import type { ReadAhead } from './read-ahead.ts';
import { ReceiverBoard } from './receiver-board.ts';
import type { StoredTransfer } from './stored-transfer.ts';
import {
  headerBytesOf,
  isTombstone,
  MAX_FENCED_SESSIONS,
  type TransferDocument,
} from './transfer-document.ts';
import { Writer, type WriterListener } from './writer.ts';

/** What all transfers of a hub share. */
export interface TransferEnvironment {
  readonly clock: Clock;
  readonly digester: Digester;
  readonly logger: Logger;
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

/** A sender session that wants to write. */
export interface WriterClaim {
  /** base64url. */
  readonly session: string;
  readonly attempt: number;
}

/** Receivers learn what is durable at most once in this time, ms. */
const DURABLE_NEWS_MS = 250;
/** The sender learns about receivers at most once in this time, ms. */
const RECEIVER_NEWS_MS = 500;
/** The time of expiry is written at most once in this time while it only moves on, ms. */
const PERSIST_EXPIRY_MS = 60_000;
/** Names a receiver to people and to the sender; nothing depends on it being secret. */
const RECEIVER_ID_BYTES = 6;
/** After a full disk the sender comes back after this time, ms. */
export const STORAGE_RETRY_MS = 2_000;

export class Transfer {
  readonly id: string;
  readonly #environment: TransferEnvironment;
  readonly #stored: StoredTransfer;
  readonly #log: TransferLog;
  readonly #hot: HotRecords;
  readonly #source: CursorSource;
  readonly #followers = new Set<Follower>();
  readonly #board = new ReceiverBoard();
  readonly #onBroken: () => void;
  #writer: Writer | null = null;
  /** Claims of writers, one after another. */
  #claims: Promise<unknown> = Promise.resolve();
  /** Set while the seal is being written into the document. */
  #sealing: Promise<void> | null = null;
  #lastActiveAtMs: number;
  #durableTimer: Timer | null = null;
  #durableToldAt = Number.NEGATIVE_INFINITY;
  #receiversTimer: Timer | null = null;
  #ended: SluiceError | null = null;

  /** `onBroken` is called when the log must be closed and opened anew. */
  constructor(
    environment: TransferEnvironment,
    stored: StoredTransfer,
    log: TransferLog,
    onBroken: () => void,
  ) {
    this.id = stored.id;
    this.#environment = environment;
    this.#stored = stored;
    this.#log = log;
    this.#onBroken = onBroken;
    this.#hot = new HotRecords(environment.hotBudget, environment.hotBytesPerTransfer);
    const hot = this.#hot;
    this.#source = {
      hot,
      get written() {
        return log.written;
      },
      read: (position, maxBytes) => log.read(position, maxBytes),
      seek: (index) => log.seek(index),
    };
    this.#lastActiveAtMs = stored.document.expiresAtMs - stored.document.ttlMs;
    log.setListener({
      onWritten: (chunk, first, next) => this.#handleWritten({ chunk, first, next }),
      onDurable: (snapshot) => this.#handleDurable(snapshot),
      onFailed: (error) => this.#handleFailed(error),
    });
  }

  get document(): TransferDocument {
    return this.#stored.document;
  }

  get headerBytes(): Uint8Array {
    return headerBytesOf(this.#stored.document);
  }

  /** Content of a full record, bytes. */
  get recordSizeBytes(): number {
    return decodeTransferHeader(this.headerBytes).recordSizeBytes;
  }

  get durable(): LogSnapshot {
    return this.#log.durable;
  }

  get isSenderConnected(): boolean {
    return this.#writer !== null;
  }

  get followerCount(): number {
    return this.#followers.size;
  }

  /** Bytes given to the receivers that are here. */
  get givenBytes(): number {
    let bytes = 0;
    for (const { cursor } of this.#followers) bytes += cursor.givenBytes;
    return bytes;
  }

  get status(): TransferStatus {
    const { state } = this.#stored.document;
    return { state, isSenderConnected: this.isSenderConnected, expiresAtMs: this.expiresAtMs };
  }

  /** Wall clock, ms. A connected sender keeps moving it on. */
  get expiresAtMs(): number {
    const { ttlMs, expiresAtMs, state } = this.#stored.document;
    if (isTombstone(this.#stored.document)) return expiresAtMs;
    const isKept = this.isSenderConnected && state === 'live';
    return (isKept ? this.#environment.clock.wallNow() : this.#lastActiveAtMs) + ttlMs;
  }

  // --- the sender ---------------------------------------------------------------------------------------------------

  /**
   * Takes the transfer over for a sender session and fences whoever wrote before. When it resolves, everything that
   * was received is durable and the epoch is stored.
   * @throws SluiceError `fenced` for a session or attempt that was overtaken; what the log failed with.
   */
  openWriter(claim: WriterClaim, listener: WriterListener): Promise<Writer> {
    const turn = this.#claims.then(() => this.#openWriter(claim, listener));
    this.#claims = turn.catch(() => {});
    return turn;
  }

  async #openWriter({ session, attempt }: WriterClaim, listener: WriterListener): Promise<Writer> {
    this.#assertOpen();
    this.#checkClaim(session, attempt);
    // SPEC 4.6: the old one is out at once; what it sent before is kept.
    this.#writer?.end(new SluiceError('fenced'));
    await this.#log.commit();
    await this.#sealing;
    const document = await this.#stored.update((current) => {
      this.#checkClaim(session, attempt);
      if (current.session === session) return { attempt };
      const fenced = current.session === null ? [] : [current.session];
      return {
        epoch: current.epoch + 1,
        session,
        attempt,
        fencedSessions: [...current.fencedSessions, ...fenced].slice(-MAX_FENCED_SESSIONS),
      };
    });
    this.#assertOpen();
    const writer = new Writer(document.epoch, this.#log, this.#environment.digester, listener, (closed) => {
      if (this.#writer === closed) this.#handleWriterGone();
    });
    this.#writer = writer;
    this.#board.tellAgain();
    this.#tellStatus();
    this.#scheduleReceiverNews();
    return writer;
  }

  #checkClaim(session: string, attempt: number): void {
    const { session: current, attempt: last, fencedSessions } = this.#stored.document;
    const isOvertaken = session === current ? attempt < last : fencedSessions.includes(session);
    if (isOvertaken) throw new SluiceError('fenced');
  }

  #handleWriterGone(): void {
    this.#writer = null;
    if (this.#stored.document.state === 'live') this.#touch();
    this.#receiversTimer?.cancel();
    this.#receiversTimer = null;
    this.#tellStatus();
  }

  // --- receivers ----------------------------------------------------------------------------------------------------

  /**
   * Where a receiver goes on that holds `from`; null = nothing.
   * @throws SluiceError `chainMismatch` when that is not a prefix of this log.
   */
  async findPlace(from: LogPoint | null): Promise<LogPlace & LogPoint> {
    this.#assertOpen();
    if (from === null) return this.#log.seek(0);
    if (from.index > this.#log.written.index) throw new SluiceError('chainMismatch');
    const place = await this.#log.seek(from.index);
    if (!equalBytes(place.chain, from.chain)) throw new SluiceError('chainMismatch');
    return place;
  }

  /** Adds a receiver whose records begin at `place`. */
  follow(place: LogPlace, listener: FollowerListener): Follower {
    this.#assertOpen();
    const id = randomBytes(RECEIVER_ID_BYTES).toString('base64url');
    const cursor = new Cursor(this.#source, place, this.#environment.readAhead, {
      creditBytes: () => listener.creditBytes(),
      onReady: () => listener.onReady(),
      onFailed: (error) => this.#handleReadFailed(follower, error),
    });
    const follower: Follower = { id, cursor, listener };
    this.#followers.add(follower);
    this.#board.join(id, () => listener.receivedBytes());
    this.#scheduleReceiverNews();
    return follower;
  }

  /** The receiver has gone; `isComplete` when it has verified everything. */
  unfollow(follower: Follower, isComplete: boolean): void {
    if (!this.#followers.delete(follower)) return;
    const receivedBytes = isComplete ? this.#log.written.position : follower.listener.receivedBytes();
    follower.cursor.close();
    this.#environment.traffic.givenBytes += follower.cursor.givenBytes;
    this.#board.leave(follower.id, isComplete ? 'done' : 'left', receivedBytes);
    this.#scheduleReceiverNews();
    if (this.#followers.size === 0) this.#hot.clear();
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Ends everybody's use of the transfer. With `status`, receivers are told that first. */
  end(error: SluiceError, status: TransferStatus | null = null): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#durableTimer?.cancel();
    this.#writer?.end(error);
    this.#receiversTimer?.cancel();
    for (const follower of this.#followers) {
      if (status !== null) follower.listener.onStatus(status);
      this.#endFollower(follower, error);
    }
    this.#hot.clear();
  }

  /** Commits what was received and closes the log. */
  async close(): Promise<void> {
    this.end(new SluiceError('goingAway'));
    await this.#claims;
    await this.#log.close();
    await this.#sealing;
    await this.persistExpiry(0);
  }

  /** Writes the time of expiry when it has moved by more than `slackMs`. */
  async persistExpiry(slackMs: number = PERSIST_EXPIRY_MS): Promise<void> {
    const { expiresAtMs } = this;
    await this.#stored.update((current) =>
      !isTombstone(current) && expiresAtMs - current.expiresAtMs > Math.min(slackMs, current.ttlMs / 4)
        ? { expiresAtMs }
        : null,
    );
  }

  /** Everything received is durable. */
  async commit(): Promise<LogSnapshot> {
    const durable = await this.#log.commit();
    await this.#sealing;
    return durable;
  }

  /** Changes the document. */
  update(
    change: (document: TransferDocument) => Partial<TransferDocument> | null,
  ): Promise<TransferDocument> {
    return this.#stored.update(change);
  }

  // --- events of the log --------------------------------------------------------------------------------------------

  #handleWritten(written: HotChunk): void {
    if (this.#ended !== null) return;
    this.#touch();
    this.#environment.traffic.writtenBytes += written.chunk.length;
    this.#writer?.handleWritten(written.chunk.length, written.next.index);
    if (this.#followers.size === 0) return;
    this.#hot.push(written);
    for (const { listener } of this.#followers) listener.onReady();
  }

  #handleDurable(snapshot: LogSnapshot): void {
    if (snapshot.isSealed) {
      this.#sealing ??= this.#seal(snapshot);
      return;
    }
    this.#writer?.handleDurable(snapshot);
    this.#tellDurable();
    this.#keepExpiry();
  }

  /** SPEC 4.7: the sender learns that the seal is durable only when the document says so as well. */
  async #seal(snapshot: LogSnapshot): Promise<void> {
    const { logger } = this.#environment;
    try {
      await this.#stored.update((current) =>
        current.state === 'live' ? { state: 'sealed', expiresAtMs: this.expiresAtMs } : null,
      );
    } catch (error) {
      logger.error({ transfer: this.id, error: SluiceError.from(error).message }, 'cannot store the seal');
      this.#breakDown(SluiceError.from(error));
      return;
    }
    if (this.#ended !== null) return;
    logger.info({ transfer: this.id, records: snapshot.index, bytes: snapshot.position }, 'transfer sealed');
    this.#writer?.handleDurable(snapshot);
    this.#durableTimer?.cancel();
    this.#durableTimer = null;
    for (const { listener } of this.#followers) {
      listener.onDurable(snapshot);
      listener.onStatus(this.status);
    }
  }

  #handleFailed(error: SluiceError): void {
    const isFinal = this.#log.failure !== null;
    this.#environment.logger.error(
      { transfer: this.id, code: error.code, error: error.message, isFinal },
      isFinal ? 'the log cannot be written any more; it is opened anew' : 'the log cannot be written now',
    );
    if (isFinal) return this.#breakDown(error);
    // Receivers have nothing beyond what was written, and that stays: only the sender is concerned.
    this.#writer?.end(
      new SluiceError(error.code, error.detail, { cause: error, retryAfterMs: STORAGE_RETRY_MS }),
    );
  }

  /** Everybody goes and may come back to a log that was opened anew. */
  #breakDown(error: SluiceError): void {
    this.end(new SluiceError(error.code, error.detail, { cause: error, retryAfterMs: STORAGE_RETRY_MS }));
    this.#onBroken();
  }

  #handleReadFailed(follower: Follower, error: SluiceError): void {
    const { logger } = this.#environment;
    logger.error(
      { transfer: this.id, code: error.code, error: error.message },
      'stored records cannot be read',
    );
    this.#endFollower(follower, error);
    if (error.code === 'corrupted') void this.markCorrupted();
  }

  /** Nobody may open the transfer any more. A live one can never be complete: its sender learns that now. */
  async markCorrupted(): Promise<void> {
    if (this.#stored.document.state === 'live') this.end(new SluiceError('corrupted'));
    try {
      await this.#stored.update((current) => (current.isCorrupted ? null : { isCorrupted: true }));
    } catch (error) {
      const { logger } = this.#environment;
      logger.error(
        { transfer: this.id, error: SluiceError.from(error).message },
        'cannot mark a transfer corrupted',
      );
    }
  }

  // --- telling ------------------------------------------------------------------------------------------------------

  #tellStatus(): void {
    if (this.#ended !== null) return;
    const { status } = this;
    for (const { listener } of this.#followers) listener.onStatus(status);
  }

  #tellDurable(): void {
    if (this.#followers.size === 0 || this.#durableTimer !== null) return;
    const { clock } = this.#environment;
    const waitMs = this.#durableToldAt + DURABLE_NEWS_MS - clock.now();
    if (waitMs > 0) {
      this.#durableTimer = clock.setTimer(() => {
        this.#durableTimer = null;
        this.#tellDurable();
      }, waitMs);
      return;
    }
    this.#durableToldAt = clock.now();
    const { durable } = this.#log;
    for (const { listener } of this.#followers) listener.onDurable(durable);
  }

  /** Runs while there is a sender to tell and somebody to tell about. */
  #scheduleReceiverNews(): void {
    if (this.#writer === null || this.#receiversTimer !== null || this.#ended !== null) return;
    this.#receiversTimer = this.#environment.clock.setTimer(() => {
      this.#receiversTimer = null;
      const news: ReceiverSummary[] = this.#board.pollNews();
      if (news.length > 0) this.#writer?.handleReceivers(news);
      if (this.#followers.size > 0 || news.length > 0) this.#scheduleReceiverNews();
    }, RECEIVER_NEWS_MS);
  }

  #endFollower(follower: Follower, error: SluiceError): void {
    this.unfollow(follower, false);
    follower.listener.onEnded(error);
  }

  #touch(): void {
    this.#lastActiveAtMs = this.#environment.clock.wallNow();
  }

  #keepExpiry(): void {
    const { expiresAtMs, ttlMs } = this.#stored.document;
    if (this.expiresAtMs - expiresAtMs <= Math.min(PERSIST_EXPIRY_MS, ttlMs / 4)) return;
    this.persistExpiry().catch((error: unknown) => {
      const { logger } = this.#environment;
      logger.warn(
        { transfer: this.id, error: SluiceError.from(error).message },
        'cannot store the time of expiry',
      );
    });
  }

  #assertOpen(): void {
    if (this.#ended !== null) throw this.#ended;
  }
}
