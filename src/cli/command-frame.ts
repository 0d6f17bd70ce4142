/**
 * What all commands have in common as far as commander is concerned. Not responsible for any single one of them.
 */
import { type Command, Option } from 'commander';
import { UsageProblem } from './arguments.ts';
import type { Surroundings } from './surroundings.ts';

/** What all commands share. Commander prints nothing by itself except help and version. */
export function configure(command: Command, { stdout }: Surroundings): Command {
  return command
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: () => {},
      getOutHelpWidth: () => Math.min(stdout.columns ?? 80, 100),
    })
    .exitOverride((problem) => {
      throw new UsageProblem(command, problem);
    });
}

export function subcommand(
  program: Command,
  surroundings: Surroundings,
  name: string,
  description: string,
): Command {
  const [first = '', ...rest] = description;
  return configure(program.command(name), surroundings)
    .description(description)
    .summary(first.toLowerCase() + rest.join('').replace(/\.$/, ''))
    .helpOption('--help', 'print help');
}

/** Options of every command, at the end of its list. */
export const JSON_OPTION: Option = new Option('--json', 'print one JSON event per line, for programs');
export const VERBOSE_OPTION: Option = new Option('--verbose', 'say more: all problems, traces of errors');

/** A section of help: commands, each with what it does. */
export function examples(rows: readonly (readonly [string, string])[]): string {
  const lines = rows.flatMap(([command, what]) =>
    what === '' ? [`  ${command}`] : [`  ${command}`, `      ${what}`],
  );
  return `\nExamples:\n${lines.join('\n')}`;
}
