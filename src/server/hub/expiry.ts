/**
 * Which transfers a server stores and until when: removes what has expired or was cancelled, remembers for a while
 * why it is gone, and clears up at the start what a crash left behind.
 *
 * Memory: about 150 bytes for every transfer that is stored, tombstones included.
 */
import { SluiceError } from '../../protocol/index.ts';
import type { Clock, Timer } from '../../runtime/index.ts';
import type { LogStore } from '../log/log-store.ts';
import type { Logger } from '../logger.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { OpenTransfers } from './open-transfers.ts';
import { StoredTransfer } from './stored-transfer.ts';
import { isTombstone, type TransferDocument } from './transfer-document.ts';

export interface ExpiryOptions {
  readonly metadata: MetadataStore<TransferDocument>;
  readonly logs: LogStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long it is remembered why a transfer is gone, ms. */
  readonly tombstoneMs: number;
  /** No more than this are remembered; the latest are forgotten with the next look then. */
  readonly maxTombstones: number;
  /** Time between two looks for what has expired, ms. */
  readonly sweepMs: number;
}

export class Expiry {
  readonly #options: ExpiryOptions;
  readonly #open: OpenTransfers;
  /** When each transfer expires, or its tombstone is forgotten, as far as stored. Wall clock, ms. */
  readonly #dueAtMs = new Map<string, number>();
  #tombstones = new Set<string>();
  #timer: Timer | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: ExpiryOptions, open: OpenTransfers) {
    this.#options = options;
    this.#open = open;
  }

  /** Transfers that have bytes or may get some: tombstones do not count. */
  get size(): number {
    return this.#dueAtMs.size - this.#tombstones.size;
  }

  /** Reads all documents, removes storage that belongs to none, and begins to look regularly. */
  async start(): Promise<void> {
    const { metadata, logs, logger } = this.#options;
    for await (const { key, value } of metadata.list()) this.note(key, value);
    for (const id of await logs.ids()) {
      if (this.#dueAtMs.has(id) && !this.#tombstones.has(id)) continue;
      logger.info({ transfer: id }, 'removing leftover bytes');
      await logs.remove(id);
    }
    this.#schedule();
  }

  /** Takes note of what was stored. */
  note(id: string, document: TransferDocument): void {
    const isGone = isTombstone(document);
    this.#dueAtMs.set(id, isGone ? (document.forgetAtMs ?? 0) : document.expiresAtMs);
    if (isGone) this.#tombstones.add(id);
  }

  /** True when its time has come, to the millisecond: a use of it is not put off until the next look. */
  isDue({ id, document }: StoredTransfer): boolean {
    const expiresAtMs = this.#open.get(id)?.expiresAtMs ?? document.expiresAtMs;
    return !isTombstone(document) && expiresAtMs <= this.#options.clock.wallNow();
  }

  /** Turns a transfer into a tombstone, tells everybody, removes its bytes. Does nothing to one that is gone already. */
  async bury(stored: StoredTransfer, state: 'cancelled' | 'expired'): Promise<TransferDocument> {
    const { clock, tombstoneMs, maxTombstones, logs, logger } = this.#options;
    const { id } = stored;
    const now = clock.wallNow();
    const forgetAtMs = now + (this.#tombstones.size < maxTombstones ? tombstoneMs : 0);
    const document = await stored.update((current) =>
      isTombstone(current) ? null : { state, expiresAtMs: now, forgetAtMs },
    );
    this.note(id, document);
    logger.info({ transfer: id, state: document.state }, 'transfer ended');
    await this.#open.shut(id, (transfer) => {
      transfer.end(new SluiceError(state), { state, isSenderConnected: false, expiresAtMs: now });
    });
    // If this fails the bytes are found as leftovers at the next start.
    await logs.remove(id).catch((error: unknown) => this.#report(id, error, 'bytes could not be removed'));
    return document;
  }

  /** Stops looking. Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#sweeping;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(() => {
      this.#sweeping = this.#sweep().finally(() => this.#schedule());
    }, this.#options.sweepMs);
  }

  /** Never rejects: one transfer that fails does not keep the others. */
  async #sweep(): Promise<void> {
    const now = this.#options.clock.wallNow();
    for (const transfer of this.#open.all()) {
      await transfer.persistExpiry().catch((error: unknown) => {
        this.#report(transfer.id, error, 'the time of expiry could not be stored');
      });
    }
    for (const [id, dueAtMs] of this.#dueAtMs) {
      if (this.#isClosed) return;
      if ((this.#open.get(id)?.expiresAtMs ?? dueAtMs) > now) continue;
      await this.#removeIfDue(id).catch((error: unknown) => this.#report(id, error, 'expiry failed'));
    }
  }

  async #removeIfDue(id: string): Promise<void> {
    const { metadata, clock, logs } = this.#options;
    const stored = await StoredTransfer.load(metadata, id);
    if (stored === null) return this.#forget(id);
    if (this.isDue(stored)) {
      await this.bury(stored, 'expired');
      return;
    }
    const { document } = stored;
    if (!isTombstone(document) || (document.forgetAtMs ?? 0) > clock.wallNow())
      return this.note(id, document);
    await logs.remove(id);
    if (await stored.remove()) this.#forget(id);
  }

  #forget(id: string): void {
    this.#dueAtMs.delete(id);
    this.#tombstones.delete(id);
  }

  #report(id: string, error: unknown, text: string): void {
    this.#options.logger.warn({ transfer: id, error: SluiceError.from(error).message }, text);
  }
}
