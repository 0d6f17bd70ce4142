/** Failures of the local disk in words. Not responsible for what happens on one. */
import { getSystemErrorMap } from 'node:util';
import { SluiceError } from '../protocol/index.ts';

/** The code of a system error such as `ENOENT`, or null. */
export function systemCode(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** True when what was named does not exist (any more). `ESTALE` is the same on a network disk. */
export function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESTALE';
}

/**
 * A `localDisk` error that says what could not be done and why, in the system's words.
 * @param what our own text, e.g. `Writing photo.jpg`; names from a peer must have gone through `displayName`.
 */
export function localDiskError(error: unknown, what: string): SluiceError {
  if (error instanceof SluiceError) return error;
  return new SluiceError('localDisk', `${what}: ${systemWords(error)}.`, { cause: error });
}

function systemWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const errno = 'errno' in error && typeof error.errno === 'number' ? error.errno : null;
  const known = errno === null ? undefined : getSystemErrorMap().get(errno);
  // The message of Node repeats the whole path; the words of the system do not.
  return known === undefined ? error.message : `${known[1]} (${known[0]})`;
}
