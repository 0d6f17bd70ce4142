/**
 * The log of one transfer on a LogStorage: takes records, commits them in groups, gives them back verified. The only
 * place that decides when something counts as durable. Not here: who may append (the hub), where bytes go
 * (LogStorage), what is found when a log is opened (log-recovery.ts).
 *
 * Order of events for a record: verified and accepted (`append`) -> written (`onWritten`: receivers may have it) ->
 * synced with all others of its commit -> mark written -> `onDurable` (the sender may forget it).
 *
 * Memory: what is queued for the disk is bounded by the credit of the peer, which is returned in `onWritten` and not
 * before. Beyond that, 88 bytes for each record that is not committed yet.
 */
import {
  emptyLog,
  type LogSnapshot,
  LogState,
  recordAt,
  SluiceError,
  verifyRecord,
} from '../../protocol/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import { encodeMark } from './log-mark.ts';
import { type RecoveredLog, type RecoveryOptions, recoverLog } from './log-recovery.ts';
import type { LogStorage } from './log-store.ts';
import { corruptedAt, INDEX_ENTRY_BYTES, positionAfter, type RecordIndex } from './record-index.ts';
import { finalFailure, writeFailure } from './storage-failure.ts';
import { readVerifiedSpan } from './verified-span.ts';

export interface TransferLogOptions extends RecoveryOptions {
  readonly clock: Clock;
  /** A commit starts when this much was written since the last one, bytes. Default 8 MiB. */
  readonly commitBytes?: number;
  /** A commit starts at the latest this long after the first record it has to carry, ms. Default 20. */
  readonly commitMs?: number;
}

export const DEFAULT_COMMIT_BYTES: number = 8 * 1024 * 1024;
export const DEFAULT_COMMIT_MS = 20;

/** A place in the log. */
export interface LogPoint {
  readonly index: number;
  /** Bytes of whole records before it. */
  readonly position: number;
  /** Names everything before it. */
  readonly chain: Uint8Array;
}

/** Called on the event loop, never from inside a call to the log. Must not throw. */
export interface TransferLogListener {
  /** An appended chunk (or its good part) was written: `first` is where it begins, `next` where it ends. */
  onWritten(chunk: Uint8Array, first: Pick<LogPoint, 'index' | 'position'>, next: LogPoint): void;
  /** Everything before this survives a crash. */
  onDurable(snapshot: LogSnapshot): void;
  /**
   * What was received but not written is gone; `received` is back at `written`. When `log.failure` is null, the log
   * goes on (`storageFull`: try to append again later). Otherwise it is final: close it and open it anew.
   */
  onFailed(error: SluiceError): void;
}

interface CommitWaiter {
  readonly index: number;
  readonly resolve: (durable: LogSnapshot) => void;
  readonly reject: (error: SluiceError) => void;
}

export class TransferLog {
  readonly #storage: LogStorage;
  readonly #options: TransferLogOptions;
  readonly #commitBytes: number;
  readonly #index: RecordIndex;
  #listener: TransferLogListener | null = null;
  #state: LogState;
  #written: LogSnapshot;
  #durable: LogSnapshot;
  /** Appends given to storage that it has not answered. */
  #appendsInFlight = 0;
  /** Set from the first failed write until storage was cut back to `written`. */
  #writeFailure: SluiceError | null = null;
  #failure: SluiceError | null = null;
  #isClosing = false;
  #timer: Timer | null = null;
  #isTimeUp = false;
  #isCommitting = false;
  /** Ascending by index. */
  #waiters: CommitWaiter[] = [];
  /** Told each time a commit or a repair has ended. */
  #onQuiet: (() => void)[] = [];
  #closed: Promise<void> | null = null;

  /**
   * Opens and recovers a log. Takes the storage over: it is closed when this rejects.
   * @throws SluiceError `corrupted` when something committed is missing; `internal`, `storageFull` when storage fails.
   */
  static async open(storage: LogStorage, options: TransferLogOptions): Promise<TransferLog> {
    try {
      return new TransferLog(storage, options, await recoverLog(storage, options));
    } catch (error) {
      await storage.close().catch(() => {});
      throw writeFailure(error);
    }
  }

  private constructor(storage: LogStorage, options: TransferLogOptions, { snapshot, index }: RecoveredLog) {
    this.#storage = storage;
    this.#options = options;
    this.#commitBytes = options.commitBytes ?? DEFAULT_COMMIT_BYTES;
    this.#index = index;
    this.#state = this.#stateFrom(snapshot);
    this.#written = snapshot;
    this.#durable = snapshot;
  }

  /** After the last record accepted; it may not be written yet. Read the rest of its state with `state`. */
  get received(): LogPoint {
    const { index, position, chain } = this.#state;
    return { index, position, chain };
  }
  /** The rules after the last record accepted. A live view. */
  get state(): Readonly<LogState> {
    return this.#state;
  }
  /** Storage has it: receivers may read up to here. */
  get written(): LogSnapshot {
    return this.#written;
  }
  /** Committed: survives a crash, and with durability `disk` a power loss. */
  get durable(): LogSnapshot {
    return this.#durable;
  }
  /** Why this object takes and acknowledges nothing any more, or null. Reading still works. */
  get failure(): SluiceError | null {
    return this.#failure;
  }

  setListener(listener: TransferLogListener): void {
    this.#listener = listener;
  }

  /**
   * Takes a chunk of whole records, which must not change until `onWritten`. Stops at the first bad one; those before
   * it are accepted and written, so `received.index` is the index of the bad one.
   * @throws SluiceError `digestMismatch`; `protocol`, `unsupported`, `tooLarge`, `sealed`, `limit` (a rule is
   * broken); `storageFull`, `internal` while storage recovers from a failed write, or for good (`failure`).
   */
  append(chunk: Uint8Array): void {
    const refusal = this.#failure ?? this.#writeFailure;
    if (refusal !== null) throw refusal;
    if (this.#isClosing) throw new SluiceError('internal', 'The log is closed.');
    const { digester } = this.#options;
    const { index, position } = this.#state;
    let at = 0;
    try {
      while (at < chunk.length) {
        const record = recordAt(chunk, at);
        if (!verifyRecord(record, digester)) {
          throw new SluiceError('digestMismatch', `Record ${this.#state.index}.`);
        }
        const start = this.#state.position;
        this.#state.apply(record.header, record.digest);
        this.#index.add(record, start, this.#state.chain);
        at += record.bytes.length;
      }
    } finally {
      if (at > 0) this.#write(at === chunk.length ? chunk : chunk.subarray(0, at), { index, position });
    }
  }

  /**
   * Resolves when everything received so far is written and durable, to the durable point: at once if it is already.
   * @throws SluiceError `storageFull`, `internal` when that failed; what was written may still become durable.
   */
  commit(): Promise<LogSnapshot> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { index } = this.#state;
    if (this.#durable.index >= index) return Promise.resolve(this.#durable);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ index, resolve, reject });
      this.#commitIfDue();
    });
  }

  /**
   * Where record `index` begins (or will), and the chain before it. `index` is at most `written.index`.
   * @throws SluiceError `corrupted`; RangeError for an index beyond.
   */
  async seek(index: number): Promise<LogPoint> {
    if (!(index >= 0 && index <= this.#written.index)) throw new RangeError(`no record ${index} to seek to`);
    if (index === this.#written.index) return this.#written;
    if (index === 0) return emptyLog(this.#options.headerHash);
    const entry = await this.#index.entryOf(index - 1);
    return { index, position: positionAfter(entry), chain: entry.chain };
  }

  /** Digest of a record below `received.index`. @throws SluiceError `corrupted`; RangeError for an index beyond. */
  async digestAt(index: number): Promise<Uint8Array> {
    if (!(index >= 0 && index < this.#state.index)) throw new RangeError(`no record ${index}`);
    return (await this.#index.entryOf(index)).digest;
  }

  /**
   * Reads whole records from `position`, where one begins; at least one even if it is larger than `maxBytes`, none
   * beyond `written`, where the chunk is empty. Every digest was verified; a bad record ends the chunk before it.
   * @throws SluiceError `corrupted`, naming index and position, when the first record does not verify; RangeError
   * beyond `written`.
   */
  async read(position: number, maxBytes: number): Promise<{ chunk: Uint8Array; records: number }> {
    const end = this.#written.position;
    if (!(position >= 0 && position <= end)) throw new RangeError(`nothing to read at byte ${position}`);
    const span = await readVerifiedSpan(this.#storage, position, end, maxBytes, this.#options.digester);
    if (span.records.length === 0 && span.problem !== null) {
      throw corruptedAt(await this.#index.indexAt(position), position, span.problem);
    }
    return { chunk: span.chunk, records: span.records.length };
  }

  /** Commits what was received, waits for reads, and closes the storage. Never rejects because of a failed commit. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #stateFrom(snapshot: LogSnapshot): LogState {
    return new LogState(snapshot, this.#options.recordSizeBytes, this.#options.digester);
  }

  #write(chunk: Uint8Array, first: Pick<LogPoint, 'index' | 'position'>): void {
    const next = this.#state.snapshot();
    this.#appendsInFlight += 1;
    this.#storage.append([chunk], (error) => {
      this.#appendsInFlight -= 1;
      if (error !== null || this.#writeFailure !== null) this.#dropUnwritten(error);
      else if (this.#failure === null) {
        this.#written = next;
        this.#listener?.onWritten(chunk, first, next);
        this.#commitIfDue();
      }
    });
    this.#startTimer();
  }

  // Commits

  #startTimer(): void {
    if (this.#timer !== null || this.#isTimeUp) return;
    this.#timer = this.#options.clock.setTimer(() => {
      this.#timer = null;
      this.#isTimeUp = true;
      this.#commitIfDue();
    }, this.#options.commitMs ?? DEFAULT_COMMIT_MS);
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#isTimeUp = false;
  }

  #commitIfDue(): void {
    if (this.#isCommitting || this.#writeFailure !== null || this.#failure !== null) return;
    const { index, position, isSealed } = this.#written;
    if (index === this.#durable.index) return;
    const firstWaiter = this.#waiters[0];
    const isWanted = firstWaiter !== undefined && firstWaiter.index <= index;
    const isEnough = position - this.#durable.position >= this.#commitBytes;
    if (this.#isTimeUp || isEnough || isSealed || isWanted) void this.#commitWritten();
  }

  async #commitWritten(): Promise<void> {
    const target = this.#written;
    const { headerHash, digester, durability } = this.#options;
    this.#isCommitting = true;
    this.#stopTimer();
    if (this.#state.index > target.index) this.#startTimer();
    try {
      const synced = durability === 'disk' ? this.#storage.sync() : null;
      await Promise.all([synced, this.#index.flush(target.index)]);
      await this.#storage.writeMark(encodeMark(target, headerHash, digester));
    } catch (error) {
      this.#isCommitting = false;
      this.#fail(finalFailure(error));
      return;
    }
    this.#isCommitting = false;
    this.#durable = target;
    this.#listener?.onDurable(target);
    while (this.#waiters[0] !== undefined && this.#waiters[0].index <= target.index) {
      this.#waiters.shift()?.resolve(target);
    }
    this.#settled();
    this.#commitIfDue();
  }

  // Failures

  /** Storage gave up on everything after `written`. Once it has answered all appends, cut it back and go on. */
  #dropUnwritten(error: Error | null): void {
    if (this.#writeFailure === null) {
      this.#writeFailure = writeFailure(error);
      this.#state = this.#stateFrom(this.#written);
      this.#index.cutTo(this.#written.index);
    }
    if (this.#appendsInFlight === 0) void this.#cutBack(this.#writeFailure);
  }

  async #cutBack(reason: SluiceError): Promise<void> {
    while (this.#isCommitting) await this.#nextQuiet();
    if (this.#failure !== null) return;
    const { index, position } = this.#written;
    try {
      await this.#storage.truncate(position, index * INDEX_ENTRY_BYTES);
    } catch (error) {
      this.#fail(finalFailure(error));
      return;
    }
    this.#writeFailure = null;
    if (index === this.#durable.index) this.#stopTimer();
    const lost = this.#waiters.filter((waiter) => waiter.index > index);
    this.#waiters = this.#waiters.filter((waiter) => waiter.index <= index);
    this.#listener?.onFailed(reason);
    for (const waiter of lost) waiter.reject(reason);
    this.#settled();
    this.#commitIfDue();
  }

  /** A sync that failed says nothing about what is on the disk: nothing may be acknowledged after it. */
  #fail(error: SluiceError): void {
    this.#failure = error;
    this.#stopTimer();
    this.#state = this.#stateFrom(this.#written);
    this.#index.cutTo(this.#written.index);
    this.#listener?.onFailed(error);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#settled();
  }

  #settled(): void {
    for (const tell of this.#onQuiet.splice(0)) tell();
  }

  #nextQuiet(): Promise<void> {
    return new Promise((resolve) => this.#onQuiet.push(resolve));
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    // A failed write drops records and lets the rest be committed, so this ends.
    while (this.#failure === null && this.#durable.index < this.#state.index)
      await this.commit().catch(() => {});
    while (this.#failure === null && (this.#writeFailure !== null || this.#isCommitting))
      await this.#nextQuiet();
    this.#stopTimer();
    // Carries the last mark. If it fails the mark before it is used, and the records above are verified again.
    if (this.#failure === null && this.#options.durability === 'disk')
      await this.#storage.sync().catch(() => {});
    await this.#storage.close();
  }
}
