/**
 * Where a transfer stands, gathered from its events.
 *
 * Responsible for: counts, rate, time left, who is receiving, the last of each kind.
 * Not responsible for: showing any of it, and time (every call brings its own).
 */
import type { ReceiveEvent, SendEvent } from '../client/events.ts';
import type { JsonProgress } from './json-events.ts';
import type { ProgressSnapshot, ProgressState } from './progress-lines.ts';
import { RateMeter } from './rate-meter.ts';

type TransferEvent = SendEvent | ReceiveEvent;
type Activity = Extract<TransferEvent, { type: 'state' }>['state'];

/** Receivers told apart by name; further ones are not counted. 36 bytes each, so well under a megabyte. */
const MAX_KNOWN_RECEIVERS = 10_000;

const SHOWN_STATES: Readonly<Record<Activity, ProgressState>> = {
  connecting: 'connecting',
  reconnecting: 'reconnecting',
  sending: 'sending',
  receiving: 'receiving',
  'waiting for sender': 'waiting-for-sender',
  'waiting for server space': 'waiting-for-space',
  'waiting for acceptance': 'waiting-for-sender',
  paused: 'paused',
  verifying: 'verifying',
  done: 'finishing',
  failed: 'finishing',
};

export class TransferStatus {
  readonly kind: 'send' | 'receive';
  name: string;
  state: Activity = 'connecting';
  /** Bytes sent, or received. */
  countedBytes = 0;
  durableBytes = 0;
  totalBytes: number | null = null;
  totalFiles: number | null = null;
  filesDone = 0;
  problems = 0;
  #attempt = 0;
  #currentFile: readonly string[] | null = null;
  #hasProgress = false;
  readonly #meter = new RateMeter();
  readonly #liveReceivers = new Set<string>();
  readonly #doneReceivers = new Set<string>();

  constructor(kind: 'send' | 'receive', name: string) {
    this.kind = kind;
    this.name = name;
  }

  handle(event: TransferEvent, nowMs: number): void {
    switch (event.type) {
      case 'state':
        this.state = event.state;
        this.#attempt = event.attempt;
        // Receivers get new ids when the server was restarted; those still there are told of again.
        if (event.state === 'reconnecting') this.#liveReceivers.clear();
        break;
      case 'progress':
        this.countedBytes = 'sentBytes' in event ? event.sentBytes : event.receivedBytes;
        this.durableBytes = event.durableBytes;
        this.totalBytes = event.totalBytes;
        this.totalFiles = event.totalFiles;
        this.#currentFile = event.currentFile;
        // The first figures are what was there before: a resumed transfer does not start with a burst.
        if (!this.#hasProgress) this.#meter.sample(nowMs, this.countedBytes);
        this.#hasProgress = true;
        break;
      case 'file':
        // What was skipped is not among the files of the transfer.
        if (event.status !== 'skipped') this.filesDone += 1;
        if (event.status !== 'ok') this.problems += 1;
        break;
      case 'receiver':
        this.#handleReceiver(event.receiverId, event.event);
        break;
      case 'offer':
        this.totalBytes = event.offer.totalBytes;
        this.totalFiles = event.offer.totalFiles;
        break;
    }
  }

  /** Call it on a steady tick, also when nothing happened: only this lowers the rate. */
  tick(nowMs: number): void {
    if (this.#hasProgress) this.#meter.sample(nowMs, this.countedBytes);
  }

  snapshot(nowMs: number): ProgressSnapshot {
    const { liveReceivers: receivers } = this;
    return {
      kind: this.kind,
      state: SHOWN_STATES[this.state],
      attempt: this.#attempt,
      name: this.name,
      ...(this.kind === 'send'
        ? { sentBytes: this.countedBytes, safeBytes: this.durableBytes, receivers }
        : { receivedBytes: this.countedBytes }),
      totalBytes: this.totalBytes,
      bytesPerSecond: this.#meter.bytesPerSecond,
      etaSeconds: this.#etaSeconds(),
      stalledSeconds: this.#hasProgress ? this.#meter.stalledSeconds(nowMs) : 0,
      currentFile: this.#currentFile?.join('/'),
      filesDone: this.totalFiles === null ? undefined : Math.min(this.filesDone, this.totalFiles),
      filesTotal: this.totalFiles ?? undefined,
    };
  }

  /** Null before anything is known. */
  jsonProgress(): JsonProgress | null {
    if (!this.#hasProgress) return null;
    const counted =
      this.kind === 'send' ? { sentBytes: this.countedBytes } : { receivedBytes: this.countedBytes };
    return {
      ...counted,
      durableBytes: this.durableBytes,
      totalBytes: this.totalBytes,
      bytesPerSecond: this.#meter.bytesPerSecond,
      etaSeconds: this.#etaSeconds(),
    };
  }

  get liveReceivers(): { live: number; done: number } {
    return { live: this.#liveReceivers.size, done: this.#doneReceivers.size };
  }

  #etaSeconds(): number | null {
    return this.totalBytes === null ? null : this.#meter.etaSeconds(this.totalBytes - this.countedBytes);
  }

  #handleReceiver(id: string, event: 'joined' | 'progress' | 'done' | 'left'): void {
    if (event === 'left' || event === 'done') this.#liveReceivers.delete(id);
    else if (!this.#doneReceivers.has(id) && this.#liveReceivers.size < MAX_KNOWN_RECEIVERS) {
      this.#liveReceivers.add(id);
    }
    if (event === 'done' && this.#doneReceivers.size < MAX_KNOWN_RECEIVERS) this.#doneReceivers.add(id);
  }
}
