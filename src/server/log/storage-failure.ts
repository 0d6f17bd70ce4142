/** What an error of storage means to the transfer: which SluiceError it becomes. */
import { SluiceError } from '../../protocol/index.ts';

/** The disk, the quota or the largest file is full: passes when somebody makes room. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** A failed write: `storageFull` when there is no room, else `internal`. */
export function writeFailure(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = systemCodeOf(error);
  if (FULL.has(code)) return new SluiceError('storageFull', '', { cause: error });
  return new SluiceError('internal', `Writing to storage failed: ${code}.`, { cause: error });
}

/** A failed sync, or anything else after which this log must be opened anew. */
export function finalFailure(error: unknown): SluiceError {
  return new SluiceError('internal', `Storage could not confirm what was written: ${systemCodeOf(error)}.`, {
    cause: error,
  });
}

/** A failed read: EIO is the disk saying that the bytes are gone (`corrupted`), others may pass (`internal`). */
export function readFailure(error: unknown, position: number): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = systemCodeOf(error);
  const detail = `Reading at byte ${position} failed: ${code}.`;
  return new SluiceError(code === 'EIO' ? 'corrupted' : 'internal', detail, { cause: error });
}

function systemCodeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
