/**
 * One end of one connection: handshake, streams, credit, acks, turns, heartbeat. Pure: bytes, texts and the time come
 * in, messages and events go out. It knows nothing of sockets, transfers, files or disks.
 *
 * Order of calls, after each of which the shell must drain both `pollEvent` and (while the socket takes more)
 * `pollMessage`:
 * - input: `handleText`, `handleBinary` with each message; `handleActivity` when bytes of an unfinished message came;
 *   `handleTimeout` when the time of `pollTimeout` has come.
 * - commands: `openStream`, `send`, `wake`, `consumed`, `acknowledge`, `closeStream`, `resetStream`, `close`.
 * - output: `pollEvent`, `pollMessage(now, maxDataBytes)`, `pollTimeout`, `pollClose`.
 *
 * Memory: the control queue is capped at `MAX_CONTROL_QUEUE` messages; records stay with their owner until they are
 * polled; what arrives is handed on at once; per stream at most one record in fragments.
 */
import { ControlAllowance } from './control-allowance.ts';
import { decodeControl, encodeControl, MAX_ERROR_CHARS } from './control-codec.ts';
import type {
  ControlMessage,
  ErrorMessage,
  Heartbeat,
  LogPoint,
  StreamAck,
  StreamMessage,
} from './control-message.ts';
import { CreditGrant, CreditPool } from './credit.ts';
import { DATA_HEADER_BYTES, decodeDataMessage } from './data-message.ts';
import { closeCodeOf, ERROR_TABLE, isWireErrorCode, type SluiceErrorCode } from './error-table.ts';
import {
  ACK_INTERVAL_MS,
  DEFAULT_CONNECTION_WINDOW_BYTES,
  DEFAULT_DEAD_AFTER_MS,
  DEFAULT_MAX_STREAMS,
  DEFAULT_PING_AFTER_MS,
  DEFAULT_STREAM_WINDOW_BYTES,
  HELLO_TIMEOUT_MS,
  MAX_CONTROL_QUEUE,
  MAX_DATA_MESSAGE_BYTES,
  MAX_RECORD_SIZE_BYTES,
} from './limits.ts';
import { PeerWatch } from './peer-watch.ts';
import { RECORD_OVERHEAD_BYTES } from './record.ts';
import { type Priority, Scheduler } from './scheduler.ts';
import { SluiceError } from './sluice-error.ts';
import { type Outbox, Stream } from './stream.ts';
import { agreeOnVersion, commonExtensions, type Extensions, PROTOCOL_VERSION } from './version.ts';

export interface ConnectionOptions {
  readonly role: 'client' | 'server';
  /** Name and version, for people. */
  readonly software: string;
  readonly extensions?: Extensions;
  readonly heartbeat?: Heartbeat;
  /** Streams the peer may have open. Default 64. */
  readonly maxStreams?: number;
  /** Credit per incoming stream, bytes. Default 8 MiB. */
  readonly streamWindowBytes?: number;
  /** Credit all incoming streams share beyond their floors, bytes. Default 32 MiB. */
  readonly connectionWindowBytes?: number;
  /** Pool of the whole process; default none. */
  readonly processPool?: CreditPool;
  /** Wall clock of the server for `welcome`, ms since 1970. Only the server needs it. */
  readonly serverTimeMs?: number;
}

export type ConnectionEvent =
  /** The handshake is done. */
  | {
      readonly type: 'ready';
      readonly version: string;
      readonly software: string;
      readonly extensions: Extensions;
    }
  /** A control message for a stream. A new stream of the peer begins with one. */
  | { readonly type: 'message'; readonly message: StreamMessage }
  /** Whole records arrived; call `consumed` when they are written. */
  | { readonly type: 'records'; readonly stream: number; readonly chunk: Uint8Array }
  | {
      readonly type: 'ack';
      readonly stream: number;
      readonly received: number | null;
      readonly durable: LogPoint | null;
    }
  | { readonly type: 'rtt'; readonly rttMs: number }
  | { readonly type: 'goaway'; readonly retryAfterMs: number }
  /** The connection is over. `isLocal` tells who ended it. Always the last event. */
  | { readonly type: 'ended'; readonly error: SluiceError | null; readonly isLocal: boolean };

/** A control message as text, or a data message as parts to be sent as one message. */
export type OutboundMessage = string | readonly Uint8Array[];

/** Records of one message: at most this many bytes. Holds 1 MiB of content whatever the record size. */
const MAX_BATCH_BYTES: number = MAX_DATA_MESSAGE_BYTES - DATA_HEADER_BYTES;
const IDLE_STREAM_MS = 5_000;
/** About 150 characters each: far below the limit of a control message. */
const MAX_STREAMS_PER_ACK = 256;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #isClient: boolean;
  readonly #watch: PeerWatch;
  readonly #pool: CreditPool;
  readonly #allowance: ControlAllowance;
  readonly #streams = new Map<number, Stream>();
  readonly #scheduler = new Scheduler();
  readonly #control: string[] = [];
  readonly #events: ConnectionEvent[] = [];
  readonly #dirtyAcks = new Set<Stream>();
  #nextStreamId: number;
  #lastPeerStreamId = 0;
  #peerMaxStreams = DEFAULT_MAX_STREAMS;
  #state: 'greeting' | 'ready' | 'ended' = 'greeting';
  #closeCode: number | null = null;
  /** A `goaway` that waits for the greeting. */
  #goAwayMs: number | null = null;
  readonly #startedAt: number;
  #lastAckAt: number;
  #isAckUrgent = false;
  /** `pollTimeout` has led to `handleTimeout` for the acks that wait now: the socket takes nothing. */
  #isAckAlarmOver = false;

  constructor(options: ConnectionOptions, now: number) {
    this.#options = options;
    this.#isClient = options.role === 'client';
    const heartbeat = { pingAfterMs: DEFAULT_PING_AFTER_MS, deadAfterMs: DEFAULT_DEAD_AFTER_MS };
    this.#watch = new PeerWatch(options.heartbeat ?? heartbeat, now);
    this.#pool = new CreditPool(
      options.connectionWindowBytes ?? DEFAULT_CONNECTION_WINDOW_BYTES,
      options.processPool ?? null,
    );
    this.#allowance = new ControlAllowance(now);
    this.#nextStreamId = this.#isClient ? 1 : 2;
    this.#startedAt = now;
    this.#lastAckAt = now - ACK_INTERVAL_MS;
    if (this.#isClient)
      this.#queue({ type: 'hello', ...this.#greeting(PROTOCOL_VERSION, options.extensions ?? {}) });
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isEnded(): boolean {
    return this.#state === 'ended';
  }

  /** Streams open now. */
  get streamCount(): number {
    return this.#streams.size;
  }

  // --- input -------------------------------------------------------------------------------------------------------

  handleText(text: string, now: number): void {
    if (this.isEnded) return;
    this.#watch.handleActivity(now);
    this.#guard(() => {
      if (!this.#allowance.take(text.length, now)) throw new SluiceError('rateLimited');
      const message = decodeControl(text);
      if (message !== null) this.#handleControl(message, now);
      else if (this.#state !== 'ready')
        throw new SluiceError('protocol', 'The first message is not a greeting.');
    });
  }

  /** `parts` are the WebSocket fragments of one binary message, or the whole message as one part. */
  handleBinary(parts: readonly Uint8Array[], now: number): void {
    if (this.isEnded) return;
    this.#watch.handleActivity(now);
    this.#guard(() => {
      if (this.#state !== 'ready') throw new SluiceError('protocol', 'Data came before the greeting.');
      const message = decodeDataMessage(parts);
      const stream = this.#streams.get(message.stream);
      // Data may still be on its way when a stream was closed here: it is dropped, its grant is gone with the stream.
      if (stream === undefined) return;
      const { chunk, abandonedBytes } = stream.receive(message);
      if (abandonedBytes > 0) this.consumed(stream.id, abandonedBytes, now);
      if (chunk !== null) this.#events.push({ type: 'records', stream: stream.id, chunk });
    });
  }

  /** Bytes came, though no message was complete. */
  handleActivity(now: number): void {
    this.#watch.handleActivity(now);
  }

  /** To be called when the time of `pollTimeout` has come; `now` tells how late it is. */
  handleTimeout(now: number): void {
    if (this.isEnded) return;
    if (this.#state === 'greeting' && now >= this.#startedAt + HELLO_TIMEOUT_MS) {
      return this.#end(new SluiceError('peerTimeout', 'No greeting came.'), true);
    }
    this.#isAckAlarmOver ||= this.#areAcksDue(now);
    const watch = this.#watch.handleTimeout(now);
    if (watch !== null && 'silentMs' in watch) {
      return this.#end(
        new SluiceError('peerTimeout', `Silent for ${Math.round(watch.silentMs / 1000)} s.`),
        true,
      );
    }
    if (watch !== null) this.#queue({ type: 'ping', id: watch.ping });
    for (const stream of this.#streams.values()) {
      if (now - stream.lastConsumedAt >= IDLE_STREAM_MS) stream.grant?.shrink();
    }
  }

  // --- commands ----------------------------------------------------------------------------------------------------

  /** Reserves the next stream id of this side. Its first message must follow with `send`. */
  openStream(priority: Priority, now: number): number {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    this.#addStream(id, priority, now);
    return id;
  }

  /** True while the peer takes another stream. */
  get canOpenStream(): boolean {
    return this.#streams.size < this.#peerMaxStreams;
  }

  send(message: StreamMessage | ErrorMessage): void {
    if (!this.isEnded) this.#queue(message);
  }

  /** A server that stops: no new streams, running ones go on until it closes. Told after the greeting at the earliest. */
  goAway(retryAfterMs: number): void {
    if (this.#state === 'greeting') this.#goAwayMs = retryAfterMs;
    else if (!this.isEnded) this.#queue({ type: 'goaway', retryAfterMs });
  }

  /** Says where the records to send on a stream come from. The peer's first limit is `creditBytes`. */
  attachOutbox(streamId: number, outbox: Outbox, creditBytes: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    stream.outbox = outbox;
    stream.limit.raise(creditBytes);
    this.wake(streamId);
  }

  setPriority(streamId: number, priority: Priority): void {
    if (!this.#streams.has(streamId)) return;
    this.#scheduler.remove(streamId);
    this.#scheduler.add(streamId, priority);
    this.wake(streamId);
  }

  /** Grants credit for incoming records; returns the first absolute limit, to be sent in `open` or `opened`. */
  grantCredit(streamId: number, recordSizeBytes: number = MAX_RECORD_SIZE_BYTES): number {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return 0;
    stream.grant ??= new CreditGrant(
      this.#pool,
      2 * (recordSizeBytes + RECORD_OVERHEAD_BYTES + 64),
      this.#options.streamWindowBytes ?? DEFAULT_STREAM_WINDOW_BYTES,
    );
    return stream.grant.limit();
  }

  /** The outbox of a stream has something to give. */
  wake(streamId: number): void {
    const stream = this.#streams.get(streamId);
    if (stream?.canSend) this.#scheduler.wake(streamId);
  }

  /** The outbox jumped (NACK, rewind): a half-sent record is given up. */
  abandonPartial(streamId: number): void {
    this.#streams.get(streamId)?.abandonPartial();
  }

  /** Bytes of records were written (or dropped): the peer may send as many more. */
  consumed(streamId: number, bytes: number, now: number): void {
    const stream = this.#streams.get(streamId);
    if (stream?.grant == null) return;
    stream.lastConsumedAt = now;
    stream.grant.consume(bytes);
    this.#noteAck(stream);
  }

  /** Bytes of a stream that arrived and were not yet consumed. */
  heldBytes(streamId: number): number {
    return this.#streams.get(streamId)?.grant?.heldBytes ?? 0;
  }

  /** Bytes the peer lets us send on this stream now. 0 for an unknown stream. */
  availableCredit(streamId: number): number {
    return this.#streams.get(streamId)?.limit.availableBytes ?? 0;
  }

  /** Tells the peer what was received or became durable; joined with others into one `ack`. */
  acknowledge(streamId: number, ack: { received?: number; durable?: LogPoint }): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    stream.acknowledge(ack);
    this.#noteAck(stream);
  }

  /** Ends a stream in order and forgets it. Acks that are due go out before. */
  closeStream(streamId: number, isComplete = false): void {
    if (!this.#streams.has(streamId)) return;
    this.#flushAcks();
    this.send({ type: 'close', stream: streamId, isComplete });
    this.#forget(streamId);
  }

  /** Ends a stream with an error and forgets it. */
  resetStream(streamId: number, error: SluiceError): void {
    this.#flushAcks();
    this.send({ type: 'reset', stream: streamId, code: wireCode(error), retryAfterMs: error.retryAfterMs });
    this.#forget(streamId);
  }

  /** Ends the connection: with an error, or in order. What is queued is still polled. */
  close(error: SluiceError | null = null): void {
    this.#end(error, true);
  }

  /** The socket has closed by itself or by the peer. */
  handleClosed(error: SluiceError | null): void {
    this.#end(error, false);
  }

  // --- output ------------------------------------------------------------------------------------------------------

  pollEvent(): ConnectionEvent | null {
    return this.#events.shift() ?? null;
  }

  /**
   * The next message to send, or null. Control first, then acks that are due, then records of the stream whose turn it
   * is. A record longer than `maxDataBytes` goes in fragments of that size; with 0 only control goes.
   */
  pollMessage(now: number, maxDataBytes: number = MAX_BATCH_BYTES): OutboundMessage | null {
    if (this.#state === 'ready' && this.#areAcksDue(now)) {
      this.#flushAcks();
      this.#lastAckAt = now;
    }
    const control = this.#control.shift();
    if (control !== undefined) return control;
    if (this.#state !== 'ready' || maxDataBytes <= 0) return null;
    for (let id = this.#scheduler.next(); id !== null; id = this.#scheduler.next()) {
      const data = this.#streams.get(id)?.nextData(maxDataBytes) ?? null;
      if (data !== null) {
        this.#scheduler.charge(id, data.bytes);
        return data.parts;
      }
      this.#scheduler.sleep(id);
    }
    return null;
  }

  /** When `handleTimeout` or `pollMessage` must be called next without other input; null = never. */
  pollTimeout(): number | null {
    if (this.isEnded) return null;
    if (this.#state === 'greeting') return this.#startedAt + HELLO_TIMEOUT_MS;
    const watchAt = this.#watch.pollTimeout();
    const isAckWaiting = this.#dirtyAcks.size > 0 && !this.#isAckAlarmOver;
    return isAckWaiting ? Math.min(watchAt, this.#lastAckAt + ACK_INTERVAL_MS) : watchAt;
  }

  /** After the end, when `pollMessage` gave null: the WebSocket close code to end with, else null. */
  pollClose(): number | null {
    return this.isEnded && this.#control.length === 0 ? this.#closeCode : null;
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  #handleControl(message: ControlMessage, now: number): void {
    if (this.#state === 'greeting') return this.#handleGreeting(message);
    switch (message.type) {
      case 'hello':
      case 'welcome':
        throw new SluiceError('protocol', 'A second greeting came.');
      case 'ping':
        return this.#queue({ type: 'pong', id: message.id });
      case 'pong':
        return this.#handlePong(message.id, now);
      case 'ack':
        for (const ack of message.streams) this.#handleAck(ack);
        return;
      case 'goaway':
        this.#events.push({ type: 'goaway', retryAfterMs: message.retryAfterMs });
        return;
      case 'error':
        return this.#end(peerError(message.code, message.retryAfterMs), false);
      default:
        return this.#handleStreamMessage(message, now);
    }
  }

  #handleGreeting(message: ControlMessage): void {
    if (message.type === 'error') return this.#end(peerError(message.code, message.retryAfterMs), false);
    if (message.type !== (this.#isClient ? 'welcome' : 'hello')) {
      throw new SluiceError('protocol', 'The first message is not a greeting.');
    }
    const {
      version: theirVersion,
      software,
      extensions: theirExtensions,
    } = message as ControlMessage & {
      version: string;
      software: string;
      extensions: Extensions;
    };
    const version = agreeOnVersion(theirVersion);
    const extensions = commonExtensions(this.#options.extensions ?? {}, theirExtensions);
    if (message.type === 'welcome') {
      this.#peerMaxStreams = message.maxStreams;
    } else {
      this.#queue({
        type: 'welcome',
        ...this.#greeting(version, extensions),
        maxStreams: this.#maxStreams,
        serverTimeMs: this.#options.serverTimeMs ?? 0,
      });
    }
    this.#state = 'ready';
    this.#events.push({ type: 'ready', version, software, extensions });
    if (this.#goAwayMs !== null) this.goAway(this.#goAwayMs);
  }

  #greeting(
    version: string,
    extensions: Extensions,
  ): {
    version: string;
    software: string;
    extensions: Extensions;
    heartbeat: Heartbeat;
  } {
    return { version, software: this.#options.software, extensions, heartbeat: this.#watch.heartbeat };
  }

  get #maxStreams(): number {
    return this.#options.maxStreams ?? DEFAULT_MAX_STREAMS;
  }

  #handlePong(id: number, now: number): void {
    const rttMs = this.#watch.handlePong(id, now);
    if (rttMs !== null) this.#events.push({ type: 'rtt', rttMs });
  }

  #handleAck(ack: StreamAck): void {
    const stream = this.#streams.get(ack.stream);
    if (stream === undefined) return;
    if (ack.credit !== null && stream.limit.raise(ack.credit)) this.wake(stream.id);
    if (ack.received !== null || ack.durable !== null) {
      this.#events.push({ type: 'ack', stream: stream.id, received: ack.received, durable: ack.durable });
    }
  }

  #handleStreamMessage(message: StreamMessage, now: number): void {
    const { stream: id } = message;
    const isPeers = id % 2 === (this.#isClient ? 0 : 1) && id > 0;
    if (!this.#streams.has(id)) {
      // SPEC 4.3: ids rise and are never used again, so a lower unknown id is one we have closed: late, not wrong.
      if (!isPeers || id <= this.#lastPeerStreamId) return;
      this.#lastPeerStreamId = id;
      if (this.#streams.size >= this.#maxStreams) {
        return this.send({ type: 'reset', stream: id, code: 'limit', retryAfterMs: 1_000 });
      }
      this.#addStream(id, 'normal', now);
    }
    if (message.type === 'reset' || message.type === 'close') this.#forget(id);
    this.#events.push({ type: 'message', message });
  }

  #addStream(id: number, priority: Priority, now: number): void {
    this.#scheduler.add(id, priority);
    this.#streams.set(id, new Stream(id, now));
  }

  #forget(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.close();
    this.#dirtyAcks.delete(stream);
    this.#scheduler.remove(id);
    this.#streams.delete(id);
  }

  #noteAck(stream: Stream): void {
    this.#dirtyAcks.add(stream);
    this.#isAckUrgent ||= stream.isAckUrgent;
  }

  #areAcksDue(now: number): boolean {
    if (this.#dirtyAcks.size === 0) return false;
    return this.#isAckUrgent || now >= this.#lastAckAt + ACK_INTERVAL_MS;
  }

  #flushAcks(): void {
    const streams: StreamAck[] = [];
    for (const stream of this.#dirtyAcks) {
      const ack = stream.takeAck();
      if (ack !== null) streams.push(ack);
    }
    this.#dirtyAcks.clear();
    this.#isAckUrgent = false;
    this.#isAckAlarmOver = false;
    for (let at = 0; at < streams.length; at += MAX_STREAMS_PER_ACK) {
      this.#queue({ type: 'ack', streams: streams.slice(at, at + MAX_STREAMS_PER_ACK) });
    }
  }

  #queue(message: ControlMessage): void {
    if (this.#control.length >= MAX_CONTROL_QUEUE) return this.#end(new SluiceError('overloaded'), true);
    this.#control.push(encodeControl(message));
  }

  /** A violation by the peer ends the connection; it is never thrown at the shell. */
  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#end(SluiceError.from(error), true);
    }
  }

  #end(error: SluiceError | null, isLocal: boolean): void {
    if (this.isEnded) return;
    this.#state = 'ended';
    this.#closeCode = error === null ? 1000 : closeCodeOf(wireCode(error));
    if (isLocal && error !== null) {
      // What nobody took until now is worth less than the reason for the end.
      if (this.#control.length >= MAX_CONTROL_QUEUE) this.#control.length = 0;
      this.#control.push(encodeControl(errorMessage(error)));
    }
    for (const id of [...this.#streams.keys()]) this.#forget(id);
    this.#events.push({ type: 'ended', error, isLocal });
  }
}

/** A local code means nothing to the peer: to it, something failed here. */
function wireCode({ code }: SluiceError): SluiceErrorCode {
  return isWireErrorCode(code) ? code : 'internal';
}

/** The text of an unknown error may name things of this machine: only its kind is told. */
function errorMessage(error: SluiceError): ErrorMessage {
  const code = wireCode(error);
  const text = code === 'internal' ? ERROR_TABLE.internal.sentence : error.message;
  return { type: 'error', code, message: text.slice(0, MAX_ERROR_CHARS), retryAfterMs: error.retryAfterMs };
}

function peerError(code: SluiceErrorCode, retryAfterMs: number | null): SluiceError {
  return new SluiceError(code, 'The other side said so.', retryAfterMs === null ? {} : { retryAfterMs });
}
