/**
 * The client: sends and receives transfers, all of them with the same server over one shared connection.
 * Works wherever its environment does; `sluice/client` and `sluice/node` make one with what their platform has.
 */
import { decodeBase64Url, type Priority, SluiceError, type TransferState } from '../protocol/index.ts';
import type { SourceEntry, TransferSink } from '../runtime/index.ts';
import { type ClientEnvironment, type ClientLimits, DEFAULT_CLIENT_LIMITS } from './environment.ts';
import type { Offer } from './events.ts';
import { FileStreamSink, type ReceivedFile } from './file-stream-sink.ts';
import { normalizeServerUrl, parseLink, SECRET_BYTES } from './link.ts';
import { ReceiveTransfer } from './receive-transfer.ts';
import { request } from './request.ts';
import { type SendIdentity, SendTransfer, type TransferCredentials } from './send-transfer.ts';
import { ServerConnection } from './server-connection.ts';

export interface SendOptions {
  /** Address of the server, e.g. `http://127.0.0.1:7420`. */
  readonly server: string;
  /** What the receiver is shown as the name of the transfer. */
  readonly name?: string | undefined;
  readonly message?: string | undefined;
  /** Time to live after the last byte, ms. Default: the server's (24 h). */
  readonly expiresMs?: number | undefined;
  readonly priority?: Priority | undefined;
  /** Aborting leaves the transfer as it is; `done` rejects with `interrupted`. */
  readonly signal?: AbortSignal | undefined;
  /** For senders that can go on after a restart: which transfer this is. Default: a new one, kept nowhere. */
  readonly prepare?: (() => Promise<SendIdentity>) | undefined;
}

export interface ReceiveOptions {
  /** Decides about the offer before anything is written. Default: yes. */
  readonly accept?: ((offer: Offer) => boolean | Promise<boolean>) | undefined;
  /** Ends with `waitTimeout` when nothing arrived for so long, ms. Default: waits until the transfer ends. */
  readonly waitTimeoutMs?: number | undefined;
  readonly priority?: Priority | undefined;
  /** Aborting keeps what was received; `done` rejects with `interrupted`. */
  readonly signal?: AbortSignal | undefined;
}

/** State of one's own transfer at the server. */
export interface TransferStatus {
  readonly state: TransferState;
  readonly durableBytes: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly isSenderConnected: boolean;
}

/** A transfer whose files come as web streams: `for await (const file of transfer)`. */
export interface ReceivedFiles extends AsyncIterable<ReceivedFile>, AsyncDisposable {
  readonly transfer: ReceiveTransfer;
  readonly offer: Promise<Offer>;
}

export class Client implements AsyncDisposable {
  readonly #environment: ClientEnvironment;
  readonly #limits: ClientLimits;
  readonly #servers = new Map<string, ServerConnection>();

  constructor(environment: ClientEnvironment, limits: Partial<ClientLimits> = {}) {
    this.#environment = environment;
    this.#limits = { ...DEFAULT_CLIENT_LIMITS, ...limits };
  }

  get environment(): ClientEnvironment {
    return this.#environment;
  }

  /** Fresh random credentials of a transfer. */
  createCredentials(): TransferCredentials {
    const { random } = this.#environment;
    return { id: random.bytes(16), secret: random.bytes(SECRET_BYTES), writeToken: random.bytes(32) };
  }

  /** Starts sending. `sources` is walked once, and again only if the server lost data. @throws SluiceError `usage`. */
  send(sources: () => AsyncIterable<SourceEntry>, options: SendOptions): SendTransfer {
    return new SendTransfer(
      this.#serverOf(normalizeServerUrl(options.server)),
      this.#environment,
      this.#limits,
      {
        prepare:
          options.prepare ??
          (() => Promise.resolve({ credentials: this.createCredentials(), journal: null })),
        sources,
        name: options.name ?? null,
        message: options.message ?? null,
        expiresMs: options.expiresMs ?? null,
        priority: options.priority ?? 'normal',
        signal: options.signal ?? null,
      },
    );
  }

  /** Starts receiving into a sink. @throws SluiceError `badLink`. */
  receiveInto(
    openSink: (id: string, transfer: () => ReceiveTransfer) => Promise<TransferSink>,
    link: string,
    options: ReceiveOptions = {},
  ): ReceiveTransfer {
    const parsed = parseLink(link);
    const transfer: ReceiveTransfer = new ReceiveTransfer(this.#serverOf(parsed.server), this.#environment, {
      link: parsed,
      openSink: (id) => openSink(id, () => transfer),
      ...(options.accept === undefined ? {} : { accept: options.accept }),
      waitTimeoutMs: options.waitTimeoutMs ?? null,
      reconnectForMs: this.#limits.reconnectForMs,
      priority: options.priority ?? 'normal',
      signal: options.signal ?? null,
    });
    return transfer;
  }

  /** Starts receiving; the files come as web streams. @throws SluiceError `badLink`. */
  receive(link: string, options: ReceiveOptions = {}): ReceivedFiles {
    const sink = new FileStreamSink(this.#environment.digester, (event) => transfer.reportFile(event));
    const transfer = this.receiveInto(() => Promise.resolve(sink), link, options);
    return {
      transfer,
      offer: transfer.offer,
      async *[Symbol.asyncIterator](): AsyncGenerator<ReceivedFile> {
        try {
          yield* sink.files();
          await transfer.done;
        } finally {
          await transfer[Symbol.asyncDispose]();
        }
      },
      [Symbol.asyncDispose]: () => transfer[Symbol.asyncDispose](),
    };
  }

  /** Asks how one's own transfer stands. @throws SluiceError as the server answered. */
  async inspect(server: string, id: string, writeToken: Uint8Array): Promise<TransferStatus> {
    const answer = await request(this.#serverOf(normalizeServerUrl(server)), (stream) => ({
      type: 'inspect',
      stream,
      id: bytesOfId(id),
      writeToken,
    }));
    if (answer.type !== 'inspected') throw new SluiceError('protocol', 'The server answered something else.');
    const { state, durableBytes, createdAtMs, expiresAtMs, isSenderConnected } = answer;
    return { state, durableBytes, createdAtMs, expiresAtMs, isSenderConnected };
  }

  /** Ends one's own transfer for everybody. @throws SluiceError as the server answered. */
  async cancel(server: string, id: string, writeToken: Uint8Array): Promise<void> {
    await request(this.#serverOf(normalizeServerUrl(server)), (stream) => ({
      type: 'cancel',
      stream,
      id: bytesOfId(id),
      writeToken,
    }));
  }

  /** Ends all connections; transfers that still run end with `interrupted`. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
  }

  #serverOf(url: string): ServerConnection {
    const known = this.#servers.get(url);
    if (known !== undefined) return known;
    const server = new ServerConnection(url, this.#environment, this.#limits);
    this.#servers.set(url, server);
    return server;
  }
}

function bytesOfId(id: string): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64Url(id);
  if (bytes === null || bytes.length !== 16)
    throw new SluiceError('usage', 'This is not the id of a transfer.');
  return bytes;
}
