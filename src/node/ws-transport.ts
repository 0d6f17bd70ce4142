/**
 * An open WebSocket of the `ws` package as a MessageTransport, the same for both sides. Not responsible for
 * opening it: see ws-connector.ts and ws-acceptor.ts.
 *
 * A data message of many parts goes out as one frame: its header and the parts themselves, written to the
 * socket in one go, so that the server never copies what it sends to many receivers. `ws` could only send
 * each part as a frame of its own (`fin: false`), and the receiving side would have to copy all of them into
 * one. Frames of `ws` and ours do not interleave, because without compression each of its sends is complete
 * when it returns.
 */
import type { Duplex } from 'node:stream';
import { type ClientOptions, type RawData, WebSocket } from 'ws';
import { MAX_DATA_MESSAGE_BYTES } from '../protocol/index.ts';
import type { MessageTransport, TransportHandlers } from '../runtime/index.ts';

/** What one connection may make us hold. The worst case is one message of `maxPayload` bytes and its copy. */
export const WEBSOCKET_LIMITS: Readonly<
  Required<Pick<ClientOptions, 'maxPayload' | 'maxFragments' | 'maxBufferedChunks' | 'perMessageDeflate'>> & {
    closeTimeout: number;
  }
> = {
  /** Bytes of a message. `ws` coerces it with `| 0`, so it must stay below 2^31. */
  maxPayload: MAX_DATA_MESSAGE_BYTES,
  /** Browsers cut a large message wherever their pipe is full. */
  maxFragments: 1_024,
  /** TCP reads that make up a message: 1 MiB in packets of 1.4 KB is 760. */
  maxBufferedChunks: 4_096,
  /** What a peer that broke a limit has left to answer our close frame, ms. */
  closeTimeout: 2_000,
  perMessageDeflate: false,
};

/** How data messages leave. `masked` costs two copies; only clients need it, and not to their own machine. */
export type Framing = 'server' | 'zeroMask' | 'masked';

/** A close reason has at most 123 bytes; a UTF-16 unit takes up to three. */
const MAX_REASON_CHARS = 41;

export class WsTransport implements MessageTransport {
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #framing: Framing;
  #handlers: TransportHandlers | null = null;
  #closed: { code: number; reason: string } | null = null;
  #willNotify = false;

  /** Takes an open `ws` and its socket. Nothing is read until `start`. */
  constructor(ws: WebSocket, socket: Duplex, framing: Framing) {
    this.#ws = ws;
    this.#socket = socket;
    this.#framing = framing;
    ws.binaryType = 'fragments';
    ws.pause();
    // The close event follows every error and says all that the layers above want to know.
    ws.on('error', () => {});
    ws.on('close', (code, reason) => this.#handleClose(code, reason.toString()));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    this.#ws.on('message', (data, isBinary) => this.#handleMessage(data, isBinary));
    // `ws` has a listener of its own already: one more changes nothing in how the socket flows.
    this.#socket.on('data', () => handlers.onActivity());
    this.#ws.resume();
    const closed = this.#closed;
    if (closed !== null) queueMicrotask(() => handlers.onClose(closed.code, closed.reason));
  }

  send(message: string | readonly Uint8Array[]): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    if (typeof message === 'string') this.#ws.send(message, this.#onTaken);
    else if (this.#framing === 'masked') this.#ws.send(joined(message), this.#onTaken);
    else this.#sendFrame(message, this.#framing === 'zeroMask');
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason.slice(0, MAX_REASON_CHARS));
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #sendFrame(parts: readonly Uint8Array[], isMasked: boolean): void {
    this.#socket.cork();
    this.#socket.write(frameHeader(totalLength(parts), isMasked), this.#onTaken);
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
  }

  /**
   * The operating system took one or more messages. One tick collects the callbacks of all messages that went
   * together; a callback that comes later starts a tick of its own, so a fall to 0 is never missed.
   */
  readonly #onTaken = (): void => {
    if (this.#willNotify) return;
    this.#willNotify = true;
    process.nextTick(() => {
      this.#willNotify = false;
      if (this.#closed === null) this.#handlers?.onWritable();
    });
  };

  #handleMessage(data: RawData, isBinary: boolean): void {
    if (this.#closed !== null) return;
    if (!isBinary) this.#handlers?.onText(data.toString());
    else this.#handlers?.onBinary((Array.isArray(data) ? data : [data as Buffer]).map(ownBytes));
  }

  #handleClose(code: number, reason: string): void {
    if (this.#closed !== null) return;
    this.#closed = { code, reason };
    this.#handlers?.onClose(code, reason);
  }
}

/**
 * A frame header of a whole binary message (RFC 6455 section 5.2); a masked one has the key 0, which changes
 * no byte.
 */
function frameHeader(payloadBytes: number, isMasked: boolean): Uint8Array {
  const maskBit = isMasked ? 0x80 : 0;
  const maskBytes = isMasked ? 4 : 0;
  const lengthBytes = payloadBytes < 126 ? 0 : payloadBytes < 0x1_0000 ? 2 : 8;
  const header = new Uint8Array(2 + lengthBytes + maskBytes);
  const view = new DataView(header.buffer);
  header[0] = 0x82;
  header[1] = maskBit | (lengthBytes === 0 ? payloadBytes : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) view.setUint16(2, payloadBytes);
  if (lengthBytes === 8) view.setBigUint64(2, BigInt(payloadBytes));
  return header;
}

/**
 * A plain Uint8Array, because `slice` of a Buffer is a view. A small view into a large read buffer is copied,
 * so that whoever holds it does not hold 64 KiB.
 */
function ownBytes(part: Buffer): Uint8Array {
  const view = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
  return part.byteLength * 2 < part.buffer.byteLength ? view.slice() : view;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, totalLength(parts));
}

function totalLength(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
