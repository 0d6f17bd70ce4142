/**
 * One connection to one server that comes back by itself, shared by all transfers of a client with that server. It
 * knows when to connect, when to wait and when to give up; what a transfer does on its streams is its own business.
 */
import {
  BACKOFF_RESET_MS,
  backoffMs,
  Connection,
  type ConnectionEvent,
  type LogPoint,
  type Priority,
  SluiceError,
  type StreamMessage,
} from '../protocol/index.ts';
import { ConnectionDriver, type MessageTransport, type Timer } from '../runtime/index.ts';
import type { ClientEnvironment, ClientLimits } from './environment.ts';

/** States of the session (SPEC 4.6). */
export type SessionState = 'connecting' | 'ready' | 'draining' | 'backoff' | 'closed' | 'failed';

/** A transfer, or a single question, that uses the connection. All calls come synchronously from the connection. */
export interface StreamUser {
  /** The connection is ready: open a stream with `openStream`. Called again after every reconnect. */
  handleReady(): void;
  handleMessage(message: StreamMessage): void;
  handleRecords(chunk: Uint8Array): void;
  handleAck(received: number | null, durable: LogPoint | null): void;
  /** The connection is gone and is being tried again; its streams with it. */
  handleDown(attempt: number): void;
  /** It will not come back. Last call. */
  handleFailed(error: SluiceError): void;
}

export class ServerConnection {
  readonly url: string;
  readonly #environment: ClientEnvironment;
  readonly #limits: ClientLimits;
  readonly #onState: (state: SessionState) => void;
  readonly #users = new Set<StreamUser>();
  readonly #userOfStream = new Map<number, StreamUser>();
  /** From the first user to the last, or to giving up. What an earlier life still brings is not for this one. */
  #life = new AbortController();
  #driver: ConnectionDriver | null = null;
  #state: SessionState = 'closed';
  #attempt = 0;
  #tryingSince = 0;
  #readyAt: number | null = null;
  #hasBeenReady = false;
  #retryAfterMs: number | null = null;
  #timer: Timer | null = null;

  constructor(
    url: string,
    environment: ClientEnvironment,
    limits: ClientLimits,
    onState: (state: SessionState) => void = () => {},
  ) {
    this.url = url;
    this.#environment = environment;
    this.#limits = limits;
    this.#onState = onState;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The protocol machine, while the connection is ready; null otherwise. */
  get connection(): Connection | null {
    return this.#state === 'ready' || this.#state === 'draining' ? (this.#driver?.connection ?? null) : null;
  }

  /** Adds a user; connects if nobody was there before, also after it was closed or given up. */
  attach(user: StreamUser): void {
    this.#users.add(user);
    if (this.connection !== null) user.handleReady();
    else if (this.#state === 'closed' || this.#state === 'failed') this.#begin();
    this.flush();
  }

  /** Removes a user. The last one closes the connection in order. */
  detach(user: StreamUser): void {
    this.#users.delete(user);
    for (const [stream, owner] of this.#userOfStream) if (owner === user) this.#userOfStream.delete(stream);
    if (this.#users.size === 0) this.close();
  }

  /** A new stream whose messages go to `user`. Only while `connection` is there. */
  openStream(user: StreamUser, priority: Priority): number {
    const connection = this.connection;
    if (connection === null) throw new RangeError('a stream is opened only on a ready connection');
    const stream = connection.openStream(priority, this.#environment.clock.now());
    this.#userOfStream.set(stream, user);
    return stream;
  }

  /** Forgets a stream that was closed or reset. */
  dropStream(stream: number): void {
    this.#userOfStream.delete(stream);
  }

  /** Sends what commands have queued. */
  flush(): void {
    this.#driver?.flush();
  }

  /** Something new is safe on the other side: the next failure starts the backoff from the beginning. */
  noteProgress(): void {
    this.#attempt = 0;
  }

  /** Goes on at once instead of waiting out the backoff, e.g. because the network came back. */
  retryNow(): void {
    if (this.#state !== 'backoff') return;
    this.#timer?.cancel();
    void this.#connect();
  }

  /** Ends the connection in order. Users that are left hear `interrupted`. */
  close(): void {
    if (this.#state === 'closed' || this.#state === 'failed') return;
    const driver = this.#driver;
    this.#endLife('closed', new SluiceError('interrupted'));
    driver?.close();
  }

  #begin(): void {
    this.#life = new AbortController();
    this.#attempt = 0;
    this.#tryingSince = this.#environment.clock.now();
    this.#readyAt = null;
    this.#hasBeenReady = false;
    this.#retryAfterMs = null;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const { signal } = this.#life;
    this.#setState('connecting');
    let transport: MessageTransport;
    try {
      transport = await this.#environment.connect(this.url, signal);
    } catch (error) {
      if (!signal.aborted) this.#retry(SluiceError.from(error));
      return;
    }
    if (signal.aborted) return transport.terminate();
    const { clock, software } = this.#environment;
    const connection = new Connection(
      { role: 'client', software, streamWindowBytes: this.#limits.receiveWindowBytes },
      clock.now(),
    );
    const driver: ConnectionDriver = new ConnectionDriver({
      connection,
      transport,
      clock,
      onEvent: (event) => {
        if (!signal.aborted) this.#handleEvent(event);
      },
    });
    // A transport that failed at once has already told us so, and a new attempt is on its way.
    if (!connection.isEnded) {
      this.#driver = driver;
      driver.flush();
    }
  }

  #handleEvent(event: ConnectionEvent): void {
    switch (event.type) {
      case 'ready':
        return this.#handleReady();
      case 'message':
        return this.#handleMessage(event.message);
      case 'records':
        return this.#userOfStream.get(event.stream)?.handleRecords(event.chunk);
      case 'ack':
        return this.#userOfStream.get(event.stream)?.handleAck(event.received, event.durable);
      case 'goaway':
        this.#retryAfterMs = event.retryAfterMs;
        return this.#setState('draining');
      case 'ended':
        return this.#handleEnded(event.error);
      case 'rtt':
        return;
    }
  }

  #handleReady(): void {
    this.#hasBeenReady = true;
    this.#readyAt = this.#environment.clock.now();
    this.#setState('ready');
    const { signal } = this.#life;
    for (const user of [...this.#users]) if (!signal.aborted && this.#users.has(user)) user.handleReady();
  }

  #handleMessage(message: StreamMessage): void {
    const user = this.#userOfStream.get(message.stream);
    if (message.type === 'reset' || message.type === 'close') this.#userOfStream.delete(message.stream);
    user?.handleMessage(message);
  }

  #handleEnded(error: SluiceError | null): void {
    this.#driver = null;
    this.#userOfStream.clear();
    const now = this.#environment.clock.now();
    if (this.#readyAt !== null) {
      this.#tryingSince = now;
      if (now - this.#readyAt >= BACKOFF_RESET_MS) this.#attempt = 0;
      this.#readyAt = null;
    }
    this.#retry(error ?? new SluiceError('unreachable', 'The server closed the connection.'));
  }

  #retry(error: SluiceError): void {
    const { clock, random } = this.#environment;
    const triedMs = clock.now() - this.#tryingSince;
    const patienceMs = this.#hasBeenReady ? this.#limits.reconnectForMs : this.#limits.connectForMs;
    // A proxy may answer for a server that restarts, so a strange answer is final only at the first connection.
    const isFinal = !error.retryable && !(this.#hasBeenReady && error.code === 'notSluice');
    if (isFinal || triedMs >= patienceMs) return this.#endLife('failed', error);
    this.#attempt += 1;
    this.#setState('backoff');
    const { signal } = this.#life;
    for (const user of [...this.#users]) if (this.#users.has(user)) user.handleDown(this.#attempt);
    // The last user may have left when it heard of it.
    if (signal.aborted) return;
    const waitMs = backoffMs(this.#attempt, random.fraction(), error.retryAfterMs ?? this.#retryAfterMs);
    this.#retryAfterMs = null;
    this.#timer = clock.setTimer(() => void this.#connect(), waitMs);
  }

  #endLife(state: 'closed' | 'failed', error: SluiceError): void {
    this.#life.abort();
    this.#timer?.cancel();
    this.#driver = null;
    this.#userOfStream.clear();
    this.#setState(state);
    const users = [...this.#users];
    this.#users.clear();
    for (const user of users) user.handleFailed(error);
  }

  #setState(state: SessionState): void {
    this.#state = state;
    this.#onState(state);
  }
}
