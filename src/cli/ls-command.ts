/** `sluice ls`: the transfers sent from this machine. Not responsible for knowing them (sluice/node). */
import { displayName } from '../protocol/display-name.ts';
import { toSluiceError, writeError } from './exit.ts';
import { JsonEvents, type ListedTransfer } from './json-events.ts';
import { formatBytes, formatBytesOf } from './quantities.ts';
import { wallTime } from './summary-text.ts';
import { programName, type Surroundings } from './surroundings.ts';

export interface LsCommandOptions {
  readonly json: boolean;
  readonly verbose: boolean;
}

/** What this command uses of sluice/node. */
export interface LsClient {
  listTransfers(): AsyncIterable<ListedTransfer>;
}

/** Resolves with the exit code. */
export async function lsCommand(
  options: LsCommandOptions,
  surroundings: Surroundings,
  loadClient: () => Promise<LsClient>,
): Promise<number> {
  const { stdout, stderr, now } = surroundings;
  const json = options.json ? new JsonEvents(stdout, now) : null;
  try {
    const { listTransfers } = await loadClient();
    let count = 0;
    for await (const transfer of listTransfers()) {
      count += 1;
      if (json !== null) json.transfer(transfer);
      else stdout.write(transferText(transfer));
    }
    json?.done({ transfers: count });
    if (json === null && count === 0) {
      stderr.write(
        `Nothing was sent from this machine yet. Begin with: ${programName(surroundings.env)} send FILE\n`,
      );
    }
    return 0;
  } catch (thrown) {
    const error = toSluiceError(thrown);
    if (json !== null) json.error(error);
    else writeError(stderr, error, options.verbose);
    return error.exitCode;
  }
}

/** Name and state first, because that is what is looked for; the link alone on its line, to be copied. */
function transferText(transfer: ListedTransfer): string {
  const { id, link, name, state, expiresAtMs } = transfer;
  const until = state === 'live' || state === 'sealed' ? expiresAtMs : null;
  const facts = [
    STATE_WORDS[state] ?? state,
    sizeText(transfer),
    `sent ${wallTime(transfer.createdAtMs)}`,
    until === null ? '' : `works until ${wallTime(until)}`,
  ];
  return (
    `${name === null || name === '' ? '(no name)' : displayName(name)}\n` +
    `  ${facts.filter((fact) => fact !== '').join(', ')}\n` +
    `  ID ${id}\n` +
    (link === null ? '' : `  ${link}\n`)
  );
}

const STATE_WORDS: Readonly<Record<string, string>> = {
  live: 'not complete yet',
  sealed: 'complete',
  cancelled: 'cancelled',
  expired: 'expired',
  unreachable: 'server not reachable',
};

function sizeText({ state, sizeBytes, durableBytes }: ListedTransfer): string {
  if (state === 'live' && durableBytes !== null) {
    return `${sizeBytes === null ? formatBytes(durableBytes) : formatBytesOf(durableBytes, sizeBytes)} safe`;
  }
  return sizeBytes === null ? '' : formatBytes(sizeBytes);
}
