/**
 * One stream of a connection: what it may send and receive (credit), where its records come from (outbox), what of a
 * record is half sent or half received, and what the peer is to be told next (ack). The connection decides whose turn it is.
 */
import type { LogPoint, StreamAck } from './control-message.ts';
import { type CreditGrant, CreditLimit } from './credit.ts';
import {
  encodeFragmentHeader,
  encodeRecordsHeader,
  FragmentAssembler,
  type FragmentMessage,
  type RecordsMessage,
} from './data-message.ts';
import { decodeRecordHeader } from './record.ts';
import { SluiceError } from './sluice-error.ts';

/** Where the records of a stream come from. Its owner calls `wake` when there is something after there was nothing. */
export interface Outbox {
  /**
   * Length of what `take` would return next, or 0 when there is nothing now. Whole records: at most `maxBytes` of
   * them, but one record even when that is longer.
   */
  nextLength(maxBytes: number): number;
  /** The piece that the last `nextLength` spoke of. Called only after it said more than 0. */
  take(): Uint8Array;
}

/** A data message as parts to be sent as one, and how many bytes of records are in it. */
export interface OutboundData {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

/** What arrived: whole records if any are complete, and bytes of a half record that its sender gave up. */
export interface InboundData {
  readonly chunk: Uint8Array | null;
  readonly abandonedBytes: number;
}

interface PartialRecord {
  readonly record: Uint8Array;
  readonly index: number;
  /** Bytes sent so far. */
  offset: number;
}

export class Stream {
  readonly id: number;
  /** What the peer lets us send. */
  readonly limit: CreditLimit = new CreditLimit(0);
  /** What we let the peer send; null before anything was granted. */
  grant: CreditGrant | null = null;
  outbox: Outbox | null = null;
  lastConsumedAt: number;
  readonly #fragments = new FragmentAssembler();
  /** A record that is being sent in fragments. */
  #partial: PartialRecord | null = null;
  #received: number | null = null;
  #durable: LogPoint | null = null;
  /** Bytes consumed when the peer was last told what is durable. */
  #consumedAtDurable = 0;

  constructor(id: number, now: number) {
    this.id = id;
    this.lastConsumedAt = now;
  }

  // --- sending -----------------------------------------------------------------------------------------------------

  get canSend(): boolean {
    const { availableBytes } = this.limit;
    if (this.#partial !== null) return availableBytes > 0;
    const length = this.outbox?.nextLength(availableBytes) ?? 0;
    return length > 0 && length <= availableBytes;
  }

  /** Records up to `maxBytes`, or one fragment of a longer one; null when there is nothing or no credit. */
  nextData(maxBytes: number): OutboundData | null {
    const outbox = this.outbox;
    if (outbox === null || !this.canSend) return null;
    const budget = Math.min(maxBytes, this.limit.availableBytes);
    if (this.#partial === null && outbox.nextLength(budget) > maxBytes) {
      const record = outbox.take();
      this.#partial = { record, index: decodeRecordHeader(record).index, offset: 0 };
    }
    const data = this.#partial === null ? this.#batch(outbox, budget) : this.#fragment(this.#partial, budget);
    this.limit.spend(data.bytes);
    return data;
  }

  /** The outbox jumped: a half-sent record is given up. */
  abandonPartial(): void {
    this.#partial = null;
  }

  #batch(outbox: Outbox, budget: number): OutboundData {
    const parts: Uint8Array[] = [encodeRecordsHeader(this.id)];
    let bytes = 0;
    for (
      let length = outbox.nextLength(budget);
      length > 0 && bytes + length <= budget;
      length = outbox.nextLength(budget - bytes)
    ) {
      parts.push(outbox.take());
      bytes += length;
    }
    return { parts, bytes };
  }

  #fragment(partial: PartialRecord, budget: number): OutboundData {
    const { record, index, offset } = partial;
    const end = Math.min(record.length, offset + budget);
    const isLast = end === record.length;
    partial.offset = end;
    if (isLast) this.#partial = null;
    const header = encodeFragmentHeader({
      stream: this.id,
      index,
      offset,
      recordBytes: record.length,
      isLast,
    });
    return { parts: [header, record.subarray(offset, end)], bytes: end - offset };
  }

  // --- receiving ---------------------------------------------------------------------------------------------------

  /** @throws SluiceError `flowControl` beyond the grant, `protocol` for fragments out of order. */
  receive(message: RecordsMessage | FragmentMessage): InboundData {
    if (this.grant === null || !this.grant.receive(message.chunk.length))
      throw new SluiceError('flowControl');
    // SPEC 4.4: a sender that went back gives up a half-sent record.
    const isNewRecord = message.type === 'records' || message.offset === 0;
    const abandonedBytes = isNewRecord && this.#fragments.heldBytes > 0 ? this.#fragments.abandon() : 0;
    return {
      chunk: message.type === 'records' ? message.chunk : this.#fragments.add(message),
      abandonedBytes,
    };
  }

  // --- what the peer is told ---------------------------------------------------------------------------------------

  acknowledge({ received, durable }: { received?: number; durable?: LogPoint }): void {
    if (received !== undefined) this.#received = received;
    if (durable !== undefined) this.#durable = durable;
  }

  /** The peer may be standing still until it is told. */
  get isAckUrgent(): boolean {
    const { grant } = this;
    if (grant === null) return false;
    // A sender that holds what is not durable waits for that news as it waits for credit.
    const isDurableDue = grant.consumedBytes - this.#consumedAtDurable >= grant.dueBytes;
    return grant.isDue || (this.#durable !== null && isDurableDue);
  }

  /** What is new since the last time, or null. */
  takeAck(): StreamAck | null {
    const credit = this.grant?.pollLimit() ?? null;
    const ack: StreamAck = { stream: this.id, credit, received: this.#received, durable: this.#durable };
    if (this.#durable !== null) this.#consumedAtDurable = this.grant?.consumedBytes ?? 0;
    this.#received = null;
    this.#durable = null;
    return credit === null && ack.received === null && ack.durable === null ? null : ack;
  }

  close(): void {
    this.grant?.close();
  }
}
