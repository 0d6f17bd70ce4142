// A hub on stores in memory and a clock that the test moves, with recording writers and receivers.

import { hashToken } from '../../src/node/index.ts';
import {
  emptyLog,
  encodeTransferHeader,
  LogBuilder,
  type LogPoint,
  type ReceiverSummary,
  type SluiceError,
} from '../../src/protocol/index.ts';
import type { Follower, FollowerListener, TransferStatus } from '../../src/server/hub/audience.ts';
import { Hub, type HubLimits } from '../../src/server/hub/hub.ts';
import type { Lease } from '../../src/server/hub/open-transfers.ts';
import type { TransferDocument } from '../../src/server/hub/transfer-document.ts';
import type { Writer, WriterListener } from '../../src/server/hub/writer.ts';
import type { LogStore } from '../../src/server/log/log-store.ts';
import { MemoryLogStore } from '../../src/server/log/memory-log-store.ts';
import { silentLogger } from '../../src/server/logger.ts';
import { MemoryMetadataStore } from '../../src/server/metadata/memory-metadata-store.ts';
import type { MetadataStore } from '../../src/server/metadata/metadata-store.ts';
import { blake3, digester } from './digester.ts';
import { FakeClock } from './fake-clock.ts';
import { dataRecord, emptyManifest, RECORD_SIZE } from './log-fixtures.ts';

const MIB = 1024 * 1024;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export const hubLimits: HubLimits = {
  durability: 'disk',
  maxTransfers: 100,
  minFreeBytes: 0,
  hotBytesPerTransfer: 16 * MIB,
  hotBytesTotal: 64 * MIB,
  readAheadBytesTotal: 64 * MIB,
  defaultExpiryMs: DAY_MS,
  maxExpiryMs: 7 * DAY_MS,
  tombstoneMs: 7 * DAY_MS,
  idleCloseMs: 10_000,
  sweepMs: 60_000,
};

/** A transfer as its sender knows it. */
export class RigTransfer {
  readonly id: Uint8Array;
  readonly writeToken: Uint8Array;
  readonly readToken: Uint8Array;
  readonly header: Uint8Array;
  readonly builder: LogBuilder;

  constructor(seed = 1) {
    this.id = new Uint8Array(16).fill(seed);
    this.writeToken = new Uint8Array(32).fill(seed + 100);
    this.readToken = new Uint8Array(32).fill(seed + 200);
    this.header = encodeTransferHeader({
      id: this.id,
      suite: 'none',
      codecs: ['raw'],
      recordSizeBytes: RECORD_SIZE,
      requires: [],
      commitment: new Uint8Array(32),
    });
    this.builder = new LogBuilder(emptyLog(blake3(this.header)), RECORD_SIZE, digester);
  }

  get request() {
    return {
      id: this.id,
      header: this.header,
      writeToken: this.writeToken,
      readTokenHash: hashToken(this.readToken),
      expiresMs: null as number | null,
    };
  }

  manifest(): Uint8Array {
    return this.builder.manifest({ ...emptyManifest, name: 'rig' });
  }

  /** The next record of file 1, which never ends. */
  data(bytes = 1_000, fill = 7): Uint8Array {
    return dataRecord(this.builder, 1, new Uint8Array(bytes).fill(fill));
  }

  seal(): Uint8Array {
    return this.builder.seal();
  }
}

/** A writer that writes down what it is told. */
export class RigWriter implements WriterListener {
  writer: Writer | null = null;
  lease: Lease | null = null;
  writtenIndex = 0;
  writtenBytes = 0;
  droppedBytes = 0;
  durable: LogPoint | null = null;
  readonly damaged: number[] = [];
  readonly receivers: (readonly ReceiverSummary[])[] = [];
  ended: SluiceError | null = null;

  onWritten(bytes: number, index: number): void {
    this.writtenBytes += bytes;
    this.writtenIndex = index;
  }
  onDropped(bytes: number): void {
    this.droppedBytes += bytes;
  }
  onDurable({ index, chain }: LogPoint): void {
    this.durable = { index, chain };
  }
  onDamaged(index: number): void {
    this.damaged.push(index);
  }
  onReceivers(receivers: readonly ReceiverSummary[]): void {
    this.receivers.push(receivers);
  }
  onEnded(error: SluiceError): void {
    this.ended = error;
    this.lease?.release();
  }

  append(...records: Uint8Array[]): void {
    this.writer?.append(Buffer.concat(records));
  }

  leave(): void {
    this.writer?.close();
    this.lease?.release();
  }
}

/** A receiver that takes everything at once. */
export class RigReceiver implements FollowerListener {
  follower: Follower | null = null;
  lease: Lease | null = null;
  readonly pieces: Uint8Array[] = [];
  readonly states: TransferStatus[] = [];
  readonly durables: number[] = [];
  ended: SluiceError | null = null;
  credit = 1024 * MIB;

  get bytes(): number {
    return this.pieces.reduce((sum, { length }) => sum + length, 0);
  }

  creditBytes(): number {
    return this.credit;
  }
  receivedBytes(): number {
    return this.follower?.cursor.position ?? 0;
  }
  onReady(): void {
    const cursor = this.follower?.cursor;
    if (cursor === undefined) return;
    for (let length = cursor.nextLength(this.credit); length > 0 && length <= this.credit; ) {
      this.pieces.push(cursor.take());
      this.credit -= length;
      length = cursor.nextLength(this.credit);
    }
  }
  onStatus(status: TransferStatus): void {
    this.states.push(status);
  }
  onDurable({ index }: LogPoint): void {
    this.durables.push(index);
  }
  onEnded(error: SluiceError): void {
    this.ended = error;
    this.lease?.release();
  }

  leave(isComplete = false): void {
    if (this.follower !== null) this.lease?.transfer.unfollow(this.follower, isComplete);
    this.lease?.release();
  }
}

export class HubRig {
  readonly clock: FakeClock;
  readonly metadata: MetadataStore<TransferDocument>;
  readonly logs: LogStore;
  readonly hub: Hub;

  static async start(
    options: {
      clock?: FakeClock;
      metadata?: MetadataStore<TransferDocument>;
      logs?: LogStore;
      limits?: Partial<HubLimits>;
    } = {},
  ): Promise<HubRig> {
    const clock = options.clock ?? new FakeClock();
    const metadata = options.metadata ?? new MemoryMetadataStore<TransferDocument>();
    const logs = options.logs ?? new MemoryLogStore();
    const limits = { ...hubLimits, ...options.limits };
    const hub = await Hub.open({ metadata, logs, digester, clock, logger: silentLogger, limits });
    return new HubRig(clock, metadata, logs, hub);
  }

  private constructor(clock: FakeClock, metadata: MetadataStore<TransferDocument>, logs: LogStore, hub: Hub) {
    this.clock = clock;
    this.metadata = metadata;
    this.logs = logs;
    this.hub = hub;
  }

  /** Another hub on the same stores, after this one was closed. */
  async restart(): Promise<HubRig> {
    await this.clock.until(this.hub.close());
    const { clock, metadata, logs } = this;
    return HubRig.start({ clock, metadata, logs });
  }

  async create(transfer: RigTransfer, expiresMs: number | null = null): Promise<RigTransfer> {
    await this.hub.create({ ...transfer.request, expiresMs });
    return transfer;
  }

  async write(transfer: RigTransfer, session = 'session', attempt = 1): Promise<RigWriter> {
    const listener = new RigWriter();
    listener.lease = await this.clock.until(this.hub.openToWrite(transfer.id, transfer.writeToken));
    const opening = listener.lease.transfer.openWriter({ session, attempt }, listener);
    listener.writer = await this.clock.until(opening);
    return listener;
  }

  async read(transfer: RigTransfer, from: LogPoint | null = null, credit?: number): Promise<RigReceiver> {
    const listener = new RigReceiver();
    if (credit !== undefined) listener.credit = credit;
    listener.lease = await this.clock.until(this.hub.openToRead(transfer.id, transfer.readToken));
    const place = await this.clock.until(listener.lease.transfer.findPlace(from));
    listener.follower = listener.lease.transfer.follow(place, listener);
    listener.onReady();
    return listener;
  }

  async document(transfer: RigTransfer): Promise<TransferDocument | null> {
    return (await this.metadata.get(Buffer.from(transfer.id).toString('base64url')))?.value ?? null;
  }
}
