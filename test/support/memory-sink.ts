// A place for received files that outlives the receiver: keeps contents, its checkpoint, and what it was told of ends.
// Like a folder with a journal, a run that begins later goes on at the last checkpoint; unlike one it forgets nothing.
import type { FileEnd, LogPoint, LogSnapshot, ManifestEntry, PackedFile } from '../../src/protocol/index.ts';
import type { Clock, SinkDone, SinkResume, SinkTotals, TransferSink } from '../../src/runtime/index.ts';
import { blake3 } from './digester.ts';

/** What is on the disk of a receiver. */
export class ReceivedDisk {
  readonly entries = new Map<number, ManifestEntry>();
  readonly contents = new Map<number, Uint8Array>();
  readonly lengths = new Map<number, number>();
  /** Files in their place, by path, with how they ended. */
  readonly placed = new Map<string, { readonly content: Uint8Array; readonly end: FileEnd }>();
  resume: SinkResume | null = null;

  write(file: number, offset: number, content: Uint8Array): void {
    const end = offset + content.length;
    let bytes = this.contents.get(file) ?? new Uint8Array(0);
    if (bytes.length < end) {
      const larger = new Uint8Array(Math.max(end, bytes.length * 2));
      larger.set(bytes);
      bytes = larger;
      this.contents.set(file, bytes);
    }
    bytes.set(content, offset);
    this.lengths.set(file, Math.max(end, this.lengths.get(file) ?? 0));
  }

  lengthOf(file: number): number {
    return this.lengths.get(file) ?? 0;
  }

  place(file: number, end: FileEnd): void {
    const path = this.entries.get(file)?.path.join('/') ?? `#${file}`;
    const content = (this.contents.get(file) ?? new Uint8Array(0)).slice(0, end.sizeBytes);
    this.placed.set(path, { content, end });
  }
}

/** Longer than any write takes: a file ends after its content was written. */
const END_DELAY_MS = 200;

export interface MemorySinkOptions {
  readonly disk: ReceivedDisk;
  readonly clock: Clock;
  /** How long a write takes, ms, below 200; so they end in any order. */
  readonly delayMs: () => number;
  /** Content was handed over, in bytes of its file. */
  readonly onContent?: (file: number, end: number) => void;
}

export class MemorySink implements TransferSink {
  readonly resume: SinkResume | null;
  readonly #options: MemorySinkOptions;
  /** Handed over and not yet written, bytes; and the most there ever was. */
  pendingBytes = 0;
  mostPendingBytes = 0;
  rewinds = 0;
  /** Mistakes of the caller, and content that is not what its hash says. */
  readonly problems: string[] = [];
  #lastCheckpoint = -1;
  #isOver = false;
  /** Rises with every rewind: what was handed over before is not written any more. */
  #generation = 0;

  constructor(options: MemorySinkOptions) {
    this.#options = options;
    this.resume = options.disk.resume;
    this.#lastCheckpoint = this.resume?.point.index ?? -1;
  }

  addEntries(entries: readonly ManifestEntry[]): void {
    for (const entry of entries) this.#options.disk.entries.set(entry.file, entry);
  }

  write(file: number, offset: number, content: Uint8Array, done: SinkDone): void {
    const { disk } = this.#options;
    this.#check();
    this.#options.onContent?.(file, offset + content.length);
    this.#later(content.length, done, () => disk.write(file, offset, content));
  }

  hole(file: number, offset: number, span: number, done: SinkDone): void {
    this.write(file, offset, new Uint8Array(span), done);
  }

  endFile(file: number, end: FileEnd, done: SinkDone): void {
    this.#later(0, done, () => this.#end(file, end), END_DELAY_MS);
  }

  writePacked(firstFile: number, files: readonly PackedFile[], done: SinkDone): void {
    const { disk } = this.#options;
    const bytes = files.reduce((sum, { content }) => sum + content.length, 0);
    this.#later(bytes, done, () => {
      for (const [i, { content, blake3: expected, status }] of files.entries()) {
        disk.write(firstFile + i, 0, content);
        this.#end(firstFile + i, { blake3: expected, status, sizeBytes: content.length });
      }
    });
  }

  checkpoint(point: LogPoint, snapshot: LogSnapshot): void {
    if (point.index <= this.#lastCheckpoint) this.problems.push(`checkpoint ${point.index} again`);
    this.#lastCheckpoint = point.index;
    this.#options.disk.resume = { point, snapshot };
  }

  rewindTo(point: LogPoint): void {
    this.rewinds += 1;
    this.#generation += 1;
    this.#lastCheckpoint = point.index;
    this.#options.disk.resume = null;
  }

  async finish(): Promise<SinkTotals> {
    this.#isOver = true;
    if (this.pendingBytes > 0) this.problems.push('finished before everything was written');
    const { placed } = this.#options.disk;
    let sizeBytes = 0;
    for (const { content } of placed.values()) sizeBytes += content.length;
    return { files: placed.size, sizeBytes };
  }

  async keep(): Promise<void> {
    this.#isOver = true;
  }

  #end(file: number, end: FileEnd): void {
    const { disk } = this.#options;
    disk.place(file, end);
    const content = disk.contents.get(file)?.slice(0, end.sizeBytes) ?? new Uint8Array(0);
    if (end.status === 'ok' && Buffer.compare(blake3(content), end.blake3) !== 0) {
      this.problems.push(`file ${file} is not what its hash says`);
    }
  }

  #later(bytes: number, done: SinkDone, act: () => void, delayMs = this.#options.delayMs()): void {
    this.pendingBytes += bytes;
    this.mostPendingBytes = Math.max(this.mostPendingBytes, this.pendingBytes);
    const generation = this.#generation;
    this.#options.clock.setTimer(() => {
      if (generation === this.#generation) act();
      this.pendingBytes -= bytes;
      done(null);
    }, delayMs);
  }

  #check(): void {
    if (this.#isOver) this.problems.push('written after the end');
  }
}
