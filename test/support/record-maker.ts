// Makes small valid records, one after another, for tests of logs: a manifest, then one file that does not end.
import { LogBuilder, type LogSnapshot } from '../../src/protocol/index.ts';
import { digester } from './digester.ts';
import { contentOf, dataRecord, emptyManifest, RECORD_SIZE, startOfLog } from './log-fixtures.ts';

export class RecordMaker {
  readonly #builder: LogBuilder;
  readonly #seed: number;

  /** Goes on from a point of a log; another seed gives other contents. */
  constructor(from: LogSnapshot = startOfLog(), seed = 1) {
    this.#builder = new LogBuilder(from, RECORD_SIZE, digester);
    this.#seed = seed;
  }

  /** The next record, with `length` bytes of content. */
  next(length = 100): Uint8Array {
    const { index } = this.#builder.state;
    if (index === 0) return this.#builder.manifest({ ...emptyManifest, name: `seed ${this.#seed}` });
    const content = contentOf(length, this.#seed * 100_003 + index);
    return dataRecord(this.#builder, this.#openFile(), content).slice();
  }

  many(count: number, length = 100): Uint8Array[] {
    return Array.from({ length: count }, () => this.next(length));
  }

  /** Ends the file and seals the log. */
  seal(): Uint8Array[] {
    const end = {
      blake3: new Uint8Array(32),
      sizeBytes: this.#builder.state.contentBytes,
      status: 'ok',
    } as const;
    return [
      dataRecord(this.#builder, this.#openFile(), new Uint8Array(0), end).slice(),
      this.#builder.seal(),
    ];
  }

  #openFile(): number {
    return this.#builder.state.snapshot().openFiles[0]?.file ?? this.#builder.state.nextFile;
  }
}
