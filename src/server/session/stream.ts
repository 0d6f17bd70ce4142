/** What the streams of a connection have in common: the use that a peer makes of one transfer. */
import type { Connection, SluiceError } from '../../protocol/index.ts';
import type { Clock } from '../../runtime/index.ts';

/** A stream that was opened for sending or receiving. */
export interface StreamUse {
  handleRecords(chunk: Uint8Array): void;
  /** @throws SluiceError to reset the stream. */
  handleNack(index: number): void;
  /** The stream is over, by whomever. Called once; nothing may be sent on it any more. */
  release(isComplete: boolean): void;
}

/** What a stream may do to its connection. */
export interface StreamContext {
  readonly stream: number;
  readonly connection: Connection;
  readonly clock: Clock;
  /** Sends what was queued. */
  flush(): void;
  /** Ends the stream with an error and releases its use. */
  reset(error: SluiceError): void;
}
