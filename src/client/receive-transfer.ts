/**
 * One transfer being received: its conversation with the server and with its user. Opens the stream where the intake
 * stands, asks whether the offer is wanted before any content is written, comes back after every interruption, and says
 * done only when the seal matched and every file is in its place. Records are for record-intake.ts.
 */
import {
  type Connection,
  decodeTransferHeader,
  EMPTY_HEAD,
  encodeBase64Url,
  type LogPoint,
  type Manifest,
  type ManifestHead,
  mergeHeads,
  missingFeatures,
  type OpenedReceive,
  type Priority,
  SluiceError,
  type StreamMessage,
  type TransferState,
} from '../protocol/index.ts';
import type { SinkResume, SinkTotals, TransferSink } from '../runtime/index.ts';
import { ArrivalWatch } from './arrival-watch.ts';
import type { ClientEnvironment } from './environment.ts';
import { EventFeed } from './event-feed.ts';
import type { Activity, FileEvent, Offer, OfferedFile, ReceiveEvent, ReceiveSummary } from './events.ts';
import { type Link, readTokenOf } from './link.ts';
import { Patience } from './patience.ts';
import { ProgressPace } from './progress-pace.ts';
import { ReceiveProgress } from './receive-progress.ts';
import { RecordIntake } from './record-intake.ts';
import type { ServerConnection, StreamUser } from './server-connection.ts';

export interface ReceiveTransferOptions {
  readonly link: Link;
  /** Asked once, before the first connection: what it holds decides where to go on. */
  openSink(id: string): Promise<TransferSink>;
  /** Decides about the offer before anything is written. Absent = yes. */
  accept?(offer: Offer): boolean | Promise<boolean>;
  /** Gives up when nothing arrived for so long, ms; null = waits until the transfer ends. */
  readonly waitTimeoutMs: number | null;
  /** How long a stream that the server resets is opened again while nothing comes of it, ms. */
  readonly reconnectForMs: number;
  readonly priority: Priority;
  readonly signal: AbortSignal | null;
}

const REOPEN_AFTER_MS = 1_000;
/** Streams given up because a record stayed damaged; one more ends the transfer. */
const MAX_DAMAGED_STREAMS = 3;
/** Files of the offer that are remembered to be shown. */
const MAX_OFFERED_FILES = 10_000;

export class ReceiveTransfer implements AsyncDisposable, StreamUser {
  readonly #server: ServerConnection;
  readonly #environment: ClientEnvironment;
  readonly #options: ReceiveTransferOptions;
  readonly #id: string;
  readonly #feed = new EventFeed<ReceiveEvent>();
  readonly #offer = Promise.withResolvers<Offer>();
  readonly #done = Promise.withResolvers<ReceiveSummary>();
  readonly #progress: ReceiveProgress;
  readonly #pace: ProgressPace;
  readonly #arrivals: ArrivalWatch;
  readonly #patience: Patience;
  #readToken: Uint8Array | null = null;
  #sink: TransferSink | null = null;
  /** Where a former run stands, unless the server's log turned out to be another one. */
  #resume: SinkResume | null = null;
  #intake: RecordIntake | null = null;
  #recordSizeBytes: number | undefined;
  #stream: number | null = null;
  #decision: 'none' | 'asked' | 'accepted' = 'none';
  #transferState: TransferState = 'live';
  #expiresAtMs = 0;
  #state: Activity = 'connecting';
  #isOver = false;
  #damagedStreams = 0;
  #head: ManifestHead = EMPTY_HEAD;
  #offered: OfferedFile[] = [];

  constructor(server: ServerConnection, environment: ClientEnvironment, options: ReceiveTransferOptions) {
    this.#server = server;
    this.#environment = environment;
    this.#options = options;
    this.#id = encodeBase64Url(options.link.id);
    this.#progress = new ReceiveProgress(environment.clock.now());
    this.#pace = new ProgressPace(environment.clock, () => this.#emitProgress());
    this.#patience = new Patience(environment.clock, options.reconnectForMs);
    this.#arrivals = new ArrivalWatch({
      clock: environment.clock,
      waitTimeoutMs: options.waitTimeoutMs,
      isWaiting: () => this.#decision !== 'asked' && (this.#intake?.isIdle ?? true),
      onQuiet: () => {
        const isLive = this.#transferState === 'live' && !this.#intake?.isSealed;
        if (isLive && this.#state === 'receiving') this.#setState('waiting for sender');
      },
      onTimeout: (ms) =>
        void this.#fail(new SluiceError('waitTimeout', `${Math.round(ms / 1000)} s have passed.`)),
    });
    // Both promises may be left alone by a user who listens to events only.
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

  /** Calls `listener` with every event; returns how to stop that. */
  on(listener: (event: ReceiveEvent) => void): () => void {
    return this.#feed.on(listener);
  }

  /** Events one after another. (`Client.receive` gives the files one after another.) */
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

  /** For sinks: a file is finished for this side. */
  reportFile(event: FileEvent): void {
    this.#progress.countFile(event);
    this.#feed.emit(event);
  }

  // --- calls of the connection -------------------------------------------------------------------------------------

  handleReady(): void {
    if (this.#isOver || this.#readToken === null || this.#sink === null) return;
    // While the user thinks, what came before the cut is enough: more would only be held in memory.
    if (this.#decision === 'asked') return;
    const stream = this.#server.openStream(this, this.#options.priority);
    this.#stream = stream;
    const connection = this.#server.connection as Connection;
    connection.send({
      type: 'open',
      role: 'receive',
      stream,
      id: this.#options.link.id,
      readToken: this.#readToken,
      from: this.#intake === null ? (this.#resume?.point ?? null) : this.#intake.point,
      credit: connection.grantCredit(stream, this.#recordSizeBytes),
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
          if (message.state === 'live')
            this.#setState(message.isSenderConnected ? 'receiving' : 'waiting for sender');
          return;
        case 'reset':
          return this.#handleReset(
            new SluiceError(
              message.code,
              '',
              message.retryAfterMs === null ? {} : { retryAfterMs: message.retryAfterMs },
            ),
          );
        default:
          return;
      }
    });
  }

  handleRecords(chunk: Uint8Array): void {
    if (this.#isOver || this.#stream === null) return;
    this.#arrivals.note();
    if (this.#decision === 'accepted') this.#setState('receiving');
    const stream = this.#stream;
    this.#guard(() => {
      try {
        this.#intake?.read(chunk, stream);
      } catch (error) {
        this.#handleUnreadable(SluiceError.from(error), stream);
      }
    });
  }

  handleAck(_received: number | null, durable: LogPoint | null): void {
    if (durable !== null) this.#guard(() => this.#intake?.handleDurable(durable.index));
  }

  handleDown(attempt: number): void {
    this.#stream = null;
    this.#setState(this.#intake === null ? 'connecting' : 'reconnecting', attempt);
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
    this.#resume = this.#sink.resume;
    if (this.#resume !== null) {
      // The former run had been accepted.
      this.#decision = 'accepted';
      this.#head = this.#resume.head ?? EMPTY_HEAD;
      this.#progress.start(this.#resume.snapshot.contentBytes);
    }
    this.#arrivals.note();
    this.#server.attach(this);
  }

  #handleOpened(opened: OpenedReceive): void {
    const header = decodeTransferHeader(opened.header);
    const missing = missingFeatures(header, []);
    if (missing.length > 0) throw new SluiceError('unsupported', `It needs: ${missing.join(', ')}.`);
    if (header.suite !== 'none') throw new SluiceError('unsupported', 'The transfer is encrypted.');
    if (encodeBase64Url(header.id) !== this.#id) {
      throw new SluiceError('conflict', 'The server sent the header of another transfer.');
    }
    this.#recordSizeBytes = header.recordSizeBytes;
    this.#transferState = opened.state;
    this.#expiresAtMs = opened.expiresAtMs;
    if (this.#intake === null && this.#resume !== null) this.#tellOffer();
    this.#intake ??= this.#createIntake(
      this.#environment.digester.digest(opened.header),
      header.recordSizeBytes,
    );
    if (opened.from.index !== this.#intake.index) {
      throw new SluiceError('protocol', 'The server goes on at another record than it was asked to.');
    }
    this.#setState(
      opened.isSenderConnected || opened.state === 'sealed' ? 'receiving' : 'waiting for sender',
    );
    this.#intake.handleDurable(opened.durable.index);
    this.#checkEnd();
  }

  #createIntake(headerHash: Uint8Array, recordSizeBytes: number): RecordIntake {
    const { digester, inflate, clock } = this.#environment;
    return new RecordIntake({
      headerHash,
      recordSizeBytes,
      digester,
      inflate,
      sink: this.#sink as TransferSink,
      from: this.#resume?.snapshot ?? null,
      isAccepted: this.#decision === 'accepted',
      onManifest: (manifest) => this.#handleManifest(manifest),
      onBegin: (file) => this.#progress.begin(file),
      onContent: (bytes) => this.#progress.addReceived(bytes),
      onConsumed: (stream, bytes) => {
        // Credit of a stream that is gone went with it.
        if (stream !== this.#stream) return;
        this.#server.connection?.consumed(stream, bytes, clock.now());
        this.#server.flush();
      },
      onDamage: (index) => {
        if (this.#stream !== null)
          this.#server.connection?.send({ type: 'nack', stream: this.#stream, index });
        this.#server.flush();
      },
      onAdvance: () => {
        this.#patience.restore();
        this.#server.noteProgress();
        this.#pace.request();
        this.#checkEnd();
      },
      onError: (error) => void this.#fail(error),
    });
  }

  #handleReset(error: SluiceError): void {
    this.#stream = null;
    const isMismatch = error.code === 'chainMismatch';
    if (isMismatch) this.#rewind();
    else if (!error.retryable) return void this.#fail(error);
    const attempt = this.#patience.next();
    if (attempt === null) return void this.#fail(error);
    if (attempt === 1) this.#feed.emit({ type: 'warning', error });
    this.#setState('reconnecting', attempt);
    this.#environment.clock.setTimer(
      () => this.#openAgain(),
      isMismatch ? 0 : (error.retryAfterMs ?? REOPEN_AFTER_MS),
    );
  }

  #openAgain(): void {
    if (this.#isOver || this.#stream !== null || this.#server.connection === null) return;
    this.handleReady();
    this.#server.flush();
  }

  /** A record that stays damaged however often it is asked for: a new stream reads it anew from the server's disk. */
  #handleUnreadable(error: SluiceError, stream: number): void {
    this.#damagedStreams += 1;
    if (error.code !== 'digestMismatch' || this.#damagedStreams > MAX_DAMAGED_STREAMS) throw error;
    this.#server.dropStream(stream);
    this.#server.connection?.resetStream(stream, error);
    this.#handleReset(error);
  }

  #rewind(): void {
    if (this.#intake !== null) {
      this.#progress.start(this.#intake.rewind());
      return;
    }
    // The point of a former run is not in the server's log: there is no earlier one to try but the start.
    if (this.#resume === null)
      throw new SluiceError('conflict', 'The server has another transfer under this link.');
    this.#resume = null;
    (this.#sink as TransferSink).rewindTo({ index: 0, chain: new Uint8Array(32) });
    this.#progress.start(0);
  }

  // --- the offer ---------------------------------------------------------------------------------------------------

  #handleManifest({ entries, ...head }: Manifest): void {
    this.#head = mergeHeads(this.#head, head);
    if (this.#decision === 'accepted') this.#sink?.setHead?.(this.#head);
    for (const { path, type, sizeBytes } of entries) {
      if (this.#offered.length < MAX_OFFERED_FILES) this.#offered.push({ path, type, sizeBytes });
    }
    this.#progress.addEntries(entries);
    if (this.#decision === 'none') this.#ask();
  }

  #ask(): void {
    this.#decision = 'asked';
    const offer = this.#tellOffer();
    this.#setState('waiting for acceptance');
    Promise.resolve(this.#options.accept?.(offer) ?? true).then(
      (isAccepted) => this.#decide(isAccepted),
      (error: unknown) => void this.#fail(SluiceError.from(error)),
    );
  }

  /** What is known now. A receiver that goes on is told it as well, though nobody is asked again. */
  #tellOffer(): Offer {
    const offer: Offer = {
      id: this.#id,
      ...this.#head,
      files: this.#offered,
      state: this.#transferState,
      isEncrypted: false,
      expiresAtMs: this.#expiresAtMs,
    };
    this.#feed.emit({ type: 'offer', offer });
    this.#offer.resolve(offer);
    return offer;
  }

  #decide(isAccepted: boolean): void {
    if (this.#isOver) return;
    if (!isAccepted) return void this.#fail(new SluiceError('refused'));
    this.#decision = 'accepted';
    this.#setState('receiving');
    this.#arrivals.note();
    this.#guard(() => {
      this.#sink?.setHead?.(this.#head);
      this.#intake?.accept();
    });
    this.#openAgain();
    this.#checkEnd();
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  #checkEnd(): void {
    const intake = this.#intake;
    if (this.#isOver || intake === null || !intake.isSealed || this.#decision !== 'accepted') return;
    this.#setState('verifying');
    if (intake.isSettled) void this.#finish();
  }

  async #finish(): Promise<void> {
    this.#isOver = true;
    this.#arrivals.stop();
    let totals: SinkTotals;
    try {
      totals = await (this.#sink as TransferSink).finish();
    } catch (error) {
      this.#isOver = false;
      return this.#fail(SluiceError.from(error));
    }
    this.#leave(true);
    this.#pace.stop();
    this.#emitProgress();
    const summary = { id: this.#id, ...totals, ...this.#progress.summary(this.#environment.clock.now()) };
    this.#feed.emit({ type: 'state', state: 'done', attempt: 0 });
    this.#feed.emit({ type: 'done', summary });
    this.#feed.end();
    this.#done.resolve(summary);
  }

  async #fail(error: SluiceError): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#arrivals.stop();
    this.#pace.stop();
    if (this.#intake !== null) this.#emitProgress();
    this.#leave(false);
    await this.#sink?.keep(error);
    this.#feed.emit({ type: 'state', state: 'failed', attempt: 0 });
    this.#feed.end(error);
    this.#offer.reject(error);
    this.#done.reject(error);
  }

  #leave(isComplete: boolean): void {
    if (this.#stream !== null) this.#server.connection?.closeStream(this.#stream, isComplete);
    this.#server.flush();
    this.#server.detach(this);
  }

  // --- what is shown -----------------------------------------------------------------------------------------------

  #emitProgress(): void {
    const { totalBytes, totalFiles } = this.#head;
    const durableBytes = this.#intake?.durableContentBytes ?? 0;
    this.#feed.emit({ type: 'progress', ...this.#progress.read(), durableBytes, totalBytes, totalFiles });
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
