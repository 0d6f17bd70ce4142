/**
 * One connection of a peer: reads what it wants, hands each stream to the part that serves it, and sees to it that no
 * failure gets further than the stream, or the connection, it belongs to. It decides nothing about transfers (hub) and
 * nothing about credit, order and heartbeats (protocol).
 */
import {
  type Cancel,
  Connection,
  type ConnectionEvent,
  type Create,
  type CreditPool,
  type Inspect,
  type OpenReceive,
  type OpenSend,
  SluiceError,
  type StreamMessage,
} from '../../protocol/index.ts';
import { type Clock, ConnectionDriver, type MessageTransport, type Timer } from '../../runtime/index.ts';
import type { Hub } from '../hub/hub.ts';
import { STORAGE_RETRY_MS } from '../hub/transfer.ts';
import type { Logger } from '../logger.ts';
import { ReceiverStream } from './receiver-stream.ts';
import { SenderStream } from './sender-stream.ts';
import type { StreamContext, StreamUse } from './stream.ts';

export interface SessionOptions {
  readonly hub: Hub;
  readonly clock: Clock;
  /** Already carries what names the connection. */
  readonly logger: Logger;
  readonly software: string;
  readonly publicUrl: string | null;
  readonly limits: SessionLimits;
  readonly processPool: CreditPool;
  /** Called once, when the connection is over. */
  onEnded(): void;
}

export interface SessionLimits {
  /** Streams open at the same time on one connection. */
  readonly maxStreams: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** A peer must have opened a transfer within this time, ms. */
  readonly unauthenticatedMs: number;
}

type Request = Create | OpenSend | OpenReceive | Inspect | Cancel;

interface Entry {
  /** Requests being worked on, one after another: `open` is sent right behind `create`. */
  waiting: number;
  work: Promise<void>;
  use: StreamUse | null;
  /** Closed or reset; whatever is still being worked on must be given up. */
  isGone: boolean;
}

/** `create` and the `open` behind it. */
const MAX_WAITING_REQUESTS = 2;

function newEntry(): Entry {
  return { waiting: 0, work: Promise.resolve(), use: null, isGone: false };
}

export class Session {
  readonly #options: SessionOptions;
  readonly #connection: Connection;
  readonly #driver: ConnectionDriver;
  readonly #entries = new Map<number, Entry>();
  #drainRetryMs: number | null = null;
  #authorisationTimer: Timer | null;

  constructor(transport: MessageTransport, options: SessionOptions) {
    const { clock, limits, software, processPool } = options;
    this.#options = options;
    this.#connection = new Connection(
      { role: 'server', software, ...limits, processPool, serverTimeMs: clock.wallNow() },
      clock.now(),
    );
    this.#authorisationTimer = clock.setTimer(() => {
      this.close(new SluiceError('peerTimeout', 'No transfer was opened in time.'));
    }, limits.unauthenticatedMs);
    this.#driver = new ConnectionDriver({
      connection: this.#connection,
      transport,
      clock,
      onEvent: (event) => this.#guard(() => this.#handleEvent(event)),
    });
  }

  /** Streams in use. */
  get streamCount(): number {
    return this.#entries.size;
  }

  /** Asks the peer to go and takes no new streams. */
  drain(retryAfterMs: number): void {
    this.#drainRetryMs = retryAfterMs;
    this.#connection.goAway(retryAfterMs);
    this.#driver.flush();
  }

  close(error: SluiceError): void {
    this.#driver.close(error);
  }

  #handleEvent(event: ConnectionEvent): void {
    switch (event.type) {
      case 'message':
        return this.#handleMessage(event.message);
      case 'records':
        return this.#entries.get(event.stream)?.use?.handleRecords(event.chunk);
      case 'ended':
        return this.#handleEnded(event.error, event.isLocal);
      case 'ready':
        return this.#options.logger.debug(
          { software: event.software, version: event.version },
          'peer greeted',
        );
      case 'ack':
      case 'rtt':
      case 'goaway':
        return;
    }
  }

  #handleMessage(message: StreamMessage): void {
    switch (message.type) {
      case 'create':
      case 'open':
      case 'inspect':
      case 'cancel':
        return this.#handleRequest(message);
      case 'nack':
        return this.#handleNack(message.stream, message.index);
      case 'close':
        return this.#forget(message.stream, message.isComplete);
      case 'reset':
        return this.#forget(message.stream, false);
      default:
        return this.#reset(
          message.stream,
          new SluiceError('protocol', `A client does not send "${message.type}".`),
        );
    }
  }

  #handleNack(stream: number, index: number): void {
    try {
      const use = this.#entries.get(stream)?.use;
      if (use == null) throw new SluiceError('protocol', 'A record was rejected on a stream that has none.');
      use.handleNack(index);
    } catch (error) {
      this.#reset(stream, SluiceError.from(error));
    }
  }

  #handleRequest(request: Request): void {
    const { stream } = request;
    if (this.#drainRetryMs !== null) {
      return this.#reset(stream, new SluiceError('goingAway', '', { retryAfterMs: this.#drainRetryMs }));
    }
    const entry = this.#entries.get(stream) ?? newEntry();
    this.#entries.set(stream, entry);
    if (entry.waiting >= MAX_WAITING_REQUESTS || entry.use !== null) {
      return this.#reset(stream, new SluiceError('protocol', 'The stream is in use.'));
    }
    entry.waiting += 1;
    entry.work = entry.work
      .then(() => (entry.isGone ? undefined : this.#serve(request, entry)))
      .then(
        () => this.#driver.flush(),
        (error: unknown) => {
          if (!entry.isGone) this.#reset(stream, SluiceError.from(error));
        },
      )
      .finally(() => {
        entry.waiting -= 1;
      });
  }

  async #serve(request: Request, entry: Entry): Promise<void> {
    if (entry.use !== null) throw new SluiceError('protocol', 'The stream is in use.');
    switch (request.type) {
      case 'create':
        return this.#create(request, entry);
      case 'open':
        return request.role === 'send' ? this.#openSend(request, entry) : this.#openReceive(request, entry);
      case 'inspect':
        return this.#inspect(request, entry);
      case 'cancel':
        return this.#cancel(request, entry);
    }
  }

  async #create(request: Create, entry: Entry): Promise<void> {
    const { hub, publicUrl } = this.#options;
    const { expiresAtMs } = await hub.create(request);
    this.#setAuthorised();
    if (!entry.isGone)
      this.#connection.send({ type: 'created', stream: request.stream, publicUrl, expiresAtMs });
  }

  async #openSend(request: OpenSend, entry: Entry): Promise<void> {
    const lease = await this.#options.hub.openToWrite(request.id, request.writeToken);
    this.#setAuthorised();
    if (entry.isGone) return lease.release();
    const use = new SenderStream(this.#contextOf(request.stream, entry), lease);
    entry.use = use;
    await use.open(request);
  }

  async #openReceive(request: OpenReceive, entry: Entry): Promise<void> {
    const lease = await this.#options.hub.openToRead(request.id, request.readToken);
    this.#setAuthorised();
    if (entry.isGone) return lease.release();
    const use = new ReceiverStream(this.#contextOf(request.stream, entry), lease);
    entry.use = use;
    await use.open(request);
  }

  async #inspect(request: Inspect, entry: Entry): Promise<void> {
    const inspection = await this.#options.hub.inspect(request.id, request.writeToken);
    this.#setAuthorised();
    if (entry.isGone) return;
    const { stream } = request;
    this.#connection.send({ type: 'inspected', stream, ...inspection });
    this.#closeStream(stream);
  }

  async #cancel(request: Cancel, entry: Entry): Promise<void> {
    const status = await this.#options.hub.cancel(request.id, request.writeToken);
    this.#setAuthorised();
    if (entry.isGone) return;
    const { stream } = request;
    this.#connection.send({ type: 'state', stream, ...status });
    this.#closeStream(stream);
  }

  // --- streams and the end ------------------------------------------------------------------------------------------

  #contextOf(stream: number, entry: Entry): StreamContext {
    return {
      stream,
      connection: this.#connection,
      clock: this.#options.clock,
      flush: () => this.#driver.flush(),
      reset: (error) => {
        if (!entry.isGone) this.#reset(stream, error);
      },
    };
  }

  #setAuthorised(): void {
    this.#authorisationTimer?.cancel();
    this.#authorisationTimer = null;
  }

  #closeStream(stream: number): void {
    this.#forget(stream, false);
    this.#connection.closeStream(stream, true);
  }

  #reset(stream: number, error: SluiceError): void {
    const { logger } = this.#options;
    if (error.code === 'internal')
      logger.error({ stream, error: error.message, cause: error.cause }, 'stream failed');
    else logger.debug({ stream, code: error.code, error: error.message }, 'stream reset');
    this.#forget(stream, false);
    this.#connection.resetStream(stream, onTheWire(error));
    this.#driver.flush();
  }

  #forget(stream: number, isComplete: boolean): void {
    const entry = this.#entries.get(stream);
    if (entry === undefined) return;
    this.#entries.delete(stream);
    entry.isGone = true;
    entry.use?.release(isComplete);
  }

  #handleEnded(error: SluiceError | null, isLocal: boolean): void {
    this.#setAuthorised();
    const level = error?.code === 'internal' && isLocal ? 'error' : 'debug';
    this.#options.logger[level](
      { code: error?.code ?? null, error: error?.message ?? null, isLocal },
      'connection ended',
    );
    for (const stream of [...this.#entries.keys()]) this.#forget(stream, false);
    this.#options.onEnded();
  }

  /** A mistake of ours while an event is handled ends this connection and nothing else. */
  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      const { logger } = this.#options;
      logger.error(
        { error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
        'event failed',
      );
      this.#connection.close(new SluiceError('internal'));
    }
  }
}

/** What a peer is told: never a code of our own side, and when to come back where that is known. */
function onTheWire(error: SluiceError): SluiceError {
  if (error.scope === 'local') return new SluiceError('internal');
  if (error.code !== 'storageFull' || error.retryAfterMs !== null) return error;
  return new SluiceError('storageFull', error.detail, { cause: error, retryAfterMs: STORAGE_RETRY_MS });
}
