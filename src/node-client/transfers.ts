/** The sender's own transfers on this machine: what became of them, and how to end one. */
import { type Client, SluiceError } from '../client/index.ts';
import { type JournaledTransfer, listJournaledTransfers } from '../node/index.ts';
import type { TransferState } from '../protocol/index.ts';
import { sharedClient } from './shared-client.ts';

export interface SentTransfer {
  readonly id: string;
  readonly link: string | null;
  readonly name: string | null;
  readonly server: string;
  /** As the server says; `unreachable` when it cannot be asked. */
  readonly state: TransferState | 'unreachable';
  /** Content bytes, once everything was sent. */
  readonly sizeBytes: number | null;
  /** Bytes safe on the server, records with their headers. */
  readonly durableBytes: number | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

export interface TransfersOptions {
  /** Default `$XDG_STATE_HOME/sluice`. */
  readonly stateDirectory?: string | undefined;
  readonly client?: Client | undefined;
}

/** Newest first. Servers are asked one transfer after another. @throws SluiceError `localDisk`. */
export async function* listTransfers(options: TransfersOptions = {}): AsyncGenerator<SentTransfer> {
  const client = options.client ?? sharedClient();
  // A server that does not answer is asked once, not for each of its transfers.
  const silent = new Set<string>();
  for (const transfer of await listJournaledTransfers(options.stateDirectory)) {
    const { server, expiresAtMs } = transfer;
    const status = silent.has(server) ? unreachable(expiresAtMs) : await statusOf(client, transfer);
    if (status.state === 'unreachable') silent.add(server);
    yield { ...status, ...shown(transfer) };
  }
}

/** Ends a transfer for everybody. @throws SluiceError `notFound` for an id this machine does not know. */
export async function cancelTransfer(id: string, options: TransfersOptions = {}): Promise<void> {
  const transfers = await listJournaledTransfers(options.stateDirectory);
  const transfer = transfers.find((candidate) => candidate.id === id);
  if (transfer === undefined) {
    throw new SluiceError('notFound', 'This machine did not send it.', {
      hint: 'See sluice ls for what it did send.',
    });
  }
  const client = options.client ?? sharedClient();
  await client.cancel(transfer.server, id, transfer.writeToken);
}

type Status = Pick<SentTransfer, 'state' | 'durableBytes' | 'expiresAtMs'>;

async function statusOf(
  client: Client,
  { server, id, writeToken, expiresAtMs }: JournaledTransfer,
): Promise<Status> {
  try {
    const { state, durableBytes, expiresAtMs: until } = await client.inspect(server, id, writeToken);
    return { state, durableBytes, expiresAtMs: until };
  } catch (error) {
    const { code } = SluiceError.from(error);
    if (code === 'expired' || code === 'cancelled') return { state: code, durableBytes: null, expiresAtMs };
    if (code === 'notFound') return { state: 'expired', durableBytes: null, expiresAtMs };
    return unreachable(expiresAtMs);
  }
}

function unreachable(expiresAtMs: number | null): Status {
  return { state: 'unreachable', durableBytes: null, expiresAtMs };
}

function shown({
  id,
  link,
  name,
  paths,
  server,
  sizeBytes,
  createdAtMs,
}: JournaledTransfer): Omit<SentTransfer, keyof Status> {
  return { id, link, name: name ?? paths[0]?.split('/').at(-1) ?? null, server, sizeBytes, createdAtMs };
}
