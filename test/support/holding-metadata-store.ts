// Documents in memory whose writes wait or fail when the test says so.
import { MemoryMetadataStore } from '../../src/server/metadata/memory-metadata-store.ts';

export class HoldingMetadataStore<T> extends MemoryMetadataStore<T> {
  puts = 0;
  #held: (() => void)[] | null = null;
  #isFailing = false;

  hold(): void {
    this.#held = [];
  }

  fail(): void {
    this.#isFailing = true;
  }

  release(): void {
    this.#isFailing = false;
    for (const go of this.#held?.splice(0) ?? []) go();
    this.#held = null;
  }

  override async put(key: string, value: T, expectedVersion: number | null): Promise<number | null> {
    this.puts += 1;
    if (this.#isFailing) throw new Error('the disk of the documents failed');
    await new Promise<void>((resolve) => (this.#held === null ? resolve() : this.#held.push(resolve)));
    return super.put(key, value, expectedVersion);
  }
}
