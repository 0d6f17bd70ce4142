/** A stream on which a peer receives records: lets the connection take them from a cursor, and passes on its news. */
import { type LogPoint, MAX_REPAIRS, type OpenReceive, SluiceError } from '../../protocol/index.ts';
import type { Follower, FollowerListener, TransferStatus } from '../hub/audience.ts';
import type { Lease } from '../hub/open-transfers.ts';
import type { StreamContext, StreamUse } from './stream.ts';

export class ReceiverStream implements StreamUse, FollowerListener {
  readonly #context: StreamContext;
  readonly #lease: Lease;
  #follower: Follower | null = null;
  /** Credit the peer began with, bytes: what of it is missing is on its way. */
  #windowBytes = 0;
  #nackedIndex = -1;
  #repairs = 0;
  #isReleased = false;

  constructor(context: StreamContext, lease: Lease) {
    this.#context = context;
    this.#lease = lease;
  }

  /** Answers `opened` and begins to give records. @throws SluiceError `chainMismatch`, `corrupted`. */
  async open(message: OpenReceive): Promise<void> {
    const { transfer } = this.#lease;
    const place = await transfer.findPlace(message.from);
    if (this.#isReleased) return;
    this.#windowBytes = message.credit;
    const follower = transfer.follow(place, this);
    this.#follower = follower;
    const { connection, stream } = this.#context;
    const { index, chain } = transfer.durable;
    connection.send({
      type: 'opened',
      role: 'receive',
      stream,
      receiverId: follower.id,
      header: transfer.headerBytes,
      from: { index: place.index, chain: place.chain },
      durable: { index, chain },
      ...transfer.status,
    });
    connection.setPriority(stream, message.priority);
    connection.attachOutbox(stream, follower.cursor, message.credit);
    this.#context.flush();
  }

  // --- from the peer ------------------------------------------------------------------------------------------------

  handleRecords(): void {
    // Without credit from us this cannot come: the connection ends with `flowControl` before.
  }

  handleNack(index: number): void {
    const follower = this.#follower;
    if (follower === null) throw new SluiceError('protocol', 'A record was rejected before any was sent.');
    this.#repairs = index <= this.#nackedIndex ? this.#repairs + 1 : 1;
    this.#nackedIndex = index;
    if (this.#repairs > MAX_REPAIRS)
      throw new SluiceError('digestMismatch', `Record ${index}, again and again.`);
    this.#context.connection.abandonPartial(this.#context.stream);
    follower.cursor.rewindTo(index);
  }

  release(isComplete: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#follower !== null) this.#lease.transfer.unfollow(this.#follower, isComplete);
    this.#lease.release();
  }

  // --- from the transfer --------------------------------------------------------------------------------------------

  creditBytes(): number {
    return this.#context.connection.availableCredit(this.#context.stream);
  }

  receivedBytes(): number {
    const onTheirWay = Math.max(0, this.#windowBytes - this.creditBytes());
    return Math.max(0, (this.#follower?.cursor.position ?? 0) - onTheirWay);
  }

  onReady(): void {
    this.#context.connection.wake(this.#context.stream);
    this.#context.flush();
  }

  onStatus(status: TransferStatus): void {
    this.#context.connection.send({ type: 'state', stream: this.#context.stream, ...status });
    this.#context.flush();
  }

  onDurable({ index, chain }: LogPoint): void {
    this.#context.connection.acknowledge(this.#context.stream, { durable: { index, chain } });
    this.#context.flush();
  }

  onEnded(error: SluiceError): void {
    this.#context.reset(error);
  }
}
