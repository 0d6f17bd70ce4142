/**
 * Port: where a receiver puts the files of a transfer. It is handed verified content in the order of the log and
 * decides about names, temporary files and checksums of whole files. It knows nothing of connections.
 */
import type {
  FileEnd,
  LogPoint,
  LogSnapshot,
  ManifestEntry,
  ManifestHead,
  PackedFile,
  SluiceError,
} from '../protocol/index.ts';

/** Called once when the content was written, or could not be. Content must not change until then. */
export type SinkDone = (error: SluiceError | null) => void;

export interface SinkResume {
  readonly point: LogPoint;
  readonly snapshot: LogSnapshot;
  /** What `setHead` was told last. The records that said it are not read again. */
  readonly head?: ManifestHead | null;
}

/** What is in its place in the end, of this run and former ones. */
export interface SinkTotals {
  readonly files: number;
  readonly sizeBytes: number;
}

export interface TransferSink {
  /** How far a former run got, or null to start from the beginning. */
  readonly resume: SinkResume | null;
  /** Entries of a manifest record. A later entry for the same file overrides. */
  addEntries(entries: readonly ManifestEntry[]): void;
  /** Name, message and totals as far as they are known now. For sinks that can go on after a restart. */
  setHead?(head: ManifestHead): void;
  write(file: number, offset: number, content: Uint8Array, done: SinkDone): void;
  /** A span of zeros. */
  hole(file: number, offset: number, span: number, done: SinkDone): void;
  /** The file is complete: check its BLAKE3 and put it in its place. */
  endFile(file: number, end: FileEnd, done: SinkDone): void;
  /** Whole small files, numbered from `firstFile` on. */
  writePacked(firstFile: number, files: readonly PackedFile[], done: SinkDone): void;
  /** Everything below this point was handed over and its `done` was called. */
  checkpoint(point: LogPoint, snapshot: LogSnapshot): void;
  /** The log goes back to `point` (the server lost what was not durable); what follows is written again in place. */
  rewindTo(point: LogPoint): void;
  /** All content came and the seal matched: settle everything. The transfer is done when this resolves. */
  finish(): Promise<SinkTotals>;
  /** The transfer stops in the middle, for `reason`: keep what is there so that it can go on. Never throws. */
  keep(reason?: SluiceError): Promise<void>;
}
