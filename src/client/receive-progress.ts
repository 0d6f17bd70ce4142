/** What a receiver can say of its progress. Counts only; knows nothing of connections or files on disk. */
import type { ManifestEntry } from '../protocol/index.ts';
import type { FileEvent, ReceiveSummary } from './events.ts';

export class ReceiveProgress {
  readonly #startedAt: number;
  readonly #paths = new Map<number, readonly string[]>();
  #receivedBytes = 0;
  #problems = 0;
  #currentFile: readonly string[] | null = null;

  constructor(now: number) {
    this.#startedAt = now;
  }

  /** Goes on (or back) to a log that holds `contentBytes`. */
  start(contentBytes: number): void {
    this.#receivedBytes = contentBytes;
  }

  addEntries(entries: readonly ManifestEntry[]): void {
    // Only names of large files are shown while they run; small ones are over before anybody could read them.
    for (const { file, path, sizeBytes } of entries) {
      if (sizeBytes === null || sizeBytes > 1024 * 1024) this.#paths.set(file, path);
    }
  }

  begin(file: number): void {
    this.#currentFile = this.#paths.get(file) ?? this.#currentFile;
  }

  addReceived(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  countFile({ error }: FileEvent): void {
    if (error !== null) this.#problems += 1;
  }

  read(): { receivedBytes: number; currentFile: readonly string[] | null } {
    return { receivedBytes: this.#receivedBytes, currentFile: this.#currentFile };
  }

  summary(now: number): Pick<ReceiveSummary, 'seconds' | 'problems'> {
    return { seconds: (now - this.#startedAt) / 1000, problems: this.#problems };
  }
}
