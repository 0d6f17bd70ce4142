// A WebSocket without a network: two transports joined in memory on the clock of the test. Messages keep their order,
// take time, and are lost when the connection is cut. Everything that happens is in the timers of that clock.
import type { Clock, MessageTransport, Timer, TransportHandlers } from '../../src/runtime/index.ts';

export interface LineQuality {
  /** One way, ms. Default 0. */
  readonly latencyMs?: number;
  /** In each direction. Default: no limit. */
  readonly bytesPerMs?: number;
}

type Message = string | readonly Uint8Array[];

export class MemoryTransport implements MessageTransport {
  /** Everything that was handed over, bytes. */
  sentBytes = 0;
  readonly #clock: Clock;
  readonly #latencyMs: number;
  readonly #bytesPerMs: number;
  readonly #queue: Message[] = [];
  #peer!: MemoryTransport;
  #handlers: TransportHandlers | null = null;
  #bufferedBytes = 0;
  #sending: Timer | null = null;
  #closeCode: number | null = null;
  #isSilent = false;
  #isClosed = false;

  /** Two ends of one connection. */
  static pair(clock: Clock, quality: LineQuality = {}): [MemoryTransport, MemoryTransport] {
    const [one, other] = [new MemoryTransport(clock, quality), new MemoryTransport(clock, quality)];
    one.#peer = other;
    other.#peer = one;
    return [one, other];
  }

  private constructor(clock: Clock, { latencyMs = 0, bytesPerMs = Number.POSITIVE_INFINITY }: LineQuality) {
    this.#clock = clock;
    this.#latencyMs = latencyMs;
    this.#bytesPerMs = bytesPerMs;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(message: Message): void {
    if (this.#isClosed || this.#closeCode !== null) return;
    this.#queue.push(message);
    this.#bufferedBytes += lengthOf(message);
    this.sentBytes += lengthOf(message);
    this.#sendNext();
  }

  close(code: number): void {
    if (this.#isClosed || this.#closeCode !== null) return;
    this.#closeCode = code;
    this.#sendNext();
  }

  terminate(): void {
    this.cut();
  }

  /** Both ends lose the connection; the other one learns it later, or only by silence when that is infinite. */
  cut(peerLearnsAfterMs: number = this.#latencyMs): void {
    this.#end(1006);
    const peer = this.#peer;
    peer.#isSilent = true;
    if (Number.isFinite(peerLearnsAfterMs)) this.#clock.setTimer(() => peer.#end(1006), peerLearnsAfterMs);
  }

  /** Nothing gets through any more in either direction, and nobody is told. */
  silence(): void {
    this.#isSilent = true;
    this.#peer.#isSilent = true;
  }

  #sendNext(): void {
    if (this.#sending !== null || this.#isClosed) return;
    const message = this.#queue[0];
    if (message === undefined) {
      if (this.#closeCode !== null) this.#sendClose(this.#closeCode);
      return;
    }
    this.#sending = this.#clock.setTimer(() => {
      this.#sending = null;
      if (this.#isClosed || this.#isSilent) return;
      this.#queue.shift();
      this.#bufferedBytes -= lengthOf(message);
      // Copied only now, as an operating system does: a buffer that was changed before shows as damage.
      const copy = typeof message === 'string' ? message : [Uint8Array.from(Buffer.concat([...message]))];
      this.#later((peer) => peer.#arrive(copy));
      this.#sendNext();
      this.#handlers?.onWritable();
    }, lengthOf(message) / this.#bytesPerMs);
  }

  #sendClose(code: number): void {
    this.#later((peer) => {
      peer.#end(code);
      peer.#later((self) => self.#end(code));
    });
  }

  #later(act: (peer: MemoryTransport) => void): void {
    if (this.#isSilent) return;
    this.#clock.setTimer(() => {
      if (!this.#isSilent) act(this.#peer);
    }, this.#latencyMs);
  }

  #arrive(message: string | Uint8Array[]): void {
    if (this.#isClosed) return;
    if (typeof message === 'string') this.#handlers?.onText(message);
    else this.#handlers?.onBinary(message);
  }

  #end(code: number): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue.length = 0;
    this.#bufferedBytes = 0;
    this.#handlers?.onClose(code, '');
  }
}

function lengthOf(message: Message): number {
  return typeof message === 'string' ? message.length : message.reduce((sum, part) => sum + part.length, 0);
}
