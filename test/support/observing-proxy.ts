/**
 * A TCP proxy in front of a server that sees what passes: it counts bytes, can hold one direction at an exact byte,
 * and remembers every promise of the server, outside of the server. A promise is a durable point in an `ack` that went
 * to a sender; each later `opened` for the same transfer must be at or behind it, or `brokenPromises` names it.
 *
 * Its address stays the same while servers behind it come and go. It reads WebSocket frames, and of these only text.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export type Direction = 'up' | 'down';

/** A place in a log that the server said is safe. */
export interface Promised {
  readonly index: number;
  readonly chain: string;
}

export class ObservingProxy {
  readonly url: string;
  /** Bytes that passed, over all connections: `up` is towards the server. */
  readonly passed: Record<Direction, number> = { up: 0, down: 0 };
  /** Per transfer, the furthest point that its sender was told is durable. */
  readonly promised = new Map<string, Promised>();
  /** Per transfer, where each `opened` of a sender said that the log stands, bytes. */
  readonly openedAt = new Map<string, number[]>();
  readonly brokenPromises: string[] = [];
  readonly #targetPort: () => number;
  readonly #sockets = new Set<Socket>();
  readonly #gates: Record<Direction, Gate> = { up: new Gate(), down: new Gate() };

  /** Closed when the test is over. */
  static async start(targetPort: () => number): Promise<ObservingProxy> {
    const server = createServer((client) => proxy.#accept(client));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy: ObservingProxy = new ObservingProxy((server.address() as AddressInfo).port, targetPort);
    onTestFinished(async () => {
      for (const socket of proxy.#sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    });
    return proxy;
  }

  private constructor(port: number, targetPort: () => number) {
    this.url = `http://127.0.0.1:${port}`;
    this.#targetPort = targetPort;
  }

  /**
   * Lets `bytes` more pass in that direction, over all connections, and holds what follows. Resolves when the last of
   * them has passed; never when it is released before.
   */
  holdAfter(direction: Direction, bytes: number): Promise<void> {
    return this.#gates[direction].holdAfter(bytes);
  }

  /** Lets everything pass again. */
  release(): void {
    for (const gate of Object.values(this.#gates)) gate.release();
  }

  notePromise(id: string, point: Promised): void {
    if (point.index >= (this.promised.get(id)?.index ?? 0)) this.promised.set(id, point);
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client: Socket): void {
    const server = connect(this.#targetPort(), '127.0.0.1');
    const conversation = new Conversation(this);
    const end = (): void => {
      for (const socket of [client, server]) {
        this.#sockets.delete(socket);
        socket.destroy();
      }
    };
    for (const [from, to, direction] of [
      [client, server, 'up'],
      [server, client, 'down'],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      const frames = new FrameReader((text) => conversation.hear(direction, text));
      const pass = (data: Buffer): void => {
        if (to.destroyed) return;
        this.passed[direction] += data.length;
        frames.read(data);
        if (!to.write(data)) from.pause();
      };
      const lane = this.#gates[direction].lane(pass, from);
      from.on('data', (data) => lane.take(data));
      to.on('drain', () => lane.resume());
      from.on('error', end);
      from.on('close', () => {
        lane.close();
        end();
      });
    }
  }
}

/** Holds all connections of one direction at once. */
class Gate {
  #allowance = Number.POSITIVE_INFINITY;
  #onReached: (() => void) | null = null;
  readonly #lanes = new Set<Lane>();

  lane(pass: (data: Buffer) => void, source: Socket): Lane {
    const lane: Lane = new Lane(
      (data) => this.#let(data, pass),
      source,
      () => this.#lanes.delete(lane),
    );
    this.#lanes.add(lane);
    return lane;
  }

  holdAfter(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onReached = resolve;
    if (bytes === 0) resolve();
    this.#allow(bytes);
    return promise;
  }

  release(): void {
    this.#onReached = null;
    this.#allow(Number.POSITIVE_INFINITY);
  }

  #allow(bytes: number): void {
    this.#allowance = bytes;
    for (const lane of [...this.#lanes]) lane.resume();
  }

  /** Passes what may pass and returns the rest. */
  #let(data: Buffer, pass: (data: Buffer) => void): Buffer {
    const count = Math.min(this.#allowance, data.length);
    this.#allowance -= count;
    if (count > 0) pass(data.subarray(0, count));
    if (this.#allowance === 0) {
      this.#onReached?.();
      this.#onReached = null;
    }
    return data.subarray(count);
  }
}

/** One direction of one connection: what is held waits here, at most one read of the socket. */
class Lane {
  readonly #let: (data: Buffer) => Buffer;
  readonly #source: Socket;
  readonly close: () => void;
  #held: Buffer | null = null;

  constructor(letPass: (data: Buffer) => Buffer, source: Socket, close: () => void) {
    this.#let = letPass;
    this.#source = source;
    this.close = close;
  }

  take(data: Buffer): void {
    const rest = this.#let(data);
    this.#held = rest.length > 0 ? rest : null;
    if (this.#held !== null) this.#source.pause();
  }

  resume(): void {
    const held = this.#held;
    this.#held = null;
    this.#source.resume();
    if (held !== null) this.take(held);
  }
}

interface Heard {
  readonly type: string;
  readonly role?: string;
  readonly stream?: number;
  readonly id?: string;
  readonly durable?: Promised;
  readonly position?: number;
  readonly streams?: readonly { readonly stream: number; readonly durable?: Promised }[];
}

/** What is said on one connection, as far as it is about sending. */
class Conversation {
  readonly #proxy: ObservingProxy;
  readonly #transferOf = new Map<number, string>();

  constructor(proxy: ObservingProxy) {
    this.#proxy = proxy;
  }

  hear(direction: Direction, text: string): void {
    const message = JSON.parse(text) as Heard;
    if (direction === 'up') {
      if (message.type !== 'open' || message.role !== 'send') return;
      this.#transferOf.set(message.stream ?? 0, message.id ?? '');
    } else if (message.type === 'ack') {
      for (const { stream, durable } of message.streams ?? []) this.#handlePromise(stream, durable);
    } else if (message.type === 'opened') this.#handleOpened(message);
  }

  #handlePromise(stream: number, durable: Promised | undefined): void {
    const id = this.#transferOf.get(stream);
    if (id === undefined || durable === undefined) return;
    this.#proxy.notePromise(id, durable);
  }

  #handleOpened({ stream = 0, durable, position = 0 }: Heard): void {
    const id = this.#transferOf.get(stream);
    if (id === undefined || durable === undefined) return;
    const { promised, brokenPromises, openedAt } = this.#proxy;
    const before = promised.get(id) ?? { index: 0, chain: '' };
    const isKept =
      durable.index > before.index ||
      (durable.index === before.index && (before.index === 0 || durable.chain === before.chain));
    if (!isKept) brokenPromises.push(`${id}: was durable to ${before.index}, is to ${durable.index}`);
    openedAt.set(id, [...(openedAt.get(id) ?? []), position]);
    this.#handlePromise(stream, durable);
  }
}

const HEAD_END = Buffer.from('\r\n\r\n');
const TEXT = 1;

/** Finds the text messages in one direction of a WebSocket; skips everything else without copying it. */
class FrameReader {
  readonly #onText: (text: string) => void;
  #buffered: Buffer = Buffer.alloc(0);
  #isPastHead = false;
  #skip = 0;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  read(data: Buffer): void {
    let rest = data;
    const skipped = Math.min(this.#skip, rest.length);
    this.#skip -= skipped;
    rest = rest.subarray(skipped);
    if (rest.length === 0) return;
    this.#buffered = this.#buffered.length === 0 ? rest : Buffer.concat([this.#buffered, rest]);
    if (!this.#isPastHead) {
      const end = this.#buffered.indexOf(HEAD_END);
      if (end < 0) return;
      this.#isPastHead = true;
      this.#buffered = this.#buffered.subarray(end + HEAD_END.length);
    }
    while (this.#readFrame());
  }

  /** False when more bytes are needed. */
  #readFrame(): boolean {
    const frame = headOf(this.#buffered);
    if (frame === null) return false;
    const { opcode, mask, start, length } = frame;
    const end = start + length;
    if (opcode !== TEXT) {
      this.#skip = Math.max(0, end - this.#buffered.length);
      this.#buffered = this.#buffered.subarray(end);
      return this.#buffered.length > 0;
    }
    if (this.#buffered.length < end) return false;
    const payload = Buffer.from(this.#buffered.subarray(start, end));
    if (mask !== null) for (let i = 0; i < length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0);
    this.#buffered = this.#buffered.subarray(end);
    this.#onText(payload.toString());
    return this.#buffered.length > 0;
  }
}

interface FrameHead {
  readonly opcode: number;
  readonly mask: Buffer | null;
  readonly start: number;
  readonly length: number;
}

/** RFC 6455 5.2. Null when the head is not all there. Neither side fragments text. */
function headOf(bytes: Buffer): FrameHead | null {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return null;
  const short = second & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const maskBytes = second & 0x80 ? 4 : 0;
  const start = 2 + lengthBytes + maskBytes;
  if (bytes.length < start) return null;
  const length =
    lengthBytes === 0 ? short : lengthBytes === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const mask = maskBytes === 0 ? null : bytes.subarray(start - 4, start);
  return { opcode: first & 0x0f, mask, start, length };
}
