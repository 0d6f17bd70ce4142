/**
 * What a sender is told about its receivers: who joined, how far each is, who is done, who left. Collects and
 * summarises; when to tell is for the transfer.
 *
 * Memory: at most `MAX_RECEIVERS` receivers; the oldest that have gone are forgotten first, further ones not counted.
 */
import type { ReceiverSummary } from '../../protocol/index.ts';

const MAX_RECEIVERS = 4_096;
export const MAX_SUMMARIES_PER_MESSAGE = 256;

interface Entry {
  summary: ReceiverSummary;
  /** Null when it has gone. */
  receivedBytes: (() => number) | null;
  isNews: boolean;
}

export class ReceiverBoard {
  readonly #entries = new Map<string, Entry>();

  /** `receivedBytes` is asked when a summary is made. */
  join(receiverId: string, receivedBytes: () => number): void {
    if (this.#entries.size >= MAX_RECEIVERS && !this.#forgetOne()) return;
    const summary: ReceiverSummary = { receiverId, event: 'joined', receivedBytes: receivedBytes() };
    this.#entries.set(receiverId, { summary, receivedBytes, isNews: true });
  }

  leave(receiverId: string, event: 'done' | 'left', receivedBytes: number): void {
    const entry = this.#entries.get(receiverId);
    if (entry === undefined) return;
    entry.summary = { receiverId, event, receivedBytes };
    entry.receivedBytes = null;
    entry.isNews = true;
  }

  /** A new sender knows nothing: everything is news again. */
  tellAgain(): void {
    for (const entry of this.#entries.values()) entry.isNews = true;
  }

  /** What is new, at most 256; the rest comes with the next call. */
  pollNews(): ReceiverSummary[] {
    const news: ReceiverSummary[] = [];
    for (const [receiverId, entry] of this.#entries) {
      if (news.length >= MAX_SUMMARIES_PER_MESSAGE) break;
      const receivedBytes = entry.receivedBytes?.() ?? entry.summary.receivedBytes;
      if (!entry.isNews && receivedBytes === entry.summary.receivedBytes) continue;
      // "joined" is said once, even if it already has something by then.
      const event = entry.isNews ? entry.summary.event : 'progress';
      news.push({ receiverId, event, receivedBytes });
      entry.summary = { receiverId, event, receivedBytes };
      entry.isNews = false;
      // Told last, asked last: with many receivers everyone gets its turn.
      this.#entries.delete(receiverId);
      this.#entries.set(receiverId, entry);
    }
    return news;
  }

  #forgetOne(): boolean {
    for (const [receiverId, entry] of this.#entries) {
      if (entry.receivedBytes === null) return this.#entries.delete(receiverId);
    }
    return false;
  }
}
