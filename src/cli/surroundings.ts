/**
 * What a command sees of the process it runs in: streams, environment, time. Tests bring their own.
 *
 * Responsible for: the real ones, and for emptying the streams before the process ends.
 * Not responsible for: signals (signals.ts) and exit codes (exit.ts).
 */
import type { Readable, Writable } from 'node:stream';

/** An output stream that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Surroundings {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The command line behind the program's name. */
  readonly args: readonly string[];
  /** Monotonic, ms. */
  now(): number;
  /** Wall clock, ms since 1970. */
  wallNow(): number;
  /** Ends the process at once. */
  exit(code: number): never;
}

/** Those of this process; `releaseStdin` stops reading standard input if anybody has begun to. */
export function processSurroundings(): Surroundings & { releaseStdin(): void } {
  let isStdinOpen = false;
  return {
    // Getters, because opening standard input has effects of its own: only a command that reads it may do so.
    get stdin() {
      isStdinOpen = true;
      return process.stdin;
    },
    releaseStdin: () => {
      if (isStdinOpen) process.stdin.destroy();
    },
    get stdout() {
      return process.stdout;
    },
    get stderr() {
      return process.stderr;
    },
    env: process.env,
    args: process.argv.slice(2),
    now: () => performance.now(),
    wallNow: () => Date.now(),
    exit: (code) => process.exit(code),
  };
}

/** Resolves when everything written so far has been handed over, or can no longer be. */
export function flushed(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (output.destroyed || output.writableEnded || output.writableLength === 0) return resolve();
    output.once('close', resolve);
    output.write('', () => resolve());
  });
}

/** How the user started us, to be repeated in commands we suggest. */
export function programName(env: Surroundings['env']): string {
  // npm sets the first to `npx` for `npx sluice`; the second is `run-script` or `start` for `npm start`.
  const { npm_lifecycle_event: event, npm_command: command } = env;
  return event === 'npx' || command !== undefined ? 'npx sluice' : 'sluice';
}
