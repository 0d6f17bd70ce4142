/**
 * The transfers that are in use: each is opened once for all who use it, and closed when nobody has for a while. Who
 * may use one is for hub.ts.
 */
import { decodeTransferHeader, SluiceError } from '../../protocol/index.ts';
import type { Timer } from '../../runtime/index.ts';
import type { LogStore } from '../log/log-store.ts';
import { TransferLog } from '../log/transfer-log.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { StoredTransfer } from './stored-transfer.ts';
import { Transfer, type TransferEnvironment } from './transfer.ts';
import { assertUsable, headerBytesOf, type TransferDocument } from './transfer-document.ts';

export interface OpenTransfersOptions {
  readonly metadata: MetadataStore<TransferDocument>;
  readonly logs: LogStore;
  readonly environment: TransferEnvironment;
  readonly durability: 'disk' | 'os';
  /** An open transfer that nobody uses is closed after this time, ms. */
  readonly idleCloseMs: number;
  /** The log of a transfer was closed; its document will not be written by it any more. */
  onClosed(id: string, document: TransferDocument): void;
}

/** A transfer in use. `release` when it is not used any more; nothing may be called afterwards. */
export interface Lease {
  readonly transfer: Transfer;
  release(): void;
}

interface Slot {
  readonly opening: Promise<Transfer>;
  transfer: Transfer | null;
  users: number;
  idleTimer: Timer | null;
  closing: Promise<void> | null;
}

export class OpenTransfers {
  readonly #options: OpenTransfersOptions;
  readonly #slots = new Map<string, Slot>();
  #isClosed = false;

  constructor(options: OpenTransfersOptions) {
    this.#options = options;
  }

  /** The transfer if it is open now. */
  get(id: string): Transfer | null {
    return this.#slots.get(id)?.transfer ?? null;
  }

  /** All that are open now. */
  all(): Transfer[] {
    return [...this.#slots.values()].flatMap(({ transfer }) => transfer ?? []);
  }

  /**
   * Opens a transfer, or joins those who use it already.
   * @throws SluiceError `corrupted`, `expired`, `cancelled`, `notFound`, `goingAway`; what its log fails with.
   */
  async lease(id: string): Promise<Lease> {
    for (
      let closing = this.#slots.get(id)?.closing;
      closing != null;
      closing = this.#slots.get(id)?.closing
    ) {
      await closing;
    }
    if (this.#isClosed) throw new SluiceError('goingAway');
    const slot = this.#slots.get(id) ?? this.#newSlot(id);
    slot.users += 1;
    slot.idleTimer?.cancel();
    slot.idleTimer = null;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#release(id, slot);
      isHeld = false;
    };
    try {
      return { transfer: await slot.opening, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Closes a transfer, if it is open, after it was told why. Never rejects. */
  async shut(id: string, prepare: (transfer: Transfer) => void = () => {}): Promise<void> {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    slot.idleTimer?.cancel();
    slot.closing ??= this.#close(id, slot, prepare);
    await slot.closing;
  }

  /** Closes all and opens no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#slots.keys()].map((id) => this.shut(id)));
  }

  #newSlot(id: string): Slot {
    const slot: Slot = {
      opening: this.#open(id),
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
    const { environment, idleCloseMs } = this.#options;
    slot.idleTimer = environment.clock.setTimer(() => void this.shut(id), idleCloseMs);
  }

  async #open(id: string): Promise<Transfer> {
    const { metadata, logs, environment, durability } = this.#options;
    // Read here and not before: it may have changed while the former use of it was being closed.
    const stored = await StoredTransfer.load(metadata, id);
    if (stored === null) throw new SluiceError('notFound');
    assertUsable(stored.document);
    const { digester, clock, logger } = environment;
    const header = headerBytesOf(stored.document);
    let log: TransferLog;
    try {
      log = await TransferLog.open(await logs.open(id), {
        headerHash: digester.digest(header),
        recordSizeBytes: decodeTransferHeader(header).recordSizeBytes,
        digester,
        clock,
        durability,
      });
    } catch (error) {
      const { code, message } = SluiceError.from(error);
      logger.error({ transfer: id, code, error: message }, 'the log of a transfer cannot be opened');
      if (code === 'corrupted') await stored.update(() => ({ isCorrupted: true }));
      throw error;
    }
    const transfer = new Transfer(environment, stored, log, () => void this.shut(id));
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
      this.#options.environment.logger.error({ transfer: transfer.id }, 'a sealed transfer has lost its end');
      await transfer.markCorrupted();
      throw new SluiceError('corrupted');
    }
  }

  async #close(id: string, slot: Slot, prepare: (transfer: Transfer) => void): Promise<void> {
    try {
      const transfer = await slot.opening.catch(() => null);
      if (transfer === null) return;
      prepare(transfer);
      await transfer.close();
      this.#options.onClosed(id, transfer.document);
    } catch (error) {
      const { logger } = this.#options.environment;
      logger.error(
        { transfer: id, error: SluiceError.from(error).message },
        'a transfer did not close cleanly',
      );
    } finally {
      if (this.#slots.get(id) === slot) this.#slots.delete(id);
    }
  }
}
