/**
 * Port: what a sender remembers outside its own life, so that the same command run again goes on: which file number
 * stands for which file on disk, and in which state that file was.
 */
import type { ManifestEntry } from '../protocol/index.ts';
import type { SourceOrigin } from './ports.ts';

export interface JournaledFile {
  readonly entry: ManifestEntry;
  /** Null for content that cannot be read twice. */
  readonly origin: SourceOrigin | null;
}

export interface SendJournal {
  /** What was planned so far, in order: by a former process, and by `append`. */
  readonly files: readonly JournaledFile[];
  /** Resolves when the files are remembered for good: only then may their manifest be sent. */
  append(files: readonly JournaledFile[]): Promise<void>;
}
