/** `sluice cancel`: ends a transfer of this machine and removes it at its server. */
import { toSluiceError, writeError } from './exit.ts';
import { JsonEvents } from './json-events.ts';
import type { Surroundings } from './surroundings.ts';

export interface CancelCommandOptions {
  readonly json: boolean;
  readonly verbose: boolean;
}

/** What this command uses of sluice/node. */
export interface CancelClient {
  cancelTransfer(id: string): Promise<void>;
}

/** Resolves with the exit code. The ID may also be given as the link that holds it. */
export async function cancelCommand(
  idOrLink: string,
  options: CancelCommandOptions,
  surroundings: Surroundings,
  loadClient: () => Promise<CancelClient>,
): Promise<number> {
  const { stdout, stderr, now } = surroundings;
  const json = options.json ? new JsonEvents(stdout, now) : null;
  try {
    const id = /\/t\/([\w-]+)/.exec(idOrLink)?.[1] ?? idOrLink;
    const { cancelTransfer } = await loadClient();
    await cancelTransfer(id);
    if (json !== null) json.done({ id });
    else stderr.write('Cancelled. The link no longer works, and the server removes the content.\n');
    return 0;
  } catch (thrown) {
    const error = toSluiceError(thrown);
    if (json !== null) json.error(error);
    else writeError(stderr, error, options.verbose);
    return error.exitCode;
  }
}
