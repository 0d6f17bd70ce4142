/**
 * How a command ends: the exit codes, and the words for an error.
 *
 * Responsible for: the table of exit codes in `--help`, errors on the screen, and strays that nobody caught.
 * Not responsible for: the errors themselves (protocol/error-table.ts), nor for JSON (json-events.ts).
 */
import { displayName } from '../protocol/display-name.ts';
import { SluiceError } from '../protocol/index.ts';
import type { Output } from './surroundings.ts';

/** What each exit code means. Stable: scripts depend on it. A test compares it with the error table. */
export const EXIT_CODES: ReadonlyMap<number, string> = new Map([
  [0, 'done'],
  [1, 'incomplete, or any other error'],
  [2, 'wrong usage'],
  [3, 'refused'],
  [4, 'not allowed'],
  [5, 'link unknown, expired or cancelled'],
  [6, 'network: gave up, try again'],
  [7, 'integrity: content does not match its checksum'],
  [8, 'local disk'],
  [9, 'server full or over quota'],
  [130, 'interrupted'],
]);

export function exitCodesHelp(): string {
  const rows = [...EXIT_CODES].map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
  return `\nExit codes:\n${rows.join('\n')}`;
}

/**
 * An error in two lines: what happened, and below it what to do and the code to search for. Everything is escaped,
 * because a system message may hold a file name. After Ctrl-C there is nothing to search for, and the hint ends with a
 * command to copy.
 */
export function errorText(error: SluiceError): string {
  // A detail about usage says it all; "called wrongly" would only sound harsh before it.
  const message = error.code === 'usage' && error.detail !== '' ? error.detail : error.message;
  const code = error.code === 'interrupted' ? '' : ` [${error.code}]`;
  // A command to copy may name many files, and must not be cut.
  return `sluice: ${displayName(message)}\n  ${displayName(error.hint, { maxCharacters: 100_000 })}${code}\n`;
}

/** Writes an error for people; with `verbose` the traces of it and its causes. */
export function writeError(output: Output, error: SluiceError, verbose: boolean): void {
  output.write(errorText(error));
  if (!verbose) return;
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 5; depth += 1) {
    // A stack starts with the message, which may hold a name: each line is escaped by itself.
    const lines = (cause.stack ?? String(cause)).split('\n').slice(0, 40);
    output.write(`${lines.map((line) => `  ${displayName(line)}`).join('\n')}\n`);
    cause = cause.cause;
  }
}

/** Errors of Node that say what they are by their code, in our words. Anything else becomes `internal`. */
export function toSluiceError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === 'EPIPE') return new SluiceError('brokenPipe', '', { cause: error });
  if (code !== undefined && LOCAL_DISK_CODES.has(code)) {
    return new SluiceError('localDisk', (error as Error).message, { cause: error });
  }
  return SluiceError.from(error);
}

const LOCAL_DISK_CODES: ReadonlySet<string> = new Set([
  'EACCES',
  'EDQUOT',
  'EIO',
  'EISDIR',
  'EMFILE',
  'ENOENT',
  'ENOSPC',
  'ENOTDIR',
  'EPERM',
  'EROFS',
]);

/**
 * The last net: an error that no command caught ends the process with one sentence, never with a bare stack. A
 * reader that has gone (`| head`) ends it at once and without a word.
 */
export function catchStrays(report: (error: SluiceError) => void): void {
  const end = (error: unknown): void => {
    const known = toSluiceError(error);
    if (known.code !== 'brokenPipe') report(known);
    process.exit(known.exitCode);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
  for (const stream of [process.stdout, process.stderr]) {
    // EIO: the terminal itself was closed.
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE' || error.code === 'EIO')
        process.exit(new SluiceError('brokenPipe').exitCode);
      end(error);
    });
  }
}
