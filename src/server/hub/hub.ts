/**
 * All transfers of a server: makes them, checks who may use them, opens each when it is used and closes it when it is
 * not, and removes what has expired. What happens inside an open transfer is for transfer.ts; connections are not
 * known here.
 *
 * Memory: about 200 bytes for every transfer that is stored, and the open ones (see transfer.ts).
 */

import { hashToken } from '../../node/index.ts';
import { type Digester, decodeTransferHeader, SluiceError } from '../../protocol/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import type { LogStore } from '../log/log-store.ts';
import { TransferLog } from '../log/transfer-log.ts';
import type { Logger } from '../logger.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { HotBudget } from './hot-records.ts';
import { ReadAhead } from './read-ahead.ts';
import { StoredTransfer } from './stored-transfer.ts';
import { Transfer, type TransferEnvironment } from './transfer.ts';
import {
  headerBytesOf,
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

export interface HubLimits {
  readonly durability: 'disk' | 'os';
  /** Transfers that are stored at the same time. */
  readonly maxTransfers: number;
  /** Bytes that must stay free for a new transfer to be made. */
  readonly minFreeBytes: number;
  readonly hotBytesPerTransfer: number;
  readonly hotBytesTotal: number;
  readonly readAheadBytesTotal: number;
  readonly defaultExpiryMs: number;
  readonly maxExpiryMs: number;
  /** How long it is remembered why a transfer is gone, ms. */
  readonly tombstoneMs: number;
  /** An open transfer that nobody uses is closed after this time, ms. */
  readonly idleCloseMs: number;
  /** Time between two looks for what has expired, ms. */
  readonly sweepMs: number;
}

export interface CreateRequest {
  readonly id: Uint8Array;
  readonly header: Uint8Array;
  readonly writeToken: Uint8Array;
  readonly readTokenHash: Uint8Array;
  readonly expiresMs: number | null;
}

/** A transfer in use. `release` when it is not used any more: exactly once, nothing may be called afterwards. */
export interface Lease {
  readonly transfer: Transfer;
  release(): void;
}

export interface HubStats {
  /** Transfers that are stored. */
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

interface Slot {
  readonly opening: Promise<Transfer>;
  transfer: Transfer | null;
  users: number;
  idleTimer: Timer | null;
  closing: Promise<void> | null;
}

export class Hub {
  readonly #options: HubOptions;
  readonly #environment: TransferEnvironment;
  readonly #slots = new Map<string, Slot>();
  /** When each stored transfer expires, or its tombstone is forgotten, as far as stored. Wall clock, ms. */
  readonly #dueAtMs = new Map<string, number>();
  #sweepTimer: Timer | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Reads all documents and removes storage that belongs to none. */
  static async open(options: HubOptions): Promise<Hub> {
    const hub = new Hub(options);
    await hub.#recover();
    hub.#scheduleSweep();
    return hub;
  }

  private constructor(options: HubOptions) {
    const { limits, clock, digester, logger } = options;
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
    const existing = await StoredTransfer.load(this.#options.metadata, id);
    if (existing !== null) return this.#createAgain(existing, request);
    await this.#assertRoom();
    const document = this.#newDocument(request);
    const made = await StoredTransfer.create(this.#options.metadata, id, document);
    if (made === null) return this.create(request);
    this.#dueAtMs.set(id, document.expiresAtMs);
    this.#options.logger.info({ transfer: id, ttlMs: document.ttlMs }, 'transfer created');
    return { expiresAtMs: document.expiresAtMs };
  }

  /** @throws SluiceError `notFound`, `notAllowed`, `expired`, `cancelled`, `corrupted`; what opening its log fails with. */
  openToWrite(id: Uint8Array, writeToken: Uint8Array): Promise<Lease> {
    return this.#authorisedLease(id, (document) => mayWrite(document, writeToken));
  }

  /** @throws as `openToWrite`. */
  openToRead(id: Uint8Array, readToken: Uint8Array): Promise<Lease> {
    return this.#authorisedLease(id, (document) => mayRead(document, readToken));
  }

  /** The document of a transfer, gone or not. @throws SluiceError `notFound`, `notAllowed`. */
  async inspect(
    id: Uint8Array,
    writeToken: Uint8Array,
  ): Promise<{ readonly document: TransferDocument; readonly lease: Lease | null }> {
    const stored = await this.#authorised(id, (document) => mayWrite(document, writeToken));
    const { document } = stored;
    const isOpenable = !isTombstone(document) && !document.isCorrupted;
    return { document, lease: isOpenable ? await this.#lease(stored) : null };
  }

  /** Ends a transfer for everybody and removes its bytes. Again: no effect. @throws SluiceError `notFound`, `notAllowed`. */
  async cancel(id: Uint8Array, writeToken: Uint8Array): Promise<TransferDocument> {
    const stored = await this.#authorised(id, (document) => mayWrite(document, writeToken));
    if (isTombstone(stored.document)) return stored.document;
    return this.#bury(stored, 'cancelled');
  }

  stats(): HubStats {
    const open = [...this.#slots.values()].flatMap(({ transfer }) => transfer ?? []);
    return {
      transfers: this.#dueAtMs.size,
      openTransfers: open.length,
      senders: open.filter(({ isSenderConnected }) => isSenderConnected).length,
      receivers: open.reduce((sum, { followerCount }) => sum + followerCount, 0),
      hotBytes: this.#environment.hotBudget.bytes,
      readAheadBytes: this.#environment.readAhead.takenBytes,
      writtenBytes: this.#environment.traffic.writtenBytes,
      givenBytes: open.reduce(
        (sum, { givenBytes }) => sum + givenBytes,
        this.#environment.traffic.givenBytes,
      ),
    };
  }

  /** Makes everything received durable, in all open transfers. */
  async commit(): Promise<void> {
    const open = [...this.#slots.values()].flatMap(({ transfer }) => transfer ?? []);
    await Promise.allSettled(open.map((transfer) => transfer.commit()));
  }

  /** Commits and closes all transfers. The stores stay open: they belong to the caller. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sweepTimer?.cancel();
    await this.#sweeping;
    await Promise.allSettled([...this.#slots.keys()].map((id) => this.#shut(id)));
  }

  // --- access -------------------------------------------------------------------------------------------------------

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

  async #authorisedLease(id: Uint8Array, isAllowed: (document: TransferDocument) => boolean): Promise<Lease> {
    const stored = await this.#authorised(id, isAllowed);
    this.#assertUsable(stored.document);
    if (this.#isDue(stored)) {
      await this.#bury(stored, 'expired');
      throw new SluiceError('expired');
    }
    return this.#lease(stored);
  }

  #assertUsable(document: TransferDocument): void {
    if (document.state === 'expired' || document.state === 'cancelled') throw new SluiceError(document.state);
    if (document.isCorrupted) throw new SluiceError('corrupted');
  }

  async #createAgain(
    stored: StoredTransfer,
    request: CreateRequest,
  ): Promise<{ readonly expiresAtMs: number }> {
    const { document } = stored;
    const isSame =
      mayWrite(document, request.writeToken) &&
      document.header === textOf(request.header) &&
      document.readTokenHash === textOf(request.readTokenHash);
    if (!isSame) throw new SluiceError('conflict', 'The id of the transfer is taken.');
    if (document.state === 'expired' || document.state === 'cancelled') throw new SluiceError(document.state);
    return { expiresAtMs: this.#slots.get(stored.id)?.transfer?.expiresAtMs ?? document.expiresAtMs };
  }

  async #assertRoom(): Promise<void> {
    const { limits, logs } = this.#options;
    if (this.#dueAtMs.size >= limits.maxTransfers)
      throw new SluiceError('limit', 'The server holds too many transfers.');
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

  // --- open transfers -----------------------------------------------------------------------------------------------

  async #lease(stored: StoredTransfer): Promise<Lease> {
    const { id } = stored;
    for (
      let slot = this.#slots.get(id);
      slot !== undefined && slot.closing !== null;
      slot = this.#slots.get(id)
    ) {
      await slot.closing;
    }
    this.#assertOpen();
    const slot = this.#slots.get(id) ?? this.#newSlot(id);
    slot.users += 1;
    slot.idleTimer?.cancel();
    slot.idleTimer = null;
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      this.#release(id, slot);
    };
    try {
      return { transfer: await slot.opening, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #newSlot(id: string): Slot {
    const slot: Slot = {
      opening: this.#openTransfer(id),
      transfer: null,
      users: 0,
      idleTimer: null,
      closing: null,
    };
    this.#slots.set(id, slot);
    slot.opening.then(
      (transfer) => {
        slot.transfer = transfer;
      },
      () => {
        if (this.#slots.get(id) === slot) this.#slots.delete(id);
      },
    );
    return slot;
  }

  #release(id: string, slot: Slot): void {
    slot.users -= 1;
    if (slot.users > 0 || this.#slots.get(id) !== slot || slot.closing !== null) return;
    slot.idleTimer = this.#options.clock.setTimer(
      () => void this.#shut(id),
      this.#options.limits.idleCloseMs,
    );
  }

  async #openTransfer(id: string): Promise<Transfer> {
    const { metadata, logs, digester, clock, logger, limits } = this.#options;
    // Read again: it may have been changed while the former use of it was being closed.
    const stored = await StoredTransfer.load(metadata, id);
    if (stored === null) throw new SluiceError('notFound');
    this.#assertUsable(stored.document);
    const header = headerBytesOf(stored.document);
    const storage = await logs.open(id);
    let log: TransferLog;
    try {
      log = await TransferLog.open(storage, {
        headerHash: digester.digest(header),
        recordSizeBytes: decodeTransferHeader(header).recordSizeBytes,
        digester,
        clock,
        durability: limits.durability,
      });
    } catch (error) {
      await this.#handleUnusableLog(stored, SluiceError.from(error));
      throw error;
    }
    const transfer = new Transfer(this.#environment, stored, log, () => void this.#shut(id));
    try {
      await this.#agree(transfer);
    } catch (error) {
      await transfer.close();
      throw error;
    }
    logger.debug(
      { transfer: id, records: log.durable.index, bytes: log.durable.position },
      'transfer opened',
    );
    return transfer;
  }

  /** Document and log may differ by a crash between the two writes of a seal; the log came first. */
  async #agree(transfer: Transfer): Promise<void> {
    const { state } = transfer.document;
    if (transfer.durable.isSealed && state === 'live') {
      await transfer.update((current) => (current.state === 'live' ? { state: 'sealed' } : null));
    } else if (!transfer.durable.isSealed && state === 'sealed') {
      this.#options.logger.error({ transfer: transfer.id }, 'a sealed transfer has lost its end');
      await transfer.markCorrupted();
      throw new SluiceError('corrupted');
    }
  }

  async #handleUnusableLog(stored: StoredTransfer, error: SluiceError): Promise<void> {
    const { logger } = this.#options;
    logger.error(
      { transfer: stored.id, code: error.code, error: error.message },
      'the log of a transfer cannot be opened',
    );
    if (error.code === 'corrupted') await stored.update(() => ({ isCorrupted: true }));
  }

  /** Closes an open transfer. Whoever uses it is told before. Never rejects. */
  async #shut(id: string): Promise<void> {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    slot.idleTimer?.cancel();
    slot.closing ??= this.#closeSlot(id, slot);
    await slot.closing;
  }

  async #closeSlot(id: string, slot: Slot): Promise<void> {
    try {
      const transfer = await slot.opening.catch(() => null);
      if (transfer === null) return;
      await transfer.close();
      if (this.#dueAtMs.has(id)) this.#dueAtMs.set(id, dueOf(transfer.document));
    } catch (error) {
      const { logger } = this.#options;
      logger.error(
        { transfer: id, error: SluiceError.from(error).message },
        'a transfer did not close cleanly',
      );
    } finally {
      if (this.#slots.get(id) === slot) this.#slots.delete(id);
    }
  }

  // --- expiry -------------------------------------------------------------------------------------------------------

  #isDue(stored: StoredTransfer): boolean {
    const expiresAtMs = this.#slots.get(stored.id)?.transfer?.expiresAtMs ?? stored.document.expiresAtMs;
    return !isTombstone(stored.document) && expiresAtMs <= this.#options.clock.wallNow();
  }

  /** Turns a transfer into a tombstone, tells everybody, removes its bytes. */
  async #bury(stored: StoredTransfer, state: 'cancelled' | 'expired'): Promise<TransferDocument> {
    const { clock, limits, logs, logger } = this.#options;
    const now = clock.wallNow();
    const document = await stored.update((current) =>
      isTombstone(current) ? null : { state, expiresAtMs: now, forgetAtMs: now + limits.tombstoneMs },
    );
    this.#dueAtMs.set(stored.id, dueOf(document));
    logger.info({ transfer: stored.id, state }, 'transfer ended');
    const open = this.#slots.get(stored.id);
    if (open !== undefined) {
      const transfer = await open.opening.catch(() => null);
      transfer?.end(new SluiceError(state), { state, isSenderConnected: false, expiresAtMs: now });
      await this.#shut(stored.id);
    }
    // If this fails the bytes are found as leftovers at the next start.
    await logs.remove(stored.id).catch((error: unknown) => {
      logger.warn(
        { transfer: stored.id, error: SluiceError.from(error).message },
        'bytes of a transfer could not be removed',
      );
    });
    return document;
  }

  #scheduleSweep(): void {
    if (this.#isClosed) return;
    this.#sweepTimer = this.#options.clock.setTimer(() => {
      this.#sweeping = this.#sweep().finally(() => this.#scheduleSweep());
    }, this.#options.limits.sweepMs);
  }

  /** Never rejects: one transfer that fails does not keep the others. */
  async #sweep(): Promise<void> {
    const now = this.#options.clock.wallNow();
    for (const [id, dueAtMs] of [...this.#dueAtMs]) {
      if (this.#isClosed) return;
      const transfer = this.#slots.get(id)?.transfer;
      try {
        if (transfer != null) await transfer.persistExpiry();
        if ((transfer?.expiresAtMs ?? dueAtMs) <= now) await this.#removeIfDue(id);
      } catch (error) {
        const { logger } = this.#options;
        logger.warn({ transfer: id, error: SluiceError.from(error).message }, 'expiry of a transfer failed');
      }
    }
  }

  async #removeIfDue(id: string): Promise<void> {
    const { metadata, clock, logs } = this.#options;
    const stored = await StoredTransfer.load(metadata, id);
    if (stored === null) return void this.#dueAtMs.delete(id);
    const { document } = stored;
    if (!isTombstone(document)) {
      if (this.#isDue(stored)) await this.#bury(stored, 'expired');
      else this.#dueAtMs.set(id, document.expiresAtMs);
      return;
    }
    if ((document.forgetAtMs ?? 0) > clock.wallNow()) return;
    await logs.remove(id);
    if (await stored.remove()) this.#dueAtMs.delete(id);
  }

  /** SPEC: bytes that no document claims were left by a crash between the removal of one and the other. */
  async #recover(): Promise<void> {
    const { metadata, logs, logger } = this.#options;
    const kept = new Set<string>();
    for await (const { key, value } of metadata.list()) {
      this.#dueAtMs.set(key, dueOf(value));
      if (!isTombstone(value)) kept.add(key);
    }
    for (const id of await logs.ids()) {
      if (kept.has(id)) continue;
      logger.info({ transfer: id }, 'removing leftover bytes');
      await logs.remove(id);
    }
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new SluiceError('goingAway');
  }
}

function dueOf(document: TransferDocument): number {
  return isTombstone(document) ? (document.forgetAtMs ?? 0) : document.expiresAtMs;
}
