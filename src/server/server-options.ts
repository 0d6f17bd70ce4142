/** What can be set about a server. Every option has a unit, a default and the memory it may cost. */
import type { IncomingMessage } from 'node:http';
import {
  DEFAULT_CONNECTION_WINDOW_BYTES,
  DEFAULT_MAX_STREAMS,
  DEFAULT_PROCESS_WINDOW_BYTES,
  DEFAULT_STREAM_WINDOW_BYTES,
  type Digester,
} from '../protocol/index.ts';
import type { Clock } from '../runtime/index.ts';
import type { TransferDocument } from './hub/transfer-document.ts';
import type { LogStore } from './log/log-store.ts';
import type { Logger } from './logger.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';

/** Where transfers are kept, when it is not a data folder. The server closes them when it closes. */
export interface ServerStores {
  readonly metadata: MetadataStore<TransferDocument>;
  readonly logs: LogStore;
}

export interface ServerOptions {
  /** Folder with everything the server keeps; created if there is none. Required unless `stores` is given. */
  readonly dataDirectory?: string;
  /** Stores to use instead of a data folder: for tests and embedding. */
  readonly stores?: ServerStores;
  /** Address that peers are told, without a trailing slash. Default: they use the one they connected to. */
  readonly publicUrl?: string;
  /**
   * What an acknowledgement means: `disk` = it survives a power loss, `os` = it survives the end of the process.
   * Default `disk`.
   */
  readonly durability?: 'disk' | 'os';
  /** Where it reports to. Default: nowhere. */
  readonly logger?: Logger;
  /** Time. Default: that of the machine. */
  readonly clock?: Clock;
  /** BLAKE3. Default: the native module, or WebAssembly. */
  readonly digester?: Digester;
  /** Name and version told to peers. Default `sluice`. */
  readonly software?: string;

  /** Recently written records kept per transfer that has receivers, bytes of memory. Default 16 MiB. */
  readonly hotBytesPerTransfer?: number;
  /** The same over all transfers, bytes of memory (and one chunk of about 1 MiB per transfer). Default 256 MiB. */
  readonly hotBytesTotal?: number;
  /** What is read from disk for receivers ahead of time, over all of them, bytes of memory. Default 64 MiB. */
  readonly readAheadBytesTotal?: number;
  /** What a sender may have on its way to disk, bytes of memory per stream. Default 8 MiB, at least two records. */
  readonly streamWindowBytes?: number;
  /** The same for all streams of a connection, beyond two records each, bytes of memory. Default 32 MiB. */
  readonly connectionWindowBytes?: number;
  /** The same for all connections, beyond two records per stream, bytes of memory. Default 512 MiB. */
  readonly processWindowBytes?: number;

  /** Time a transfer is kept after its last record or its seal, when its sender does not say, ms. Default 24 h. */
  readonly defaultExpiryMs?: number;
  /** The longest such time a sender may ask for, ms. Default 7 days. */
  readonly maxExpiryMs?: number;
  /** Transfers stored at the same time, each about 200 bytes of memory; then `limit`. Default 100,000. */
  readonly maxTransfers?: number;
  /** A new transfer needs so many free bytes on the disk; else `storageFull`. Default 64 MiB. */
  readonly minFreeBytes?: number;
  /** Streams open on one connection; then `limit`. Each may hold two records. Default 64. */
  readonly maxStreams?: number;
  /** Connections in all, each about 10 KB of memory when idle; then HTTP 503. Default 10,000. */
  readonly maxConnections?: number;
  /** Connections from one address; then HTTP 429. Default 1,000. */
  readonly maxConnectionsPerAddress?: number;
  /** The address a connection counts for. Default: that of the socket, which behind a proxy is the proxy's. */
  readonly addressOf?: (request: IncomingMessage) => string;
  /** A connection must have opened a transfer within this time, ms. Default 10 s. */
  readonly unauthenticatedMs?: number;
  /** An open transfer that nobody uses is closed after this time, ms. Default 10 s. */
  readonly idleCloseMs?: number;
  /** Time between two looks for what has expired, ms. Default 1 min. */
  readonly sweepMs?: number;
}

/** Why a transfer is gone is remembered this long. */
const TOMBSTONE_MS = 7 * 24 * 3_600_000;

const KIB = 1024;
const MIB = 1024 * KIB;

export type ResolvedOptions = Required<
  Omit<
    ServerOptions,
    'dataDirectory' | 'stores' | 'publicUrl' | 'logger' | 'clock' | 'digester' | 'addressOf' | 'software'
  >
> & { readonly tombstoneMs: number };

/** Fills in the defaults of everything that is a number or a choice. @throws RangeError for what makes no sense. */
export function resolveOptions(options: ServerOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    durability: options.durability ?? 'disk',
    hotBytesPerTransfer: options.hotBytesPerTransfer ?? 16 * MIB,
    hotBytesTotal: options.hotBytesTotal ?? 256 * MIB,
    readAheadBytesTotal: options.readAheadBytesTotal ?? 64 * MIB,
    streamWindowBytes: options.streamWindowBytes ?? DEFAULT_STREAM_WINDOW_BYTES,
    connectionWindowBytes: options.connectionWindowBytes ?? DEFAULT_CONNECTION_WINDOW_BYTES,
    processWindowBytes: options.processWindowBytes ?? DEFAULT_PROCESS_WINDOW_BYTES,
    defaultExpiryMs: options.defaultExpiryMs ?? 24 * 3_600_000,
    maxExpiryMs: options.maxExpiryMs ?? 7 * 24 * 3_600_000,
    maxTransfers: options.maxTransfers ?? 100_000,
    minFreeBytes: options.minFreeBytes ?? 64 * MIB,
    maxStreams: options.maxStreams ?? DEFAULT_MAX_STREAMS,
    maxConnections: options.maxConnections ?? 10_000,
    maxConnectionsPerAddress: options.maxConnectionsPerAddress ?? 1_000,
    unauthenticatedMs: options.unauthenticatedMs ?? 10_000,
    idleCloseMs: options.idleCloseMs ?? 10_000,
    sweepMs: options.sweepMs ?? 60_000,
    tombstoneMs: TOMBSTONE_MS,
  };
  for (const [name, value] of Object.entries(resolved)) {
    if (typeof value === 'number' && !(Number.isFinite(value) && value >= 0)) {
      throw new RangeError(`${name} must be a number of at least 0`);
    }
  }
  return resolved;
}
