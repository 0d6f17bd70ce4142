/**
 * Runs the built command as real processes, the way a user does.
 *
 * Responsible for: starting, feeding, waiting for what is printed, and ending every process by its id when the test is
 * over. Nothing here sleeps: all waits are for events, with a deadline that only a failure reaches.
 * Needs dist/ to be built.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';

const BIN = resolve('bin/sluice.js');
const DEADLINE_MS = 20_000;
/** What changes the output: the surroundings of the test run, and npm, which `npm test` leaves traces of. */
const NOT_INHERITED = {
  CI: undefined,
  NO_COLOR: undefined,
  FORCE_COLOR: undefined,
  npm_command: undefined,
  npm_lifecycle_event: undefined,
};

export interface SluiceOptions {
  readonly env?: Record<string, string | undefined>;
  readonly cwd?: string;
  /** Standard input: text and then its end; without it the test writes to `child.stdin`. */
  readonly input?: string | Uint8Array;
  /** A command that runs ours, e.g. strace with its options; it must become our process in the end (`exec`). */
  readonly wrapper?: readonly string[];
  /** Every wait ends after this time, ms. Default 20,000. */
  readonly deadlineMs?: number;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command. */
export class SluiceProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #args: readonly string[];
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #parsed = { stdout: nothingParsed(), stderr: nothingParsed() };
  readonly #watchers = new Set<() => void>();
  readonly #closed: Promise<Finished>;
  readonly #deadlineMs: number;

  constructor(args: readonly string[], options: SluiceOptions = {}) {
    const { env = {}, cwd, input, wrapper = [], deadlineMs = DEADLINE_MS } = options;
    this.#args = args;
    this.#deadlineMs = deadlineMs;
    const inherited = { ...process.env, ...NOT_INHERITED };
    const [command = process.execPath, ...words] = [...wrapper, process.execPath, BIN, ...args];
    this.child = spawn(command, words, { env: { ...inherited, ...env }, cwd });
    // A test may close a pipe that is still written to, or write to a process that has gone.
    this.child.stdin.on('error', () => {});
    if (input !== undefined) this.child.stdin.end(input);
    this.child.stdout.on('data', (chunk: Buffer) => this.#take(this.#stdout, chunk));
    this.child.stderr.on('data', (chunk: Buffer) => this.#take(this.#stderr, chunk));
    this.#closed = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        for (const watch of this.#watchers) watch();
      });
    });
    onTestFinished(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
      await this.#closed;
    });
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  get stdoutBytes(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  /** All whole `--json` lines so far. */
  jsonLines(from: 'stdout' | 'stderr' = 'stdout'): readonly Record<string, unknown>[] {
    const chunks = from === 'stdout' ? this.#stdout : this.#stderr;
    const parsed = this.#parsed[from];
    // Only what is new: a command may print tens of thousands of lines.
    const bytes = Buffer.concat([parsed.rest, ...chunks.slice(parsed.chunks)]);
    const end = bytes.lastIndexOf('\n') + 1;
    parsed.chunks = chunks.length;
    parsed.rest = bytes.subarray(end);
    for (const line of bytes.toString('utf8', 0, end).split('\n').slice(0, -1)) {
      parsed.events.push(JSON.parse(line) as Record<string, unknown>);
    }
    return parsed.events;
  }

  /** Resolves with what `find` returns as soon as that is not null, looking whenever something was printed. */
  until<T>(what: string, find: () => T | null): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        act();
      };
      const look = (): void => {
        const found = find();
        if (found !== null) settle(() => resolve(found));
        else if (this.#hasEnded) settle(() => reject(this.#failure(`ended before ${what}`)));
      };
      const timer = setTimeout(() => settle(() => reject(this.#failure(`no ${what}`))), this.#deadlineMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** The first `--json` event of that type that `matches`. */
  event(
    type: string,
    matches: (event: Record<string, unknown>) => boolean = () => true,
    from: 'stdout' | 'stderr' = 'stdout',
  ): Promise<Record<string, unknown>> {
    return this.until(`event ${type}`, () => {
      return this.jsonLines(from).find((event) => event.type === type && matches(event)) ?? null;
    });
  }

  /** The first line of standard output, which for `send` is the link. */
  firstLine(): Promise<string> {
    return this.until('line', () => /^(.*)\n/.exec(this.stdout)?.[1] ?? null);
  }

  printed(text: string | RegExp, where: 'stdout' | 'stderr' = 'stderr'): Promise<true> {
    return this.until(String(text), () => {
      const found = typeof text === 'string' ? this[where].includes(text) : text.test(this[where]);
      return found ? true : null;
    });
  }

  /** How it ended. */
  async finished(): Promise<Finished> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(this.#failure('no end')), this.#deadlineMs);
    try {
      return await Promise.race([this.#closed, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  get #hasEnded(): boolean {
    const { exitCode, signalCode, stdout, stderr } = this.child;
    return (exitCode !== null || signalCode !== null) && stdout.closed && stderr.closed;
  }

  #take(chunks: Buffer[], chunk: Buffer): void {
    chunks.push(chunk);
    for (const watch of this.#watchers) watch();
  }

  #failure(problem: string): Error {
    const { exitCode, signalCode } = this.child;
    return new Error(
      `sluice ${this.#args.join(' ')}: ${problem} (exit ${exitCode ?? signalCode ?? 'not yet'})\n` +
        `stdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`,
    );
  }
}

/** Lines that were parsed, the chunks they came in, and the bytes behind the last whole line. */
interface Parsed {
  readonly events: Record<string, unknown>[];
  chunks: number;
  rest: Buffer;
}

function nothingParsed(): Parsed {
  return { events: [], chunks: 0, rest: Buffer.alloc(0) };
}

/** A place of its own for one test: a folder, a server, and commands that use both. */
export interface Workplace {
  /** An empty folder, removed after the test. */
  readonly folder: string;
  readonly server: string;
  /** The process of the server. */
  readonly serving: SluiceProcess;
  run(args: readonly string[], options?: SluiceOptions): SluiceProcess;
}

/** An empty folder, removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Starts a server on a free port with an empty data folder. */
export async function startServer(
  dataDirectory: string,
  args: readonly string[] = [],
  options: SluiceOptions = {},
): Promise<SluiceProcess> {
  const words = ['serve', '--port', '0', '--json', '--data', dataDirectory, ...args];
  const serving = new SluiceProcess(words, options);
  await serving.event('ready');
  return serving;
}

export async function workplace(): Promise<Workplace> {
  const folder = await temporaryFolder();
  const serving = await startServer(join(folder, '.server'));
  const server = String((await serving.event('ready')).url);
  const environment = {
    SLUICE_SERVER: server,
    XDG_STATE_HOME: join(folder, '.state'),
    XDG_DATA_HOME: join(folder, '.data'),
  };
  return {
    folder,
    server,
    serving,
    run: (args, options = {}) =>
      new SluiceProcess(args, { cwd: folder, ...options, env: { ...environment, ...options.env } }),
  };
}
