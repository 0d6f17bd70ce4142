/** What a sink tells of each file it is done with. */
import { type FileStatus, SluiceError } from '../protocol/index.ts';

/** `error` is null for `ok`, and for `skipped` because its name was taken. */
export interface SinkFile {
  /** As the sender announced it. */
  readonly path: readonly string[];
  /** Below the receive folder; null when it is not there. */
  readonly savedAs: readonly string[] | null;
  readonly sizeBytes: number;
  readonly blake3: Uint8Array | null;
  readonly status: FileStatus | 'skipped';
  readonly error: SluiceError | null;
}

/** Why a file is not there, when its sender says that it could not read one state of it. */
export function statusError(status: FileStatus): SluiceError {
  return new SluiceError('sourceChanged', `The sender says: ${status}.`);
}
