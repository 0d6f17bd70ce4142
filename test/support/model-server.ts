// A small server for simulations: one transfer, in memory, by the rules of the specification and with a storage that
// takes its time. It shows what a server has to do, and nothing of how a fast one does it.
import {
  Connection,
  type ConnectionEvent,
  emptyLog,
  intactRecordsIn,
  type LogPoint,
  LogState,
  type OpenReceive,
  type OpenSend,
  type Outbox,
  SluiceError,
} from '../../src/protocol/index.ts';
import { ConnectionDriver, type MessageTransport } from '../../src/runtime/index.ts';
import { digester } from './digester.ts';
import { RECORD_SIZE } from './log-fixtures.ts';
import type { Chance, SimulatedTime } from './simulated-world.ts';

interface StoredRecord {
  readonly bytes: Uint8Array;
  readonly digest: Uint8Array;
  isWritten: boolean;
}

interface WriterStream {
  readonly driver: ConnectionDriver;
  readonly stream: number;
  readonly session: string;
  readonly attempt: number;
  isWaitingForRepair: boolean;
}

interface Reader extends Outbox {
  readonly driver: ConnectionDriver;
  readonly stream: number;
  index: number;
}

export interface ModelServerOptions {
  readonly headerHash: Uint8Array;
  readonly header: Uint8Array;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
}

export class ModelServer {
  readonly #time: SimulatedTime;
  readonly #chance: Chance;
  readonly #options: ModelServerOptions;
  readonly #drivers = new Set<ConnectionDriver>();
  readonly #readers = new Set<Reader>();
  #records: StoredRecord[] = [];
  /** The log at every index. */
  #states: ReturnType<LogState['snapshot']>[];
  #writer: WriterStream | null = null;
  #writtenIndex = 0;
  #durableIndex = 0;
  #epoch = 0;
  /** Rises with each power failure: what was begun before it never ends. */
  #life = 0;
  /** Errors that ended connections or streams from this side. */
  readonly errors: SluiceError[] = [];

  constructor(time: SimulatedTime, chance: Chance, options: ModelServerOptions) {
    this.#time = time;
    this.#chance = chance;
    this.#options = options;
    this.#states = [emptyLog(options.headerHash)];
    this.#commitLater();
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** Bytes this side holds for its peers. */
  heldBytes(): number {
    return this.#writer === null ? 0 : this.#writer.driver.connection.heldBytes(this.#writer.stream);
  }

  accept(transport: MessageTransport): void {
    const { streamWindowBytes, connectionWindowBytes } = this.#options;
    const connection = new Connection(
      { role: 'server', software: 'model', streamWindowBytes, connectionWindowBytes },
      this.#time.now(),
    );
    const driver: ConnectionDriver = new ConnectionDriver({
      connection,
      transport,
      clock: this.#time,
      onEvent: (event) => this.#handle(driver, event),
    });
    this.#drivers.add(driver);
  }

  /** The power fails: connections are gone, and everything that was not durable. */
  fail(): void {
    this.#life += 1;
    for (const driver of [...this.#drivers]) driver.connection.handleClosed(new SluiceError('unreachable'));
    this.#drivers.clear();
    this.#readers.clear();
    this.#writer = null;
    this.#records = this.#records.slice(0, this.#durableIndex);
    this.#states = this.#states.slice(0, this.#durableIndex + 1);
    this.#writtenIndex = this.#durableIndex;
  }

  #handle(driver: ConnectionDriver, event: ConnectionEvent): void {
    if (!this.#drivers.has(driver)) return;
    if (event.type === 'records') return this.#handleRecords(driver, event.stream, event.chunk);
    if (event.type === 'ended') {
      if (event.error !== null && event.isLocal) this.errors.push(event.error);
      this.#drivers.delete(driver);
      for (const reader of this.#readers) if (reader.driver === driver) this.#readers.delete(reader);
      if (this.#writer?.driver === driver) this.#writer = null;
    }
    if (event.type !== 'message') return;
    const { message } = event;
    if (message.type === 'open') {
      if (message.role === 'send') this.#openToWrite(driver, message);
      else this.#openToRead(driver, message);
    } else if (message.type === 'nack') {
      for (const reader of this.#readers) {
        if (reader.driver !== driver || reader.stream !== message.stream) continue;
        reader.index = Math.min(reader.index, message.index);
        driver.connection.abandonPartial(message.stream);
        driver.connection.wake(message.stream);
      }
    } else if (message.type === 'close' || message.type === 'reset') {
      for (const reader of this.#readers) {
        if (reader.driver === driver && reader.stream === message.stream) this.#readers.delete(reader);
      }
      if (this.#writer?.driver === driver && this.#writer.stream === message.stream) this.#writer = null;
    }
  }

  // --- writing ------------------------------------------------------------------------------------------------------

  /** SPEC 8.3: fence first, then commit everything received, then answer. */
  #openToWrite(driver: ConnectionDriver, { stream, session, attempt }: OpenSend): void {
    const claim = { driver, stream, session: Buffer.from(session).toString('hex'), attempt };
    const old = this.#writer;
    if (old !== null && old.session === claim.session && old.attempt > attempt) {
      return driver.connection.resetStream(stream, new SluiceError('fenced'));
    }
    if (old !== null) {
      old.driver.connection.resetStream(old.stream, new SluiceError('fenced'));
      old.driver.flush();
    }
    const writer: WriterStream = { ...claim, isWaitingForRepair: false };
    this.#writer = writer;
    const life = this.#life;
    const answerWhenDurable = (): void => {
      if (this.#writer !== writer || life !== this.#life) return;
      if (this.#durableIndex < this.#records.length) {
        this.#time.setTimer(answerWhenDurable, 1);
        return;
      }
      this.#epoch += 1;
      const { index, chain, ...rest } = this.#states.at(-1) as ReturnType<LogState['snapshot']>;
      const credit = driver.connection.grantCredit(stream, RECORD_SIZE);
      driver.connection.send({
        type: 'opened',
        role: 'send',
        stream,
        epoch: this.#epoch,
        durable: { index, chain },
        ...rest,
        credit,
        expiresAtMs: 0,
      });
      driver.flush();
    };
    answerWhenDurable();
  }

  #handleRecords(driver: ConnectionDriver, stream: number, chunk: Uint8Array): void {
    const writer = this.#writer;
    if (writer?.driver !== driver || writer.stream !== stream) return;
    const { connection } = driver;
    const { records, damagedBytes } = intactRecordsIn(chunk, digester);
    let droppedBytes = damagedBytes;
    for (const { header, digest, bytes } of records) {
      const next = this.#records.length;
      if (header.index < next) {
        // SPEC 8.5: the same again is fine, another is not.
        if (!Buffer.from(digest).equals((this.#records[header.index] as StoredRecord).digest)) {
          this.errors.push(new SluiceError('conflict'));
        }
        droppedBytes += bytes.length;
      } else if (header.index > next && writer.isWaitingForRepair) {
        droppedBytes += bytes.length;
      } else {
        writer.isWaitingForRepair = false;
        const state = new LogState(
          this.#states[next] as ReturnType<LogState['snapshot']>,
          RECORD_SIZE,
          digester,
        );
        try {
          state.apply(header, digest);
        } catch (error) {
          return connection.close(SluiceError.from(error));
        }
        this.#states.push(state.snapshot());
        this.#store({ bytes, digest, isWritten: false }, writer);
      }
    }
    if (droppedBytes > 0) connection.consumed(stream, droppedBytes, this.#time.now());
    if (damagedBytes > 0) {
      writer.isWaitingForRepair = true;
      connection.send({ type: 'nack', stream, index: this.#records.length });
    }
  }

  /** Writes end in any order and at any time; what counts is the prefix that is written. */
  #store(record: StoredRecord, { driver, stream }: WriterStream): void {
    const life = this.#life;
    this.#records.push(record);
    this.#time.setTimer(
      () => {
        if (life !== this.#life) return;
        record.isWritten = true;
        while (this.#records[this.#writtenIndex]?.isWritten === true) this.#writtenIndex += 1;
        driver.connection.consumed(stream, record.bytes.length, this.#time.now());
        driver.connection.acknowledge(stream, { received: this.#writtenIndex });
        driver.flush();
        for (const reader of this.#readers) {
          reader.driver.connection.wake(reader.stream);
          reader.driver.flush();
        }
      },
      this.#chance.pick([0, 1, 5, 40, 300]),
    );
  }

  #commitLater(): void {
    this.#time.setTimer(() => {
      const [life, index] = [this.#life, this.#writtenIndex];
      this.#time.setTimer(
        () => {
          if (life === this.#life && index > this.#durableIndex) this.#setDurable(index);
          this.#commitLater();
        },
        this.#chance.pick([0, 30, 1_500]),
      );
    }, 20);
  }

  #setDurable(index: number): void {
    this.#durableIndex = index;
    const durable = this.#pointAt(index);
    for (const one of [...this.#readers, ...(this.#writer === null ? [] : [this.#writer])]) {
      one.driver.connection.acknowledge(one.stream, { durable });
      one.driver.flush();
    }
  }

  #pointAt(index: number): LogPoint {
    return { index, chain: (this.#states[index] as ReturnType<LogState['snapshot']>).chain };
  }

  // --- reading ------------------------------------------------------------------------------------------------------

  #openToRead(driver: ConnectionDriver, { stream, from, credit }: OpenReceive): void {
    const { connection } = driver;
    const known = from === null ? this.#pointAt(0) : this.#states[from.index];
    // SPEC 9.3.
    const isOurs =
      known !== undefined &&
      (from === null || (Buffer.from(from.chain).equals(known.chain) && from.index <= this.#writtenIndex));
    if (!isOurs) return connection.resetStream(stream, new SluiceError('chainMismatch'));
    const reader: Reader = {
      driver,
      stream,
      index: known.index,
      nextLength: () =>
        reader.index < this.#writtenIndex ? (this.#records[reader.index]?.bytes.length ?? 0) : 0,
      take: () => (this.#records[reader.index++] as StoredRecord).bytes,
    };
    this.#readers.add(reader);
    connection.send({
      type: 'opened',
      role: 'receive',
      stream,
      receiverId: 'r',
      header: this.#options.header,
      from: this.#pointAt(known.index),
      durable: this.#pointAt(this.#durableIndex),
      state: 'live',
      isSenderConnected: true,
      expiresAtMs: 0,
    });
    connection.attachOutbox(stream, reader, credit);
  }
}
