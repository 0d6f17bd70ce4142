/**
 * All transfers of a server: makes them and checks who may use them. Opening and closing is for open-transfers.ts,
 * removal for expiry.ts, what happens inside an open transfer for transfer.ts; connections are not known here.
 */
import { hashToken } from '../../node/index.ts';
import { type Digester, decodeTransferHeader, SluiceError } from '../../protocol/index.ts';
import type { Clock } from '../../runtime/index.ts';
import type { LogStore } from '../log/log-store.ts';
import type { Logger } from '../logger.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { TransferStatus } from './audience.ts';
import { Expiry } from './expiry.ts';
import { HotBudget } from './hot-records.ts';
import { type Lease, OpenTransfers } from './open-transfers.ts';
import { ReadAhead } from './read-ahead.ts';
import { StoredTransfer } from './stored-transfer.ts';
import type { TransferEnvironment } from './transfer.ts';
import {
  assertUsable,
  isTombstone,
  mayRead,
  mayWrite,
  type TransferDocument,
  textOf,
} from './transfer-document.ts';

export interface HubOptions {
  readonly metadata: MetadataStore<TransferDocument>;
  readonly logs: LogStore;
  readonly digester: Digester;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: HubLimits;
}

/** Described one by one in server-options.ts. */
export interface HubLimits {
  readonly durability: 'disk' | 'os';
  readonly maxTransfers: number;
  readonly minFreeBytes: number;
  readonly hotBytesPerTransfer: number;
  readonly hotBytesTotal: number;
  readonly readAheadBytesTotal: number;
  readonly defaultExpiryMs: number;
  readonly maxExpiryMs: number;
  readonly tombstoneMs: number;
  readonly idleCloseMs: number;
  readonly sweepMs: number;
}

export interface CreateRequest {
  readonly id: Uint8Array;
  readonly header: Uint8Array;
  readonly writeToken: Uint8Array;
  readonly readTokenHash: Uint8Array;
  /** Time to live after the last append or the seal, ms; null = the server's default. */
  readonly expiresMs: number | null;
}

export interface Inspection extends TransferStatus {
  readonly durableBytes: number;
  readonly createdAtMs: number;
}

export interface HubStats {
  /** Transfers that are stored, without those that are only remembered. */
  readonly transfers: number;
  readonly openTransfers: number;
  readonly senders: number;
  readonly receivers: number;
  /** Recent records in memory, bytes. */
  readonly hotBytes: number;
  /** Records read from disk and not yet sent, bytes. */
  readonly readAheadBytes: number;
  /** Bytes of records written since the start. */
  readonly writtenBytes: number;
  /** Bytes of records given to receivers since the start. */
  readonly givenBytes: number;
}

/** Nothing expires sooner, ms: a sender must get from `create` to `open`. */
const MIN_EXPIRY_MS = 1_000;

export class Hub {
  readonly #options: HubOptions;
  readonly #environment: TransferEnvironment;
  readonly #open: OpenTransfers;
  readonly #expiry: Expiry;
  #isClosed = false;

  /** Reads all documents and removes storage that belongs to none. */
  static async open(options: HubOptions): Promise<Hub> {
    const hub = new Hub(options);
    await hub.#expiry.start();
    return hub;
  }

  private constructor(options: HubOptions) {
    const { limits, clock, digester, logger, metadata, logs } = options;
    this.#options = options;
    this.#environment = {
      clock,
      digester,
      logger,
      hotBudget: new HotBudget(limits.hotBytesTotal),
      readAhead: new ReadAhead(limits.readAheadBytesTotal),
      hotBytesPerTransfer: limits.hotBytesPerTransfer,
      traffic: { writtenBytes: 0, givenBytes: 0 },
    };
    this.#open = new OpenTransfers({
      metadata,
      logs,
      environment: this.#environment,
      durability: limits.durability,
      idleCloseMs: limits.idleCloseMs,
      onClosed: (id, document) => this.#expiry.note(id, document),
    });
    const maxTombstones = limits.maxTransfers;
    this.#expiry = new Expiry({ metadata, logs, clock, logger, maxTombstones, ...limits }, this.#open);
  }

  /**
   * Makes a transfer. The same call again changes nothing and gives the same answer.
   * @throws SluiceError `conflict` when the id belongs to another token or header, `limit`, `storageFull`,
   * `protocol`, `unsupported` (header), `expired`, `cancelled`.
   */
  async create(request: CreateRequest): Promise<{ readonly expiresAtMs: number }> {
    this.#assertOpen();
    const id = textOf(request.id);
    if (textOf(decodeTransferHeader(request.header).id) !== id) {
      throw new SluiceError('protocol', 'The transfer header has another id.');
    }
    const { metadata, logger } = this.#options;
    const existing = await StoredTransfer.load(metadata, id);
    if (existing !== null) return this.#createAgain(existing, request);
    await this.#assertRoom();
    const document = this.#newDocument(request);
    // Null when somebody else was faster, and that may be the same sender on another connection.
    if ((await StoredTransfer.create(metadata, id, document)) === null) return this.create(request);
    this.#expiry.note(id, document);
    logger.info({ transfer: id, ttlMs: document.ttlMs }, 'transfer created');
    return { expiresAtMs: document.expiresAtMs };
  }

  /** @throws SluiceError `notFound`, `notAllowed`, `expired`, `cancelled`, `corrupted`; what its log fails with. */
  openToWrite(id: Uint8Array, writeToken: Uint8Array): Promise<Lease> {
    return this.#lease(id, (document) => mayWrite(document, writeToken));
  }

  /** @throws as `openToWrite`. */
  openToRead(id: Uint8Array, readToken: Uint8Array): Promise<Lease> {
    return this.#lease(id, (document) => mayRead(document, readToken));
  }

  /** What its sender may know about a transfer, gone or not. @throws SluiceError `notFound`, `notAllowed`. */
  async inspect(id: Uint8Array, writeToken: Uint8Array): Promise<Inspection> {
    const stored = await this.#authorised(id, (document) => mayWrite(document, writeToken));
    const { document } = stored;
    const { createdAtMs, state, expiresAtMs } = document;
    if (isTombstone(document) || document.isCorrupted || this.#expiry.isDue(stored)) {
      return { state, isSenderConnected: false, expiresAtMs, createdAtMs, durableBytes: 0 };
    }
    const { transfer, release } = await this.#open.lease(stored.id);
    const inspection = { ...transfer.status, createdAtMs, durableBytes: transfer.durable.position };
    release();
    return inspection;
  }

  /** Ends a transfer for everybody and removes its bytes. Again: no effect. @throws as `inspect`. */
  async cancel(id: Uint8Array, writeToken: Uint8Array): Promise<TransferStatus> {
    const stored = await this.#authorised(id, (document) => mayWrite(document, writeToken));
    const { state, expiresAtMs } = await this.#expiry.bury(stored, 'cancelled');
    return { state, isSenderConnected: false, expiresAtMs };
  }

  stats(): HubStats {
    const { hotBudget, readAhead, traffic } = this.#environment;
    const open = this.#open.all();
    return {
      transfers: this.#expiry.size,
      openTransfers: open.length,
      senders: open.filter(({ isSenderConnected }) => isSenderConnected).length,
      receivers: open.reduce((sum, { followerCount }) => sum + followerCount, 0),
      hotBytes: hotBudget.bytes,
      readAheadBytes: readAhead.takenBytes,
      writtenBytes: traffic.writtenBytes,
      givenBytes: open.reduce((sum, { givenBytes }) => sum + givenBytes, traffic.givenBytes),
    };
  }

  /** Makes everything received durable, in all open transfers. What fails is reported by the transfer. */
  async commit(): Promise<void> {
    await Promise.allSettled(this.#open.all().map((transfer) => transfer.commit()));
  }

  /** Commits and closes all transfers. The stores stay open: they belong to the caller. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#expiry.close();
    await this.#open.close();
  }

  async #authorised(
    id: Uint8Array,
    isAllowed: (document: TransferDocument) => boolean,
  ): Promise<StoredTransfer> {
    this.#assertOpen();
    const stored = await StoredTransfer.load(this.#options.metadata, textOf(id));
    if (stored === null) throw new SluiceError('notFound');
    if (!isAllowed(stored.document)) throw new SluiceError('notAllowed');
    return stored;
  }

  async #lease(id: Uint8Array, isAllowed: (document: TransferDocument) => boolean): Promise<Lease> {
    const stored = await this.#authorised(id, isAllowed);
    if (this.#expiry.isDue(stored)) await this.#expiry.bury(stored, 'expired');
    assertUsable(stored.document);
    return this.#open.lease(stored.id);
  }

  async #createAgain(stored: StoredTransfer, request: CreateRequest): Promise<{ expiresAtMs: number }> {
    const { document } = stored;
    const isSame =
      mayWrite(document, request.writeToken) &&
      document.header === textOf(request.header) &&
      document.readTokenHash === textOf(request.readTokenHash);
    if (!isSame) throw new SluiceError('conflict', 'The id of the transfer is taken.');
    if (isTombstone(document)) assertUsable(document);
    return { expiresAtMs: this.#open.get(stored.id)?.expiresAtMs ?? document.expiresAtMs };
  }

  async #assertRoom(): Promise<void> {
    const { limits, logs } = this.#options;
    if (this.#expiry.size >= limits.maxTransfers) {
      throw new SluiceError('limit', 'The server holds too many transfers.');
    }
    const freeBytes = await logs.freeBytes();
    if (freeBytes !== null && freeBytes < limits.minFreeBytes) throw new SluiceError('storageFull');
  }

  #newDocument({ header, writeToken, readTokenHash, expiresMs }: CreateRequest): TransferDocument {
    const { limits, clock } = this.#options;
    const now = clock.wallNow();
    const ttlMs = Math.max(MIN_EXPIRY_MS, Math.min(expiresMs ?? limits.defaultExpiryMs, limits.maxExpiryMs));
    return {
      format: 1,
      state: 'live',
      isCorrupted: false,
      header: textOf(header),
      writeTokenHash: textOf(hashToken(writeToken)),
      readTokenHash: textOf(readTokenHash),
      createdAtMs: now,
      ttlMs,
      expiresAtMs: now + ttlMs,
      forgetAtMs: null,
      epoch: 0,
      session: null,
      attempt: 0,
      fencedSessions: [],
    };
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new SluiceError('goingAway');
  }
}
