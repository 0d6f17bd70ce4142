// A LogStore in memory that fails when the test says so: syncs that fail, records that change on the disk.
import type { LogStorage, LogStore } from '../../src/server/log/log-store.ts';
import { MemoryLogStore, type MemoryLogStoreOptions } from '../../src/server/log/memory-log-store.ts';

export class FaultyLogStore implements LogStore {
  readonly #store: MemoryLogStore;
  /** The next sync fails. */
  failSync = false;
  /** Ids of transfers and positions in their records where a bit is wrong. */
  readonly flipped = new Map<string, number>();

  constructor(options: MemoryLogStoreOptions = {}) {
    this.#store = new MemoryLogStore(options);
  }

  async open(id: string): Promise<LogStorage> {
    const storage = await this.#store.open(id);
    const read = async (position: number, length: number): Promise<Uint8Array> => {
      const bytes = await storage.read(position, length);
      const at = (this.flipped.get(id) ?? -1) - position;
      if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ 1;
      return bytes;
    };
    const sync = async (): Promise<void> => {
      if (!this.failSync) return storage.sync();
      this.failSync = false;
      throw new Error('the disk failed');
    };
    return new Proxy(storage, {
      get: (target, name) => {
        if (name === 'read') return read;
        if (name === 'sync') return sync;
        const value = Reflect.get(target, name, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  remove(id: string): Promise<void> {
    return this.#store.remove(id);
  }
  ids(): Promise<string[]> {
    return this.#store.ids();
  }
  freeBytes(): Promise<number | null> {
    return this.#store.freeBytes();
  }
  close(): Promise<void> {
    return this.#store.close();
  }
}
