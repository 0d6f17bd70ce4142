/** Temporary: the signatures of sluice/node that the commands are written against, until it is there. */
import type { Readable, Writable } from 'node:stream';
import type { Offer, ReceiveEvent, ReceiveSummary, SendEvent, SendSummary } from '../client/events.ts';
import type { ListedTransfer } from './json-events.ts';

export interface SkippedSource {
  readonly location: string;
  readonly reason: 'symlink' | 'special' | 'unreadable' | 'removed' | 'name';
  readonly code: string | null;
}
export interface NodeSendOptions {
  server: string;
  name?: string;
  message?: string;
  expiresMs?: number;
  isNew?: boolean;
  onSkipped?: (skipped: SkippedSource) => void;
  signal?: AbortSignal;
  stateDirectory?: string;
}
export interface NodeReceiveOptions {
  directory?: string;
  output?: Writable;
  onConflict?: 'keep-both' | 'overwrite' | 'skip';
  accept?: (offer: Offer) => boolean | Promise<boolean>;
  waitTimeoutMs?: number;
  signal?: AbortSignal;
}
export interface SendTransfer {
  readonly link: Promise<string>;
  readonly done: Promise<SendSummary>;
  on(listener: (event: SendEvent) => void): () => void;
  stop(): Promise<void>;
}
export interface ReceiveTransfer {
  readonly offer: Promise<Offer>;
  readonly done: Promise<ReceiveSummary>;
  on(listener: (event: ReceiveEvent) => void): () => void;
  stop(): Promise<void>;
}
export type Send = (sources: readonly string[] | Readable, options: NodeSendOptions) => SendTransfer;

export async function loadNodeClient(): Promise<NodeClient> {
  return (await import('../node-client/index.ts')) as unknown as NodeClient;
}
interface NodeClient {
  send: Send;
  receive(link: string, options: NodeReceiveOptions): ReceiveTransfer;
  listTransfers(): AsyncIterable<ListedTransfer>;
  cancelTransfer(id: string): Promise<void>;
}
