// A sender and a receiver for simulations: they do what the specification says, connect again when they are cut off, and
// check what must hold at every step.
import {
  Connection,
  type ConnectionEvent,
  encodeTransferHeader,
  LogBuilder,
  LogReader,
  type LogSnapshot,
  type Priority,
  SendWindow,
  SluiceError,
  type SluiceErrorCode,
} from '../../src/protocol/index.ts';
import { ConnectionDriver, type MessageTransport } from '../../src/runtime/index.ts';
import { digester } from './digester.ts';
import {
  contentOf,
  dataRecord,
  emptyManifest,
  endOf,
  header,
  packed,
  RECORD_SIZE,
  startOfLog,
} from './log-fixtures.ts';
import type { Chance, SimulatedTime } from './simulated-world.ts';

export interface Network {
  readonly time: SimulatedTime;
  readonly chance: Chance;
  /** A new connection to the server. */
  connect(): MessageTransport;
}

const PRIORITIES: readonly Priority[] = ['interactive', 'normal', 'background'];
/** Ways a connection or stream may end in a simulation that obeys the rules. */
const EXPECTED: readonly SluiceErrorCode[] = [
  'unreachable',
  'peerTimeout',
  'chainMismatch',
  'digestMismatch',
  'fenced',
];

/** What sender and receiver have in common: one stream, opened again and again. */
abstract class ModelClient {
  protected readonly network: Network;
  protected driver: ConnectionDriver | null = null;
  protected stream = 0;
  /** Errors that must not happen. */
  readonly problems: string[] = [];

  constructor(network: Network) {
    this.network = network;
  }

  start(): void {
    const { time } = this.network;
    const connection = new Connection(
      { role: 'client', software: 'model', streamWindowBytes: 300_000, connectionWindowBytes: 400_000 },
      time.now(),
    );
    const driver: ConnectionDriver = new ConnectionDriver({
      connection,
      transport: this.network.connect(),
      clock: time,
      onEvent: (event) => {
        if (this.driver === driver) this.#handle(event);
      },
    });
    this.driver = driver;
    this.#open();
  }

  changePriority(): void {
    this.driver?.connection.setPriority(this.stream, this.network.chance.pick(PRIORITIES));
    this.driver?.flush();
  }

  #open(): void {
    const { connection } = this.driver as ConnectionDriver;
    this.stream = connection.openStream(this.network.chance.pick(PRIORITIES), this.network.time.now());
    this.open(connection, this.stream);
    this.driver?.flush();
  }

  #handle(event: ConnectionEvent): void {
    try {
      if (event.type === 'ended') this.#handleEnded(event.error);
      else if (event.type === 'message' && event.message.type === 'reset')
        this.#handleReset(event.message.code);
      else this.handle(event, (this.driver as ConnectionDriver).connection);
    } catch (error) {
      const { code } = SluiceError.from(error);
      if (code !== 'digestMismatch') this.problems.push(String(error));
      // Damaged again and again: worth another attempt.
      this.driver?.connection.resetStream(this.stream, new SluiceError(code));
      this.#handleReset(code);
    }
  }

  #handleEnded(error: SluiceError | null): void {
    if (error === null || !EXPECTED.includes(error.code)) this.problems.push(`connection: ${error?.message}`);
    this.driver = null;
    this.handleLost(null);
    this.network.time.setTimer(() => this.start(), this.network.chance.int(0, 400));
  }

  #handleReset(code: SluiceErrorCode): void {
    if (!EXPECTED.includes(code)) this.problems.push(`stream: ${code}`);
    this.handleLost(code);
    const { driver } = this;
    this.network.time.setTimer(() => {
      if (driver !== null && this.driver === driver) this.#open();
    }, 10);
  }

  protected abstract open(connection: Connection, stream: number): void;
  protected abstract handle(event: ConnectionEvent, connection: Connection): void;
  /** The stream is gone, with its connection or alone. */
  protected abstract handleLost(code: SluiceErrorCode | null): void;
}

export const SEND_WINDOW_BYTES = 250_000;
const LARGEST_RECORD_BYTES = RECORD_SIZE + 200;

export class ModelSender extends ModelClient {
  /** A copy of every record, as it was made. */
  readonly sent: Uint8Array[] = [];
  readonly #builder = new LogBuilder(startOfLog(), RECORD_SIZE, digester);
  // A released buffer is used again at once: whoever still needs it will notice.
  readonly #window = new SendWindow({ index: 0, chain: startOfLog().chain }, SEND_WINDOW_BYTES, (bytes) =>
    bytes.fill(0xaa),
  );
  readonly #session = new Uint8Array(16).fill(9);
  readonly #openFiles = new Map<number, Uint8Array>();
  #nextFile = 1;
  #attempt = 0;
  #recordsLeft: number;

  constructor(network: Network, recordCount: number) {
    super(network);
    this.#recordsLeft = recordCount;
    this.#append(this.#builder.manifest({ ...emptyManifest, name: 'simulation' }));
  }

  get isDone(): boolean {
    return this.#builder.state.isSealed && this.#window.isEmpty;
  }

  get durableIndex(): number {
    return this.#window.durable.index;
  }

  /** Makes a record of any kind, if there is room. */
  produce(): void {
    if (this.#builder.state.isSealed || !this.#window.hasRoom) return;
    const { chance } = this.network;
    this.#recordsLeft -= 1;
    if (this.#recordsLeft <= 0) {
      const [open] = this.#openFiles;
      if (open === undefined) this.#append(this.#builder.seal());
      else this.#endFile(open[0], open[1]);
    } else {
      const [open] = this.#openFiles;
      if (open !== undefined && chance.chance(0.3)) this.#endFile(open[0], open[1]);
      else if (open !== undefined && chance.chance(0.5)) this.#addTo(open[0], open[1]);
      else if (this.#openFiles.size < 5 && chance.chance(0.6))
        this.#addTo(this.#nextFile++, new Uint8Array(0));
      else if (chance.chance(0.2)) this.#append(this.#builder.manifest(emptyManifest));
      else {
        const files = Array.from({ length: chance.int(1, 5) }, () =>
          packed(contentOf(chance.int(0, 3_000), chance.int(1, 1e6))),
        );
        this.#append(this.#builder.pack(this.#nextFile, files));
        this.#nextFile += files.length;
      }
    }
    this.driver?.connection.wake(this.stream);
    this.driver?.flush();
  }

  pause(isPaused: boolean): void {
    this.#window.setPaused(isPaused);
    this.driver?.connection.wake(this.stream);
    this.driver?.flush();
  }

  #addTo(file: number, content: Uint8Array): void {
    const { chance } = this.network;
    const more = contentOf(chance.pick([0, 10, 5_000, RECORD_SIZE]), chance.int(1, 1e6));
    this.#openFiles.set(file, Buffer.concat([content, more]));
    this.#append(dataRecord(this.#builder, file, more));
  }

  #endFile(file: number, content: Uint8Array): void {
    this.#openFiles.delete(file);
    this.#append(dataRecord(this.#builder, file, new Uint8Array(0), endOf(content)));
  }

  #append(record: Uint8Array): void {
    this.sent.push(new Uint8Array(record));
    this.#window.append(record, this.#builder.state.chain, this.#builder.state.contentBytes);
    if (this.#window.heldBytes > SEND_WINDOW_BYTES + LARGEST_RECORD_BYTES)
      this.problems.push('the window holds too much');
  }

  protected override open(connection: Connection, stream: number): void {
    this.#attempt += 1;
    connection.send({
      type: 'open',
      role: 'send',
      stream,
      id: header.id,
      writeToken: new Uint8Array(32),
      session: this.#session,
      attempt: this.#attempt,
      priority: 'normal',
    });
  }

  protected override handle(event: ConnectionEvent, connection: Connection): void {
    if (event.type === 'ack' && event.stream === this.stream && event.durable !== null) {
      this.#window.handleDurable(event.durable);
    }
    if (event.type !== 'message' || event.message.stream !== this.stream) return;
    const { message } = event;
    if (message.type === 'opened' && message.role === 'send') {
      this.#window.handleOpened(message.durable);
      connection.attachOutbox(this.stream, this.#window, message.credit);
    } else if (message.type === 'nack') {
      this.#window.handleNack(message.index);
      connection.abandonPartial(this.stream);
      connection.wake(this.stream);
    }
  }

  protected override handleLost(): void {
    this.#window.handleClosed();
  }
}

export class ModelReceiver extends ModelClient {
  readonly #sender: ModelSender;
  /** Time to write a chunk, ms. */
  readonly #slownessMs: number;
  #reader: LogReader;
  /** The log at every index that was read. */
  #snapshots: LogSnapshot[] = [startOfLog()];
  #durableIndex = 0;
  /** Times it had to go back because the server had lost what it had read. */
  rewinds = 0;
  nacks = 0;

  constructor(network: Network, sender: ModelSender, slownessMs: number) {
    super(network);
    this.#sender = sender;
    this.#slownessMs = slownessMs;
    this.#reader = this.#readerFrom(0);
  }

  get isDone(): boolean {
    return this.#reader.state.isSealed && this.#durableIndex >= this.#reader.state.index;
  }

  get index(): number {
    return this.#reader.state.index;
  }

  #readerFrom(index: number): LogReader {
    this.#snapshots = this.#snapshots.slice(0, index + 1);
    return new LogReader(this.#snapshots[index] as LogSnapshot, RECORD_SIZE, digester, () => {
      throw new SluiceError('unsupported');
    });
  }

  protected override open(connection: Connection, stream: number): void {
    const { index, chain } = this.#reader.state;
    connection.send({
      type: 'open',
      role: 'receive',
      stream,
      id: header.id,
      readToken: new Uint8Array(32),
      from: index === 0 ? null : { index, chain },
      credit: connection.grantCredit(stream, RECORD_SIZE),
      priority: 'normal',
    });
  }

  protected override handle(event: ConnectionEvent, connection: Connection): void {
    if (event.type === 'ack' && event.stream === this.stream && event.durable !== null) {
      this.#durableIndex = Math.max(this.#durableIndex, event.durable.index);
    }
    if (event.type === 'message' && event.message.type === 'opened' && event.message.role === 'receive') {
      this.#durableIndex = Math.max(this.#durableIndex, event.message.durable.index);
      if (Buffer.compare(event.message.header, encodeTransferHeader(header)) !== 0)
        this.problems.push('another header');
    }
    if (event.type === 'records' && event.stream === this.stream)
      this.#handleRecords(event.chunk, connection);
  }

  #handleRecords(chunk: Uint8Array, connection: Connection): void {
    const { time } = this.network;
    const { stream } = this;
    const before = this.#reader.state.index;
    const position = this.#reader.state.position;
    const { records, damagedIndex } = this.#reader.read(chunk);
    // The output is a prefix of what was sent: record by record the very same bytes.
    let bytes = 0;
    for (const [i, one] of records.entries()) {
      bytes += one.bytes;
      if (one.bytes !== this.#sender.sent[before + i]?.length)
        this.problems.push(`record ${before + i} is another one`);
    }
    if (this.#reader.state.position !== position + bytes) this.problems.push('the position is wrong');
    // Only the point after the chunk is needed to open again; those within stay holes.
    this.#snapshots[this.#reader.state.index] = this.#reader.state.snapshot();
    if (damagedIndex !== null) {
      this.nacks += 1;
      connection.send({ type: 'nack', stream, index: damagedIndex });
    }
    const { driver } = this;
    time.setTimer(() => {
      connection.consumed(stream, chunk.length, time.now());
      driver?.flush();
    }, this.#slownessMs);
  }

  protected override handleLost(code: SluiceErrorCode | null): void {
    let index = this.#reader.state.index;
    if (code === 'chainMismatch') {
      // SPEC 9.3: back to the last point the server called durable.
      this.rewinds += 1;
      index = this.#durableIndex;
    }
    while (this.#snapshots[index] === undefined) index -= 1;
    this.#reader = this.#readerFrom(index);
  }

  /** The chain names every byte: equal chains, equal logs. */
  get chain(): Uint8Array {
    return this.#reader.state.chain;
  }
}
