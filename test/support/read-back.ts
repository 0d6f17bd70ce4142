// What a receiver makes of records: contents, ends and order, read with the rules of the log.
import {
  type FileEnd,
  LogReader,
  type LogSnapshot,
  type Manifest,
  type SendWindow,
} from '../../src/protocol/index.ts';
import { digester } from './digester.ts';
import { joined, RECORD_SIZE } from './log-fixtures.ts';

export class ReadBack {
  readonly manifests: Manifest[] = [];
  readonly ends = new Map<number, FileEnd>();
  /** Kind of each record, for files with their number: `data 1`, `pack 2+3`. */
  readonly kinds: string[] = [];
  /** Length of each record, bytes. */
  readonly lengths: number[] = [];
  readonly #contents = new Map<number, Uint8Array[]>();
  readonly #reader: LogReader;

  constructor(from: LogSnapshot) {
    this.#reader = new LogReader(from, RECORD_SIZE, digester, () => {
      throw new Error('nothing is compressed here');
    });
  }

  get isSealed(): boolean {
    return this.#reader.state.isSealed;
  }

  get state(): LogReader['state'] {
    return this.#reader.state;
  }

  read(record: Uint8Array): void {
    this.lengths.push(record.length);
    const { records, damagedIndex } = this.#reader.read(new Uint8Array(record));
    if (damagedIndex !== null) throw new Error(`record ${damagedIndex} is damaged`);
    for (const { item } of records) {
      switch (item.type) {
        case 'manifest':
          this.manifests.push(item.manifest);
          this.kinds.push('manifest');
          break;
        case 'data':
          this.#add(item.file, item.content, item.end);
          this.kinds.push(`data ${item.file}`);
          break;
        case 'pack':
          for (const [i, { content, blake3, status }] of item.files.entries()) {
            this.#add(item.firstFile + i, content, { blake3, status, sizeBytes: content.length });
          }
          this.kinds.push(`pack ${item.firstFile}+${item.files.length}`);
          break;
        default:
          this.kinds.push(item.type);
      }
    }
  }

  /** Takes what a window gives out now. */
  take(window: SendWindow): number {
    let records = 0;
    for (; window.nextLength() > 0; records++) this.read(window.take());
    return records;
  }

  contentOf(file: number): Uint8Array {
    return joined(this.#contents.get(file) ?? []);
  }

  #add(file: number, content: Uint8Array, end: FileEnd | null): void {
    this.#contents.set(file, [...(this.#contents.get(file) ?? []), content]);
    if (end !== null) this.ends.set(file, end);
  }
}
