/**
 * Recently written chunks of one transfer, so that receivers near the end are served from memory, all of them from
 * the same buffer. What is not here is read from disk: dropping a chunk never loses anything.
 *
 * Memory: at most `maxBytes` per transfer, and `HotBudget` over all transfers of a process. The newest chunk of each
 * followed transfer is always kept, so the budget may be exceeded by one chunk (about 1 MiB) per followed transfer.
 */

/** A chunk of whole records with its place in the log: the places of its first record and of the one after it. */
export interface HotChunk {
  readonly chunk: Uint8Array;
  readonly first: LogPlace;
  readonly next: LogPlace;
}

/** Where a record starts. */
export interface LogPlace {
  readonly index: number;
  /** Bytes of whole records before it. */
  readonly position: number;
}

/** What a chunk costs beyond its bytes, so that a flood of tiny records is bounded as well. */
const CHUNK_OVERHEAD_BYTES = 512;

/** What all transfers of a process keep together. The one that was written to least recently gives way first. */
export class HotBudget {
  readonly #maxBytes: number;
  /** In order of their last push. */
  readonly #owners = new Set<HotRecords>();
  #bytes = 0;

  /** `maxBytes`: over all transfers, default of the server 256 MiB. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts a chunk that `owner` now keeps and makes others give way. */
  take(owner: HotRecords, bytes: number): void {
    this.#bytes += bytes;
    this.#owners.delete(owner);
    this.#owners.add(owner);
    for (const other of this.#owners) {
      while (this.#bytes > this.#maxBytes && other.dropOldest());
      if (this.#bytes <= this.#maxBytes) return;
    }
  }

  give(owner: HotRecords, bytes: number): void {
    this.#bytes -= bytes;
    if (owner.bytes === 0) this.#owners.delete(owner);
  }
}

export class HotRecords {
  readonly #budget: HotBudget;
  readonly #maxBytes: number;
  /** Oldest first, without gaps between one and the next. Entries before `#head` are gone. */
  #chunks: (HotChunk | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  constructor(budget: HotBudget, maxBytes: number) {
    this.#budget = budget;
    this.#maxBytes = maxBytes;
  }

  /** Bytes that count against the budget. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes the chunk that was just written, by reference: it must not be a small view of a large buffer. It must begin where the last one ended, otherwise those
   * are dropped.
   */
  push({ chunk, first, next }: HotChunk): void {
    if (this.#last !== undefined && this.#last.next.position !== first.position) this.clear();
    const bytes = chunk.length + CHUNK_OVERHEAD_BYTES;
    this.#chunks.push({ chunk, first, next });
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes && this.dropOldest());
    this.#budget.take(this, bytes);
  }

  /** The chunk that holds the record at `position`, or null. */
  find(position: number): HotChunk | null {
    const last = this.#last;
    if (last === undefined || position >= last.next.position) return null;
    // Most receivers are at the newest chunk.
    if (position >= last.first.position) return last;
    let low = this.#head;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (position < this.#at(middle).next.position) high = middle;
      else low = middle + 1;
    }
    const found = this.#at(low);
    return position >= found.first.position ? found : null;
  }

  /** True when the record at `position` is here. */
  has(position: number): boolean {
    return this.find(position) !== null;
  }

  /** Drops the oldest chunk; false when only the newest is left. */
  dropOldest(): boolean {
    if (this.#chunks.length - this.#head <= 1) return false;
    const bytes = this.#at(this.#head).chunk.length + CHUNK_OVERHEAD_BYTES;
    this.#chunks[this.#head] = undefined;
    this.#head += 1;
    if (this.#head >= 64 && this.#head * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
    this.#bytes -= bytes;
    this.#budget.give(this, bytes);
    return true;
  }

  /** Drops everything: nobody follows, or the log was cut. */
  clear(): void {
    const bytes = this.#bytes;
    this.#chunks = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#budget.give(this, bytes);
  }

  get #last(): HotChunk | undefined {
    return this.#chunks.at(-1);
  }

  #at(i: number): HotChunk {
    return this.#chunks[i] as HotChunk;
  }
}
