/** A stream on which a peer sends records: hands them to the transfer's writer and tells the peer what became of them. */
import { type LogPoint, type OpenSend, type ReceiverSummary, SluiceError } from '../../protocol/index.ts';
import type { Lease } from '../hub/open-transfers.ts';
import { textOf } from '../hub/transfer-document.ts';
import type { Writer, WriterListener } from '../hub/writer.ts';
import type { StreamContext, StreamUse } from './stream.ts';

export class SenderStream implements StreamUse, WriterListener {
  readonly #context: StreamContext;
  readonly #lease: Lease;
  #writer: Writer | null = null;
  #isReleased = false;

  constructor(context: StreamContext, lease: Lease) {
    this.#context = context;
    this.#lease = lease;
  }

  /** Claims the transfer and answers `opened`. @throws SluiceError `fenced`, or what the log fails with. */
  async open(message: OpenSend): Promise<void> {
    const { transfer } = this.#lease;
    const claim = { session: textOf(message.session), attempt: message.attempt };
    const writer = await transfer.openWriter(claim, this);
    if (this.#isReleased) return writer.close();
    this.#writer = writer;
    const { connection, stream } = this.#context;
    const { index, chain, position, nextFile, openFiles, endedFiles, contentBytes, isSealed } =
      transfer.durable;
    connection.setPriority(stream, message.priority);
    connection.send({
      type: 'opened',
      role: 'send',
      stream,
      epoch: writer.epoch,
      durable: { index, chain },
      position,
      nextFile,
      openFiles,
      endedFiles,
      contentBytes,
      isSealed,
      credit: connection.grantCredit(stream, transfer.recordSizeBytes),
      expiresAtMs: transfer.expiresAtMs,
    });
    this.#context.flush();
  }

  // --- from the peer ------------------------------------------------------------------------------------------------

  handleRecords(chunk: Uint8Array): void {
    this.#writer?.append(chunk);
  }

  handleNack(): void {
    throw new SluiceError('protocol', 'A sender rejected a record.');
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#writer?.close();
    this.#lease.release();
  }

  // --- from the transfer --------------------------------------------------------------------------------------------

  onWritten(bytes: number, index: number): void {
    const { connection, stream, clock } = this.#context;
    connection.consumed(stream, bytes, clock.now());
    connection.acknowledge(stream, { received: index });
    this.#context.flush();
  }

  onDropped(bytes: number): void {
    const { connection, stream, clock } = this.#context;
    connection.consumed(stream, bytes, clock.now());
    this.#context.flush();
  }

  onDurable({ index, chain }: LogPoint): void {
    const { connection, stream } = this.#context;
    connection.acknowledge(stream, { durable: { index, chain } });
    this.#context.flush();
  }

  onDamaged(index: number): void {
    const { connection, stream } = this.#context;
    connection.send({ type: 'nack', stream, index });
    this.#context.flush();
  }

  onReceivers(receivers: readonly ReceiverSummary[]): void {
    const { connection, stream } = this.#context;
    connection.send({ type: 'receivers', stream, receivers });
    this.#context.flush();
  }

  onEnded(error: SluiceError): void {
    this.#context.reset(error);
  }
}
