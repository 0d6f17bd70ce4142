/** The one error class of all layers. Match on `code`, never on the message. */
import { ERROR_TABLE, type ErrorScope, type SluiceErrorCode } from './error-table.ts';

export interface SluiceErrorOptions {
  /** The underlying error, if any. */
  cause?: unknown;
  /** Milliseconds the peer asked us to wait before trying again. */
  retryAfterMs?: number;
  /** Replaces the hint of the table where a better one is known, e.g. the exact command to run. */
  hint?: string;
}

/**
 * An error with a code from the one table.
 * `detail` is our own text, appended to the sentence of the table; text from a peer never goes in unescaped.
 */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: SluiceErrorCode;
  readonly detail: string;
  /** What to do next, one sentence. */
  readonly hint: string;
  readonly retryAfterMs: number | null;

  constructor(code: SluiceErrorCode, detail = '', options: SluiceErrorOptions = {}) {
    const { sentence, hint } = ERROR_TABLE[code];
    super(
      detail === '' ? sentence : `${sentence} ${detail}`,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.code = code;
    this.detail = detail;
    this.hint = options.hint ?? hint;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  get scope(): ErrorScope {
    return ERROR_TABLE[this.code].scope;
  }

  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }

  get exitCode(): number {
    return ERROR_TABLE[this.code].exitCode;
  }

  /** An unknown error is `internal`, never a normal end. */
  static from(error: unknown): SluiceError {
    if (error instanceof SluiceError) return error;
    return new SluiceError('internal', error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}
