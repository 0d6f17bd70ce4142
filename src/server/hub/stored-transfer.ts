/**
 * The document of one transfer in the metadata store: a copy in memory, and changes to it one after another. Knows the
 * store's compare-and-set; does not know what the changes mean.
 */
import { SluiceError } from '../../protocol/index.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { TransferDocument } from './transfer-document.ts';

/** Somebody else may write the same document; each attempt starts from what is there then. */
const MAX_ATTEMPTS = 8;

export class StoredTransfer {
  readonly id: string;
  readonly #store: MetadataStore<TransferDocument>;
  #document: TransferDocument;
  #version: number;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    store: MetadataStore<TransferDocument>,
    id: string,
    document: TransferDocument,
    version: number,
  ) {
    this.#store = store;
    this.id = id;
    this.#document = document;
    this.#version = version;
  }

  /** Null when there is none. */
  static async load(store: MetadataStore<TransferDocument>, id: string): Promise<StoredTransfer | null> {
    const found = await store.get(id);
    return found === null ? null : new StoredTransfer(store, id, found.value, found.version);
  }

  /** Null when there is one already. */
  static async create(
    store: MetadataStore<TransferDocument>,
    id: string,
    document: TransferDocument,
  ): Promise<StoredTransfer | null> {
    const version = await store.put(id, document, null);
    return version === null ? null : new StoredTransfer(store, id, document, version);
  }

  /** As it was last read or written here. */
  get document(): TransferDocument {
    return this.#document;
  }

  /**
   * Changes the document and resolves when that is durable. `change` may be called several times; null = leave it.
   * @throws SluiceError `notFound` when the document is gone, or what `change` throws.
   */
  update(
    change: (document: TransferDocument) => Partial<TransferDocument> | null,
  ): Promise<TransferDocument> {
    const turn = this.#last.then(() => this.#update(change));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Removes the document; false when it has changed meanwhile. */
  remove(): Promise<boolean> {
    return this.#store.remove(this.id, this.#version);
  }

  async #update(
    change: (document: TransferDocument) => Partial<TransferDocument> | null,
  ): Promise<TransferDocument> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const changes = change(this.#document);
      if (changes === null) return this.#document;
      const next: TransferDocument = { ...this.#document, ...changes };
      const version = await this.#store.put(this.id, next, this.#version);
      if (version !== null) {
        this.#document = next;
        this.#version = version;
        return next;
      }
      const found = await this.#store.get(this.id);
      if (found === null) throw new SluiceError('notFound');
      this.#document = found.value;
      this.#version = found.version;
    }
    throw new SluiceError('internal', 'The document of a transfer changes too often.');
  }
}
