/**
 * The I/O shell of one `Connection`: feeds it what the transport brings and the clock says, hands its events on, and
 * sends what it wants to send while the socket takes it. Written once for client and server; decides nothing.
 */
import { type Connection, type ConnectionEvent, errorCodeOfClose, SluiceError } from '../protocol/index.ts';
import type { Clock, MessageTransport, Timer } from './ports.ts';
import { SendBudget } from './send-budget.ts';

/** After our close frame the peer has this long to answer it, ms. */
const CLOSE_TIMEOUT_MS = 2_000;

export interface ConnectionDriverOptions {
  readonly connection: Connection;
  readonly transport: MessageTransport;
  readonly clock: Clock;
  /** Told of every event, in order. The last one is `ended`. */
  onEvent(event: ConnectionEvent): void;
}

export class ConnectionDriver {
  readonly connection: Connection;
  readonly #transport: MessageTransport;
  readonly #clock: Clock;
  readonly #onEvent: (event: ConnectionEvent) => void;
  readonly #budget = new SendBudget();
  #sentBytes = 0;
  #timer: Timer | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  #closeTimer: Timer | null = null;
  #isRunning = false;
  #isDirty = false;
  #isClosed = false;

  constructor({ connection, transport, clock, onEvent }: ConnectionDriverOptions) {
    this.connection = connection;
    this.#transport = transport;
    this.#clock = clock;
    this.#onEvent = onEvent;
    transport.start({
      onText: (text) => this.#input(() => connection.handleText(text, clock.now())),
      onBinary: (parts) => this.#input(() => connection.handleBinary(parts, clock.now())),
      onActivity: () => connection.handleActivity(clock.now()),
      onWritable: () => this.flush(),
      onClose: (code) => this.#input(() => this.#handleClose(code)),
    });
    this.flush();
  }

  /** Bytes waiting in the socket. */
  get bufferedBytes(): number {
    return this.#transport.bufferedBytes;
  }

  /** Bytes a second the network took when it was the limit, or null. */
  get networkBytesPerSecond(): number | null {
    return this.#budget.bytesPerSecond;
  }

  /** Must be called after commands were given to the connection outside of `onEvent`. */
  flush(): void {
    // Events give commands, commands give messages: one loop drains all of it, calls from inside only mark it.
    this.#isDirty = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (this.#isDirty) {
        this.#isDirty = false;
        for (let event = this.connection.pollEvent(); event !== null; event = this.connection.pollEvent()) {
          this.#onEvent(event);
        }
        this.#sendMessages();
      }
    } finally {
      this.#isRunning = false;
    }
    this.#arm();
  }

  /** Ends the connection in order, or with an error. */
  close(error: SluiceError | null = null): void {
    this.connection.close(error);
    this.flush();
  }

  #input(handle: () => void): void {
    handle();
    this.flush();
  }

  #sendMessages(): void {
    const now = this.#clock.now();
    this.#budget.observe(now, this.#sentBytes, this.#transport.bufferedBytes);
    const bufferBytes = this.#budget.bufferBytes;
    while (this.#transport.bufferedBytes < bufferBytes) {
      const message = this.connection.pollMessage(now, this.#budget.messageBytes);
      if (message === null) break;
      this.#sentBytes += lengthOf(message);
      this.#transport.send(message);
    }
    const closeCode = this.connection.pollClose();
    if (closeCode !== null && this.#closeTimer === null && !this.#isClosed) this.#startClose(closeCode);
  }

  #startClose(code: number): void {
    this.#transport.close(code, '');
    this.#closeTimer = this.#clock.setTimer(() => this.#transport.terminate(), CLOSE_TIMEOUT_MS);
  }

  #handleClose(code: number): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#closeTimer?.cancel();
    this.connection.handleClosed(endOf(code));
  }

  /** One timer for the earliest deadline; a later deadline leaves it alone, so that a busy link does not re-arm it. */
  #arm(): void {
    const at = this.connection.pollTimeout();
    if (at === null) {
      this.#timer?.cancel();
      this.#timer = null;
      return;
    }
    if (this.#timer !== null && this.#timerAt <= at) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = this.#clock.setTimer(() => this.#handleTimer(), Math.max(0, at - this.#clock.now()));
  }

  #handleTimer(): void {
    this.#timer = null;
    this.#input(() => this.connection.handleTimeout(this.#clock.now()));
  }
}

/** What a close code means: nothing, one of our errors, or a connection that was cut. */
function endOf(closeCode: number): SluiceError | null {
  if (closeCode === 1000) return null;
  const known = errorCodeOfClose(closeCode);
  return known === null
    ? new SluiceError('unreachable', `The connection was cut (${closeCode}).`)
    : new SluiceError(known, 'The other side closed the connection.');
}

function lengthOf(message: string | readonly Uint8Array[]): number {
  return typeof message === 'string' ? message.length : message.reduce((sum, part) => sum + part.length, 0);
}
