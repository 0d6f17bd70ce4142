/**
 * Decides which upgrades become connections: the right path, our subprotocol, an allowed origin, room for one more.
 * The WebSocket handshake itself is for the adapter in src/node.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWsServer, offersSubprotocol, upgradeWebSocket } from '../../node/index.ts';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../../protocol/index.ts';
import type { MessageTransport } from '../../runtime/index.ts';

export interface UpgradeOptions {
  /** Public address of the server, whose origin is allowed besides the request's own host; null = only that. */
  readonly publicUrl: string | null;
  /** Connections at the same time, in all and from one address. */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** The address a connection counts for. */
  addressOf(request: IncomingMessage): string;
  /** Takes a connection over. `release` must be called once when it is over. */
  onConnection(transport: MessageTransport, address: string, release: () => void): void;
}

export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #ws = createWsServer();
  readonly #countOf = new Map<string, number>();
  #count = 0;
  #isClosed = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  /** Connections now, those whose handshake is not complete included. */
  get count(): number {
    return this.#count;
  }

  /** Refuses all further upgrades. */
  close(): void {
    this.#isClosed = true;
  }

  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Without a listener an error of the raw socket would end the process.
    socket.on('error', () => socket.destroy());
    const refusal = this.#refusalOf(request);
    if (refusal !== null) return refuse(socket, ...refusal);
    const address = this.#options.addressOf(request);
    const release = this.#admit(address);
    socket.once('close', release);
    upgradeWebSocket(this.#ws, request, socket, head, (transport) => {
      this.#options.onConnection(transport, address, release);
    });
  }

  #refusalOf(request: IncomingMessage): [number, RefusalBody] | null {
    if (this.#isClosed) return [503, { error: 'goingAway', message: 'The server is shutting down.' }];
    if (!offersSubprotocol(request)) {
      const message = `This server speaks ${SUBPROTOCOL} over WebSocket.`;
      return [
        426,
        { error: 'versionMismatch', message, subprotocols: [SUBPROTOCOL], version: PROTOCOL_VERSION },
      ];
    }
    if (!isOriginAllowed(request, this.#options.publicUrl)) {
      return [403, { error: 'notAllowed', message: 'This page may not connect to this server.' }];
    }
    const { maxConnections, maxConnectionsPerAddress, addressOf } = this.#options;
    if (this.#count >= maxConnections)
      return [503, { error: 'limit', message: 'The server has too many connections.' }];
    if ((this.#countOf.get(addressOf(request)) ?? 0) >= maxConnectionsPerAddress) {
      return [429, { error: 'limit', message: 'Too many connections from this address.' }];
    }
    return null;
  }

  /** Counts a connection; returns what ends it, to be called any number of times. */
  #admit(address: string): () => void {
    this.#count += 1;
    this.#countOf.set(address, (this.#countOf.get(address) ?? 0) + 1);
    let isCounted = true;
    return () => {
      if (!isCounted) return;
      isCounted = false;
      this.#count -= 1;
      const left = (this.#countOf.get(address) ?? 1) - 1;
      if (left > 0) this.#countOf.set(address, left);
      else this.#countOf.delete(address);
    };
  }
}

interface RefusalBody {
  /** Code from the error table. */
  readonly error: string;
  readonly message: string;
  readonly subprotocols?: readonly string[];
  readonly version?: string;
}

/**
 * OWASP ASVS 4.4.2: browsers send the origin of the page, and only our own may connect. Others send none; they need
 * the token like everybody.
 */
export function isOriginAllowed(request: IncomingMessage, publicUrl: string | null): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined) return true;
  const url = URL.parse(origin);
  if (url === null) return false;
  return url.host === host || (publicUrl !== null && url.origin === URL.parse(publicUrl)?.origin);
}

function refuse(socket: Duplex, status: number, body: RefusalBody): void {
  const text = JSON.stringify(body);
  socket.once('finish', () => socket.destroy());
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Connection: close',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(text)}`,
      ...(status === 426 ? [`Upgrade: websocket`, `Sec-WebSocket-Protocol: ${SUBPROTOCOL}`] : []),
      ...(status === 503 || status === 429 ? ['Retry-After: 2'] : []),
      '',
      text,
    ].join('\r\n'),
  );
}
