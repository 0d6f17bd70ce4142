/**
 * Port: where the bytes of logs live. It stores and syncs bytes and knows nothing of records: transfer-log.ts makes a
 * log of it. Every implementation passes test/conformance/log-store.suite.ts.
 */

export interface LogStore {
  /** Opens the storage of a transfer, created empty if there is none. One opener at a time. */
  open(id: string): Promise<LogStorage>;
  /** Removes everything of a transfer, which must not be open. No error when there is nothing. */
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
  /**
   * Bytes of records that are there without a gap. Right after `open` it may include a torn tail, or be less than
   * what once was synced: judging that is up to the caller. Later it is what `done` was called for.
   */
  readonly length: number;
  /** Bytes of the index that are there; they may be stale. */
  readonly indexLength: number;
  /**
   * Appends to the record bytes. Appends are written in order; `done` is called in order and never before `append`
   * returned. After a failed one all later ones fail as well, until `truncate`. The parts must not change until
   * `done`. Nothing here bounds what is queued: the caller does.
   */
  append(parts: readonly Uint8Array[], done: AppendDone): void;
  /**
   * Makes durable whatever was finished when it was called: appends whose `done` was called, `rewrite`, the mark.
   * A failed sync is final: every later append and sync fails, the storage must be opened anew.
   */
  sync(): Promise<void>;
  /** Up to `length` bytes from `position`; fewer only at the end. The bytes belong to the caller. */
  read(position: number, length: number): Promise<Uint8Array>;
  /**
   * Writes bytes that were just read to the same place again, so that the next sync carries them. After a failed
   * sync an operating system may take pages for clean that never reached the disk; reading them proves nothing.
   */
  rewrite(position: number, bytes: Uint8Array): Promise<void>;
  /**
   * Cuts the record bytes to `position` and the index to at most `indexLength` bytes, forgets a failed append, and
   * is durable when it resolves: what was cut off never comes back. Not while appends are in flight.
   */
  truncate(position: number, indexLength: number): Promise<void>;
  /** The index: bytes that can be rebuilt from the records. Never synced; may be short, stale or torn after a crash. */
  writeIndex(position: number, bytes: Uint8Array): Promise<void>;
  /** Up to `length` bytes; fewer only at the end. */
  readIndex(position: number, length: number): Promise<Uint8Array>;
  /**
   * The commit mark: at most 480 bytes replaced as a whole (a torn write leaves the one before). Call `sync` between
   * two of them: it carries the earlier one, so that never both are at risk.
   */
  writeMark(bytes: Uint8Array): Promise<void>;
  readMark(): Promise<Uint8Array | null>;
  /** Waits for what is in flight and syncs nothing. Everything fails afterwards. */
  close(): Promise<void>;
}

/** Largest mark, bytes: with its frame it fits one 512-byte sector, which disks write as a whole. */
export const MAX_MARK_BYTES = 480;

const ID = /^[A-Za-z0-9_-]{22}$/;

/** Ids of transfers become names of folders and objects. @throws TypeError for anything else: a mistake of the caller. */
export function assertLogId(id: string): void {
  if (!isLogId(id)) throw new TypeError('not the id of a transfer');
}

export function isLogId(name: string): boolean {
  return ID.test(name);
}
