/**
 * Spans of one log that several receivers want at about the same time are read and verified once, and all of them
 * send from the same buffer. A span is shared as long as somebody still holds it; it is not kept for that.
 *
 * Memory: none beyond what receivers hold anyway (cursor.ts), and `MAX_ENTRIES` small entries.
 */

export interface ReadSpan {
  readonly chunk: Uint8Array;
  readonly records: number;
}

interface Entry {
  /** While it is being read. */
  reading: Promise<ReadSpan> | null;
  readonly maxBytes: number;
  span: WeakRef<Uint8Array> | null;
  records: number;
}

const MAX_ENTRIES = 32;

export class SharedReads {
  readonly #read: (position: number, maxBytes: number) => Promise<ReadSpan>;
  /** By position, the latest last. */
  readonly #entries = new Map<number, Entry>();

  constructor(read: (position: number, maxBytes: number) => Promise<ReadSpan>) {
    this.#read = read;
  }

  /** As `TransferLog.read`: whole records from `position`, at most `maxBytes` unless one is longer. */
  read(position: number, maxBytes: number): Promise<ReadSpan> {
    const entry = this.#entries.get(position);
    if (entry?.reading != null && entry.maxBytes <= maxBytes) return entry.reading;
    const chunk = entry?.span?.deref();
    if (entry !== undefined && chunk !== undefined && chunk.length <= maxBytes) {
      return Promise.resolve({ chunk, records: entry.records });
    }
    return this.#readAnew(position, maxBytes);
  }

  /** Not from a buffer that somebody has: a receiver found a record damaged. */
  readFresh(position: number, maxBytes: number): Promise<ReadSpan> {
    return this.#readAnew(position, maxBytes);
  }

  #readAnew(position: number, maxBytes: number): Promise<ReadSpan> {
    const reading = this.#read(position, maxBytes);
    const entry: Entry = { reading, maxBytes, span: null, records: 0 };
    this.#entries.delete(position);
    this.#entries.set(position, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= MAX_ENTRIES) break;
      this.#entries.delete(oldest);
    }
    reading.then(
      ({ chunk, records }) => {
        entry.reading = null;
        entry.span = new WeakRef(chunk);
        entry.records = records;
      },
      () => {
        if (this.#entries.get(position) === entry) this.#entries.delete(position);
      },
    );
    return reading;
  }
}
