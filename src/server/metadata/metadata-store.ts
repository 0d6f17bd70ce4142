/**
 * Port: documents with compare-and-set. Truth about transfers (tokens, epochs, seals, expiry) is kept here. Every
 * implementation passes test/conformance/metadata-store.suite.ts.
 */

export interface StoredDocument<T> {
  readonly key: string;
  readonly value: T;
  /** Rises with every put of this key, also when it was removed in between. */
  readonly version: number;
}

/** Values are plain JSON. Everything a call resolved is durable. */
export interface MetadataStore<T> {
  get(key: string): Promise<StoredDocument<T> | null>;
  /**
   * Writes a document if its version is still `expectedVersion` (null: if there is none). Resolves to the new
   * version, or null when somebody else was faster; nothing is written then.
   */
  put(key: string, value: T, expectedVersion: number | null): Promise<number | null>;
  /** Removes a document if its version is still `expectedVersion`. */
  remove(key: string, expectedVersion: number): Promise<boolean>;
  /** All documents, in order of keys. A change made meanwhile may be seen or not. */
  list(): AsyncIterable<StoredDocument<T>>;
  close(): Promise<void>;
}
