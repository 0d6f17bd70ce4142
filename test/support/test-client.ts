// A small client for tests of the server: the protocol's own parts on a real socket, and nothing of src/client.
import { connectWebSocket, hashToken, systemClock, systemRandom } from '../../src/node/index.ts';
import {
  Connection,
  type ConnectionEvent,
  type Create,
  emptyLog,
  encodeTransferHeader,
  type FileEnd,
  LogBuilder,
  type LogPoint,
  LogReader,
  type LogSnapshot,
  type OpenedReceive,
  type OpenedSend,
  type Outbox,
  SendWindow,
  SluiceError,
  type StateMessage,
  type StreamMessage,
} from '../../src/protocol/index.ts';
import { ConnectionDriver, type MessageTransport } from '../../src/runtime/index.ts';
import { blake3, digester } from './digester.ts';
import { dataRecord, emptyManifest, endOf, RECORD_SIZE } from './log-fixtures.ts';

/** Something to wait for with a reason, so that a test that hangs says what it hangs on. */
const WAIT_MS = 20_000;

/** What was created: everything a peer may know. */
export class TestTransfer {
  readonly id = systemRandom.bytes(16);
  readonly writeToken = systemRandom.bytes(32);
  readonly readToken = systemRandom.bytes(32);
  readonly header: Uint8Array;
  readonly recordSizeBytes: number;

  constructor(recordSizeBytes = RECORD_SIZE) {
    this.recordSizeBytes = recordSizeBytes;
    this.header = encodeTransferHeader({
      id: this.id,
      suite: 'none',
      codecs: ['raw'],
      recordSizeBytes,
      requires: [],
      commitment: new Uint8Array(32),
    });
  }

  get start(): LogSnapshot {
    return emptyLog(blake3(this.header));
  }
}

function createMessage(transfer: TestTransfer, stream: number, expiresMs: number | null): Create {
  const { id, header, writeToken, readToken } = transfer;
  return { type: 'create', stream, id, header, writeToken, readTokenHash: hashToken(readToken), expiresMs };
}

export class TestClient {
  readonly #driver: ConnectionDriver;
  readonly #transport: MessageTransport;
  readonly #handlers = new Map<number, (event: ConnectionEvent) => void>();
  readonly #changes = new Set<() => void>();
  ended: { readonly error: SluiceError | null; readonly isLocal: boolean } | null = null;
  isReady = false;
  isGoingAway = false;

  static async connect(url: string, options: { streamWindowBytes?: number } = {}): Promise<TestClient> {
    const transport = await connectWebSocket(url, new AbortController().signal);
    const client = new TestClient(
      transport,
      (onEvent) =>
        new ConnectionDriver({
          connection: new Connection({ role: 'client', software: 'test', ...options }, systemClock.now()),
          transport,
          clock: systemClock,
          onEvent,
        }),
    );
    await client.until(() => client.isReady || client.ended !== null, 'the greeting');
    return client;
  }

  private constructor(
    transport: MessageTransport,
    drive: (onEvent: (event: ConnectionEvent) => void) => ConnectionDriver,
  ) {
    this.#transport = transport;
    this.#driver = drive((event) => {
      this.#handle(event);
      this.changed();
    });
  }

  get connection(): Connection {
    return this.#driver.connection;
  }

  flush(): void {
    this.#driver.flush();
  }

  close(): void {
    this.#driver.close();
  }

  /** Past the protocol. */
  sendRaw(message: string | readonly Uint8Array[]): void {
    this.#transport.send(message);
  }

  /** Something that `until` may look at has changed. */
  changed(): void {
    for (const look of [...this.#changes]) look();
  }

  /** Resolves when `isTrue`, looked at after every event. */
  until(isTrue: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#changes.delete(look);
        reject(new Error(`waited in vain for ${what}`));
      }, WAIT_MS);
      const look = (): void => {
        if (!isTrue()) return;
        clearTimeout(timer);
        this.#changes.delete(look);
        resolve();
      };
      this.#changes.add(look);
      look();
    });
  }

  openStream(handler: (event: ConnectionEvent) => void): number {
    const stream = this.connection.openStream('normal', systemClock.now());
    this.#handlers.set(stream, handler);
    return stream;
  }

  /** Sends the first message of a new stream and resolves with the first answer. */
  async ask(question: (stream: number) => StreamMessage): Promise<StreamMessage> {
    let answer: StreamMessage | null = null;
    const stream = this.openStream((event) => {
      if (event.type === 'message') answer ??= event.message;
    });
    this.connection.send(question(stream));
    this.flush();
    await this.until(() => answer !== null || this.ended !== null, 'an answer');
    if (answer === null) throw this.ended?.error ?? new Error('the connection ended');
    return answer;
  }

  create(transfer: TestTransfer, expiresMs: number | null = null): Promise<StreamMessage> {
    return this.ask((stream) => createMessage(transfer, stream, expiresMs));
  }

  #handle(event: ConnectionEvent): void {
    if (event.type === 'ready') this.isReady = true;
    else if (event.type === 'goaway') this.isGoingAway = true;
    else if (event.type === 'ended') this.ended = { error: event.error, isLocal: event.isLocal };
    else if (event.type === 'message') this.#handlers.get(event.message.stream)?.(event);
    else if ('stream' in event) this.#handlers.get(event.stream)?.(event);
  }
}

/** Sends a log that the test makes record by record. */
export class TestSender {
  readonly client: TestClient;
  readonly transfer: TestTransfer;
  readonly stream: number;
  readonly session: Uint8Array;
  readonly builder: LogBuilder;
  readonly window: SendWindow;
  /** So many records go out damaged. */
  #toDamage = 0;
  opened: OpenedSend | null = null;
  reset: SluiceError | null = null;
  received = 0;
  durable: LogPoint;
  readonly nacks: number[] = [];
  readonly receivers: { receiverId: string; event: string; receivedBytes: number }[] = [];

  /** Opens a stream of the transfer, which must have been created, and waits for the answer. */
  static async open(
    client: TestClient,
    transfer: TestTransfer,
    options: { session?: Uint8Array; attempt?: number; from?: TestSender; isCreating?: boolean } = {},
  ): Promise<TestSender> {
    const sender = new TestSender(client, transfer, options.from ?? null, options.session);
    if (options.isCreating) client.connection.send(createMessage(transfer, sender.stream, null));
    client.connection.send({
      type: 'open',
      role: 'send',
      stream: sender.stream,
      id: transfer.id,
      writeToken: transfer.writeToken,
      session: sender.session,
      attempt: options.attempt ?? 1,
      priority: 'normal',
    });
    client.flush();
    await client.until(
      () => sender.opened !== null || sender.reset !== null || client.ended !== null,
      'the answer to open',
    );
    return sender;
  }

  private constructor(
    client: TestClient,
    transfer: TestTransfer,
    from: TestSender | null,
    session?: Uint8Array,
  ) {
    this.client = client;
    this.session = session ?? from?.session ?? systemRandom.bytes(16);
    this.transfer = transfer;
    this.builder = from?.builder ?? new LogBuilder(transfer.start, transfer.recordSizeBytes, digester);
    this.window = from?.window ?? new SendWindow(transfer.start, 64 * 1024 * 1024);
    this.durable = transfer.start;
    this.stream = client.openStream((event) => this.#handle(event));
  }

  /** Queues a record that `builder` has made. */
  append(record: Uint8Array): void {
    this.window.append(record, this.builder.state.chain);
    this.client.connection.wake(this.stream);
    this.client.flush();
  }

  manifest(name = 'test'): void {
    this.append(this.builder.manifest({ ...emptyManifest, name }));
  }

  /** One file of `content`, cut into full records. */
  file(file: number, content: Uint8Array): void {
    const { recordSizeBytes } = this.transfer;
    const end: FileEnd = endOf(content);
    for (let at = 0; at === 0 || at < content.length; at += recordSizeBytes) {
      const part = content.subarray(at, at + recordSizeBytes);
      const isLast = at + recordSizeBytes >= content.length;
      this.append(dataRecord(this.builder, file, part, isLast ? end : null));
    }
  }

  seal(): void {
    this.append(this.builder.seal());
  }

  damageNext(records: number): void {
    this.#toDamage = records;
  }

  /** Makes a record that is never sent. */
  skipRecord(): void {
    this.builder.manifest(emptyManifest);
  }

  #outbox(): Outbox {
    return {
      nextLength: () => this.window.nextLength(),
      take: () => {
        const record = this.window.take();
        if (this.#toDamage === 0) return record;
        this.#toDamage -= 1;
        const damaged = record.slice();
        damaged[100] = (damaged[100] ?? 0) ^ 8;
        return damaged;
      },
    };
  }

  async untilDurable(): Promise<void> {
    await this.client.until(
      () =>
        this.durable.index === this.builder.state.index || this.reset !== null || this.client.ended !== null,
      'durability',
    );
    if (this.reset !== null) throw this.reset;
    if (this.client.ended !== null) throw this.client.ended.error ?? new Error('the connection ended');
  }

  #handle(event: ConnectionEvent): void {
    if (event.type === 'ack') {
      this.received = event.received ?? this.received;
      if (event.durable !== null) {
        this.durable = event.durable;
        this.window.handleDurable(event.durable);
      }
    }
    if (event.type !== 'message') return;
    const { message } = event;
    if (message.type === 'opened' && message.role === 'send') {
      this.opened = message;
      this.durable = message.durable;
      this.window.handleOpened(message.durable);
      this.client.connection.attachOutbox(this.stream, this.#outbox(), message.credit);
    } else if (message.type === 'nack') {
      this.nacks.push(message.index);
      this.client.connection.abandonPartial(this.stream);
      this.window.handleNack(message.index);
      this.client.connection.wake(this.stream);
    } else if (message.type === 'receivers') {
      this.receivers.push(...message.receivers);
    } else if (message.type === 'reset') {
      this.reset = new SluiceError(
        message.code,
        '',
        message.retryAfterMs === null ? {} : { retryAfterMs: message.retryAfterMs },
      );
      this.window.handleClosed();
    }
  }
}

export interface TestReceiverOptions {
  readonly from?: LogPoint | null;
  /** Goes on with what another receiver has read. */
  readonly reader?: LogReader;
  /** Take no byte off the stream. */
  readonly isStopped?: boolean;
  /** Called with each chunk before it is read; what it returns is read instead. */
  readonly onChunk?: (chunk: Uint8Array) => Uint8Array;
}

/** Receives a log, checks it, and keeps what its files hold. */
export class TestReceiver {
  readonly client: TestClient;
  readonly transfer: TestTransfer;
  readonly stream: number;
  readonly reader: LogReader;
  readonly files = new Map<number, Uint8Array[]>();
  readonly states: StateMessage[] = [];
  opened: OpenedReceive | null = null;
  reset: SluiceError | null = null;
  durable: LogPoint | null = null;
  durableNews = 0;
  nacks = 0;
  receivedBytes = 0;
  isSealed = false;
  /** Asks again without an end. */
  isStubborn = false;
  readonly #options: TestReceiverOptions;
  #isStopped: boolean;
  /** Arrived while it was stopped. */
  readonly #waiting: Uint8Array[] = [];

  static async open(
    client: TestClient,
    transfer: TestTransfer,
    options: TestReceiverOptions = {},
  ): Promise<TestReceiver> {
    const receiver = new TestReceiver(client, transfer, options);
    client.connection.send({
      type: 'open',
      role: 'receive',
      stream: receiver.stream,
      id: transfer.id,
      readToken: transfer.readToken,
      from: options.from ?? null,
      credit: client.connection.grantCredit(receiver.stream, transfer.recordSizeBytes),
      priority: 'normal',
    });
    client.flush();
    await client.until(
      () => receiver.opened !== null || receiver.reset !== null || client.ended !== null,
      'the answer to open',
    );
    return receiver;
  }

  private constructor(client: TestClient, transfer: TestTransfer, options: TestReceiverOptions) {
    this.client = client;
    this.transfer = transfer;
    this.#options = options;
    this.#isStopped = options.isStopped ?? false;
    this.reader =
      options.reader ??
      new LogReader(transfer.start, transfer.recordSizeBytes, digester, () => {
        throw new Error('nothing is compressed here');
      });
    this.stream = client.openStream((event) => this.#handle(event));
  }

  lengthOf(file: number): number {
    return (this.files.get(file) ?? []).reduce((sum, { length }) => sum + length, 0);
  }

  contentOf(file: number): Uint8Array {
    return Buffer.concat(this.files.get(file) ?? []);
  }

  /** Compares without the diff that `toEqual` would make of megabytes. */
  hasContent(file: number, content: Uint8Array): boolean {
    return Buffer.from(content).equals(this.contentOf(file));
  }

  async untilSealed(): Promise<void> {
    await this.client.until(
      () => this.isSealed || this.reset !== null || this.client.ended !== null,
      'the seal',
    );
    if (this.reset !== null) throw this.reset;
    if (this.client.ended !== null) throw this.client.ended.error ?? new Error('the connection ended');
  }

  /** Says that everything was verified. */
  complete(): void {
    this.client.connection.closeStream(this.stream, true);
    this.client.flush();
  }

  #handle(event: ConnectionEvent): void {
    if (event.type === 'records') this.#read(event.chunk);
    if (event.type === 'ack' && event.durable !== null) {
      this.durable = event.durable;
      this.durableNews += 1;
    }
    if (event.type !== 'message') return;
    const { message } = event;
    if (message.type === 'opened' && message.role === 'receive') this.opened = message;
    else if (message.type === 'state') this.states.push(message);
    else if (message.type === 'reset') this.reset = new SluiceError(message.code);
  }

  #read(arrived: Uint8Array): void {
    this.receivedBytes += arrived.length;
    if (this.#isStopped) return void this.#waiting.push(arrived);
    this.#take(arrived);
  }

  /** Takes what has come, and what comes, after it was stopped. */
  resume(): void {
    this.#isStopped = false;
    for (const chunk of this.#waiting.splice(0)) this.#take(chunk);
    this.client.flush();
    this.client.changed();
  }

  #take(arrived: Uint8Array): void {
    if (this.isStubborn) return this.#nack(0, arrived.length);
    const chunk = this.#options.onChunk?.(arrived) ?? arrived;
    const { records, damagedIndex } = this.reader.read(chunk);
    for (const { item } of records) {
      if (item.type === 'data') {
        const parts = this.files.get(item.file) ?? [];
        parts.push(item.content.slice());
        this.files.set(item.file, parts);
      } else if (item.type === 'seal') this.isSealed = true;
    }
    if (damagedIndex !== null) this.#nack(damagedIndex, chunk.length);
    else this.client.connection.consumed(this.stream, chunk.length, systemClock.now());
  }

  #nack(index: number, bytes: number): void {
    this.nacks += 1;
    this.client.connection.send({ type: 'nack', stream: this.stream, index });
    this.client.connection.consumed(this.stream, bytes, systemClock.now());
  }
}
