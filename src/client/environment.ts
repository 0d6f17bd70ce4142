/** What the client needs from where it runs. `sluice/node` and the browser entry fill it in; tests bring their own. */
import type { Digester, Inflate } from '../protocol/index.ts';
import type { Clock, Connector, RandomSource } from '../runtime/index.ts';

export interface ClientEnvironment {
  readonly connect: Connector;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly digester: Digester;
  readonly inflate: Inflate;
  /** Name and version of the program, told to the server for its logs. */
  readonly software: string;
}

export interface ClientLimits {
  /** How long the first connection is tried, ms. Default 5,000. */
  readonly connectForMs: number;
  /** How long a lost connection is tried again, ms. Default 3,600,000 (1 h). */
  readonly reconnectForMs: number;
  /** Records a sender keeps until they are durable, bytes. Default 16 MiB: its worst-case memory with one batch more. */
  readonly sendWindowBytes: number;
  /** Plaintext of a record, bytes, 64 KiB to 1 MiB. Default 256 KiB. */
  readonly recordSizeBytes: number;
  /**
   * What a receiver lets the server send ahead, bytes. Default 8 MiB: its worst-case memory per transfer. At least two
   * of the largest records (2 MiB) at the first connection, when the record size of the transfer is not known yet.
   */
  readonly receiveWindowBytes: number;
}

export const DEFAULT_CLIENT_LIMITS: ClientLimits = {
  connectForMs: 5_000,
  reconnectForMs: 3_600_000,
  sendWindowBytes: 16 * 1024 * 1024,
  recordSizeBytes: 256 * 1024,
  receiveWindowBytes: 8 * 1024 * 1024,
};
