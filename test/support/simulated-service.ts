// The real client and the real server in one process on one clock, joined by transports in memory: what sockets, disks
// and the power do is up to the test. A process that dies takes its timers with it and touches nothing any more.
import { hkdfSync } from 'node:crypto';
import { vi } from 'vitest';
import { Client, type ClientLimits } from '../../src/client/index.ts';
import { CreditPool, SluiceError } from '../../src/protocol/index.ts';
import type { Clock, Timer } from '../../src/runtime/index.ts';
import { Hub, type HubStats } from '../../src/server/hub/hub.ts';
import type { TransferDocument } from '../../src/server/hub/transfer-document.ts';
import type { LogStore } from '../../src/server/log/log-store.ts';
import { silentLogger } from '../../src/server/logger.ts';
import { MemoryMetadataStore } from '../../src/server/metadata/memory-metadata-store.ts';
import type { MetadataStore, StoredDocument } from '../../src/server/metadata/metadata-store.ts';
import { resolveOptions, type ServerOptions } from '../../src/server/server-options.ts';
import { Session } from '../../src/server/session/session.ts';
import { digester } from './digester.ts';
import { FakeClock } from './fake-clock.ts';
import { fakeEnvironment } from './fake-environment.ts';
import { type LineQuality, MemoryTransport } from './memory-transport.ts';
import { tokenHash } from './oracle.ts';
import { SimulatedDisk } from './simulated-disk.ts';

/** Steps of 1/1024 ms: sums of such times are exact, so a timer never comes a rounding error too early. */
export class ExactClock extends FakeClock {
  override setTimer(callback: () => void, delayMs: number): Timer {
    return super.setTimer(callback, Math.ceil(delayMs * 1024) / 1024);
  }
}

/** The clock of one process. */
class ProcessClock implements Clock {
  readonly #clock: Clock;
  readonly #timers = new Set<Timer>();
  isDead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }
  wallNow(): number {
    return Math.floor(this.#clock.wallNow());
  }
  setTimer(callback: () => void, delayMs: number): Timer {
    if (this.isDead) return { cancel: () => {} };
    const timer = this.#clock.setTimer(() => {
      this.#timers.delete(timer);
      callback();
    }, delayMs);
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }
  die(): void {
    this.isDead = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}

/** Documents that outlive the process; what a dead one asks for is never answered. */
class ProcessMetadata implements MetadataStore<TransferDocument> {
  readonly #store: MetadataStore<TransferDocument>;
  readonly #process: ProcessClock;

  constructor(store: MetadataStore<TransferDocument>, process: ProcessClock) {
    this.#store = store;
    this.#process = process;
  }

  get(key: string): Promise<StoredDocument<TransferDocument> | null> {
    return this.#while(() => this.#store.get(key));
  }
  put(key: string, value: TransferDocument, expectedVersion: number | null): Promise<number | null> {
    return this.#while(() => this.#store.put(key, value, expectedVersion));
  }
  remove(key: string, expectedVersion: number): Promise<boolean> {
    return this.#while(() => this.#store.remove(key, expectedVersion));
  }
  list(): AsyncIterable<StoredDocument<TransferDocument>> {
    return this.#store.list();
  }
  async close(): Promise<void> {}

  #while<T>(act: () => Promise<T>): Promise<T> {
    return this.#process.isDead ? new Promise(() => {}) : act();
  }
}

interface ServerLife {
  readonly clock: ProcessClock;
  readonly sessions: Set<Session>;
  readonly lines: Set<MemoryTransport>;
  hub: Hub | null;
}

export interface ServiceOptions {
  readonly clock: ExactClock;
  readonly logs: LogStore;
  readonly limits?: Partial<ServerOptions>;
}

export const SERVER_URL = 'http://server.test';

/** A server that can be stopped, killed and started on the same stores, and the network in front of it. */
export class SimulatedService {
  readonly clock: ExactClock;
  readonly logs: LogStore;
  readonly #metadata = new MemoryMetadataStore<TransferDocument>();
  readonly #limits: ReturnType<typeof resolveOptions>;
  #life: ServerLife | null = null;

  constructor({ clock, logs, limits = {} }: ServiceOptions) {
    this.clock = clock;
    this.logs = logs;
    this.#limits = resolveOptions({ minFreeBytes: 0, ...limits });
  }

  get isUp(): boolean {
    return this.#life?.hub != null;
  }

  stats(): HubStats | null {
    return this.#life?.hub?.stats() ?? null;
  }

  async start(): Promise<void> {
    const clock = new ProcessClock(this.clock);
    const life: ServerLife = { clock, sessions: new Set(), lines: new Set(), hub: null };
    this.#life = life;
    const hub = await Hub.open({
      metadata: new ProcessMetadata(this.#metadata, clock),
      logs: this.logs,
      digester,
      clock,
      logger: silentLogger,
      limits: this.#limits,
    });
    if (this.#life === life) life.hub = hub;
  }

  /** In order: everything received is committed, peers are told to come back. */
  async stop(): Promise<void> {
    const life = this.#life;
    if (life === null || life.hub === null) return;
    this.#life = null;
    for (const session of life.sessions) session.drain(100);
    await life.hub.commit();
    for (const session of life.sessions)
      session.close(new SluiceError('goingAway', '', { retryAfterMs: 100 }));
    await life.hub.close();
    life.clock.die();
    for (const line of life.lines) line.cut();
  }

  /** The process dies; with the power also what was not synced. Peers learn it, or hear nothing any more. */
  kill(isPowerLost: boolean, peersLearn = true): void {
    const life = this.#life;
    if (life === null) return;
    this.#life = null;
    life.clock.die();
    if (!(this.logs instanceof SimulatedDisk)) throw new Error('only a simulated disk survives a kill');
    if (isPowerLost) this.logs.crash();
    else this.logs.kill();
    for (const line of life.lines) {
      if (peersLearn) line.cut();
      else line.silence();
    }
  }

  /** A client in a process of its own, on a line of its own quality. */
  createClient(quality: LineQuality, limits: Partial<ClientLimits>, seed: number): SimulatedClient {
    const clock = new ProcessClock(this.clock);
    const lines = new Set<MemoryTransport>();
    const environment = fakeEnvironment(
      {
        clock,
        connect: async (_url, signal) => {
          await this.#wait(2 * (quality.latencyMs ?? 0) + 1);
          if (signal.aborted) throw new SluiceError('interrupted');
          if (clock.isDead) return new Promise(() => {});
          const [near, far] = MemoryTransport.pair(this.clock, quality);
          if (!this.#accept(far)) throw new SluiceError('unreachable');
          lines.add(near);
          return near;
        },
      },
      seed,
    );
    return new SimulatedClient(new Client(environment, limits), clock, lines);
  }

  #accept(transport: MemoryTransport): boolean {
    const life = this.#life;
    if (life?.hub == null) return false;
    const session: Session = new Session(transport, {
      hub: life.hub,
      clock: life.clock,
      logger: silentLogger,
      software: 'simulated',
      publicUrl: null,
      limits: this.#limits,
      processPool: new CreditPool(this.#limits.processWindowBytes),
      onEnded: () => {
        life.sessions.delete(session);
        life.lines.delete(transport);
      },
    });
    life.sessions.add(session);
    life.lines.add(transport);
    return true;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.setTimer(resolve, ms));
  }
}

export class SimulatedClient {
  readonly client: Client;
  /** That of its process: whatever else belongs to it should use it too. */
  readonly clock: Clock;
  readonly #clock: ProcessClock;
  readonly #lines: Set<MemoryTransport>;

  constructor(client: Client, clock: ProcessClock, lines: Set<MemoryTransport>) {
    this.client = client;
    this.clock = clock;
    this.#clock = clock;
    this.#lines = lines;
  }

  /** Cuts its connections; the server learns it after a while, or only by silence. */
  cut(serverLearnsAfterMs: number): void {
    for (const line of this.#lines) line.cut(serverLearnsAfterMs);
    this.#lines.clear();
  }

  /** Nothing gets through any more, and neither side is told. */
  silence(): void {
    for (const line of this.#lines) line.silence();
    this.#lines.clear();
  }

  /** kill -9: its timers stop, its connections are cut. */
  kill(): void {
    this.#clock.die();
    this.cut(0);
  }
}

/**
 * WebCrypto works on threads, which no fake clock waits for: the few functions the client uses are replaced by ones
 * that answer at once, so that a seed replays a run exactly.
 */
export function stubWebCrypto(): void {
  const secrets = new Map<object, Uint8Array>();
  vi.stubGlobal('crypto', {
    subtle: {
      importKey: async (_format: string, secret: Uint8Array) => {
        const key = {};
        secrets.set(key, secret);
        return key;
      },
      deriveBits: async ({ salt, info }: { salt: Uint8Array; info: Uint8Array }, key: object) =>
        hkdfSync('sha256', secrets.get(key) as Uint8Array, salt, info, 32),
      digest: async (_name: string, bytes: Uint8Array) => new Uint8Array(tokenHash(bytes)).buffer,
    },
  });
}
