/**
 * MessageTransport on the WebSocket every browser has (and Node, Deno and Bun). Limits of that class: no event when
 * the socket takes more, so it is asked while something waits; one message is one buffer, so parts are joined; why a
 * connection failed is hidden from pages, so every failure to connect is `unreachable`.
 */
import { SluiceError, SUBPROTOCOL } from '../protocol/index.ts';
import type { Connector, MessageTransport, TransportHandlers } from '../runtime/index.ts';

const CONNECT_TIMEOUT_MS = 8_000;
const POLL_MS = 4;

/** Connects with the global `WebSocket`. */
export const connectWithWebSocket: Connector = (serverUrl, signal) =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(givenUp());
    const url = new URL(serverUrl);
    url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/ws`;
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    // The signal is for the attempt alone: a connection that was made is closed by its transport, in order.
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.onerror = null;
    };
    const fail = (error: SluiceError): void => {
      settle();
      socket.close();
      reject(error);
    };
    const onAbort = (): void => fail(givenUp());
    const timer = setTimeout(() => fail(unreachable('It did not answer in time.')), CONNECT_TIMEOUT_MS);
    signal.addEventListener('abort', onAbort);
    socket.onerror = () => fail(unreachable(`No WebSocket at ${url.host}.`));
    socket.onopen = () => {
      settle();
      if (socket.protocol === SUBPROTOCOL) resolve(new WebSocketTransport(socket));
      else {
        socket.close();
        reject(new SluiceError('notSluice', 'It speaks another protocol.'));
      }
    };
  });

function unreachable(detail: string): SluiceError {
  return new SluiceError('unreachable', detail);
}

function givenUp(): SluiceError {
  return unreachable('The attempt was given up.');
}

class WebSocketTransport implements MessageTransport {
  readonly #socket: WebSocket;
  #handlers: TransportHandlers | null = null;
  #isPolling = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    this.#socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data === 'string') handlers.onText(data);
      else handlers.onBinary([new Uint8Array(data)]);
    };
    this.#socket.onclose = ({ code, reason }) => handlers.onClose(code, reason);
    if (this.#socket.readyState === WebSocket.CLOSED) handlers.onClose(1006, '');
  }

  send(message: string | readonly Uint8Array[]): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(typeof message === 'string' ? message : joined(message));
    this.#poll();
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.close();
  }

  #poll(): void {
    if (this.#isPolling || this.#socket.bufferedAmount === 0) return;
    this.#isPolling = true;
    setTimeout(() => {
      this.#isPolling = false;
      this.#handlers?.onWritable();
      this.#poll();
    }, POLL_MS);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
