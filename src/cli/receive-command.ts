/**
 * `sluice receive`: shows what is offered, asks, and follows it to the end.
 *
 * Responsible for: what the receiver is told and asked, and how receiving ends.
 * Not responsible for: receiving (sluice/node), arguments (program.ts).
 */
import type { Writable } from 'node:stream';
import type { Offer, ReceiveEvent, ReceiveSummary } from '../client/events.ts';
import type { NodeReceiveOptions, ReceiveTransfer } from '../node-client/index.ts';
import { displayName } from '../protocol/display-name.ts';
import { SluiceError } from '../protocol/index.ts';
import { toSluiceError, writeError } from './exit.ts';
import { followTransfer } from './follow-transfer.ts';
import { freeBytesAt } from './free-space.ts';
import { nameOf, offerLines } from './offer-text.ts';
import { confirm } from './prompt.ts';
import { formatBytes } from './quantities.ts';
import { shellCommand } from './shell-words.ts';
import { filesAndBytes, incomplete, pace } from './summary-text.ts';
import { programName, type Surroundings } from './surroundings.ts';
import { TransferOutput } from './transfer-output.ts';
import { TransferStatus } from './transfer-status.ts';

export type OnConflict = 'keep-both' | 'overwrite' | 'skip';

/** The options of the command line, already checked. */
export interface ReceiveCommandOptions {
  /** A folder, or `-` for standard output. */
  readonly output: string;
  readonly yes: boolean;
  readonly onConflict: OnConflict;
  readonly timeoutMs: number | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** What this command uses of sluice/node. */
export interface ReceiveClient {
  receive(link: string, options: TargetedOptions): RunningReceive;
}

type TargetedOptions = NodeReceiveOptions & ({ readonly directory: string } | { readonly output: Writable });
type RunningReceive = Pick<ReceiveTransfer, 'offer' | 'done' | 'on' | 'stop'>;

/** Resolves with the exit code. */
export async function receiveCommand(
  link: string,
  options: ReceiveCommandOptions,
  surroundings: Surroundings,
  loadClient: () => Promise<ReceiveClient>,
): Promise<number> {
  const run = new ReceiveRun(options, surroundings);
  try {
    run.checkSomebodyCanAnswer();
    const { receive } = await loadClient();
    const summary = await run.follow((receiveOptions) => receive(link, receiveOptions));
    return run.finish(summary);
  } catch (error) {
    return run.fail(error);
  }
}

/** One run of the command: what is remembered from its begin to its end. */
class ReceiveRun {
  readonly #options: ReceiveCommandOptions;
  readonly #surroundings: Surroundings;
  readonly #output: TransferOutput;
  readonly #status = new TransferStatus('receive', '');
  readonly #toStdout: boolean;
  #isAsking = false;
  #askedMs = 0;

  constructor(options: ReceiveCommandOptions, surroundings: Surroundings) {
    const { stdout, stderr } = surroundings;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#toStdout = options.output === '-';
    this.#output = new TransferOutput(
      this.#status,
      {
        jsonTo: options.json ? (this.#toStdout ? stderr : stdout) : undefined,
        isQuiet: options.quiet,
        isVerbose: options.verbose,
        mayDraw: !(this.#toStdout && stdout.isTTY === true),
      },
      surroundings,
    );
  }

  checkSomebodyCanAnswer(): void {
    const { stdin, stderr } = this.#surroundings;
    if (this.#options.yes || this.#toStdout || (stdin.isTTY === true && stderr.isTTY === true)) return;
    throw new SluiceError('usage', 'There is no terminal to ask whether to accept.', {
      hint: 'Add --yes to accept without asking, or -o - to write to standard output.',
    });
  }

  async follow(receive: (options: TargetedOptions) => RunningReceive): Promise<ReceiveSummary> {
    const { onConflict, timeoutMs, output } = this.#options;
    const transfer = receive({
      onConflict,
      ...(this.#toStdout ? { output: this.#surroundings.stdout } : { directory: output }),
      ...(timeoutMs === undefined ? {} : { waitTimeoutMs: timeoutMs }),
      accept: (offer) => this.#accept(offer),
    });
    // `done` tells of the same error.
    transfer.offer.catch(() => {});
    return followTransfer(transfer, {
      output: this.#output,
      now: this.#surroundings.now,
      onEvent: (event) => this.#handle(event),
      endAtOnce: () => this.#endAtOnce(),
    });
  }

  finish(summary: ReceiveSummary): number {
    this.#output.sayUnnamed();
    // The time somebody took to answer says nothing about the network.
    const seconds = Math.max(0, summary.seconds - this.#askedMs / 1000);
    const what = `${filesAndBytes(summary.files, summary.sizeBytes)} ${pace({ ...summary, seconds })}`;
    const where = this.#toStdout ? '' : `\nSaved to ${this.#shownFolder()}`;
    if (summary.problems > 0) {
      const error = incomplete(summary.problems);
      this.#output.say(`Received ${what}.${where}`);
      if (this.#output.json !== null) this.#output.json.error(error);
      else writeError(this.#surroundings.stderr, error, false);
      return error.exitCode;
    }
    this.#output.say(`Done. ${what}. Checksums verified.${where}`);
    this.#output.json?.received(summary, this.#toStdout ? null : this.#options.output);
    return 0;
  }

  fail(thrown: unknown): number {
    this.#output.stop();
    this.#output.sayUnnamed();
    const known = toSluiceError(thrown);
    const error = known.code === 'interrupted' ? this.#interrupted() : known;
    if (error.code === 'interrupted') this.#output.endLine(this.#isAsking);
    if (this.#output.json !== null) this.#output.json.error(error);
    // Whoever reads our output has gone on purpose (`| head`).
    else if (error.code !== 'brokenPipe') writeError(this.#surroundings.stderr, error, this.#options.verbose);
    return error.exitCode;
  }

  #handle(event: ReceiveEvent): void {
    if (event.type === 'offer') this.#status.name = nameOf(event.offer);
    this.#output.handle(event);
  }

  async #accept(offer: Offer): Promise<boolean> {
    this.#status.name = nameOf(offer);
    const fileCount = offer.totalFiles ?? offer.files.length;
    if (this.#toStdout && fileCount > 1) {
      throw new SluiceError('usage', `Standard output takes one file; this transfer holds ${fileCount}.`, {
        hint: 'Use -o with a folder.',
      });
    }
    this.#output.stop();
    const mustAsk = !this.#options.yes && !this.#toStdout;
    const freeBytes = this.#toStdout ? null : await freeBytesAt(this.#options.output);
    for (const line of offerLines(offer, freeBytes, this.#surroundings.stderr.columns ?? 80)) {
      // Nobody is asked about what they were not shown.
      if (mustAsk) this.#surroundings.stderr.write(`${line}\n`);
      else this.#output.say(line);
    }
    if (mustAsk && !(await this.#ask(freeBytes))) return false;
    this.#output.start();
    return true;
  }

  async #ask(freeBytes: number | null): Promise<boolean> {
    const { stdin, stderr } = this.#surroundings;
    const free = freeBytes === null ? '' : ` (${formatBytes(freeBytes)} free)`;
    const askedAtMs = this.#surroundings.now();
    this.#isAsking = true;
    const isAccepted = await confirm(`Save to ${this.#shownFolder()}${free}?`, stdin, stderr);
    this.#isAsking = false;
    this.#askedMs = this.#surroundings.now() - askedAtMs;
    return isAccepted;
  }

  #shownFolder(): string {
    const { output } = this.#options;
    if (output === '.') return 'this folder';
    return displayName(output.endsWith('/') ? output : `${output}/`);
  }

  #interrupted(): SluiceError {
    const { countedBytes, totalBytes } = this.#status;
    const program = programName(this.#surroundings.env);
    const command = `${program} ${shellCommand(this.#surroundings.args)}`;
    if (this.#toStdout) {
      return new SluiceError('interrupted', '', { hint: `To start again: ${command}` });
    }
    const of = totalBytes === null ? '' : ` of ${formatBytes(totalBytes)}`;
    const detail = `${formatBytes(countedBytes)}${of} are kept in ${this.#shownFolder()}.`;
    return new SluiceError('interrupted', countedBytes === 0 ? '' : detail, { hint: `To go on: ${command}` });
  }

  #endAtOnce(): never {
    return this.#surroundings.exit(this.fail(new SluiceError('interrupted')));
  }
}
