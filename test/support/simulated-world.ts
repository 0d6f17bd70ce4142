// Time, chance and network of a simulation: nothing happens but what is in the queue, so a seed replays a run exactly.
import type { Clock, MessageTransport, TransportHandlers } from '../../src/runtime/index.ts';

/** mulberry32: small, fast and good enough to choose what happens next. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.int(0, choices.length - 1)] as T;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }
}

interface Task {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

export class SimulatedTime implements Clock {
  #now = 0;
  #order = 0;
  /** Sorted by time, then by order of asking. */
  readonly #tasks: Task[] = [];

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return 1_800_000_000_000 + this.#now;
  }

  setTimer(run: () => void, delayMs: number): { cancel(): void } {
    const task: Task = {
      // Steps of 1/1024 ms: sums of such times are exact, so a timer never comes a rounding error too early.
      at: this.#now + Math.ceil(Math.max(0, delayMs) * 1024) / 1024,
      order: this.#order++,
      run,
      isCancelled: false,
    };
    let low = 0;
    let high = this.#tasks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#tasks[middle] as Task).at <= task.at) low = middle + 1;
      else high = middle;
    }
    this.#tasks.splice(low, 0, task);
    return {
      cancel: () => {
        task.isCancelled = true;
      },
    };
  }

  /** Runs until `isDone` or the time is over; true when it is done. */
  runUntil(isDone: () => boolean, untilMs: number): boolean {
    while (!isDone()) {
      const task = this.#tasks[0];
      if (task === undefined || task.at > untilMs) return false;
      this.#tasks.shift();
      if (task.isCancelled) continue;
      this.#now = task.at;
      task.run();
    }
    return true;
  }
}

export interface LinkQuality {
  readonly latencyMs: number;
  readonly bytesPerMs: number;
  /** Probability that a data message arrives with one bit of its records flipped. */
  readonly damage: () => number;
}

const MESSAGE_HEADER_BYTES = 24;

/** One direction of a WebSocket: keeps order, takes time, may be cut. */
class SimulatedTransport implements MessageTransport {
  readonly #time: SimulatedTime;
  readonly #chance: Chance;
  readonly #quality: LinkQuality;
  peer!: SimulatedTransport;
  #handlers: TransportHandlers | null = null;
  readonly #queue: (string | readonly Uint8Array[])[] = [];
  #bufferedBytes = 0;
  #isSending = false;
  #isClosed = false;

  constructor(time: SimulatedTime, chance: Chance, quality: LinkQuality) {
    this.#time = time;
    this.#chance = chance;
    this.#quality = quality;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
  }

  send(message: string | readonly Uint8Array[]): void {
    if (this.#isClosed) return;
    this.#queue.push(message);
    this.#bufferedBytes += lengthOf(message);
    if (!this.#isSending) this.#sendNext();
  }

  close(code: number): void {
    this.#time.setTimer(() => {
      this.peer.end(code);
      this.end(code);
    }, this.#quality.latencyMs);
  }

  terminate(): void {
    this.end(1006);
    this.peer.end(1006);
  }

  end(code: number): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handlers?.onClose(code, '');
  }

  #sendNext(): void {
    const message = this.#queue[0];
    this.#isSending = message !== undefined;
    if (message === undefined) return;
    this.#time.setTimer(() => {
      if (this.#isClosed) return;
      this.#queue.shift();
      this.#bufferedBytes -= lengthOf(message);
      // Copied only now, when the operating system takes it: a buffer that was changed before shows as damage.
      const copy = typeof message === 'string' ? message : this.#onTheWay(message);
      this.#time.setTimer(() => this.peer.#arrive(copy), this.#quality.latencyMs);
      this.#sendNext();
      this.#handlers?.onWritable();
    }, lengthOf(message) / this.#quality.bytesPerMs);
  }

  #onTheWay(parts: readonly Uint8Array[]): Uint8Array[] {
    const bytes = Uint8Array.from(Buffer.concat(parts));
    if (bytes.length > MESSAGE_HEADER_BYTES && this.#chance.chance(this.#quality.damage())) {
      bytes[this.#chance.int(MESSAGE_HEADER_BYTES, bytes.length - 1)]! ^= 1 << this.#chance.int(0, 7);
    }
    const cut = this.#chance.int(0, Math.min(bytes.length, 200));
    return this.#chance.chance(0.3) ? [bytes.subarray(0, cut), bytes.subarray(cut)] : [bytes];
  }

  #arrive(message: string | Uint8Array[]): void {
    if (this.#isClosed) return;
    if (typeof message === 'string') this.#handlers?.onText(message);
    else this.#handlers?.onBinary(message);
  }
}

function lengthOf(message: string | readonly Uint8Array[]): number {
  return typeof message === 'string' ? message.length : message.reduce((sum, part) => sum + part.length, 0);
}

export interface SimulatedLink {
  readonly client: MessageTransport;
  readonly server: MessageTransport;
  /** Both ends lose the connection, the server perhaps later. What is on the way is lost. */
  cut(serverLearnsAfterMs: number): void;
}

export function createLink(time: SimulatedTime, chance: Chance, quality: LinkQuality): SimulatedLink {
  const client = new SimulatedTransport(time, chance, quality);
  const server = new SimulatedTransport(time, chance, quality);
  client.peer = server;
  server.peer = client;
  return {
    client,
    server,
    cut: (serverLearnsAfterMs) => {
      client.end(1006);
      time.setTimer(() => server.end(1006), serverLearnsAfterMs);
    },
  };
}
