/** Receiving into a folder, into a stream, or file by file, from Node. */
import type { Writable } from 'node:stream';
import type { Client, FileEvent, ReceivedFiles, ReceiveOptions, ReceiveTransfer } from '../client/index.ts';
import { FolderSink, loadDigester, type SinkFile, StreamSink } from '../node/index.ts';
import { sharedClient } from './shared-client.ts';

export interface NodeReceiveOptions extends ReceiveOptions {
  /** What to do when a file of that name is there already. Default `keep-both`. */
  readonly onConflict?: 'keep-both' | 'overwrite' | 'skip' | undefined;
  /** Default: one client for the process, so that transfers share connections. */
  readonly client?: Client | undefined;
}

/**
 * Receives into a folder (created if it is not there). The same call made again goes on where the first one stopped.
 * @throws SluiceError `badLink`; everything later comes with `done`.
 */
export function receive(
  link: string,
  options: NodeReceiveOptions & { readonly directory: string },
): ReceiveTransfer;
/** Receives the only file of a transfer into a stream. A stream cannot go on after a restart. */
export function receive(
  link: string,
  options: NodeReceiveOptions & { readonly output: Writable },
): ReceiveTransfer;
/** Receives file by file as web streams: `for await (const file of receive(link))`. */
export function receive(link: string, options?: NodeReceiveOptions): ReceivedFiles;
export function receive(
  link: string,
  options: NodeReceiveOptions & { readonly directory?: string; readonly output?: Writable } = {},
): ReceiveTransfer | ReceivedFiles {
  const { directory, output } = options;
  const client = options.client ?? sharedClient();
  if (output !== undefined) {
    return client.receiveInto(
      async (_id, transfer) =>
        new StreamSink({
          output,
          digester: await loadDigester(),
          onFile: (file) => transfer().reportFile(eventOf(file)),
        }),
      link,
      options,
    );
  }
  if (directory === undefined) return client.receive(link, options);
  return client.receiveInto(
    async (id, transfer) =>
      FolderSink.open({
        directory,
        transferId: id,
        onConflict: options.onConflict ?? 'keep-both',
        digester: await loadDigester(),
        fsync: true,
        onFile: (file) => transfer().reportFile(eventOf(file)),
      }),
    link,
    options,
  );
}

function eventOf({ blake3, ...file }: SinkFile): FileEvent {
  return { type: 'file', ...file, blake3: blake3 === null ? null : Buffer.from(blake3).toString('hex') };
}
