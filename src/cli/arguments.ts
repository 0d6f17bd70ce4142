/**
 * Words of the command line: values that must have a form, and what is said when the words are wrong.
 *
 * Responsible for: the wording; commander finds what is wrong.
 * Not responsible for: which commands and options there are (program.ts).
 */
import { type Command, type CommanderError, InvalidArgumentError } from 'commander';
import { SluiceError } from '../protocol/index.ts';
import { parseDuration } from './quantities.ts';

/** True when the flag is among the words, before `--`. For what must be known before the words are understood. */
export function hasFlag(args: readonly string[], flag: string): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes(flag);
}

/** True when the words ask for content on standard output, so that nothing else may go there. */
export function sendsDataToStdout(args: readonly string[]): boolean {
  return args.some(
    (word, position) =>
      word === '-o-' ||
      word === '--output=-' ||
      (word === '-' && ['-o', '--output'].includes(args[position - 1] ?? '')),
  );
}

/** What commander throws, with the command it was about. */
export class UsageProblem extends Error {
  readonly #command: Command;
  readonly #problem: CommanderError;

  constructor(command: Command, problem: CommanderError) {
    super(problem.message);
    this.#command = command;
    this.#problem = problem;
  }

  /** Null when nothing is wrong: help or version was asked for and printed. */
  toSluiceError(): SluiceError | null {
    const { code, message } = this.#problem;
    if (code === 'commander.helpDisplayed' || code === 'commander.version') return null;
    const path = commandPath(this.#command);
    const see = `See ${path} --help.`;
    const [first = '', suggestion] = message.split('\n');
    const meant = /Did you mean (?:one of )?(.*)\?/.exec(suggestion ?? '')?.[1];
    const hint = meant === undefined ? see : `Did you mean ${meant}? ${see}`;
    return new SluiceError('usage', this.#wording(first.replace(/^error: /, '').replace(/\.$/, '')), {
      hint,
    });
  }

  /** The words of commander, said as the rest of the program says things. */
  #wording(text: string): string {
    if (this.#problem.code === 'commander.help') return 'Which command: serve, send, receive, ls or cancel?';
    const missing = MISSING_ARGUMENTS.get(/^missing required argument '(.*)'$/.exec(text)?.[1] ?? '');
    if (missing !== undefined) return missing;
    const [, option = '', why = ''] = BAD_VALUE.exec(text) ?? [];
    if (why !== '') return `${option}: ${why}.`;
    return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
  }
}

const MISSING_ARGUMENTS: ReadonlyMap<string, string> = new Map([
  ['path', 'Nothing to send: name files or folders, or - for standard input.'],
  ['link', 'The link is missing.'],
  ['id', 'The ID of the transfer is missing.'],
]);

const BAD_VALUE = /^option '(?:-\w, )?(--[\w-]+).*?' (?:argument|value) '.*?' is invalid\. (.*)$/s;

function commandPath(command: Command): string {
  return command.parent === null ? command.name() : `${commandPath(command.parent)} ${command.name()}`;
}

export function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new InvalidArgumentError('A port is a whole number from 0 to 65535');
  return port;
}

export function duration(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export function httpUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('An address starts with http:// or https://');
  }
  return text;
}

/** @throws SluiceError `usage` that names the variable. */
export function environmentUrl(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  try {
    return httpUrl(text);
  } catch (error) {
    throw new SluiceError('usage', `${name}: ${(error as Error).message}.`, {
      hint: `It is set to ${text} here.`,
    });
  }
}
