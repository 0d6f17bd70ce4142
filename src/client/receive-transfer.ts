/**
 * One transfer being received: opens its stream where the sink stands, verifies and reads records, hands content to
 * the sink in order, returns credit when it is written, and says done only when the seal matched and every file is in
 * its place.
 *
 * Two rules keep it right after any crash: a chunk counts as received when all its writes are done (checkpoints), and
 * a file is put in its place only when its last record is durable on the server (otherwise a server that lost power
 * could give the log another end).
 *
 * Memory: what was received and is not written is bounded by the credit window, twice after a reconnect.
 */
import {
  type Connection,
  decodeTransferHeader,
  emptyLog,
  encodeBase64Url,
  type LogItem,
  type LogPoint,
  LogReader,
  type LogSnapshot,
  type Manifest,
  missingFeatures,
  type OpenedReceive,
  type Priority,
  SluiceError,
  type StreamMessage,
  type TransferHeader,
  type TransferState,
} from '../protocol/index.ts';
import type { Timer, TransferSink } from '../runtime/index.ts';
import type { ClientEnvironment } from './environment.ts';
import { EventFeed } from './event-feed.ts';
import type { Activity, FileEvent, Offer, OfferedFile, ReceiveEvent, ReceiveSummary } from './events.ts';
import { type Link, readTokenOf } from './link.ts';
import { ReceiveProgress } from './receive-progress.ts';
import type { ServerConnection, StreamUser } from './server-connection.ts';

export interface ReceiveTransferOptions {
  readonly link: Link;
  /** Makes the sink once the offer was accepted... or earlier: it is asked before the first record is read. */
  openSink(id: string): Promise<TransferSink>;
  /** Decides about the offer before anything is written. Absent = yes. */
  accept?(offer: Offer): boolean | Promise<boolean>;
  /** Gives up when nothing arrived for so long, ms; null = waits until the transfer ends. */
  readonly waitTimeoutMs: number | null;
  readonly priority: Priority;
  readonly signal: AbortSignal | null;
}

const REOPEN_AFTER_MS = 1_000;
/** Without data for so long, the sender is what we wait for. */
const QUIET_MS = 1_000;
const PROGRESS_MS = 100;
/** Files of the offer that are remembered to be shown. */
const MAX_OFFERED_FILES = 10_000;

/** A chunk whose contents are with the sink. */
interface Batch {
  readonly bytes: number;
  readonly stream: number;
  readonly snapshot: LogSnapshot;
  pending: number;
}

/** Work that has to wait until the log is durable up to `index`. */
interface Gated {
  readonly index: number;
  run(): void;
}

export class ReceiveTransfer implements AsyncDisposable, StreamUser {
  readonly #server: ServerConnection;
  readonly #environment: ClientEnvironment;
  readonly #options: ReceiveTransferOptions;
  readonly #id: string;
  readonly #feed = new EventFeed<ReceiveEvent>();
  readonly #offer = Promise.withResolvers<Offer>();
  readonly #done = Promise.withResolvers<ReceiveSummary>();
  readonly #progress: ReceiveProgress;
  #readToken: Uint8Array | null = null;
  #sink: TransferSink | null = null;
  #stream: number | null = null;
  #header: TransferHeader | null = null;
  #headerHash: Uint8Array | null = null;
  #reader: LogReader | null = null;
  /** Chunks that came before the offer was decided about, in order. Bounded by the credit window. */
  #undecided: { chunk: Uint8Array; stream: number }[] = [];
  #decision: 'none' | 'asked' | 'accepted' = 'none';
  #batches: Batch[] = [];
  #gated: Gated[] = [];
  #serverDurable: LogPoint = { index: 0, chain: new Uint8Array(32) };
  /** Points to go back to, oldest first: the newest one that is durable on the server, and all above it. */
  #snapshots: LogSnapshot[] = [];
  #mismatches = 0;
  #transferState: TransferState = 'live';
  #expiresAtMs = 0;
  #state: Activity = 'connecting';
  #isOver = false;
  #isSealRead = false;
  #quietTimer: Timer | null = null;
  #waitTimer: Timer | null = null;
  #manifest: Omit<Manifest, 'entries'> = { name: null, message: null, totalFiles: null, totalBytes: null };
  #offered: OfferedFile[] = [];

  constructor(server: ServerConnection, environment: ClientEnvironment, options: ReceiveTransferOptions) {
    this.#server = server;
    this.#environment = environment;
    this.#options = options;
    this.#id = encodeBase64Url(options.link.id);
    this.#progress = new ReceiveProgress(environment.clock.now());
    this.#offer.promise.catch(() => {});
    this.#done.promise.catch(() => {});
    void this.#start();
  }

  /** What is offered, as soon as the sender has said it; before anything is written. */
  get offer(): Promise<Offer> {
    return this.#offer.promise;
  }

  /** Resolves when everything is verified and in its place. Rejects with SluiceError. */
  get done(): Promise<ReceiveSummary> {
    return this.#done.promise;
  }

  on(listener: (event: ReceiveEvent) => void): () => void {
    return this.#feed.on(listener);
  }

  /** Events one after another. (Contents come from `files()` of the transfers that `receiveFiles` makes.) */
  events(): AsyncIterable<ReceiveEvent> {
    return { [Symbol.asyncIterator]: () => this.#feed.iterate() };
  }

  /** Leaves. What was received stays with the sink, which can go on from it later. */
  async stop(): Promise<void> {
    await this.#fail(new SluiceError('interrupted'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.stop();
  }

  /** To be called by sinks that decide about single files: the file is finished for this side. */
  reportFile(event: FileEvent): void {
    this.#progress.countFile(event);
    this.#feed.emit(event);
  }

  // --- calls of the connection -------------------------------------------------------------------------------------

  handleReady(): void {
    if (this.#isOver || this.#readToken === null || this.#sink === null) return;
    const stream = this.#server.openStream(this, this.#options.priority);
    this.#stream = stream;
    const connection = this.#server.connection as Connection;
    connection.send({
      type: 'open',
      role: 'receive',
      stream,
      id: this.#options.link.id,
      readToken: this.#readToken,
      from: this.#point,
      credit: connection.grantCredit(stream, this.#header?.recordSizeBytes),
      priority: this.#options.priority,
    });
  }

  handleMessage(message: StreamMessage): void {
    this.#guard(() => {
      switch (message.type) {
        case 'opened':
          if (message.role === 'receive') this.#handleOpened(message);
          return;
        case 'state':
          this.#transferState = message.state;
          this.#expiresAtMs = message.expiresAtMs;
          if (message.isSenderConnected) this.#setState('receiving');
          else if (message.state === 'live') this.#setState('waiting for sender');
          return;
        case 'reset':
          return this.#handleReset(
            message.code === 'internal'
              ? new SluiceError('internal')
              : new SluiceError(message.code, '', retryOf(message.retryAfterMs)),
          );
        default:
          return;
      }
    });
  }

  handleRecords(chunk: Uint8Array): void {
    if (this.#isOver || this.#stream === null) return;
    this.#noteArrival();
    const stream = this.#stream;
    if (this.#decision === 'asked') {
      this.#undecided.push({ chunk, stream });
      return;
    }
    this.#guard(() => this.#read(chunk, stream));
  }

  handleAck(_received: number | null, durable: LogPoint | null): void {
    if (durable === null) return;
    this.#guard(() => this.#handleDurable(durable));
  }

  handleDown(attempt: number): void {
    this.#stream = null;
    this.#dropUndecided();
    this.#setState(this.#reader === null ? 'connecting' : 'reconnecting', attempt);
  }

  handleFailed(error: SluiceError): void {
    void this.#fail(error);
  }

  // --- opening -----------------------------------------------------------------------------------------------------

  async #start(): Promise<void> {
    const { link, signal, openSink } = this.#options;
    const onAbort = (): void => void this.#fail(new SluiceError('interrupted'));
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#done.promise.finally(() => signal?.removeEventListener('abort', onAbort)).catch(() => {});
    try {
      this.#readToken = await readTokenOf(link);
      const sink = await openSink(this.#id);
      if (this.#isOver) return await sink.keep();
      this.#sink = sink;
    } catch (error) {
      return await this.#fail(SluiceError.from(error));
    }
    // A former run of this receiver had been accepted already.
    if (this.#sink.resume !== null) {
      this.#decision = 'accepted';
      this.#snapshots = [this.#sink.resume.snapshot];
      this.#progress.start(this.#sink.resume.snapshot.contentBytes);
    }
    this.#restartWaiting();
    this.#server.attach(this);
  }

  /** What we hold: everything that was read, or what a former run had written. */
  get #point(): LogPoint | null {
    const state = this.#reader?.state ?? this.#snapshots.at(-1);
    return state === undefined || state.index === 0 ? null : { index: state.index, chain: state.chain };
  }

  #handleOpened(opened: OpenedReceive): void {
    const header = decodeTransferHeader(opened.header);
    const missing = missingFeatures(header, []);
    if (missing.length > 0) throw new SluiceError('unsupported', `It needs: ${missing.join(', ')}.`);
    if (header.suite !== 'none') throw new SluiceError('unsupported', 'The transfer is encrypted.');
    if (encodeBase64Url(header.id) !== this.#id)
      throw new SluiceError('conflict', 'The server sent the header of another transfer.');
    this.#header = header;
    this.#headerHash = this.#environment.digester.digest(opened.header);
    this.#transferState = opened.state;
    this.#expiresAtMs = opened.expiresAtMs;
    this.#reader ??= this.#createReader(this.#snapshots.at(-1) ?? emptyLog(this.#headerHash));
    if (this.#snapshots.length === 0) this.#snapshots = [emptyLog(this.#headerHash)];
    if (opened.from.index !== this.#reader.state.index)
      throw new SluiceError('protocol', 'The server goes on at another record.');
    this.#setState(
      opened.isSenderConnected || opened.state === 'sealed' ? 'receiving' : 'waiting for sender',
    );
    this.#handleDurable(opened.durable);
    this.#checkEnd();
  }

  #createReader(from: LogSnapshot): LogReader {
    const { digester, inflate } = this.#environment;
    return new LogReader(from, this.#header?.recordSizeBytes ?? 0, digester, inflate);
  }

  #handleReset(error: SluiceError): void {
    this.#stream = null;
    this.#dropUndecided();
    if (error.code === 'chainMismatch') this.#rewind();
    else if (!error.retryable) return void this.#fail(error);
    this.#setState('reconnecting');
    const waitMs = error.code === 'chainMismatch' ? 0 : (error.retryAfterMs ?? REOPEN_AFTER_MS);
    this.#environment.clock.setTimer(() => {
      if (this.#isOver || this.#stream !== null || this.#server.connection === null) return;
      this.handleReady();
      this.#server.flush();
    }, waitMs);
  }

  /** The server holds another log than we do: back to the last point it called durable, then to the start. */
  #rewind(): void {
    this.#mismatches += 1;
    const durable = this.#snapshots[0];
    if (this.#mismatches > 2 || durable === undefined) {
      throw new SluiceError('conflict', 'The server has another transfer under this link.');
    }
    const target =
      this.#mismatches === 1 && this.#headerHash !== null
        ? durable
        : emptyLog(this.#headerHash ?? durable.chain);
    this.#batches = [];
    this.#gated = [];
    this.#isSealRead = false;
    this.#snapshots = target.index === 0 && this.#headerHash === null ? [] : [target];
    this.#reader = this.#headerHash === null ? null : this.#createReader(target);
    this.#progress.start(target.contentBytes);
    this.#sink?.rewindTo({ index: target.index, chain: target.chain });
  }

  // --- reading -----------------------------------------------------------------------------------------------------

  #read(chunk: Uint8Array, stream: number): void {
    const reader = this.#reader;
    const sink = this.#sink;
    if (reader === null || sink === null) return;
    const { records, damagedIndex, droppedBytes } = reader.read(chunk);
    const batch: Batch = {
      bytes: chunk.length - droppedBytes,
      stream,
      snapshot: reader.state.snapshot(),
      pending: 1,
    };
    this.#batches.push(batch);
    for (const { item, index } of records) this.#dispatch(item, index, batch, sink);
    this.#settle(batch, null);
    if (damagedIndex !== null) this.#askAgain(damagedIndex);
    if (droppedBytes > 0) this.#returnCredit(stream, droppedBytes);
  }

  #dispatch(item: LogItem, index: number, batch: Batch, sink: TransferSink): void {
    const settle = (error: SluiceError | null): void => this.#settle(batch, error);
    switch (item.type) {
      case 'manifest':
        return this.#handleManifest(item.manifest, sink);
      case 'data':
        this.#progress.begin(item.file);
        batch.pending += 1;
        sink.write(item.file, item.offset, item.content, (error) => {
          this.#progress.addReceived(item.content.length);
          settle(error);
        });
        if (item.end !== null) this.#endFile(item.file, item.end, index, sink);
        return;
      case 'hole':
        batch.pending += 1;
        sink.hole(item.file, item.offset, item.span, (error) => {
          this.#progress.addReceived(item.span);
          settle(error);
        });
        if (item.end !== null) this.#endFile(item.file, item.end, index, sink);
        return;
      case 'pack':
        batch.pending += 1;
        return this.#whenDurable(index, () =>
          sink.writePacked(item.firstFile, item.files, (error) => {
            this.#progress.addReceived(item.files.reduce((sum, { content }) => sum + content.length, 0));
            settle(error);
          }),
        );
      case 'seal':
        this.#isSealRead = true;
        this.#quietTimer?.cancel();
        return;
    }
  }

  /** The end of a file counts into the batch that is newest when it happens, so no checkpoint runs ahead of it. */
  #endFile(
    file: number,
    end: Parameters<TransferSink['endFile']>[1],
    index: number,
    sink: TransferSink,
  ): void {
    const batch = this.#batches.at(-1) as Batch;
    batch.pending += 1;
    this.#whenDurable(index, () => sink.endFile(file, end, (error) => this.#settle(batch, error)));
  }

  #handleManifest(manifest: Manifest, sink: TransferSink): void {
    const { entries, ...head } = manifest;
    this.#manifest = {
      name: head.name ?? this.#manifest.name,
      message: head.message ?? this.#manifest.message,
      totalFiles: head.totalFiles ?? this.#manifest.totalFiles,
      totalBytes: head.totalBytes ?? this.#manifest.totalBytes,
    };
    for (const { path, type, sizeBytes } of entries) {
      if (this.#offered.length < MAX_OFFERED_FILES) this.#offered.push({ path, type, sizeBytes });
    }
    this.#progress.addEntries(entries);
    sink.addEntries(entries);
    if (this.#decision === 'none') this.#ask();
  }

  #ask(): void {
    const offer: Offer = {
      id: this.#id,
      name: this.#manifest.name,
      message: this.#manifest.message,
      totalFiles: this.#manifest.totalFiles,
      totalBytes: this.#manifest.totalBytes,
      files: this.#offered,
      state: this.#transferState,
      isEncrypted: false,
      expiresAtMs: this.#expiresAtMs,
    };
    this.#decision = 'asked';
    this.#feed.emit({ type: 'offer', offer });
    this.#offer.resolve(offer);
    this.#setState('waiting for acceptance');
    Promise.resolve(this.#options.accept?.(offer) ?? true).then(
      (isAccepted) => this.#decide(isAccepted),
      (error: unknown) => void this.#fail(SluiceError.from(error)),
    );
  }

  #decide(isAccepted: boolean): void {
    if (this.#isOver) return;
    if (!isAccepted) return void this.#fail(new SluiceError('refused'));
    this.#decision = 'accepted';
    this.#setState('receiving');
    this.#restartWaiting();
    const waiting = this.#undecided;
    this.#undecided = [];
    this.#guard(() => {
      for (const { chunk, stream } of waiting) this.#read(chunk, stream);
      this.#checkEnd();
    });
  }

  /** Chunks that were never read are asked for again on the next stream. */
  #dropUndecided(): void {
    this.#undecided = [];
  }

  #askAgain(index: number): void {
    if (this.#stream === null) return;
    this.#server.connection?.send({ type: 'nack', stream: this.#stream, index });
    this.#server.flush();
  }

  // --- what is written and what is durable -------------------------------------------------------------------------

  #settle(batch: Batch, error: SluiceError | null): void {
    if (this.#isOver) return;
    if (error !== null) return void this.#fail(error);
    batch.pending -= 1;
    if (batch.pending > 0) return;
    this.#returnCredit(batch.stream, batch.bytes);
    this.#guard(() => this.#advance());
  }

  #returnCredit(stream: number, bytes: number): void {
    if (stream !== this.#stream) return;
    this.#server.connection?.consumed(stream, bytes, this.#environment.clock.now());
    this.#server.flush();
  }

  /** Moves the checkpoint over all batches that are done, in order. */
  #advance(): void {
    let last: Batch | null = null;
    while (this.#batches[0]?.pending === 0) {
      last = this.#batches.shift() as Batch;
      this.#snapshots.push(last.snapshot);
    }
    if (last !== null) {
      const { index, chain } = last.snapshot;
      this.#sink?.checkpoint({ index, chain }, last.snapshot);
      this.#forgetSnapshots();
    }
    this.#emitProgress(false);
    this.#checkEnd();
  }

  #handleDurable(durable: LogPoint): void {
    if (durable.index < this.#serverDurable.index) return;
    this.#serverDurable = durable;
    this.#mismatches = 0;
    this.#forgetSnapshots();
    while ((this.#gated[0]?.index ?? Number.POSITIVE_INFINITY) <= durable.index) this.#gated.shift()?.run();
    this.#checkEnd();
  }

  #whenDurable(index: number, run: () => void): void {
    if (index <= this.#serverDurable.index) run();
    else this.#gated.push({ index, run });
  }

  /** Only the newest point that is durable on the server is needed, and those above it. */
  #forgetSnapshots(): void {
    let keep = 0;
    while ((this.#snapshots[keep + 1]?.index ?? Number.POSITIVE_INFINITY) <= this.#serverDurable.index)
      keep += 1;
    if (keep > 0) this.#snapshots.splice(0, keep);
    const newest = this.#snapshots[0];
    if (newest !== undefined && newest.index <= this.#serverDurable.index)
      this.#progress.noteDurable(newest.contentBytes);
  }

  #checkEnd(): void {
    const reader = this.#reader;
    if (!this.#isSealRead && !(reader?.state.isSealed ?? false)) return;
    const isWritten = this.#batches.length === 0 && this.#gated.length === 0 && this.#decision === 'accepted';
    if (this.#isOver || reader === null) return;
    this.#setState('verifying');
    if (isWritten && this.#serverDurable.index >= reader.state.index) void this.#finish();
  }

  async #finish(): Promise<void> {
    this.#isOver = true;
    this.#cancelTimers();
    try {
      await this.#sink?.finish();
    } catch (error) {
      this.#isOver = false;
      return this.#fail(SluiceError.from(error));
    }
    if (this.#stream !== null) this.#server.connection?.closeStream(this.#stream, true);
    this.#server.flush();
    this.#server.detach(this);
    this.#emitProgress(true);
    const summary = this.#progress.summary(this.#id, this.#environment.clock.now());
    this.#state = 'done';
    this.#feed.emit({ type: 'state', state: 'done', attempt: 0 });
    this.#feed.emit({ type: 'done', summary });
    this.#feed.end();
    this.#done.resolve(summary);
  }

  async #fail(error: SluiceError): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimers();
    if (this.#stream !== null) {
      this.#server.dropStream(this.#stream);
      this.#server.connection?.closeStream(this.#stream);
      this.#server.flush();
    }
    this.#server.detach(this);
    await this.#sink?.keep();
    this.#feed.emit({ type: 'state', state: 'failed', attempt: 0 });
    this.#feed.end(error);
    this.#offer.reject(error);
    this.#done.reject(error);
  }

  // --- what is shown -----------------------------------------------------------------------------------------------

  #emitProgress(isForced: boolean): void {
    const now = this.#environment.clock.now();
    if (!this.#progress.isDue(now, PROGRESS_MS) && !isForced) return;
    const { totalBytes, totalFiles } = this.#manifest;
    this.#feed.emit({ type: 'progress', ...this.#progress.read(), totalBytes, totalFiles });
  }

  #noteArrival(): void {
    if (this.#decision === 'accepted') this.#setState('receiving');
    this.#restartWaiting();
  }

  /** Starts both clocks anew: the one that names the wait, and the one that ends it. */
  #restartWaiting(): void {
    const { clock } = this.#environment;
    // One timer that looks when it fires is cheaper than re-arming it at every message.
    this.#progress.noteArrival(clock.now());
    this.#quietTimer ??= clock.setTimer(() => this.#handleQuiet(), QUIET_MS);
    const { waitTimeoutMs } = this.#options;
    if (waitTimeoutMs !== null)
      this.#waitTimer ??= clock.setTimer(() => this.#handleWait(waitTimeoutMs), waitTimeoutMs);
  }

  #handleQuiet(): void {
    this.#quietTimer = null;
    if (this.#isOver || this.#isSealRead) return;
    const quietMs = this.#environment.clock.now() - this.#progress.arrivedAt;
    const isWaiting = quietMs >= QUIET_MS && this.#batches.length === 0 && this.#decision !== 'asked';
    if (isWaiting && this.#state === 'receiving' && this.#transferState === 'live')
      this.#setState('waiting for sender');
    if (!isWaiting) {
      this.#quietTimer = this.#environment.clock.setTimer(
        () => this.#handleQuiet(),
        Math.max(QUIET_MS - quietMs, 100),
      );
    }
  }

  #handleWait(timeoutMs: number): void {
    this.#waitTimer = null;
    if (this.#isOver) return;
    const leftMs = this.#progress.arrivedAt + timeoutMs - this.#environment.clock.now();
    if (leftMs <= 0 && this.#decision !== 'asked') {
      return void this.#fail(
        new SluiceError('waitTimeout', `${Math.round(timeoutMs / 1000)} s have passed.`),
      );
    }
    this.#waitTimer = this.#environment.clock.setTimer(
      () => this.#handleWait(timeoutMs),
      Math.max(leftMs, 100),
    );
  }

  #cancelTimers(): void {
    this.#quietTimer?.cancel();
    this.#waitTimer?.cancel();
  }

  #setState(state: Activity, attempt = 0): void {
    if (this.#isOver || (this.#state === state && attempt === 0)) return;
    this.#state = state;
    this.#feed.emit({ type: 'state', state, attempt });
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      void this.#fail(SluiceError.from(error));
    }
  }
}

function retryOf(retryAfterMs: number | null): { retryAfterMs?: number } {
  return retryAfterMs === null ? {} : { retryAfterMs };
}
