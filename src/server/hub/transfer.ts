/**
 * One transfer that is in use: its log, the one who writes it, those who follow it, and its document. It puts events
 * in order: written -> receivers; durable -> sealed in the document -> acknowledged. Who may do what, and when a
 * transfer is opened and closed, is for hub.ts.
 */
import { equalBytes } from '../../protocol/byte-order.ts';
import {
  type Digester,
  decodeTransferHeader,
  type LogPoint,
  type LogSnapshot,
  RECORD_OVERHEAD_BYTES,
  SluiceError,
} from '../../protocol/index.ts';
import type { Timer } from '../../runtime/index.ts';
import type { TransferLog } from '../log/transfer-log.ts';
import type { Logger } from '../logger.ts';
import {
  Audience,
  type AudienceEnvironment,
  type Follower,
  type FollowerListener,
  type TransferStatus,
} from './audience.ts';
import type { HotChunk, LogPlace } from './hot-records.ts';
import type { StoredTransfer } from './stored-transfer.ts';
import {
  headerBytesOf,
  isTombstone,
  MAX_FENCED_SESSIONS,
  type TransferDocument,
} from './transfer-document.ts';
import { Writer, type WriterListener } from './writer.ts';

export interface TransferEnvironment extends AudienceEnvironment {
  readonly digester: Digester;
  readonly logger: Logger;
}

/** A sender session that wants to write. */
export interface WriterClaim {
  /** base64url. */
  readonly session: string;
  readonly attempt: number;
}

/** The sender learns about receivers at most once in this time, ms. */
const RECEIVER_NEWS_MS = 500;
/** The time of expiry is written at most once in this time while it only moves on, ms. */
const PERSIST_EXPIRY_MS = 60_000;
/** After a full disk the sender comes back after this time, ms. */
export const STORAGE_RETRY_MS = 2_000;
/** What a cursor reads at once, bytes: rounded to full records, so that no read ends in the middle of one. */
const SPAN_BYTES: number = 1024 * 1024;

export class Transfer {
  readonly id: string;
  /** Content of a full record, bytes. */
  readonly recordSizeBytes: number;
  readonly #environment: TransferEnvironment;
  readonly #stored: StoredTransfer;
  readonly #log: TransferLog;
  readonly #audience: Audience;
  readonly #onBroken: () => void;
  #writer: Writer | null = null;
  /** Claims of writers, one after another. */
  #claims: Promise<unknown> = Promise.resolve();
  /** Set while the seal is being written into the document. */
  #sealing: Promise<void> | null = null;
  #lastActiveAtMs: number;
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
    this.recordSizeBytes = decodeTransferHeader(this.headerBytes).recordSizeBytes;
    this.#audience = new Audience(
      environment,
      {
        spanBytes:
          Math.ceil(SPAN_BYTES / this.recordSizeBytes) * (this.recordSizeBytes + RECORD_OVERHEAD_BYTES),
        get written() {
          return log.written;
        },
        read: (position, maxBytes) => log.read(position, maxBytes),
        seek: (index) => log.seek(index),
      },
      (error) => this.#handleReadFailed(error),
    );
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

  get durable(): LogSnapshot {
    return this.#log.durable;
  }

  get isSenderConnected(): boolean {
    return this.#writer !== null;
  }

  get followerCount(): number {
    return this.#audience.size;
  }

  /** Bytes given to the receivers that are here. */
  get givenBytes(): number {
    return this.#audience.givenBytes;
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

  // --- sender and receivers -----------------------------------------------------------------------------------------

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
    const follower = this.#audience.follow(place, listener);
    this.#scheduleReceiverNews();
    return follower;
  }

  /** The receiver has gone; `isComplete` when it says that it has verified everything. */
  unfollow(follower: Follower, isComplete: boolean): void {
    const { isSealed, index } = this.#log.durable;
    this.#audience.unfollow(follower, isComplete && isSealed && follower.cursor.index === index);
    this.#scheduleReceiverNews();
  }

  async #openWriter({ session, attempt }: WriterClaim, listener: WriterListener): Promise<Writer> {
    this.#assertOpen();
    this.#checkClaim(session, attempt);
    // SPEC 8.3: the old one is out at once; what it sent before is kept.
    this.#writer?.end(new SluiceError('fenced'));
    await this.commit();
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
    const { digester } = this.#environment;
    const writer = new Writer(document.epoch, this.#log, digester, listener, (closed) => {
      if (this.#writer === closed) this.#handleWriterGone();
    });
    this.#writer = writer;
    this.#audience.tellNewsAgain();
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

  // --- the document and the end -------------------------------------------------------------------------------------

  /** Changes the document. */
  update(
    change: (document: TransferDocument) => Partial<TransferDocument> | null,
  ): Promise<TransferDocument> {
    return this.#stored.update(change);
  }

  /** Writes the time of expiry when it has moved by more than `slackMs`. */
  async persistExpiry(slackMs: number = PERSIST_EXPIRY_MS): Promise<void> {
    if (!this.#isExpiryStale(slackMs)) return;
    const { expiresAtMs } = this;
    await this.#stored.update((current) => (isTombstone(current) ? null : { expiresAtMs }));
  }

  /** Everything received so far becomes durable. @throws SluiceError as the log. */
  async commit(): Promise<void> {
    await this.#log.commit();
    await this.#sealing;
  }

  /** Nobody may open the transfer any more. A live one can never be complete: its sender learns that now. */
  async markCorrupted(): Promise<void> {
    if (this.#stored.document.state === 'live') this.end(new SluiceError('corrupted'));
    try {
      await this.#stored.update((current) => (current.isCorrupted ? null : { isCorrupted: true }));
    } catch (error) {
      this.#report(error, 'cannot mark a transfer as corrupted');
    }
  }

  /** Ends everybody's use of the transfer. With `status`, receivers are told that first. */
  end(error: SluiceError, status: TransferStatus | null = null): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    this.#writer?.end(error);
    this.#receiversTimer?.cancel();
    this.#audience.end(error, status);
  }

  /** Commits what was received and closes the log. */
  async close(): Promise<void> {
    this.end(new SluiceError('goingAway'));
    await this.#claims;
    await this.#log.close();
    await this.#sealing;
    await this.persistExpiry(0);
  }

  // --- events of the log --------------------------------------------------------------------------------------------

  #handleWritten(written: HotChunk): void {
    if (this.#ended !== null) return;
    this.#touch();
    this.#environment.traffic.writtenBytes += written.chunk.length;
    this.#writer?.handleWritten(written.chunk.length, written.next.index);
    this.#audience.handleWritten(written);
  }

  #handleDurable(snapshot: LogSnapshot): void {
    if (snapshot.isSealed) {
      this.#sealing ??= this.#seal(snapshot).catch((error: unknown) => this.#report(error, 'sealing failed'));
      return;
    }
    this.#writer?.handleDurable(snapshot);
    this.#audience.tellDurable(snapshot, false);
    if (!this.#isExpiryStale(PERSIST_EXPIRY_MS)) return;
    this.persistExpiry().catch((error: unknown) => this.#report(error, 'cannot store the time of expiry'));
  }

  /** SPEC 8.8: the sender learns that the seal is durable only when the document says so as well. */
  async #seal(snapshot: LogSnapshot): Promise<void> {
    try {
      await this.#stored.update((current) =>
        current.state === 'live' ? { state: 'sealed', expiresAtMs: this.expiresAtMs } : null,
      );
    } catch (error) {
      this.#report(error, 'cannot store the seal');
      this.#breakDown(SluiceError.from(error));
      return;
    }
    if (this.#ended !== null) return;
    const { logger } = this.#environment;
    logger.info({ transfer: this.id, records: snapshot.index, bytes: snapshot.position }, 'transfer sealed');
    this.#writer?.handleDurable(snapshot);
    this.#audience.tellDurable(snapshot, true);
    this.#tellStatus();
  }

  #handleFailed(error: SluiceError): void {
    const isFinal = this.#log.failure !== null;
    this.#report(
      error,
      isFinal ? 'the log is opened anew: it cannot be written' : 'the log cannot be written now',
    );
    if (isFinal) return this.#breakDown(error);
    // Receivers have nothing beyond what was written, and that stays: only the sender is concerned.
    this.#writer?.end(withRetry(error));
  }

  /** Everybody goes, and may come back to a log that was opened anew. */
  #breakDown(error: SluiceError): void {
    this.end(withRetry(error));
    this.#onBroken();
  }

  #handleReadFailed(error: SluiceError): void {
    this.#report(error, 'stored records cannot be read');
    if (error.code === 'corrupted') void this.markCorrupted();
  }

  #report(error: unknown, text: string): void {
    const { code, message } = SluiceError.from(error);
    this.#environment.logger.error({ transfer: this.id, code, error: message }, text);
  }

  // --- inside -------------------------------------------------------------------------------------------------------

  #tellStatus(): void {
    if (this.#ended === null) this.#audience.tellStatus(this.status);
  }

  /** Runs while there is a sender to tell and somebody to tell about. */
  #scheduleReceiverNews(): void {
    if (this.#writer === null || this.#receiversTimer !== null || this.#ended !== null) return;
    this.#receiversTimer = this.#environment.clock.setTimer(() => {
      this.#receiversTimer = null;
      const news = this.#audience.pollNews();
      if (news.length > 0) this.#writer?.handleReceivers(news);
      if (this.#audience.size > 0 || news.length > 0) this.#scheduleReceiverNews();
    }, RECEIVER_NEWS_MS);
  }

  #isExpiryStale(slackMs: number): boolean {
    const { expiresAtMs, ttlMs } = this.#stored.document;
    return this.expiresAtMs - expiresAtMs > Math.min(slackMs, ttlMs / 4);
  }

  #touch(): void {
    this.#lastActiveAtMs = this.#environment.clock.wallNow();
  }

  #assertOpen(): void {
    if (this.#ended !== null) throw this.#ended;
  }
}

function withRetry(error: SluiceError): SluiceError {
  return new SluiceError(error.code, error.detail, { cause: error, retryAfterMs: STORAGE_RETRY_MS });
}
