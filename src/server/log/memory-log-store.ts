/**
 * LogStore in memory, for tests and for embedding a server that needs no disk. What it holds ends with the process.
 * It copies what is appended. Not a model of a disk that fails: see test/support/simulated-disk.ts.
 */
import { type AppendDone, assertLogId, type LogStorage, type LogStore, MAX_MARK_BYTES } from './log-store.ts';

export interface MemoryLogStoreOptions {
  /** Bytes of records of all transfers together. What exceeds it fails with ENOSPC. Default 256 MiB. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 256 * 1024 * 1024;
const FIRST_CAPACITY = 64 * 1024;

export class MemoryLogStore implements LogStore {
  readonly #budget: Budget;
  readonly #logs = new Map<string, MemoryLog>();

  constructor(options: MemoryLogStoreOptions = {}) {
    this.#budget = { freeBytes: options.maxBytes ?? DEFAULT_MAX_BYTES };
  }

  async open(id: string): Promise<LogStorage> {
    assertLogId(id);
    let log = this.#logs.get(id);
    if (log === undefined) {
      log = { records: new GrowingBytes(), index: new GrowingBytes(), mark: null, isOpen: false };
      this.#logs.set(id, log);
    }
    if (log.isOpen) throw new Error(`the storage of ${id} is already open`);
    log.isOpen = true;
    return new MemoryStorage(log, this.#budget);
  }

  async remove(id: string): Promise<void> {
    assertLogId(id);
    const log = this.#logs.get(id);
    if (log === undefined) return;
    if (log.isOpen) throw new Error(`the storage of ${id} is open`);
    this.#budget.freeBytes += log.records.length;
    this.#logs.delete(id);
  }

  async ids(): Promise<string[]> {
    return [...this.#logs.keys()];
  }

  async freeBytes(): Promise<number> {
    return this.#budget.freeBytes;
  }

  async close(): Promise<void> {}
}

interface Budget {
  freeBytes: number;
}

interface MemoryLog {
  readonly records: GrowingBytes;
  readonly index: GrowingBytes;
  mark: Uint8Array | null;
  isOpen: boolean;
}

class MemoryStorage implements LogStorage {
  readonly #log: MemoryLog;
  readonly #budget: Budget;
  #failure: Error | null = null;
  /** Below `#log.records.length` while `done` has not been called. */
  #length: number;
  #appendsInFlight = 0;
  #isClosed = false;

  constructor(log: MemoryLog, budget: Budget) {
    this.#log = log;
    this.#budget = budget;
    this.#length = log.records.length;
  }

  get length(): number {
    return this.#length;
  }
  get indexLength(): number {
    return this.#log.index.length;
  }

  append(parts: readonly Uint8Array[], done: AppendDone): void {
    const { records } = this.#log;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (this.#isClosed) this.#failure ??= closed();
    if (bytes > this.#budget.freeBytes) {
      this.#failure ??= Object.assign(new Error('the memory store is full'), { code: 'ENOSPC' });
    }
    const failure = this.#failure;
    if (failure === null) {
      for (const part of parts) records.write(records.length, part);
      this.#budget.freeBytes -= bytes;
    }
    this.#appendsInFlight += 1;
    queueMicrotask(() => {
      this.#appendsInFlight -= 1;
      if (failure === null) this.#length += bytes;
      done(failure);
    });
  }

  async sync(): Promise<void> {
    this.#assertOpen();
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#assertOpen();
    return this.#log.records.read(position, Math.min(length, this.#length - position));
  }

  async rewrite(position: number, bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    this.#log.records.write(position, bytes);
  }

  async truncate(position: number, indexLength: number): Promise<void> {
    this.#assertOpen();
    if (this.#appendsInFlight > 0) throw new Error('an append is in flight');
    this.#budget.freeBytes += this.#log.records.length - position;
    this.#log.records.cutTo(position);
    this.#log.index.cutTo(indexLength);
    this.#length = position;
    this.#failure = null;
  }

  async writeIndex(position: number, bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    this.#log.index.write(position, bytes);
  }

  async readIndex(position: number, length: number): Promise<Uint8Array> {
    this.#assertOpen();
    return this.#log.index.read(position, length);
  }

  async writeMark(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    if (bytes.length > MAX_MARK_BYTES) throw new RangeError('the mark is too long');
    this.#log.mark = bytes.slice();
  }

  async readMark(): Promise<Uint8Array | null> {
    this.#assertOpen();
    return this.#log.mark?.slice() ?? null;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#log.isOpen = false;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw closed();
  }
}

function closed(): Error {
  return new Error('the storage is closed');
}

/** Bytes that grow at the end: capacity doubles, so appending costs one copy on average. */
class GrowingBytes {
  #bytes = new Uint8Array(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A hole before `position` reads as zeros. */
  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.#bytes.length * 2, FIRST_CAPACITY));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, position);
    this.#length = Math.max(this.#length, end);
  }

  read(position: number, length: number): Uint8Array {
    return this.#bytes.slice(position, Math.min(position + Math.max(0, length), this.#length));
  }

  cutTo(length: number): void {
    if (length >= this.#length) return;
    this.#bytes.fill(0, length, this.#length);
    this.#length = length;
  }
}
