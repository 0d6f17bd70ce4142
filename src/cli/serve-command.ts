/**
 * `sluice serve`: starts a server, says where it is, and ends it in order.
 *
 * Responsible for: the folder, the ready text, signals. The ready text goes to standard output, because it is what this
 * command is run for; log lines go to standard error.
 * Not responsible for: serving (sluice/server), arguments (program.ts).
 */
import { resolve } from 'node:path';
import { displayName } from '../protocol/display-name.ts';
import { SluiceError } from '../protocol/index.ts';
import type { Logger } from '../server/logger.ts';
import { toSluiceError, writeError } from './exit.ts';
import { freeBytesAt } from './free-space.ts';
import { JsonEvents } from './json-events.ts';
import { formatBytes } from './quantities.ts';
import { shellWord } from './shell-words.ts';
import { onInterrupt } from './signals.ts';
import { programName, type Surroundings } from './surroundings.ts';

export type Durability = 'disk' | 'os';

/** The options of the command line, already checked. */
export interface ServeCommandOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined for the usual one of this user. */
  readonly dataDirectory: string | undefined;
  readonly publicUrl: string | undefined;
  readonly durability: Durability;
  /** Name and version, told to peers. */
  readonly software: string;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** What this command uses of sluice/server. */
export interface ServeServer {
  listen(address: { host: string; port: number }): Promise<{ url: string; port: number }>;
  close(options: { drainMs: number }): Promise<void>;
}

export interface ServeParts {
  readonly logger: Logger;
  defaultDataFolder(env: Surroundings['env']): string;
  createServer(options: {
    dataDirectory: string;
    publicUrl?: string;
    durability: Durability;
    logger: Logger;
    software: string;
  }): Promise<ServeServer>;
}

/** Peers in the middle of something get this long to end it; they come back to the next server by themselves. */
const DRAIN_MS = 2000;

/** Resolves with the exit code when the server has ended. */
export async function serveCommand(
  options: ServeCommandOptions,
  surroundings: Surroundings,
  loadParts: () => Promise<ServeParts>,
): Promise<number> {
  const { stdout, stderr, now, wallNow } = surroundings;
  const json = options.json ? new JsonEvents(stdout, now) : null;
  const startedMs = wallNow();
  try {
    const { createServer, defaultDataFolder, logger } = await loadParts();
    const dataDirectory = resolve(options.dataDirectory ?? defaultDataFolder(surroundings.env));
    const { publicUrl, durability, host, port, software } = options;
    const server = await createServer({
      dataDirectory,
      durability,
      logger,
      software,
      ...(publicUrl === undefined ? {} : { publicUrl }),
    });
    const interruption = untilInterrupted(surroundings, json === null);
    try {
      const { url } = await server.listen({ host, port }).catch((error: unknown) => {
        throw listenError(error, host, port);
      });
      if (json !== null) json.ready({ url, pid: process.pid, dataDir: dataDirectory, durability });
      else {
        const freeBytes = await freeBytesAt(dataDirectory);
        stdout.write(readyText({ url, host, dataDirectory, durability, freeBytes }, surroundings));
      }
      await interruption.signalled;
    } finally {
      await server.close({ drainMs: DRAIN_MS });
      interruption.forget();
    }
    json?.done({ seconds: Math.round(wallNow() - startedMs) / 1000 });
    return 0;
  } catch (thrown) {
    const error = toSluiceError(thrown);
    if (json !== null) json.error(error);
    else writeError(stderr, error, options.verbose);
    return error.exitCode;
  }
}

/** What the system says about an address it cannot give us. */
function listenError(error: unknown, host: string, port: number): unknown {
  const { code, syscall = '' } = error as NodeJS.ErrnoException;
  if (!['listen', 'bind', 'getaddrinfo'].includes(syscall)) return error;
  const reason = code === 'EACCES' ? 'not permitted' : (code ?? 'unknown');
  return new SluiceError('usage', `Cannot listen at ${host}, port ${port} (${reason}).`, {
    hint: 'Choose another address with --host, or another port with --port.',
    cause: error,
  });
}

/** The first signal resolves `signalled`; the second ends the process. */
function untilInterrupted(
  surroundings: Surroundings,
  isForPeople: boolean,
): { signalled: Promise<void>; forget: () => void } {
  const { promise, resolve: signal } = Promise.withResolvers<void>();
  const stop = (): void => {
    if (isForPeople) {
      surroundings.stderr.write(
        'Stopping: what was acknowledged is safe, and peers come back by themselves. Ctrl-C again ends at once.\n',
      );
    }
    signal();
  };
  const forget = onInterrupt({ stop, endAtOnce: () => surroundings.exit(130) }, surroundings.now);
  return { signalled: promise, forget };
}

interface ReadyFacts {
  readonly url: string;
  readonly host: string;
  readonly dataDirectory: string;
  readonly durability: Durability;
  readonly freeBytes: number | null;
}

const DURABILITY_WORDS: Readonly<Record<Durability, string>> = {
  disk: 'disk (acknowledged when synced to it)',
  os: 'os (a power cut may lose what was acknowledged last)',
};

function readyText(
  { url, host, dataDirectory, durability, freeBytes }: ReadyFacts,
  { env }: Surroundings,
): string {
  const program = programName(env);
  const server = url === DEFAULT_SERVER_URL ? '' : ` --server ${shellWord(url)}`;
  const lines = [
    `Sluice is ready at ${url}`,
    `  Data folder  ${displayName(dataDirectory)}`,
    `  Free space   ${freeBytes === null ? 'unknown' : formatBytes(freeBytes)}`,
    `  Durability   ${DURABILITY_WORDS[durability]}`,
  ];
  if (LOOPBACK.test(host))
    lines.push('  Reachable    from this computer only; --host 0.0.0.0 opens it to the network');
  lines.push(`  Send a file  ${program} send FILE${server}`, '');
  return lines.join('\n');
}

/** Where `send` looks for a server when nothing else is said. */
export const DEFAULT_SERVER_URL = 'http://127.0.0.1:7420';

const LOOPBACK = /^(?:127\.|localhost$|::1$)/;
