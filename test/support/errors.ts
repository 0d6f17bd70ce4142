// Looks at errors by their code, the only part that callers may match on.
import { SluiceError, type SluiceErrorCode } from '../../src/protocol/index.ts';

/** The code of the SluiceError that `act` throws; null when it throws none. Other errors are thrown on. */
export function codeOf(act: () => unknown): SluiceErrorCode | null {
  try {
    act();
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
  return null;
}

/** The code of the SluiceError that `promise` rejects with; null when it resolves. Other errors are thrown on. */
export async function codeWhen(promise: Promise<unknown>): Promise<SluiceErrorCode | null> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
  return null;
}
