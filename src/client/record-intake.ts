/**
 * From chunks of records to the sink: verifies, hands content over in order, and knows up to which point everything
 * was written (checkpoint, credit) and what has to wait until it is durable on the server. Talks to no server itself.
 *
 * Two rules keep a receiver right after any crash: a chunk counts only when all its writes are done, and a file is put
 * in its place only when its last record is durable (otherwise a server that lost power could give the log another
 * end).
 *
 * Memory: chunks that are not settled yet, bounded by the credit window of their stream; after a reconnect a new stream
 * has a window of its own. Beside them one small snapshot per chunk above the durable point.
 */
import {
  type Digester,
  emptyLog,
  type FileEnd,
  type Inflate,
  type LogItem,
  type LogPoint,
  LogReader,
  type LogSnapshot,
  type Manifest,
  SluiceError,
} from '../protocol/index.ts';
import type { TransferSink } from '../runtime/index.ts';

export interface RecordIntakeOptions {
  readonly headerHash: Uint8Array;
  readonly recordSizeBytes: number;
  readonly digester: Digester;
  readonly inflate: Inflate;
  readonly sink: TransferSink;
  /** Where a former run stands; null = at the start. */
  readonly from: LogSnapshot | null;
  /** False: manifests are read and told, but nothing reaches the sink before `accept`. */
  readonly isAccepted: boolean;
  onManifest(manifest: Manifest): void;
  /** A data record of this file arrived. */
  onBegin(file: number): void;
  /** Content was written. */
  onContent(bytes: number): void;
  /** Bytes of a chunk were written or dropped: their credit can be returned. */
  onConsumed(stream: number, bytes: number): void;
  /** The record at this index arrived damaged. */
  onDamage(index: number): void;
  /** More was written, or became durable. */
  onAdvance(): void;
  onError(error: SluiceError): void;
}

/** A chunk whose contents are with the sink. */
interface Batch {
  readonly bytes: number;
  readonly stream: number;
  readonly snapshot: LogSnapshot;
  pending: number;
  /** Thrown away by a rewind: its writes may still end, and nobody waits for them. */
  isDropped: boolean;
}

/** Work that has to wait until the log is durable up to `index`. */
interface Gated {
  readonly index: number;
  run(): void;
}

export class RecordIntake {
  readonly #options: RecordIntakeOptions;
  #reader: LogReader;
  #batches: Batch[] = [];
  #gated: Gated[] = [];
  /** What is to be handed over when the offer was accepted; null = it was. Bounded by the credit window. */
  #held: (() => void)[] | null;
  #durableIndex = 0;
  /** Points to go back to, oldest first: the newest one that is durable on the server, and those above it. */
  #snapshots: LogSnapshot[];
  #mismatches = 0;

  constructor(options: RecordIntakeOptions) {
    this.#options = options;
    this.#held = options.isAccepted ? null : [];
    const from = options.from ?? emptyLog(options.headerHash);
    this.#snapshots = [from];
    this.#reader = this.#createReader(from);
  }

  /** Everything that was read, written or not; null for nothing. */
  get point(): LogPoint | null {
    const { index, chain } = this.#reader.state;
    return index === 0 ? null : { index, chain };
  }

  get index(): number {
    return this.#reader.state.index;
  }

  /** The seal was read and matched. */
  get isSealed(): boolean {
    return this.#reader.state.isSealed;
  }

  /** Everything that was read is written, and durable on the server. */
  get isSettled(): boolean {
    return this.#batches.length === 0 && this.#gated.length === 0 && this.#durableIndex >= this.index;
  }

  get isIdle(): boolean {
    return this.#batches.length === 0;
  }

  /** Content bytes up to the newest written point that is durable on the server. */
  get durableContentBytes(): number {
    const oldest = this.#snapshots[0];
    return oldest !== undefined && oldest.index <= this.#durableIndex ? oldest.contentBytes : 0;
  }

  /** @throws SluiceError when the log breaks its rules or does not match its seal. */
  read(chunk: Uint8Array, stream: number): void {
    const { onConsumed, onDamage } = this.#options;
    const { records, damagedIndex, droppedBytes } = this.#reader.read(chunk);
    const batch: Batch = {
      bytes: chunk.length - droppedBytes,
      stream,
      snapshot: this.#reader.state.snapshot(),
      pending: 1,
      isDropped: false,
    };
    this.#batches.push(batch);
    for (const { item, index } of records) this.#dispatch(item, index, batch);
    this.#settle(batch, null);
    if (droppedBytes > 0) onConsumed(stream, droppedBytes);
    if (damagedIndex !== null) onDamage(damagedIndex);
  }

  /** The offer was accepted: hands over what has come so far. */
  accept(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const handOver of held) handOver();
  }

  handleDurable(index: number): void {
    if (index <= this.#durableIndex) return;
    this.#durableIndex = index;
    this.#mismatches = 0;
    this.#forgetSnapshots();
    while ((this.#gated[0]?.index ?? Number.POSITIVE_INFINITY) <= index) this.#gated.shift()?.run();
    this.#options.onAdvance();
  }

  /**
   * The server holds another log than we do: back to the last point it called durable, and at the second mismatch to
   * the start. Returns content bytes there.
   * @throws SluiceError `conflict` when even the start does not match.
   */
  rewind(): number {
    this.#mismatches += 1;
    const start = emptyLog(this.#options.headerHash);
    const target = this.#mismatches === 1 ? (this.#snapshots[0] ?? start) : start;
    if (this.#mismatches > 2) {
      throw new SluiceError('conflict', 'The server has another transfer under this link.');
    }
    for (const batch of this.#batches) batch.isDropped = true;
    this.#batches = [];
    this.#gated = [];
    if (this.#held !== null) this.#held = [];
    this.#durableIndex = 0;
    this.#snapshots = [target];
    this.#reader = this.#createReader(target);
    this.#options.sink.rewindTo({ index: target.index, chain: target.chain });
    return target.contentBytes;
  }

  #createReader(from: LogSnapshot): LogReader {
    const { recordSizeBytes, digester, inflate } = this.#options;
    return new LogReader(from, recordSizeBytes, digester, inflate);
  }

  #dispatch(item: LogItem, index: number, batch: Batch): void {
    if (item.type === 'manifest') this.#options.onManifest(item.manifest);
    if (this.#held === null) return this.#handOver(item, index, batch);
    batch.pending += 1;
    this.#held.push(() => {
      this.#handOver(item, index, batch);
      this.#settle(batch, null);
    });
  }

  #handOver(item: LogItem, index: number, batch: Batch): void {
    const { sink, onBegin } = this.#options;
    switch (item.type) {
      case 'manifest':
        return sink.addEntries(item.manifest.entries);
      case 'data':
        onBegin(item.file);
        batch.pending += 1;
        sink.write(item.file, item.offset, item.content, (error) => {
          this.#settle(batch, error, item.content.length);
        });
        return this.#endFile(item.file, item.end, index, batch);
      case 'hole':
        batch.pending += 1;
        sink.hole(item.file, item.offset, item.span, (error) => {
          this.#settle(batch, error, item.span);
        });
        return this.#endFile(item.file, item.end, index, batch);
      case 'pack':
        batch.pending += 1;
        return this.#whenDurable(index, () =>
          sink.writePacked(item.firstFile, item.files, (error) => {
            const contentBytes = item.files.reduce((sum, { content }) => sum + content.length, 0);
            this.#settle(batch, error, contentBytes);
          }),
        );
      case 'seal':
        return;
    }
  }

  #endFile(file: number, end: FileEnd | null, index: number, batch: Batch): void {
    if (end === null) return;
    batch.pending += 1;
    this.#whenDurable(index, () =>
      this.#options.sink.endFile(file, end, (error) => this.#settle(batch, error)),
    );
  }

  #settle(batch: Batch, error: SluiceError | null, contentBytes = 0): void {
    if (error !== null) return this.#options.onError(error);
    if (batch.isDropped) return;
    if (contentBytes > 0) this.#options.onContent(contentBytes);
    batch.pending -= 1;
    if (batch.pending > 0) return;
    this.#options.onConsumed(batch.stream, batch.bytes);
    this.#advance();
  }

  /** Moves the checkpoint over all batches that are done, in order. */
  #advance(): void {
    let last: LogSnapshot | null = null;
    while (this.#batches[0]?.pending === 0) {
      last = (this.#batches.shift() as Batch).snapshot;
      this.#snapshots.push(last);
    }
    if (last === null) return;
    this.#options.sink.checkpoint({ index: last.index, chain: last.chain }, last);
    this.#forgetSnapshots();
    this.#options.onAdvance();
  }

  #whenDurable(index: number, run: () => void): void {
    if (index <= this.#durableIndex) run();
    else this.#gated.push({ index, run });
  }

  /** Only the newest point that is durable on the server is needed, and those above it. */
  #forgetSnapshots(): void {
    let keep = 0;
    while ((this.#snapshots[keep + 1]?.index ?? Number.POSITIVE_INFINITY) <= this.#durableIndex) keep += 1;
    if (keep > 0) this.#snapshots.splice(0, keep);
  }
}
