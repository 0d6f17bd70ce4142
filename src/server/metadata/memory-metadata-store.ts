/** MetadataStore in memory, for tests and embedding. What it holds ends with the process. */
import type { MetadataStore, StoredDocument } from './metadata-store.ts';

interface Row {
  readonly json: string;
  readonly version: number;
}

export class MemoryMetadataStore<T> implements MetadataStore<T> {
  readonly #rows = new Map<string, Row>();
  #lastVersion = 0;

  async get(key: string): Promise<StoredDocument<T> | null> {
    return this.#document(key);
  }

  async put(key: string, value: T, expectedVersion: number | null): Promise<number | null> {
    if ((this.#rows.get(key)?.version ?? null) !== expectedVersion) return null;
    this.#lastVersion += 1;
    // As text, so that nobody shares an object with the store.
    this.#rows.set(key, { json: JSON.stringify(value), version: this.#lastVersion });
    return this.#lastVersion;
  }

  async remove(key: string, expectedVersion: number): Promise<boolean> {
    return this.#rows.get(key)?.version === expectedVersion && this.#rows.delete(key);
  }

  async *list(): AsyncIterable<StoredDocument<T>> {
    for (const key of [...this.#rows.keys()].sort()) {
      const document = this.#document(key);
      if (document !== null) yield document;
    }
  }

  async close(): Promise<void> {}

  #document(key: string): StoredDocument<T> | null {
    const row = this.#rows.get(key);
    return row === undefined ? null : { key, value: JSON.parse(row.json) as T, version: row.version };
  }
}
