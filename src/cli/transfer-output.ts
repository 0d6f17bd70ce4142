/**
 * What `send` and `receive` have in common on the screen: progress, problems, JSON, and silence.
 *
 * Responsible for: passing each event on to the one form of output that was asked for, and the steady tick.
 * Not responsible for: the words of a command's own (send-command.ts, receive-command.ts) and its result.
 */
import type { FileEvent, ReceiveEvent, SendEvent } from '../client/events.ts';
import { displayName, displayPath } from '../protocol/display-name.ts';
import { JsonEvents } from './json-events.ts';
import { createProgressDisplay, type ProgressDisplay } from './progress-display.ts';
import type { Output, Surroundings } from './surroundings.ts';
import type { TransferStatus } from './transfer-status.ts';

export interface TransferOutputOptions {
  /** Where the events of `--json` go; absent without it. */
  readonly jsonTo?: Output | undefined;
  /** Only errors and problems. */
  readonly isQuiet: boolean;
  /** Name every problem, not only the first ones. */
  readonly isVerbose: boolean;
  /** False where a person types or reads data on the same terminal: plain lines then. */
  readonly mayDraw: boolean;
}

const TICK_MS = 250;
/** Problems named on the screen; the others are counted. */
const MAX_NAMED_PROBLEMS = 10;

export class TransferOutput {
  readonly json: JsonEvents | null;
  readonly #status: TransferStatus;
  readonly #options: TransferOutputOptions;
  readonly #surroundings: Surroundings;
  #display: ProgressDisplay | null = null;
  #ticker: NodeJS.Timeout | undefined;
  #namedProblems = 0;
  #unnamedProblems = 0;
  #renamed = 0;
  readonly #redraw = (): void => this.#display?.redraw();

  constructor(status: TransferStatus, options: TransferOutputOptions, surroundings: Surroundings) {
    this.#status = status;
    this.#options = options;
    this.#surroundings = surroundings;
    this.json = options.jsonTo === undefined ? null : new JsonEvents(options.jsonTo, surroundings.now);
  }

  /** Begins to show progress; does nothing when it is shown already. */
  start(): void {
    if (this.#ticker !== undefined) return;
    const { stderr, env, now } = this.#surroundings;
    if (this.json === null && !this.#options.isQuiet) {
      this.#display = createProgressDisplay({
        write: (text) => stderr.write(text),
        columns: () => stderr.columns,
        isTty: stderr.isTTY === true && this.#options.mayDraw,
        environment: env,
        clock: { now, setTimer: unreferencedTimer, clearTimer: clearTimeout },
      });
      stderr.on('resize', this.#redraw);
    }
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#ticker.unref();
    this.#tick();
  }

  /** Erases the progress, so that something else can be printed. `start` brings it back. */
  stop(): void {
    // The last figures, unless others were written a moment ago.
    if (this.json !== null && this.#ticker !== undefined) this.#tick();
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#display?.close();
    this.#display = null;
    this.#surroundings.stderr.off('resize', this.#redraw);
  }

  /** Every event goes through here, whatever else the command does with it. */
  handle(event: SendEvent | ReceiveEvent): void {
    this.#status.handle(event, this.#surroundings.now());
    switch (event.type) {
      case 'link':
        this.json?.link(event.link, event.id);
        break;
      case 'offer':
        this.json?.offer(event.offer);
        break;
      case 'warning':
        this.json?.warning(event.error);
        this.say(`  Warning: ${displayName(`${event.error.message} ${event.error.hint}`)}`);
        break;
      case 'state':
        this.json?.state(event);
        this.#show();
        break;
      case 'receiver':
        this.json?.receiver(event.receiverId, event.event, event.receivedBytes);
        break;
      case 'file':
        this.json?.file(event);
        if (event.status !== 'ok') this.#nameProblem(event);
        else if (isRenamed(event)) this.#nameRenamed(event);
        break;
    }
  }

  /** A line for people that stays on the screen, unless they asked for silence or JSON. */
  say(line: string): void {
    if (this.json !== null || this.#options.isQuiet) return;
    if (this.#display === null) this.#surroundings.stderr.write(`${line}\n`);
    else this.#display.note(line);
  }

  /** After Ctrl-C: its echo stays on the line of the cursor, unless a live display was drawn over it. */
  endLine(isAsking: boolean): void {
    const { stderr } = this.#surroundings;
    if (stderr.isTTY === true && (isAsking || !this.#options.mayDraw)) stderr.write('\n');
  }

  /** At the end: how many files were not named that should have been. */
  sayUnnamed(): void {
    const more = this.#renamed - MAX_NAMED_PROBLEMS;
    if (more > 0 && !this.#options.isVerbose) this.say(`  … ${more} more were saved under another name`);
    if (this.#unnamedProblems === 0 || this.json !== null) return;
    this.#surroundings.stderr.write(`  … ${this.#unnamedProblems} more problems (--verbose names all)\n`);
  }

  #tick(): void {
    this.#status.tick(this.#surroundings.now());
    if (this.json !== null) {
      const progress = this.#status.jsonProgress();
      if (progress !== null) this.json.progress(progress);
      this.json.flushReceivers();
    }
    this.#show();
  }

  #show(): void {
    this.#display?.update(this.#status.snapshot(this.#surroundings.now()));
  }

  /** Not a problem, but the file is not where it would be looked for. */
  #nameRenamed({ path, savedAs }: FileEvent): void {
    this.#renamed += 1;
    if (this.#renamed > MAX_NAMED_PROBLEMS && !this.#options.isVerbose) return;
    this.say(`  ${displayPath(path)}: saved as ${displayPath(savedAs ?? path)}, because that name was taken`);
  }

  /** Problems are named even with `--quiet`: silence would claim that all went well. */
  #nameProblem(event: FileEvent): void {
    if (this.json !== null) return;
    if (this.#namedProblems >= MAX_NAMED_PROBLEMS && !this.#options.isVerbose) {
      this.#unnamedProblems += 1;
      return;
    }
    this.#namedProblems += 1;
    const line = problemLine(event);
    if (this.#display === null) this.#surroundings.stderr.write(`${line}\n`);
    else this.#display.note(line);
  }
}

const PROBLEM_WORDS: Readonly<Record<FileEvent['status'], string>> = {
  ok: 'ok',
  skipped: 'skipped',
  changed: 'changed while it was sent',
  failed: 'could not be read to its end',
  removed: 'disappeared before it was read',
};

function isRenamed({ path, savedAs }: FileEvent): boolean {
  return savedAs !== null && savedAs.join('/') !== path.join('/');
}

export function problemLine({ path, status, error }: FileEvent): string {
  const why = error === null ? '' : `: ${displayName(error.detail === '' ? error.message : error.detail)}`;
  return `  ${displayPath(path)}: ${PROBLEM_WORDS[status]}${why}`;
}

/** Standard output must not be held open by a redraw that nobody will see. */
function unreferencedTimer(callback: () => void, delayMs: number): NodeJS.Timeout {
  return setTimeout(callback, delayMs).unref();
}
