/**
 * `sluice send`: the link on standard output as soon as there is one, then everything else on standard error.
 *
 * Responsible for: what the sender is told, and how sending ends.
 * Not responsible for: sending (sluice/node), arguments (program.ts).
 */
import type { SendEvent, SendSummary } from '../client/events.ts';
import type { NodeSendOptions, SendTransfer } from '../node-client/index.ts';
import { SluiceError } from '../protocol/index.ts';
import { toSluiceError, writeError } from './exit.ts';
import { followTransfer } from './follow-transfer.ts';
import { formatBytes } from './quantities.ts';
import { shellCommand, shellWord, withOptions, withoutFlag } from './shell-words.ts';
import { skippedFile } from './skipped-file.ts';
import { filesAndBytes, incomplete, pace, roughDuration, wallTime } from './summary-text.ts';
import { programName, type Surroundings } from './surroundings.ts';
import { TransferOutput } from './transfer-output.ts';
import { TransferStatus } from './transfer-status.ts';

/** The options of the command line, already checked. */
export interface SendCommandOptions {
  readonly server: string;
  /** True when SLUICE_SERVER gave the server: a command to continue must then name it. */
  readonly isServerFromEnvironment: boolean;
  readonly name: string | undefined;
  readonly message: string | undefined;
  readonly expiresMs: number | undefined;
  readonly isNew: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** What this command uses of sluice/node. */
export interface SendClient {
  send(sources: readonly string[] | Surroundings['stdin'], options: NodeSendOptions): RunningSend;
}

type RunningSend = Pick<SendTransfer, 'link' | 'done' | 'on' | 'stop'>;

/** Resolves with the exit code. */
export async function sendCommand(
  paths: readonly string[],
  options: SendCommandOptions,
  surroundings: Surroundings,
  loadClient: () => Promise<SendClient>,
): Promise<number> {
  const isStdin = paths.length === 1 && paths[0] === '-';
  const status = new TransferStatus('send', options.name ?? (isStdin ? 'standard input' : paths.join(', ')));
  const output = new TransferOutput(
    status,
    {
      jsonTo: options.json ? surroundings.stdout : undefined,
      isQuiet: options.quiet,
      isVerbose: options.verbose,
      mayDraw: !(isStdin && surroundings.stdin.isTTY === true),
    },
    surroundings,
  );
  const run = new SendRun(paths, options, surroundings, output, status);
  try {
    checkStdinIsAlone(paths);
    const { send } = await loadClient();
    const summary = await run.follow((sendOptions) =>
      send(isStdin ? surroundings.stdin : paths, sendOptions),
    );
    return run.finish(summary);
  } catch (error) {
    return run.fail(error);
  }
}

function checkStdinIsAlone(paths: readonly string[]): void {
  if (paths.length === 1 || !paths.includes('-')) return;
  throw new SluiceError('usage', 'Standard input (-) cannot be sent together with files.', {
    hint: 'Send it alone (sluice send -), or write ./- for a file of that name.',
  });
}

/** One run of the command: what is remembered from its begin to its end. */
class SendRun {
  readonly #paths: readonly string[];
  readonly #options: SendCommandOptions;
  readonly #surroundings: Surroundings;
  readonly #output: TransferOutput;
  readonly #status: TransferStatus;
  #id: string | null = null;
  /** How long the server keeps the transfer after its last byte. */
  #keptMs = 0;
  /** What was left out before it became part of the transfer. */
  #skipped = 0;

  constructor(
    paths: readonly string[],
    options: SendCommandOptions,
    surroundings: Surroundings,
    output: TransferOutput,
    status: TransferStatus,
  ) {
    this.#paths = paths;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#output = output;
    this.#status = status;
  }

  async follow(send: (options: NodeSendOptions) => RunningSend): Promise<SendSummary> {
    const { server, name, message, expiresMs, isNew } = this.#options;
    const transfer = send({
      server,
      isNew,
      onSkipped: (skipped) => {
        // Links and special files are left out by rule, as every copy tool does without a flag: named, no failure.
        if (skipped.reason !== 'symlink' && skipped.reason !== 'special') this.#skipped += 1;
        this.#output.handle(skippedFile(skipped, this.#paths));
      },
      ...(name === undefined ? {} : { name }),
      ...(message === undefined ? {} : { message }),
      ...(expiresMs === undefined ? {} : { expiresMs }),
    });
    // `done` tells of the same error.
    transfer.link.catch(() => {});
    return followTransfer(transfer, {
      output: this.#output,
      now: this.#surroundings.now,
      onEvent: (event) => this.#handle(event),
      endAtOnce: () => this.#endAtOnce(),
    });
  }

  finish(summary: SendSummary): number {
    const { stderr } = this.#surroundings;
    this.#output.sayUnnamed();
    const what = `${filesAndBytes(summary.files, summary.sizeBytes)} ${pace(summary)}`;
    const problems = summary.problems + this.#skipped;
    if (problems > 0) {
      const error = incomplete(problems);
      this.#output.say(`Sent ${what}.`);
      if (this.#output.json !== null) this.#output.json.error(error);
      else writeError(stderr, error, false);
      return error.exitCode;
    }
    this.#output.say(`Done. ${what}.\nAll safe on the server until ${this.#keptUntil()}.`);
    this.#output.json?.sent(summary);
    return 0;
  }

  fail(thrown: unknown): number {
    this.#output.stop();
    this.#output.sayUnnamed();
    const known = toSluiceError(thrown);
    const error = known.code === 'interrupted' ? this.#interrupted() : known;
    if (error.code === 'interrupted') this.#output.endLine(false);
    if (this.#output.json !== null) this.#output.json.error(error);
    else writeError(this.#surroundings.stderr, error, this.#options.verbose);
    return error.exitCode;
  }

  #handle(event: SendEvent): void {
    if (event.type === 'link') {
      this.#id = event.id;
      this.#keptMs = event.expiresAtMs - this.#surroundings.wallNow();
      // The link and the progress may share a terminal.
      this.#output.stop();
      if (this.#output.json === null) this.#surroundings.stdout.write(`${event.link}\n`);
    }
    this.#output.handle(event);
    if (event.type === 'link') {
      this.#introduce(event);
      this.#output.start();
    }
  }

  #introduce({ link, isResumed }: Extract<SendEvent, { type: 'link' }>): void {
    const say = (line: string): void => this.#output.say(line);
    if (isResumed) say('  Goes on where it stopped; the link is the same as before.');
    say(`  Receive it with  ${programName(this.#surroundings.env)} receive ${shellWord(link)}`);
    say(`  Others can start now. Kept ${roughDuration(this.#keptMs)} after the last byte.`);
    say('  Not end-to-end encrypted yet: the server can read it.');
    if (this.#paths[0] === '-' && this.#surroundings.stdin.isTTY === true) {
      say('  Type what is to be sent; Ctrl-D ends it.');
    }
  }

  /** What is safe, and the exact command that continues. */
  #interrupted(): SluiceError {
    if (this.#id === null) return new SluiceError('interrupted', 'Nothing was sent.');
    const { durableBytes, totalBytes } = this.#status;
    const of = totalBytes === null ? '' : ` of ${formatBytes(totalBytes)}`;
    const safe =
      durableBytes === 0
        ? 'Nothing is safe on the server yet.'
        : `${formatBytes(durableBytes)}${of} are safe on the server until ${this.#keptUntil()}.`;
    const program = programName(this.#surroundings.env);
    const hint =
      this.#paths[0] === '-'
        ? `Standard input cannot be read again. To remove what is there: ${program} cancel ${this.#id}`
        : `To go on: ${program} ${shellCommand(this.#wordsToContinue())}`;
    return new SluiceError('interrupted', safe, { hint });
  }

  /** The server counts from the last byte it took, so this is the least. */
  #keptUntil(): string {
    return wallTime(this.#surroundings.wallNow() + this.#keptMs);
  }

  #wordsToContinue(): string[] {
    const words = withoutFlag(this.#surroundings.args, '--new');
    // The next shell may not have the variable.
    return this.#options.isServerFromEnvironment
      ? withOptions(words, ['--server', this.#options.server])
      : words;
  }

  #endAtOnce(): never {
    return this.#surroundings.exit(this.fail(new SluiceError('interrupted')));
  }
}
