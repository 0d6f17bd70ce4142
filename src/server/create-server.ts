/**
 * The public server: puts stores, hub, sessions and HTTP together, and stops them in the right order. It holds no
 * state outside of what it returns, so any number of servers can run in one process.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { loadDigester, refuseUpgrade, systemClock } from '../node/index.ts';
import { CreditPool, SluiceError } from '../protocol/index.ts';
import type { Clock, MessageTransport } from '../runtime/index.ts';
import { openDataFolder } from './data-folder.ts';
import { answerRequest, pathBelow } from './http/requests.ts';
import { Upgrades } from './http/upgrades.ts';
import { Hub, type HubStats } from './hub/hub.ts';
import type { TransferDocument } from './hub/transfer-document.ts';
import { type Logger, silentLogger } from './logger.ts';
import {
  type ResolvedOptions,
  resolveOptions,
  type ServerOptions,
  type ServerStores,
} from './server-options.ts';
import { Session } from './session/session.ts';

export interface ListenOptions {
  /** Default 127.0.0.1: reachable from this machine only. */
  readonly host?: string;
  /** Default 0: a free one. */
  readonly port?: number;
}

export interface Listening {
  /** Where the server can be reached, without a trailing slash: `publicUrl`, or what it listens on. */
  readonly url: string;
  readonly port: number;
}

export interface AttachOptions {
  /** Paths below this one belong to the server, e.g. `/sluice`. Default '': all. */
  readonly basePath?: string;
}

export interface CloseOptions {
  /** Peers get this long to finish before their connections are closed, ms. Default 0. */
  readonly drainMs?: number;
}

export interface ServerStats extends HubStats {
  readonly connections: number;
  /** Streams in use, of all connections. */
  readonly streams: number;
}

export interface SluiceServer {
  /** Listens on a port of its own. @throws SluiceError `addressInUse`; other errors of the socket as they are. */
  listen(options?: ListenOptions): Promise<Listening>;
  /**
   * Serves below `basePath` of a node:http server that belongs to the caller, and touches nothing else there:
   * requests and upgrades for other paths are left to its other listeners. Returns what takes it off again.
   */
  attach(httpServer: Server, options?: AttachOptions): () => void;
  stats(): ServerStats;
  /** Bytes that can still be stored, or null when unknown. */
  freeBytes(): Promise<number | null>;
  /**
   * Stops: no new streams, everything received is committed, connections end with `goingAway`, stores are closed.
   * May be called more than once.
   */
  close(options?: CloseOptions): Promise<void>;
}

/** Time for the headers of a request, and for a whole request, ms. Upgraded connections are not concerned. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
/** After our close frames, connections that do not answer are cut by the driver after 2 s. */
const CLOSE_WAIT_MS = 2_500;
/** A peer that was sent away should come back after this time, ms. */
const RETRY_AFTER_MS = 1_000;

/**
 * Opens the stores and makes a server. It serves nobody before `listen` or `attach`.
 * @throws SluiceError `dataFolder` when the data folder cannot be used; RangeError for options without sense.
 */
export async function createServer(options: ServerOptions): Promise<SluiceServer> {
  const resolved = resolveOptions(options);
  const stores = await openStores(options);
  try {
    const clock = options.clock ?? systemClock;
    const logger = options.logger ?? silentLogger;
    const digester = options.digester ?? (await loadDigester());
    const hub = await Hub.open({ ...stores, digester, clock, logger, limits: resolved });
    return new NodeServer(options, resolved, { stores, hub, clock, logger });
  } catch (error) {
    await stores.close();
    throw error;
  }
}

interface OpenStores extends ServerStores {
  close(): Promise<void>;
}

async function openStores({ stores, dataDirectory }: ServerOptions): Promise<OpenStores> {
  if (stores !== undefined) {
    const { metadata, logs } = stores;
    const close = async (): Promise<void> => {
      await logs.close();
      await metadata.close();
    };
    return { metadata, logs, close };
  }
  if (dataDirectory === undefined) throw new RangeError('either dataDirectory or stores must be given');
  return openDataFolder<TransferDocument>(dataDirectory);
}

interface ServerParts {
  readonly stores: OpenStores;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly logger: Logger;
}

class NodeServer implements SluiceServer {
  readonly #options: ServerOptions;
  readonly #limits: ResolvedOptions;
  readonly #parts: ServerParts;
  readonly #publicUrl: string | null;
  readonly #upgrades: Upgrades;
  readonly #processPool: CreditPool;
  readonly #sessions = new Set<Session>();
  readonly #ownServers: Server[] = [];
  readonly #detachAll = new Set<() => void>();
  /** Told when a connection has ended, while closing. */
  #onSessionEnded: (() => void) | null = null;
  #nextConnection = 1;
  #closing: Promise<void> | null = null;

  constructor(options: ServerOptions, limits: ResolvedOptions, parts: ServerParts) {
    this.#options = options;
    this.#limits = limits;
    this.#parts = parts;
    this.#publicUrl = options.publicUrl?.replace(/\/+$/, '') ?? null;
    this.#processPool = new CreditPool(limits.processWindowBytes);
    this.#upgrades = new Upgrades({
      publicUrl: this.#publicUrl,
      maxConnections: limits.maxConnections,
      maxConnectionsPerAddress: limits.maxConnectionsPerAddress,
      addressOf: options.addressOf ?? ((request) => request.socket.remoteAddress ?? ''),
      onConnection: (transport, address, release) => this.#startSession(transport, address, release),
    });
  }

  async listen({ host = '127.0.0.1', port = 0 }: ListenOptions = {}): Promise<Listening> {
    this.#assertOpen();
    const server = createHttpServer({
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
    });
    const detach = this.attach(server);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, resolve);
      });
    } catch (error) {
      detach();
      throw listenError(error, port);
    }
    // Later ones, such as too many open files, concern single connections.
    server.on('error', (error) => this.#parts.logger.error({ error: error.message }, 'the socket failed'));
    this.#ownServers.push(server);
    const address = server.address() as AddressInfo;
    const url = this.#publicUrl ?? `http://${urlHost(host, address)}:${address.port}`;
    this.#parts.logger.info({ url, host, port: address.port }, 'listening');
    return { url, port: address.port };
  }

  attach(httpServer: Server, { basePath = '' }: AttachOptions = {}): () => void {
    this.#assertOpen();
    const base = basePath.replace(/\/+$/, '');
    const onRequest: RequestListener = (request, response) => {
      const path = pathBelow(base, request.url);
      if (path !== null) answerRequest(request, response, path);
    };
    const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const path = pathBelow(base, request.url);
      if (path === '/ws') return this.#upgrades.handle(request, socket, head);
      // On a path of ours nobody else will answer; at the root others may have paths of their own.
      const isOurs = base !== '' ? path !== null : httpServer.listenerCount('upgrade') === 1;
      if (isOurs) refuseUpgrade(socket, 404, 'Not found.');
    };
    httpServer.on('request', onRequest);
    httpServer.on('upgrade', onUpgrade);
    const detach = (): void => {
      httpServer.off('request', onRequest);
      httpServer.off('upgrade', onUpgrade);
      this.#detachAll.delete(detach);
    };
    this.#detachAll.add(detach);
    return detach;
  }

  stats(): ServerStats {
    let streams = 0;
    for (const session of this.#sessions) streams += session.streamCount;
    return { ...this.#parts.hub.stats(), connections: this.#sessions.size, streams };
  }

  freeBytes(): Promise<number | null> {
    return this.#parts.stores.logs.freeBytes();
  }

  close({ drainMs = 0 }: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    const { hub, stores, logger } = this.#parts;
    logger.info({ connections: this.#sessions.size, drainMs }, 'closing');
    this.#upgrades.close();
    for (const server of this.#ownServers) server.close();
    for (const session of this.#sessions) session.drain(RETRY_AFTER_MS);
    await this.#untilNoSessions(drainMs);
    await hub.commit();
    for (const session of this.#sessions) {
      session.close(new SluiceError('goingAway', '', { retryAfterMs: RETRY_AFTER_MS }));
    }
    await hub.close();
    await this.#untilNoSessions(CLOSE_WAIT_MS);
    for (const server of this.#ownServers) server.closeAllConnections();
    for (const detach of [...this.#detachAll]) detach();
    await stores.close();
    logger.info({}, 'closed');
  }

  /** Resolves when all connections have ended, at the latest after `waitMs`. */
  #untilNoSessions(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#sessions.size === 0 || waitMs <= 0) return resolve();
      const timer = this.#parts.clock.setTimer(resolve, waitMs);
      this.#onSessionEnded = () => {
        if (this.#sessions.size > 0) return;
        timer.cancel();
        resolve();
      };
    });
  }

  #startSession(transport: MessageTransport, address: string, release: () => void): void {
    const { hub, clock, logger } = this.#parts;
    const connection = this.#nextConnection++;
    const fields = { connection, address };
    const session: Session = new Session(transport, {
      hub,
      clock,
      logger: withFields(logger, fields),
      software: this.#options.software ?? 'sluice',
      publicUrl: this.#publicUrl,
      limits: this.#limits,
      processPool: this.#processPool,
      onEnded: () => {
        release();
        this.#sessions.delete(session);
        this.#onSessionEnded?.();
      },
    });
    this.#sessions.add(session);
    if (this.#closing !== null) session.drain(RETRY_AFTER_MS);
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new SluiceError('goingAway');
  }
}

function listenError(error: unknown, port: number): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'EADDRINUSE' ? new SluiceError('addressInUse', `Port ${port}.`, { cause: error }) : error;
}

/** What to write into a link for a host to listen on: a wildcard cannot be connected to. */
function urlHost(host: string, address: AddressInfo): string {
  if (host === '0.0.0.0' || host === '::' || host === '') return 'localhost';
  return address.family === 'IPv6' && host.includes(':') ? `[${host}]` : host;
}

function withFields(logger: Logger, fields: Readonly<Record<string, unknown>>): Logger {
  return {
    debug: (more, text) => logger.debug({ ...fields, ...more }, text),
    info: (more, text) => logger.info({ ...fields, ...more }, text),
    warn: (more, text) => logger.warn({ ...fields, ...more }, text),
    error: (more, text) => logger.error({ ...fields, ...more }, text),
  };
}
