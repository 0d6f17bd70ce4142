/**
 * One transfer being sent: opens its stream on the shared connection, starts production where the server stands, keeps
 * the window moving, and tells its user what happens. Reading sources and making records is for record-producer.ts,
 * order and numbers for send-plan.ts.
 *
 * Life: (connecting) -> create + open -> opened -> produce into the window -> seal -> everything durable -> done.
 * A lost connection only stops the window: production goes on until it is full, and the next `opened` replays it.
 */
import {
  emptyLog,
  encodeBase64Url,
  encodeTransferHeader,
  type LogPoint,
  type LogSnapshot,
  type OpenedSend,
  type Priority,
  SluiceError,
  type StreamMessage,
} from '../protocol/index.ts';
import type { SendJournal } from '../runtime/index.ts';
import type { ClientEnvironment, ClientLimits } from './environment.ts';
import { EventFeed } from './event-feed.ts';
import type { Activity, SendEvent, SendSummary } from './events.ts';
import { hex } from './hex.ts';
import { formatLink, hashOfToken, readTokenOf } from './link.ts';
import { Patience } from './patience.ts';
import { Production, type ProductionInput } from './production.ts';
import { ProgressPace } from './progress-pace.ts';
import { request } from './request.ts';
import type { ServerConnection, StreamUser } from './server-connection.ts';
import type { ProducedFile } from './source-reading.ts';

/** Who may write a transfer and who may read it. Made once, kept by the sender's journal. */
export interface TransferCredentials {
  /** 16 random bytes. */
  readonly id: Uint8Array<ArrayBuffer>;
  /** 32 random bytes, in the link. */
  readonly secret: Uint8Array<ArrayBuffer>;
  /** 32 random bytes, never in the link. */
  readonly writeToken: Uint8Array<ArrayBuffer>;
}

/** Which transfer it is: a new one, or one that a former process began. */
export interface SendIdentity {
  readonly credentials: TransferCredentials;
  /** Null for a transfer that does not outlive this process. */
  readonly journal: SendJournal | null;
}

/** The sources are walked once, and again only when the server lost data. */
export interface SendTransferOptions extends ProductionInput {
  /** Asked once, first of all. */
  prepare(): Promise<SendIdentity>;
  /** Time to live after the last append or seal, ms; null = the server's default. */
  readonly expiresMs: number | null;
  readonly priority: Priority;
  readonly signal: AbortSignal | null;
}

const REOPEN_AFTER_MS = 1_000;

export class SendTransfer implements AsyncIterable<SendEvent>, AsyncDisposable, StreamUser {
  readonly #server: ServerConnection;
  readonly #environment: ClientEnvironment;
  readonly #limits: ClientLimits;
  readonly #options: SendTransferOptions;
  readonly #feed = new EventFeed<SendEvent>();
  readonly #session: Uint8Array;
  readonly #pace: ProgressPace;
  readonly #patience: Patience;
  readonly #link = Promise.withResolvers<string>();
  readonly #done = Promise.withResolvers<SendSummary>();
  readonly #startedAt: number;
  #linkText: string | null = null;
  /** Known once `prepare` has answered; nothing is sent before. */
  #identity: (SendIdentity & { readonly header: Uint8Array; readonly readTokenHash: Uint8Array }) | null =
    null;
  #stream: number | null = null;
  #attempt = 0;
  #production: Production | null = null;
  #state: Activity = 'connecting';
  #isPaused = false;
  #isOver = false;
  #expiresAtMs = 0;
  #totals: { files: number | null; bytes: number | null } = { files: null, bytes: null };
  #currentFile: readonly string[] | null = null;
  #problems = 0;

  constructor(
    server: ServerConnection,
    environment: ClientEnvironment,
    limits: ClientLimits,
    options: SendTransferOptions,
  ) {
    this.#server = server;
    this.#environment = environment;
    this.#limits = limits;
    this.#options = options;
    this.#startedAt = environment.clock.now();
    this.#session = environment.random.bytes(16);
    this.#patience = new Patience(environment.clock, limits.reconnectForMs);
    this.#pace = new ProgressPace(environment.clock, () => this.#emitProgress());
    // Both promises may be left alone by a user who listens to events only.
    this.#link.promise.catch(() => {});
    this.#done.promise.catch(() => {});
    void this.#start();
  }

  /** The link, as soon as the server has accepted the transfer; before any content is read. */
  get link(): Promise<string> {
    return this.#link.promise;
  }

  /** Resolves when everything is safe on the server and sealed. Rejects with SluiceError. */
  get done(): Promise<SendSummary> {
    return this.#done.promise;
  }

  /** Calls `listener` with every event; returns how to stop that. */
  on(listener: (event: SendEvent) => void): () => void {
    return this.#feed.on(listener);
  }

  [Symbol.asyncIterator](): AsyncIterator<SendEvent> {
    return this.#feed.iterate();
  }

  pause(): void {
    this.#isPaused = true;
    this.#production?.window.setPaused(true);
    this.#setState('paused');
  }

  resume(): void {
    this.#isPaused = false;
    this.#production?.window.setPaused(false);
    this.#setState('sending');
    this.#wake();
  }

  /** Leaves: what is safe stays on the server, and the same sources can be sent on later. */
  async stop(): Promise<void> {
    this.#fail(new SluiceError('interrupted'));
  }

  /** Ends the transfer for everybody and removes its bytes from the server. */
  async cancel(): Promise<void> {
    this.#production?.stop(new SluiceError('cancelled'));
    if (this.#identity !== null) {
      const { id, writeToken } = this.#identity.credentials;
      await request(this.#server, (stream) => ({ type: 'cancel', stream, id, writeToken }));
    }
    this.#fail(new SluiceError('cancelled', 'By this sender.'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.stop();
  }

  // --- calls of the connection -------------------------------------------------------------------------------------

  handleReady(): void {
    if (this.#isOver || this.#identity === null) return;
    const { credentials, header, readTokenHash } = this.#identity;
    const { id, writeToken } = credentials;
    const stream = this.#server.openStream(this, this.#options.priority);
    this.#stream = stream;
    this.#attempt += 1;
    const connection = this.#server.connection;
    // Repeating `create` is a no-op, so it needs no memory of whether the first one arrived (SPEC 8.2).
    connection?.send({
      type: 'create',
      stream,
      id,
      header,
      writeToken,
      readTokenHash,
      expiresMs: this.#options.expiresMs,
    });
    connection?.send({
      type: 'open',
      role: 'send',
      stream,
      id,
      writeToken,
      session: this.#session,
      attempt: this.#attempt,
      priority: this.#options.priority,
    });
  }

  handleMessage(message: StreamMessage): void {
    this.#guard(() => {
      switch (message.type) {
        case 'created':
          this.#expiresAtMs = message.expiresAtMs;
          return this.#announceLink(message.publicUrl ?? this.#server.url);
        case 'opened':
          if (message.role === 'send') this.#handleOpened(message);
          return;
        case 'nack':
          this.#production?.window.handleNack(message.index);
          if (this.#stream !== null) this.#server.connection?.abandonPartial(this.#stream);
          return this.#wake();
        case 'receivers':
          for (const receiver of message.receivers) this.#feed.emit({ type: 'receiver', ...receiver });
          return;
        case 'reset':
          return this.#handleReset(new SluiceError(message.code, '', retryOf(message.retryAfterMs)));
        default:
          return;
      }
    });
  }

  handleRecords(_chunk: Uint8Array): void {}

  handleAck(_received: number | null, durable: LogPoint | null): void {
    if (durable === null) return;
    this.#patience.restore();
    this.#server.noteProgress();
    this.#guard(() => {
      this.#production?.window.handleDurable(durable);
      this.#handleProgress();
    });
  }

  handleDown(attempt: number): void {
    this.#stream = null;
    this.#production?.window.handleClosed();
    this.#setState(this.#linkText === null ? 'connecting' : 'reconnecting', attempt);
  }

  handleFailed(error: SluiceError): void {
    this.#fail(error);
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  async #start(): Promise<void> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#fail(new SluiceError('interrupted'));
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#done.promise.finally(() => signal?.removeEventListener('abort', onAbort)).catch(() => {});
    try {
      const identity = await this.#options.prepare();
      const header = encodeTransferHeader({
        id: identity.credentials.id,
        suite: 'none',
        codecs: ['raw'],
        recordSizeBytes: this.#limits.recordSizeBytes,
        requires: [],
        commitment: new Uint8Array(32),
      });
      const readTokenHash = await hashOfToken(await readTokenOf(identity.credentials));
      this.#identity = { ...identity, header, readTokenHash };
    } catch (error) {
      return this.#fail(SluiceError.from(error));
    }
    if (!this.#isOver) this.#server.attach(this);
  }

  #announceLink(base: string): void {
    if (this.#linkText !== null || this.#identity === null) return;
    const { id, secret } = this.#identity.credentials;
    this.#linkText = formatLink({ server: base, id, secret });
    this.#feed.emit({
      type: 'link',
      link: this.#linkText,
      id: encodeBase64Url(id),
      isResumed: (this.#identity.journal?.files.length ?? 0) > 0,
      expiresAtMs: this.#expiresAtMs,
    });
    this.#link.resolve(this.#linkText);
  }

  #handleOpened(opened: OpenedSend): void {
    const snapshot = snapshotOf(opened);
    if (this.#production !== null) {
      try {
        this.#production.window.handleOpened(opened.durable);
      } catch (error) {
        if (SluiceError.from(error).code !== 'dataLost' || !this.#canReplay) throw error;
        // The sender is the write-ahead log: what the server lost is read and sent again.
        this.#feed.emit({ type: 'warning', error: SluiceError.from(error) });
        this.#production.stop(SluiceError.from(error));
        this.#production = null;
      }
    }
    this.#production ??= this.#produce(snapshot);
    const { window } = this.#production;
    if (this.#stream !== null) this.#server.connection?.attachOutbox(this.#stream, window, opened.credit);
    this.#setState(this.#isPaused ? 'paused' : 'sending');
    this.#handleProgress();
  }

  get #idText(): string {
    return this.#identity === null ? '' : encodeBase64Url(this.#identity.credentials.id);
  }

  get #canReplay(): boolean {
    return this.#identity?.journal?.files.every(({ origin }) => origin !== null) ?? false;
  }

  #produce(from: LogSnapshot): Production {
    const production = new Production(from, this.#environment, this.#limits, {
      onRecord: () => {
        this.#wake();
        this.#pace.request();
      },
      onBegin: (path) => {
        this.#currentFile = path;
      },
      onFile: (file) => this.#handleFile(file),
      onTotals: (files, bytes) => {
        this.#totals = { files, bytes };
      },
    });
    production.window.setPaused(this.#isPaused);
    production.window.handleOpened(from);
    production.run(this.#options, this.#identity?.journal ?? null).then(
      () => this.#guard(() => this.#handleProgress()),
      (error: unknown) => {
        if (this.#production === production) this.#fail(SluiceError.from(error));
      },
    );
    return production;
  }

  #handleFile({ path, end, error }: ProducedFile): void {
    if (end.status !== 'ok') this.#problems += 1;
    this.#feed.emit({
      type: 'file',
      path,
      savedAs: null,
      sizeBytes: end.sizeBytes,
      blake3: end.status === 'ok' ? hex(end.blake3) : null,
      status: end.status,
      error,
    });
  }

  #handleProgress(): void {
    const production = this.#production;
    if (production === null || this.#isOver) return;
    production.handleRoom();
    const isFinished = production.isSealed && production.window.isEmpty;
    if (production.isSealed && !isFinished) this.#setState('verifying');
    if (isFinished) {
      this.#pace.stop();
      this.#emitProgress();
      this.#finish(production);
    } else this.#pace.request();
  }

  #emitProgress(): void {
    const window = this.#production?.window;
    if (window === undefined) return;
    this.#feed.emit({
      type: 'progress',
      sentBytes: window.sentContentBytes,
      durableBytes: window.durableContentBytes,
      totalBytes: this.#totals.bytes,
      totalFiles: this.#totals.files,
      currentFile: this.#currentFile,
    });
  }

  #finish(production: Production): void {
    this.#isOver = true;
    const { clock } = this.#environment;
    const summary: SendSummary = {
      id: this.#idText,
      link: this.#linkText ?? '',
      files: production.endedFiles - this.#problems,
      sizeBytes: production.window.durableContentBytes,
      seconds: (clock.now() - this.#startedAt) / 1000,
      problems: this.#problems,
    };
    if (this.#stream !== null) this.#server.connection?.closeStream(this.#stream, true);
    this.#server.flush();
    this.#server.detach(this);
    this.#setState('done');
    this.#feed.emit({ type: 'done', summary });
    this.#feed.end();
    this.#done.resolve(summary);
  }

  #handleReset(error: SluiceError): void {
    this.#stream = null;
    this.#production?.window.handleClosed();
    if (!error.retryable) return this.#fail(error);
    // A full disk is waited out for as long as its user does; nothing that was acknowledged is at risk.
    if (error.code === 'storageFull') this.#setState('waiting for server space');
    else {
      const attempt = this.#patience.next();
      if (attempt === null) return this.#fail(error);
      if (attempt === 1) this.#feed.emit({ type: 'warning', error });
      this.#setState('reconnecting', attempt);
    }
    this.#environment.clock.setTimer(() => {
      if (!this.#isOver && this.#stream === null && this.#server.connection !== null) {
        this.handleReady();
        this.#server.flush();
      }
    }, error.retryAfterMs ?? REOPEN_AFTER_MS);
  }

  #wake(): void {
    if (this.#stream === null) return;
    this.#server.connection?.wake(this.#stream);
    this.#server.flush();
  }

  #setState(state: Activity, attempt = 0): void {
    if (this.#state === state && attempt === 0) return;
    this.#state = state;
    this.#feed.emit({ type: 'state', state, attempt });
  }

  #fail(error: SluiceError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pace.stop();
    this.#emitProgress();
    this.#production?.stop(error);
    if (this.#stream !== null) {
      this.#server.dropStream(this.#stream);
      this.#server.connection?.closeStream(this.#stream);
      this.#server.flush();
    }
    this.#server.detach(this);
    this.#setState('failed');
    this.#feed.end(error);
    this.#link.reject(error);
    this.#done.reject(error);
  }

  /** A message of the server that cannot be right ends this transfer, not the connection of the others. */
  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#fail(SluiceError.from(error));
    }
  }
}

function snapshotOf(opened: OpenedSend): LogSnapshot {
  const { durable, position, nextFile, openFiles, endedFiles, contentBytes, isSealed } = opened;
  return {
    ...emptyLog(durable.chain),
    ...durable,
    position,
    nextFile,
    openFiles,
    endedFiles,
    contentBytes,
    isSealed,
  };
}

function retryOf(retryAfterMs: number | null): { retryAfterMs?: number } {
  return retryAfterMs === null ? {} : { retryAfterMs };
}
