/**
 * The `--json` output: one event per line, for programs.
 *
 * Responsible for: the schema, which is stable within a version `v`; how often progress is written; that the last line
 * is always `done` or `error`.
 * Not responsible for: what happened, and how it is shown to people.
 *
 * ```
 * ready    {url, pid, dataDir, durability}
 * link     {link, id}
 * offer    {id, name, message, files: [{path, type, sizeBytes}], totalFiles, totalBytes, expiresAt}
 * state    {state, attempt}
 * progress {sentBytes | receivedBytes, durableBytes, totalBytes, bytesPerSecond, etaSeconds}
 * receiver {receiverId, event, receivedBytes}
 * file     {path, sizeBytes, blake3, status}, with {savedAs} at a receiver that has it in its folder, and with
 *          {error: {code, message}} when there was one
 * warning  {code, message, hint}
 * transfer {id, link, name, state, sizeBytes, durableBytes, createdAt, expiresAt}
 * done     {id, files, sizeBytes, seconds} and link (send) or directory (receive); ls: {transfers}; cancel: {id}
 * error    {code, message, hint, exitCode}
 * ```
 * A path is its components joined by `/`. Times are ISO 8601 in UTC. What is not known is null. A program ignores
 * fields it does not know: more may come. `done` means exit code 0; otherwise the last line is an `error`, which
 * carries the exit code.
 */
import type { Writable } from 'node:stream';
import type { FileEvent, Offer, ReceiveSummary, SendSummary, StateEvent } from '../client/events.ts';
import type { ReceiverEvent, SluiceError } from '../protocol/index.ts';

export interface JsonProgress {
  readonly sentBytes?: number;
  readonly receivedBytes?: number;
  readonly durableBytes: number;
  readonly totalBytes: number | null;
  readonly bytesPerSecond: number;
  readonly etaSeconds: number | null;
}

export interface ListedTransfer {
  readonly id: string;
  /** Null for one that its server never accepted. */
  readonly link: string | null;
  readonly name: string | null;
  readonly state: string;
  readonly sizeBytes: number | null;
  readonly durableBytes: number | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

/** At most 4 a second. */
const PROGRESS_EVERY_MS = 250;
/** While bytes flowed a moment ago the falling rate is news as well, but not so often. */
const SAME_PROGRESS_EVERY_MS = 1000;
/** An offer of more files names only these; `totalFiles` counts all. */
const MAX_OFFERED_FILES = 1000;
/** Receivers whose progress waits for its turn; further ones are told of with their next event. */
const MAX_WAITING_RECEIVERS = 1000;

export class JsonEvents {
  readonly #output: Writable;
  readonly #now: () => number;
  #progressMs = Number.NEGATIVE_INFINITY;
  #receiversMs = Number.NEGATIVE_INFINITY;
  #lastProgress = '';
  #lastRate = 0;
  /** Latest progress per receiver, not written yet. */
  readonly #waitingReceivers = new Map<string, number>();
  #isEnded = false;

  constructor(output: Writable, now: () => number) {
    this.#output = output;
    this.#now = now;
  }

  ready(event: { url: string; pid: number; dataDir: string; durability: string }): void {
    this.#write('ready', event);
  }

  link(link: string, id: string): void {
    this.#write('link', { link, id });
  }

  offer(offer: Offer): void {
    this.#write('offer', {
      id: offer.id,
      name: offer.name,
      message: offer.message,
      files: offer.files
        .slice(0, MAX_OFFERED_FILES)
        .map(({ path, type, sizeBytes }) => ({ path: path.join('/'), type, sizeBytes })),
      totalFiles: offer.totalFiles,
      totalBytes: offer.totalBytes,
      expiresAt: isoTime(offer.expiresAtMs),
    });
  }

  state({ state, attempt }: StateEvent): void {
    this.#write('state', { state, attempt });
  }

  /** Call it on a steady tick: what comes too soon or says nothing new is left out. */
  progress(progress: JsonProgress): void {
    const now = this.#now();
    if (now - this.#progressMs < PROGRESS_EVERY_MS) return;
    const { bytesPerSecond, etaSeconds, ...counts } = progress;
    const rate = Math.round(bytesPerSecond);
    const counted = JSON.stringify(counts);
    const isNews = counted !== this.#lastProgress;
    if (!isNews && (this.#lastRate === 0 || now - this.#progressMs < SAME_PROGRESS_EVERY_MS)) return;
    this.#progressMs = now;
    this.#lastProgress = counted;
    this.#lastRate = rate;
    this.#write('progress', {
      ...counts,
      bytesPerSecond: rate,
      etaSeconds: etaSeconds === null ? null : Math.round(etaSeconds),
    });
  }

  /** Joins and ends are written at once; of the progress of each receiver only the latest, on the tick. */
  receiver(receiverId: string, event: ReceiverEvent, receivedBytes: number): void {
    if (event !== 'progress') {
      this.#waitingReceivers.delete(receiverId);
      this.#write('receiver', { receiverId, event, receivedBytes });
    } else if (
      this.#waitingReceivers.has(receiverId) ||
      this.#waitingReceivers.size < MAX_WAITING_RECEIVERS
    ) {
      this.#waitingReceivers.set(receiverId, receivedBytes);
    }
  }

  /** The tick for the progress of receivers. */
  flushReceivers(): void {
    const now = this.#now();
    if (now - this.#receiversMs < PROGRESS_EVERY_MS || this.#waitingReceivers.size === 0) return;
    this.#receiversMs = now;
    for (const [receiverId, receivedBytes] of this.#waitingReceivers) {
      this.#write('receiver', { receiverId, event: 'progress', receivedBytes });
    }
    this.#waitingReceivers.clear();
  }

  file({ path, savedAs, sizeBytes, blake3, status, error }: FileEvent): void {
    const place = savedAs === null ? {} : { savedAs: savedAs.join('/') };
    const problem = error === null ? {} : { error: { code: error.code, message: error.message } };
    this.#write('file', { path: path.join('/'), sizeBytes, blake3, status, ...place, ...problem });
  }

  /** Something to hear of, though it goes on by itself. */
  warning({ code, message, hint }: SluiceError): void {
    this.#write('warning', { code, message, hint });
  }

  transfer(transfer: ListedTransfer): void {
    const { id, link, name, state, sizeBytes, durableBytes, createdAtMs, expiresAtMs } = transfer;
    this.#write('transfer', {
      id,
      link,
      name,
      state,
      sizeBytes,
      durableBytes,
      createdAt: isoTime(createdAtMs),
      expiresAt: isoTime(expiresAtMs),
    });
  }

  sent({ id, files, sizeBytes, seconds, link }: SendSummary): void {
    this.#end('done', { id, files, sizeBytes, seconds: roundSeconds(seconds), link });
  }

  /** `directory` is null when the content went to standard output. */
  received({ id, files, sizeBytes, seconds }: ReceiveSummary, directory: string | null): void {
    this.#end('done', { id, files, sizeBytes, seconds: roundSeconds(seconds), directory });
  }

  done(fields: Readonly<Record<string, unknown>>): void {
    this.#end('done', fields);
  }

  error(error: SluiceError): void {
    const { code, message, hint, exitCode } = error;
    this.#end('error', { code, message, hint, exitCode });
  }

  #end(type: string, fields: object): void {
    this.#write(type, fields);
    this.#isEnded = true;
  }

  #write(type: string, fields: object): void {
    if (this.#isEnded) return;
    this.#output.write(`${jsonLine({ v: 1, type, ...fields })}\n`);
  }
}

/**
 * JSON on one line, the same to a parser, with everything escaped that could act on a terminal: names from a peer
 * may end up on a screen this way too.
 */
export function jsonLine(value: object): string {
  return JSON.stringify(value).replace(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, unit) => escaped(character.charCodeAt(unit))).join(''),
  );
}

/** JSON.stringify itself escapes C0 controls and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

function escaped(codeUnit: number): string {
  return `\\u${codeUnit.toString(16).padStart(4, '0')}`;
}

/** Seconds to the millisecond: more digits are noise. */
function roundSeconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

function isoTime(ms: number | null): string | null {
  // Beyond what a Date can hold nothing sensible can be said.
  return ms === null || !(Math.abs(ms) <= 8.64e15) ? null : new Date(ms).toISOString();
}
