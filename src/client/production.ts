/**
 * One run of production from one point of the log: plan, journal, announce, send, seal. Holds the send window and its
 * buffers, and waits when the window is full. Knows nothing of connections.
 */
import { LogBuilder, type LogSnapshot, SendWindow, type SluiceError } from '../protocol/index.ts';
import type { SendJournal, SourceEntry } from '../runtime/index.ts';
import type { ClientEnvironment, ClientLimits } from './environment.ts';
import { RecordProducer } from './record-producer.ts';
import { planBatches } from './send-plan.ts';
import type { ProducedFile } from './source-reading.ts';

export interface ProductionInput {
  /** Walks the sources. */
  sources(): AsyncIterable<SourceEntry>;
  readonly name: string | null;
  readonly message: string | null;
}

export interface ProductionEvents {
  onRecord(): void;
  onBegin(path: readonly string[]): void;
  onFile(file: ProducedFile): void;
  onTotals(files: number | null, bytes: number | null): void;
}

/** One run of production from one point of the log. A second one starts only after the server lost data. */
export class Production {
  readonly window: SendWindow;
  readonly #builder: LogBuilder;
  readonly #from: LogSnapshot;
  readonly #environment: ClientEnvironment;
  readonly #events: ProductionEvents;
  readonly #buffers: Uint8Array[] = [];
  #waiting: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #stopped: SluiceError | null = null;
  #producer: RecordProducer | null = null;

  constructor(
    from: LogSnapshot,
    environment: ClientEnvironment,
    limits: ClientLimits,
    events: ProductionEvents,
  ) {
    this.#from = from;
    this.#environment = environment;
    this.#events = events;
    this.#builder = new LogBuilder(from, limits.recordSizeBytes, environment.digester);
    const spareBuffers = Math.ceil(limits.sendWindowBytes / limits.recordSizeBytes) + 8;
    this.window = new SendWindow(
      from,
      limits.sendWindowBytes,
      ({ buffer, byteOffset }) => {
        // Only buffers that were taken whole come back; those of packs and manifests are of other sizes.
        const isWhole = byteOffset === 0 && buffer.byteLength === this.#builder.recordBufferBytes;
        if (isWhole && this.#buffers.length < spareBuffers) this.#buffers.push(new Uint8Array(buffer));
      },
      from.contentBytes,
    );
  }

  get isSealed(): boolean {
    return this.#builder.state.isSealed;
  }

  get endedFiles(): number {
    return this.#builder.state.endedFiles;
  }

  async run({ sources, name, message }: ProductionInput, journal: SendJournal | null): Promise<void> {
    if (this.isSealed) return;
    const { clock, digester } = this.#environment;
    const producer = new RecordProducer({
      builder: this.#builder,
      window: this.window,
      digester,
      clock,
      buffers: this.#buffers,
      room: () => this.#room(),
      ...this.#events,
    });
    this.#producer = producer;
    let isFirst = this.#from.index === 0;
    const numbered = new Set(journal?.files.map(({ entry }) => entry.file));
    for await (const batch of planBatches(sources(), journal, this.#from, clock)) {
      if (batch.totalFiles !== null) this.#events.onTotals(batch.totalFiles, batch.totalBytes);
      const fresh = batch.files.filter(({ entry }) => !numbered.has(entry.file));
      if (journal !== null && fresh.length > 0) {
        await journal.append(fresh.map(({ entry, source }) => ({ entry, origin: source?.origin ?? null })));
      }
      this.#throwIfStopped();
      await producer.announce(batch, isFirst ? name : null, isFirst ? message : null);
      isFirst = false;
      await producer.send(batch);
    }
    await producer.seal();
  }

  /** The window may have room again. */
  handleRoom(): void {
    if (this.#waiting === null || !this.window.hasRoom) return;
    this.#waiting.resolve();
    this.#waiting = null;
  }

  stop(error: SluiceError): void {
    this.#stopped = error;
    this.#waiting?.reject(error);
    this.#waiting = null;
    this.#producer?.stop();
  }

  async #room(): Promise<void> {
    this.#throwIfStopped();
    await new Promise<void>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #throwIfStopped(): void {
    if (this.#stopped !== null) throw this.#stopped;
  }
}
