/**
 * Child processes of the bench: started, read line by line, given a time limit, and ended by their own process id,
 * never by name. Every child that still runs when the bench ends is ended with it.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import type { UsageMeter } from './process-usage.ts';

const END_TIMEOUT_MS = 5_000;
/** Of standard error, characters kept for the message of a failure. */
const KEPT_ERROR_CHARS = 2_000;
const running = new Set<Child>();

export interface ChildOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** The run fails after so long, ms. Absent = no limit: a server. */
  readonly timeoutMs?: number;
  /** Default: ignored. A number is an open file. */
  readonly stdin?: 'pipe' | 'ignore' | number;
  /** Default: read by `lines`. */
  readonly stdout?: 'pipe' | 'ignore' | number;
  /** Counts the child as this role of the run. */
  readonly meter?: UsageMeter;
  readonly role?: string;
}

export class Child implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly name: string;
  #errorText = '';
  #isTimedOut = false;
  #exit: Promise<number | null>;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    // Not `node`, but what it runs, and of its arguments at most a subcommand: links hold secrets.
    const [program = '', word = ''] = command === process.execPath ? args : [command, ...args];
    this.name = /^[a-z]+$/.test(word) ? `${basename(program)} ${word}` : basename(program);
    const spawnOptions: SpawnOptions = {
      stdio: [options.stdin ?? 'ignore', options.stdout ?? 'pipe', 'pipe'],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    };
    this.process = spawn(command, args, spawnOptions);
    running.add(this);
    const { meter, role = 'client' } = options;
    if (meter !== undefined && this.process.pid !== undefined) meter.add(role, this.process.pid);
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errorText = (this.#errorText + text).slice(-KEPT_ERROR_CHARS);
    });
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            this.#isTimedOut = true;
            this.process.kill('SIGKILL');
          }, options.timeoutMs);
    this.#exit = new Promise((resolve) => {
      this.process.once('error', (error) => {
        this.#errorText += error.message;
        running.delete(this);
        resolve(null);
      });
      this.process.once('exit', (code) => {
        if (meter !== undefined && this.process.pid !== undefined) meter.handleExit(this.process.pid);
        clearTimeout(timer);
        running.delete(this);
        resolve(code);
      });
    });
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  /** Resolves when it ended well. @throws Error with what it wrote to standard error. */
  async succeeded(): Promise<void> {
    const code = await this.#exit;
    if (code === 0) return;
    throw this.#failure(this.#isTimedOut ? 'ran out of time' : `ended with ${code ?? 'a signal'}`);
  }

  /** Lines of standard output, one after another. Ask once. */
  lines(): AsyncIterableIterator<string> {
    if (this.process.stdout === null) throw new Error(`${this.name} has no output to read`);
    return createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** The next line. @throws Error when the process ended instead. */
  async nextLine(lines: AsyncIterator<string>): Promise<string> {
    const line = await lines.next();
    if (!line.done) return line.value;
    await this.succeeded();
    throw this.#failure('ended too early');
  }

  /** The first line that is JSON with this `type`. @throws Error when there is none. */
  async nextEvent<T>(lines: AsyncIterator<string>, type: string): Promise<T> {
    for (;;) {
      const event = JSON.parse(await this.nextLine(lines));
      if (event.type === type) return event;
      if (event.type === 'error') throw this.#failure(event.message);
    }
  }

  /** Ends it if it still runs: first in order, then at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!running.has(this)) return;
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), END_TIMEOUT_MS);
    await this.#exit;
    clearTimeout(timer);
  }

  #failure(what: string): Error {
    return new Error(`${this.name} ${what}${this.#errorText === '' ? '' : `: ${this.#errorText.trim()}`}`);
  }
}

/** Ends every child that still runs, at once: for a bench that was interrupted. */
export function killChildren(): void {
  for (const child of running) child.process.kill('SIGKILL');
}

/** Waits until a pipe has taken what was written to it. */
export async function write(child: Child, bytes: Uint8Array): Promise<void> {
  const { stdin } = child.process;
  if (stdin === null) throw new Error(`${child.name} has no input`);
  if (!stdin.write(bytes)) await once(stdin, 'drain');
}
