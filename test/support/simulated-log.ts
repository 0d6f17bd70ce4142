// A TransferLog on the model disk, with a fake clock and a sender, for tests of the log.
import { expect } from 'vitest';
import { recordsIn, type SluiceError } from '../../src/protocol/index.ts';
import { TransferLog, type TransferLogOptions } from '../../src/server/log/transfer-log.ts';
import { digester } from './digester.ts';
import { FakeClock } from './fake-clock.ts';
import { joined, RECORD_SIZE, startOfLog } from './log-fixtures.ts';
import { RecordMaker } from './record-maker.ts';
import { SimulatedDisk } from './simulated-disk.ts';

export const LOG_ID = 'AAAAAAAAAAAAAAAAAAAAA0';

export class SimulatedLog {
  readonly clock = new FakeClock();
  readonly disk: SimulatedDisk = new SimulatedDisk({ clock: this.clock });
  /** What the listener was told, in order, among the calls of the disk. */
  readonly events: string[] = this.disk.trace;
  readonly failures: SluiceError[] = [];
  readonly maker = new RecordMaker();
  log!: TransferLog;

  async open(options: Partial<TransferLogOptions> = {}): Promise<void> {
    const storage = await this.disk.open(LOG_ID);
    this.log = await this.clock.until(
      TransferLog.open(storage, {
        headerHash: startOfLog().chain,
        recordSizeBytes: RECORD_SIZE,
        digester,
        clock: this.clock,
        durability: 'disk',
        ...options,
      }),
    );
    this.log.setListener({
      onWritten: (chunk, first, next) => {
        expect(next.position - first.position).toBe(chunk.length);
        this.events.push(`onWritten ${first.index}..${next.index}`);
      },
      onDurable: ({ index }) => this.events.push(`onDurable ${index}`),
      onFailed: (error) => {
        this.failures.push(error);
        this.events.push(`onFailed ${error.code}`);
      },
    });
  }

  /** Closes the log and opens it with other options; events start anew. */
  async reopen(options: Partial<TransferLogOptions> = {}): Promise<void> {
    await this.clock.until(this.log.close());
    this.events.length = 0;
    await this.open(options);
  }

  async readAll(maxBytes = 1_000): Promise<Uint8Array[]> {
    const records: Uint8Array[] = [];
    for (let position = 0; position < this.log.written.position; ) {
      const { chunk, records: count } = await this.clock.until(this.log.read(position, maxBytes));
      const found = recordsIn(chunk);
      expect(found).toHaveLength(count);
      expect(count).toBeGreaterThan(0);
      records.push(...found.map(({ bytes }) => new Uint8Array(bytes)));
      position += chunk.length;
    }
    return records;
  }

  async allDigests(): Promise<Uint8Array[]> {
    const digests: Uint8Array[] = [];
    for (let i = 0; i < this.log.received.index; i++) {
      digests.push(new Uint8Array(await this.clock.until(this.log.digestAt(i))));
    }
    return digests;
  }

  /** Writes `committed` records durably and `written` more without a commit, then the process dies. */
  async dieWith(committed: number, written: number): Promise<Uint8Array[]> {
    const records = this.maker.many(committed + written, 50);
    if (committed > 0) this.log.append(joined(records.slice(0, committed)));
    await this.clock.until(this.log.commit());
    for (const record of records.slice(committed)) this.log.append(record);
    await this.clock.advance(15);
    this.disk.kill();
    return records;
  }
}

export function digestsOf(records: readonly Uint8Array[]): Uint8Array[] {
  return records.map((record) => record.slice(-32));
}
