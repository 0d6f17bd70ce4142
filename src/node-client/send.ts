/**
 * Sending paths and streams from Node, so that the same call made again goes on where the first one stopped. Walking
 * and reading are in src/node, the transfer itself in src/client.
 */
import { basename, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { Client, SendIdentity, SendOptions, SendTransfer } from '../client/index.ts';
import { normalizeServerUrl, SluiceError } from '../client/index.ts';
import { SenderJournal, type SkippedSource, streamEntry, walkSources } from '../node/index.ts';
import type { SourceEntry } from '../runtime/index.ts';
import { sharedClient } from './shared-client.ts';

export interface NodeSendOptions extends Omit<SendOptions, 'prepare'> {
  /** Always a new transfer, even if the same sources were sent in part before. Default false. */
  readonly isNew?: boolean | undefined;
  /** Told of links, special files and unreadable ones, which are left out. */
  readonly onSkipped?: ((skipped: SkippedSource) => void) | undefined;
  /** Where senders remember what they sent. Default `$XDG_STATE_HOME/sluice`. */
  readonly stateDirectory?: string | undefined;
  /** Default: one client for the process, so that transfers share connections. */
  readonly client?: Client | undefined;
}

/**
 * Sends files and folders, or one stream of unknown length. The promise `link` of the result resolves as soon as the
 * server has accepted the transfer, before any content is read.
 * @throws SluiceError `usage` for a malformed server address; everything later comes with `done`.
 */
export function send(sources: readonly string[] | Readable, options: NodeSendOptions): SendTransfer {
  const client = options.client ?? sharedClient();
  if (!isPaths(sources)) return sendStream(client, sources, options);
  const server = normalizeServerUrl(options.server);
  const walk = new PathWalk(sources, options.onSkipped ?? (() => {}));
  let journal: SenderJournal | null = null;
  const prepare = async (): Promise<SendIdentity> => {
    // Wrong paths are found before the server is asked for anything.
    await walk.start();
    journal = await findJournal(client, server, sources, options);
    return { credentials: journal.credentials, journal };
  };
  const transfer = client.send(() => walk.entries(), {
    ...options,
    name: options.name ?? nameOf(sources),
    server,
    prepare,
  });
  keepJournal(transfer, () => journal);
  return transfer;
}

/** A single file or folder names its transfer; several have no name in common. */
function nameOf(paths: readonly string[]): string | undefined {
  const [only] = paths;
  return only === undefined || paths.length > 1 ? undefined : basename(resolve(only));
}

function isPaths(sources: readonly string[] | Readable): sources is readonly string[] {
  return Array.isArray(sources);
}

/** A stream cannot be read twice, so nothing of it is remembered beyond this process but how to cancel it. */
function sendStream(client: Client, readable: Readable, options: NodeSendOptions): SendTransfer {
  const name = options.name ?? 'stdin';
  const server = normalizeServerUrl(options.server);
  let journal: SenderJournal | null = null;
  const prepare = async (): Promise<SendIdentity> => {
    const credentials = client.createCredentials();
    journal = await SenderJournal.create({ server, paths: [], name, credentials, ...stateOf(options) });
    return { credentials, journal: null };
  };
  const entry = streamEntry(name, readable);
  const transfer = client.send(() => once(entry), { ...options, server, name, prepare });
  keepJournal(transfer, () => journal);
  return transfer;
}

async function* once(entry: SourceEntry): AsyncGenerator<SourceEntry> {
  yield entry;
}

/** The journal of a former run that can be continued, or a new one. */
async function findJournal(
  client: Client,
  server: string,
  sources: readonly string[],
  options: NodeSendOptions,
): Promise<SenderJournal> {
  const paths = sources.map((path) => resolve(path));
  const place = { server, paths, name: options.name ?? null, ...stateOf(options) };
  const former = options.isNew ? null : await SenderJournal.findUnfinished(place);
  if (former !== null) {
    if (await canContinue(client, server, former)) return former;
    await former.finish('ended');
  }
  return SenderJournal.create({ ...place, credentials: client.createCredentials() });
}

/** A transfer that the server has ended is over; one that it does not know (yet) is created again. */
async function canContinue(client: Client, server: string, journal: SenderJournal): Promise<boolean> {
  const { writeToken } = journal.credentials;
  try {
    return (await client.inspect(server, journal.id, writeToken)).state === 'live';
  } catch (error) {
    const { code } = SluiceError.from(error);
    if (code === 'notFound') return true;
    if (code === 'expired' || code === 'cancelled') return false;
    throw error;
  }
}

function stateOf({ stateDirectory }: NodeSendOptions): { stateDirectory?: string } {
  return stateDirectory === undefined ? {} : { stateDirectory };
}

/** The journal follows the fate of its transfer. */
function keepJournal(transfer: SendTransfer, journal: () => SenderJournal | null): void {
  transfer.on((event) => {
    if (event.type === 'link') void journal()?.setLink(event.link, event.expiresAtMs);
  });
  transfer.done
    .then(
      ({ sizeBytes }) => journal()?.finish('done', sizeBytes),
      (error: unknown) => {
        const { code } = SluiceError.from(error);
        return code === 'cancelled' || code === 'expired' ? journal()?.finish('ended') : journal()?.release();
      },
    )
    // The transfer's own fate is what its user hears of; a journal that cannot be written shows at the next run.
    .catch(() => {});
}

interface StartedWalk {
  readonly walk: AsyncGenerator<SourceEntry>;
  readonly first: IteratorResult<SourceEntry>;
}

/** A walk whose first step can be made early, to find out whether the paths are there. */
class PathWalk {
  readonly #paths: readonly string[];
  readonly #onSkipped: (skipped: SkippedSource) => void;
  #started: StartedWalk | null = null;

  constructor(paths: readonly string[], onSkipped: (skipped: SkippedSource) => void) {
    this.#paths = paths;
    this.#onSkipped = onSkipped;
  }

  async start(): Promise<StartedWalk> {
    const walk = walkSources(this.#paths, { onSkipped: this.#onSkipped });
    this.#started = { walk, first: await walk.next() };
    return this.#started;
  }

  async *entries(): AsyncGenerator<SourceEntry> {
    const { walk, first } = this.#started ?? (await this.start());
    this.#started = null;
    if (first.done) return;
    yield first.value;
    yield* walk;
  }
}
