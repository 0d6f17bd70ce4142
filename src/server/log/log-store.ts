/**
 * Port: where the bytes of logs live. It stores and syncs bytes and knows nothing of records: transfer-log.ts makes a
 * log of it. Every implementation passes test/conformance/log-store.suite.ts.
 */

export interface LogStore {
  /** Opens the storage of a transfer, created empty if there is none. One opener at a time. */
  open(id: string): Promise<LogStorage>;
  /** Removes everything of a transfer. No error when there is nothing. */
  remove(id: string): Promise<void>;
  /** Ids that have storage, to find leftovers. */
  ids(): Promise<string[]>;
  /** Bytes that can still be stored, or null when unknown. */
  freeBytes(): Promise<number | null>;
  close(): Promise<void>;
}

/** Told once when the bytes of an append were written (not synced), or could not be. */
export type AppendDone = (error: Error | null) => void;

export interface LogStorage {
  /** Bytes of records that are there, as far as known: may include a torn tail after a crash. */
  readonly length: number;
  /**
   * Appends to the record bytes. Appends are written in order and `done` is called in order. After a failed one all
   * later ones fail as well, until `truncate`. The parts must not change until `done`.
   */
  append(parts: readonly Uint8Array[], done: AppendDone): void;
  /** Makes everything whose `done` was called durable. A failed sync is final: the storage must be opened anew. */
  sync(): Promise<void>;
  /** Up to `length` bytes from `position`; fewer only at the end. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Cuts the record bytes to `position` and forgets a failed append. */
  truncate(position: number): Promise<void>;
  /** The index: one fixed-size entry per record, in order. Not synced; may be short or stale after a crash. */
  writeIndex(entry: number, bytes: Uint8Array): Promise<void>;
  readIndex(entry: number, length: number): Promise<Uint8Array>;
  /** The commit mark: a few bytes replaced as a whole (a torn write leaves the old one). Not synced by itself. */
  writeMark(bytes: Uint8Array): Promise<void>;
  readMark(): Promise<Uint8Array | null>;
  close(): Promise<void>;
}
