/**
 * The commands, their arguments and their help.
 *
 * Responsible for: turning words into checked options, and wrong words into an error that says what to write.
 * Not responsible for: what a command does.
 */
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { SluiceError } from '../protocol/index.ts';
import {
  duration,
  environmentUrl,
  hasFlag,
  httpUrl,
  portNumber,
  sendsDataToStdout,
  UsageProblem,
} from './arguments.ts';
import { cancelCommand } from './cancel-command.ts';
import { configure, examples, JSON_OPTION, subcommand, VERBOSE_OPTION } from './command-frame.ts';
import { exitCodesHelp, toSluiceError, writeError } from './exit.ts';
import { JsonEvents } from './json-events.ts';
import { lsCommand } from './ls-command.ts';
import { type OnConflict, receiveCommand } from './receive-command.ts';
import { sendCommand } from './send-command.ts';
import { DEFAULT_SERVER_URL, type Durability, serveCommand } from './serve-command.ts';
import type { Surroundings } from './surroundings.ts';

/** Runs the command line; resolves with the exit code. Errors are told of here or by the command. */
export async function runCommandLine(surroundings: Surroundings): Promise<number> {
  const { args } = surroundings;
  let exitCode = 0;
  const program = createProgram(surroundings, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (thrown) {
    const error = thrown instanceof UsageProblem ? thrown.toSluiceError() : toSluiceError(thrown);
    if (error === null) return 0;
    reportOutsideCommand(surroundings, error);
    return error.exitCode;
  }
}

/** Tells of an error that no command has told of, in the form that the words ask for. */
export function reportOutsideCommand(surroundings: Surroundings, error: SluiceError): void {
  const { args, stdout, stderr, now } = surroundings;
  if (!hasFlag(args, '--json')) return writeError(stderr, error, hasFlag(args, '--verbose'));
  new JsonEvents(sendsDataToStdout(args) ? stderr : stdout, now).error(error);
}

function createProgram(surroundings: Surroundings, end: (exitCode: number) => void): Command {
  const program = new Command('sluice')
    .description(
      'Live file transfer: the link is there at once, and others receive while you are still sending.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('--help', 'print help')
    .helpCommand(false)
    .addHelpText('after', exitCodesHelp())
    .addHelpText(
      'after',
      examples([
        ['sluice serve', 'start a server on this computer'],
        ['sluice send holiday/', 'print a link, then send'],
        ["sluice receive 'LINK'", 'follow it from the beginning, at any time'],
      ]),
    );
  configure(program, surroundings);
  addServe(program, surroundings, end);
  addSend(program, surroundings, end);
  addReceive(program, surroundings, end);
  addLs(program, surroundings, end);
  addCancel(program, surroundings, end);
  return program;
}

/** Loaded when a command needs it: `--help` and `serve` do not. */
const loadNodeClient = () => import('../node-client/index.ts');

type End = (exitCode: number) => void;

function addServe(program: Command, surroundings: Surroundings, end: End): void {
  subcommand(program, surroundings, 'serve', 'Start a server.')
    .option('--host <address>', 'address to listen at', '127.0.0.1')
    .option('--port <number>', 'port to listen at; 0 picks a free one', portNumber, 7420)
    .option(
      '--data <folder>',
      'where transfers are kept (default: ~/.local/share/sluice, or below XDG_DATA_HOME)',
    )
    .option(
      '--public-url <url>',
      'address in links, when it is another one than the server listens at',
      httpUrl,
    )
    .addOption(
      new Option('--durability <mode>', 'acknowledge what is synced to the disk, or what the system has')
        .choices(['disk', 'os'])
        .default('disk'),
    )
    .addOption(
      new Option('--log-level <level>', 'least level of log lines on standard error')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('warn'),
    )
    .addOption(JSON_OPTION)
    .addOption(VERBOSE_OPTION)
    .addHelpText(
      'after',
      examples([
        ['sluice serve', 'for this computer'],
        ['sluice serve --host 0.0.0.0 --public-url http://files.lan:7420', 'for the network'],
      ]),
    )
    .action(async (options: ServeOptions) => {
      const { serverParts } = await import('./server-parts.ts');
      const {
        host,
        port,
        data: dataDirectory,
        publicUrl,
        durability,
        json = false,
        verbose = false,
      } = options;
      end(
        await serveCommand(
          {
            host,
            port,
            dataDirectory,
            publicUrl,
            durability,
            software: `sluice/${packageVersion()}`,
            json,
            verbose,
          },
          surroundings,
          () => serverParts(options.logLevel),
        ),
      );
    });
}

interface ServeOptions {
  host: string;
  port: number;
  data?: string;
  publicUrl?: string;
  durability: Durability;
  logLevel: string;
  json?: boolean;
  verbose?: boolean;
}

function addSend(program: Command, surroundings: Surroundings, end: End): void {
  subcommand(program, surroundings, 'send', 'Send files, folders, or standard input (-).')
    .argument('<path...>', 'what to send')
    .option(
      '--server <url>',
      `the server to send through (default: SLUICE_SERVER, or ${DEFAULT_SERVER_URL})`,
      httpUrl,
    )
    .option('--name <name>', 'what receivers see as its name')
    .option('--message <text>', 'a word for the receivers')
    .option(
      '--expires <duration>',
      'how long it is kept after the last byte, e.g. 90m or 7d (default: 24h)',
      duration,
    )
    .option('--new', 'begin a new transfer instead of going on with an interrupted one')
    .option('--quiet', 'print the link, errors and problems only')
    .addOption(JSON_OPTION)
    .addOption(VERBOSE_OPTION)
    .addHelpText(
      'after',
      examples([
        ['sluice send holiday/ notes.txt', 'files and folders'],
        ['tar c . | sluice send - --name site.tar', 'a stream of any length'],
        ["sluice send a.iso --expires 7d --message 'the new build'", ''],
      ]),
    )
    .addHelpText('after', '\nOnly the link goes to standard output. Run the same command again to go on.')
    .action(async (paths: string[], options: SendOptions) => {
      const serverInEnvironment = environmentUrl('SLUICE_SERVER', surroundings.env);
      const {
        server = serverInEnvironment ?? DEFAULT_SERVER_URL,
        name,
        message,
        expires,
        json = false,
        quiet = false,
        verbose = false,
      } = options;
      end(
        await sendCommand(
          paths,
          {
            server,
            isServerFromEnvironment: options.server === undefined && serverInEnvironment !== undefined,
            name,
            message,
            expiresMs: expires,
            isNew: options.new === true,
            json,
            quiet,
            verbose,
          },
          surroundings,
          loadNodeClient,
        ),
      );
    });
}

interface SendOptions {
  server?: string;
  name?: string;
  message?: string;
  expires?: number;
  new?: boolean;
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
}

function addReceive(program: Command, surroundings: Surroundings, end: End): void {
  subcommand(program, surroundings, 'receive', 'Receive what a link stands for.')
    .argument('<link>', 'the link, in quotes')
    .option('-o, --output <where>', 'folder to save to, or - for standard output', '.')
    .option('--yes', 'accept without asking')
    .addOption(
      new Option('--on-conflict <what>', 'when a file exists already')
        .choices(['keep-both', 'overwrite', 'skip'])
        .default('keep-both'),
    )
    .option(
      '--timeout <duration>',
      'give up when nothing arrives for so long, e.g. 10m (default: wait)',
      duration,
    )
    .option('--quiet', 'print errors and problems only')
    .addOption(JSON_OPTION)
    .addOption(VERBOSE_OPTION)
    .addHelpText(
      'after',
      examples([
        ["sluice receive 'LINK' -o downloads", 'asks first'],
        ["sluice receive 'LINK' -o - | tar t", 'one file, to standard output'],
      ]),
    )
    .addHelpText('after', '\nRun the same command again to go on.')
    .action(async (link: string, options: ReceiveOptions) => {
      const {
        output,
        yes = false,
        onConflict,
        timeout,
        json = false,
        quiet = false,
        verbose = false,
      } = options;
      end(
        await receiveCommand(
          link,
          { output, yes, onConflict, timeoutMs: timeout, json, quiet, verbose },
          surroundings,
          loadNodeClient,
        ),
      );
    });
}

interface ReceiveOptions {
  output: string;
  yes?: boolean;
  onConflict: OnConflict;
  timeout?: number;
  json?: boolean;
  quiet?: boolean;
  verbose?: boolean;
}

function addLs(program: Command, surroundings: Surroundings, end: End): void {
  subcommand(program, surroundings, 'ls', 'List what was sent from this machine.')
    .addOption(JSON_OPTION)
    .addOption(VERBOSE_OPTION)
    .action(async ({ json = false, verbose = false }: { json?: boolean; verbose?: boolean }) => {
      end(await lsCommand({ json, verbose }, surroundings, loadNodeClient));
    });
}

function addCancel(program: Command, surroundings: Surroundings, end: End): void {
  subcommand(program, surroundings, 'cancel', 'End a transfer of this machine and remove it from the server.')
    .argument('<id>', 'its ID as shown by sluice ls, or its link')
    .addOption(JSON_OPTION)
    .addOption(VERBOSE_OPTION)
    .action(async (id: string, { json = false, verbose = false }: { json?: boolean; verbose?: boolean }) => {
      end(await cancelCommand(id, { json, verbose }, surroundings, loadNodeClient));
    });
}

function packageVersion(): string {
  const manifest = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
