// The real client and the real server in simulated time: cuts, silence, restarts, power failures, slow and late
// receivers, processes that die. A run is made from a seed alone: SIM_SEED=n repeats one, SIM_RUNS=n makes more.
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { formatLink, type ReceiveTransfer, type SendTransfer } from '../../src/client/index.ts';
import { SendWindow, SluiceError, type SluiceErrorCode } from '../../src/protocol/index.ts';
import type { JournaledFile, SendJournal, SourceEntry } from '../../src/runtime/index.ts';
import { MemoryLogStore } from '../../src/server/log/memory-log-store.ts';
import { codeWhen } from '../support/errors.ts';
import { settle } from '../support/fake-clock.ts';
import { FakeFile, FakeStream, walkOf } from '../support/fake-sources.ts';
import { contentOf, joined } from '../support/log-fixtures.ts';
import { MemorySink, ReceivedDisk } from '../support/memory-sink.ts';
import type { LineQuality } from '../support/memory-transport.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import {
  ExactClock,
  SERVER_URL,
  type SimulatedClient,
  SimulatedService,
  stubWebCrypto,
} from '../support/simulated-service.ts';

const RUNS = Number(process.env['SIM_RUNS'] ?? 60);
const ONLY = process.env['SIM_SEED'];
const SEEDS = ONLY === undefined ? Array.from({ length: RUNS }, (_, i) => i + 1) : [Number(ONLY)];

const KIB = 1024;
const RECORD_SIZE = 64 * KIB;
const SEND_WINDOW_BYTES = 256 * KIB;
const RECEIVE_WINDOW_BYTES = 256 * KIB;
/** Before it knows the record size of a transfer, a receiver must have room for two of the largest. */
const RECEIVE_FLOOR_BYTES = 2 * (1024 * KIB + 300);
const HOT_BYTES = 256 * KIB;
const READ_AHEAD_BYTES = 1024 * KIB;
/** One record with header and file end. */
const LARGEST_RECORD_BYTES = RECORD_SIZE + 300;
/** Faults happen until then, ms. */
const TROUBLE_MS = 20_000;
/** Long enough for the slowest line, the slowest receiver and the longest backoff, ms. */
const PATIENCE_MS = 900_000;

const CLIENT_LIMITS = {
  connectForMs: PATIENCE_MS,
  reconnectForMs: PATIENCE_MS,
  recordSizeBytes: RECORD_SIZE,
  sendWindowBytes: SEND_WINDOW_BYTES,
  receiveWindowBytes: RECEIVE_WINDOW_BYTES,
};
const SERVER_LIMITS = {
  hotBytesPerTransfer: HOT_BYTES,
  hotBytesTotal: HOT_BYTES,
  readAheadBytesTotal: READ_AHEAD_BYTES,
  streamWindowBytes: 256 * KIB,
  idleCloseMs: 2_000,
};
const CREDENTIALS = {
  id: new Uint8Array(16).fill(1),
  secret: new Uint8Array(32).fill(2),
  writeToken: new Uint8Array(32).fill(3),
};
const LINK = formatLink({ server: SERVER_URL, ...CREDENTIALS });
/** Calls of a disk take up to so long in the tests of one transfer. */
const DISK_MS = 8;
const SIZES = [
  0,
  1,
  5_000,
  RECORD_SIZE - 1,
  RECORD_SIZE,
  RECORD_SIZE + 1,
  5 * RECORD_SIZE,
  9 * RECORD_SIZE + 17,
];

/** What the seeds have met, so that a quiet change of the simulation shows. */
const seen = { reconnects: 0, restarts: 0, resumed: 0, runs: 0 };
let mostHeldBytes = 0;

beforeAll(() => {
  stubWebCrypto();
  const { append } = SendWindow.prototype;
  vi.spyOn(SendWindow.prototype, 'append').mockImplementation(function (this: SendWindow, ...args) {
    append.apply(this, args);
    mostHeldBytes = Math.max(mostHeldBytes, this.heldBytes);
  });
});

afterAll(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

class MemoryJournal implements SendJournal {
  readonly files: JournaledFile[] = [];
  async append(files: readonly JournaledFile[]): Promise<void> {
    this.files.push(...files);
  }
}

/** A sender that may die and come back. */
class SimulatedSender {
  readonly expected = new Map<string, Uint8Array>();
  transfer!: SendTransfer;
  client!: SimulatedClient;
  hasLink = false;
  isDone = false;
  failure: SluiceErrorCode | null = null;
  durableBytes = 0;
  readonly problems: string[] = [];
  readonly #world: World;
  readonly #quality: LineQuality;
  readonly #files: FakeFile[];
  readonly #stream: FakeStream | null;
  readonly #journal: MemoryJournal | null;
  #isDead = false;

  constructor(world: World, { isLive }: { isLive: boolean }) {
    const { random } = world;
    this.#world = world;
    this.#quality = world.newQuality();
    this.#files = Array.from({ length: random.below(8) }, (_, i) => {
      const content = contentOf(SIZES[random.below(SIZES.length)] as number, i);
      this.expected.set(`file ${i}`, content);
      return new FakeFile(`file ${i}`, content);
    });
    this.#stream = isLive ? new FakeStream('live') : null;
    this.#journal = isLive ? null : new MemoryJournal();
    if (this.#stream !== null) this.#feed(this.#stream);
    this.start();
  }

  get canDie(): boolean {
    return this.#journal !== null && !this.isDone && !this.#isDead;
  }

  start(): void {
    this.#isDead = false;
    const sources: SourceEntry[] = this.#stream === null ? this.#files : [...this.#files, this.#stream];
    this.client = this.#world.service.createClient(
      this.#quality,
      CLIENT_LIMITS,
      this.#world.random.below(1e9),
    );
    const journal = this.#journal;
    const transfer = this.client.client.send(() => walkOf(sources), {
      server: SERVER_URL,
      prepare: async () => ({ credentials: CREDENTIALS, journal }),
    });
    this.transfer = transfer;
    transfer.on((event) => {
      if (event.type === 'link') this.hasLink = true;
      if (event.type === 'warning') this.problems.push(`warning ${event.error.code}`);
      if (event.type === 'state' && event.state === 'reconnecting') seen.reconnects += 1;
      if (event.type === 'file' && event.error !== null) this.problems.push(`file ${event.error.code}`);
      if (event.type !== 'progress') return;
      if (event.durableBytes < this.durableBytes) this.problems.push('what was durable is not any more');
      this.durableBytes = event.durableBytes;
    });
    transfer.done.then(
      () => {
        this.isDone = true;
      },
      (error: unknown) => {
        if (this.transfer === transfer) this.failure = SluiceError.from(error).code;
      },
    );
  }

  dieAndComeBack(): void {
    this.#isDead = true;
    this.client.kill();
    this.#world.later(this.#world.random.below(3_000), () => this.start());
  }

  /** Pieces of any size, with pauses. */
  #feed(stream: FakeStream): void {
    const { random } = this.#world;
    const pieces: Uint8Array[] = Array.from({ length: 3 + random.below(120) }, (_, i) =>
      contentOf(random.chance(0.1) ? random.below(100_000) : random.below(2_000), i + 100),
    );
    this.expected.set('live', joined(pieces));
    const next = (): void => {
      const piece = pieces.shift();
      if (piece === undefined) return stream.end();
      if (piece.length > 0) stream.push(piece);
      this.#world.later(random.chance(0.1) ? random.below(3_000) : random.below(200), next);
    };
    next();
  }
}

/** A receiver that may die and come back to what it had written. */
class SimulatedReceiver {
  readonly disk = new ReceivedDisk();
  readonly problems: string[] = [];
  isDone = false;
  failure: SluiceErrorCode | null = null;
  client!: SimulatedClient;
  transfer!: ReceiveTransfer;
  mostPendingBytes = 0;
  readonly #world: World;
  readonly #quality: LineQuality;
  readonly #slownessMs: number;
  #isDead = false;

  constructor(world: World, slownessMs: number) {
    this.#world = world;
    this.#quality = world.newQuality();
    this.#slownessMs = slownessMs;
  }

  get hasStarted(): boolean {
    return this.client !== undefined;
  }

  get canDie(): boolean {
    return !this.isDone && !this.#isDead;
  }

  start(): void {
    this.#isDead = false;
    const { service, random, clock } = this.#world;
    this.client = service.createClient(this.#quality, CLIENT_LIMITS, random.below(1e9));
    if (this.disk.resume !== null) seen.resumed += 1;
    const sink = new MemorySink({
      disk: this.disk,
      clock: this.client.clock,
      delayMs: () => random.below(1 + this.#slownessMs),
    });
    // Half of them think before they accept.
    const thinkMs = random.chance(0.5) ? random.below(2_000) : 0;
    const transfer = this.client.client.receiveInto(async () => sink, LINK, {
      accept: () =>
        thinkMs === 0 ? true : new Promise((resolve) => clock.setTimer(() => resolve(true), thinkMs)),
    });
    this.transfer = transfer;
    const note = (): void => {
      this.mostPendingBytes = Math.max(this.mostPendingBytes, sink.mostPendingBytes);
      this.problems.push(...sink.problems.splice(0));
    };
    transfer.done.then(
      () => {
        note();
        this.isDone = true;
      },
      (error: unknown) => {
        note();
        if (this.transfer === transfer) this.failure = SluiceError.from(error).code;
      },
    );
  }

  dieAndComeBack(): void {
    this.#isDead = true;
    this.client.kill();
    this.#world.later(this.#world.random.below(3_000), () => this.start());
  }
}

class World {
  readonly random: Random;
  readonly clock = new ExactClock();
  readonly service: SimulatedService;
  readonly canLosePower: boolean;
  mostHotBytes = 0;
  mostReadAheadBytes = 0;
  #isServerBusy = false;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.canLosePower = this.random.chance(0.75);
    const logs = this.canLosePower
      ? new SimulatedDisk({
          clock: this.clock,
          seed: seed + 1_000_000,
          maxDelayMs: [3, 60, 300][this.random.below(3)] as number,
        })
      : new MemoryLogStore();
    this.service = new SimulatedService({ clock: this.clock, logs, limits: SERVER_LIMITS });
  }

  newQuality(): LineQuality {
    const { random } = this;
    return {
      latencyMs: [0, 1, 20, 120][random.below(4)] as number,
      bytesPerMs: [15, 60, 2_000][random.below(3)] as number,
    };
  }

  later(delayMs: number, act: () => void): void {
    this.clock.setTimer(act, delayMs);
  }

  /** Moves time on until `isDone`; false when patience is over. */
  async runUntil(isDone: () => boolean, patienceMs = PATIENCE_MS): Promise<boolean> {
    const until = this.clock.now() + patienceMs;
    await settle();
    while (!isDone()) {
      const at = this.clock.nextTimerAt;
      if (at === null || at > until) return false;
      await this.clock.advance(Math.max(2, at - this.clock.now()));
      this.#look();
    }
    return true;
  }

  /** A fault every now and then, until the trouble is over. */
  trouble(sender: SimulatedSender, receivers: readonly SimulatedReceiver[]): void {
    this.later(50 + this.random.below(1_500), () => {
      if (this.clock.now() >= TROUBLE_MS) return;
      this.#disturb(sender, receivers);
      this.trouble(sender, receivers);
    });
  }

  #disturb(sender: SimulatedSender, receivers: readonly SimulatedReceiver[]): void {
    const { random } = this;
    const everybody = [sender, ...receivers.filter(({ hasStarted }) => hasStarted)];
    const victim = everybody[random.below(everybody.length)] as SimulatedSender | SimulatedReceiver;
    switch (random.below(6)) {
      case 0:
        return victim.client.cut(random.below(200));
      case 1:
        return victim.client.cut(Number.POSITIVE_INFINITY);
      case 2:
        return victim.client.silence();
      case 3:
        return victim.canDie ? victim.dieAndComeBack() : undefined;
      default:
        return this.#restartServer();
    }
  }

  #restartServer(): void {
    if (this.#isServerBusy || !this.service.isUp) return;
    this.#isServerBusy = true;
    seen.restarts += 1;
    const startAgain = (): void =>
      this.later(this.random.below(3_000), () => {
        void this.service.start().then(() => {
          this.#isServerBusy = false;
        });
      });
    if (!this.canLosePower || this.random.chance(0.25)) void this.service.stop().then(startAgain);
    else {
      this.service.kill(this.random.chance(0.8), this.random.chance(0.7));
      startAgain();
    }
  }

  #look(): void {
    const stats = this.service.stats();
    if (stats === null) return;
    this.mostHotBytes = Math.max(this.mostHotBytes, stats.hotBytes);
    this.mostReadAheadBytes = Math.max(this.mostReadAheadBytes, stats.readAheadBytes);
  }
}

test.each(SEEDS)('every receiver gets what was sent, whatever happens (seed %d)', async (seed) => {
  const world = new World(seed);
  const { random } = world;
  mostHeldBytes = 0;
  await world.service.start();
  const sender = new SimulatedSender(world, { isLive: random.chance(0.5) });
  const receivers = [0, 20, 150].map((slownessMs) => new SimulatedReceiver(world, slownessMs));
  for (const receiver of receivers) {
    // At once, late, or when the sender has gone.
    const startWhenKnown = (): void => {
      if (sender.hasLink) receiver.start();
      else world.later(20, startWhenKnown);
    };
    world.later([0, 500, random.below(TROUBLE_MS), TROUBLE_MS][random.below(4)] as number, startWhenKnown);
  }
  world.trouble(sender, receivers);

  await world.runUntil(
    () =>
      [sender, ...receivers].every(({ isDone, failure }) => isDone || failure !== null) &&
      receivers.every(({ hasStarted }) => hasStarted),
  );

  const again = `repeat with SIM_SEED=${seed}`;
  expect(
    [sender, ...receivers].map(({ isDone, failure, problems }) => ({ isDone, failure, problems })),
    again,
  ).toEqual(new Array(4).fill({ isDone: true, failure: null, problems: [] }));
  for (const { disk, mostPendingBytes } of receivers) {
    expect([...disk.placed.keys()].sort(), again).toEqual([...sender.expected.keys()].sort());
    for (const [path, content] of sender.expected) {
      const placed = disk.placed.get(path);
      expect([path, placed?.end.status, placed?.content.length], again).toEqual([path, 'ok', content.length]);
      expect(Buffer.compare(placed?.content as Uint8Array, content), `${path}, ${again}`).toBe(0);
    }
    expect(mostPendingBytes, again).toBeLessThanOrEqual(2 * RECEIVE_FLOOR_BYTES);
  }
  expect(mostHeldBytes, again).toBeLessThanOrEqual(SEND_WINDOW_BYTES + LARGEST_RECORD_BYTES);
  // One chunk more, which is kept whatever its size; and one read for each receiver, so that none starves.
  expect(world.mostHotBytes, again).toBeLessThanOrEqual(HOT_BYTES + 1024 * KIB);
  expect(world.mostReadAheadBytes, again).toBeLessThanOrEqual(
    READ_AHEAD_BYTES + receivers.length * 256 * KIB,
  );
  seen.runs += 1;
});

test('the seeds have seen what they are for', () => {
  if (SEEDS.length >= 60) {
    const { reconnects, restarts, resumed } = seen;
    expect([reconnects > 20, restarts > 20, resumed > 10]).toEqual([true, true, true]);
  }
  expect(seen.runs).toBe(SEEDS.length);
});

describe('one transfer', () => {
  async function start(options: { latencyMs?: number; senderLatencyMs?: number; expiresMs?: number } = {}) {
    const world = new World(1);
    const { logs } = world.service;
    if (!(logs instanceof SimulatedDisk)) throw new Error('this seed must have a disk');
    logs.maxDelayMs = DISK_MS;
    await world.service.start();
    const quality = { latencyMs: options.latencyMs ?? 5 };
    const senderQuality = { latencyMs: options.senderLatencyMs ?? quality.latencyMs };
    const stream = new FakeStream('live');
    const senderClient = world.service.createClient(senderQuality, CLIENT_LIMITS, 1);
    const { expiresMs } = options;
    const sender = senderClient.client.send(() => walkOf([stream]), {
      server: SERVER_URL,
      prepare: async () => ({ credentials: CREDENTIALS, journal: null }),
      ...(expiresMs === undefined ? {} : { expiresMs }),
    });
    await world.clock.until(sender.link);
    const join = (
      onContent: (file: number, end: number) => void = () => {},
      disk: ReceivedDisk = new ReceivedDisk(),
    ) => {
      const client = world.service.createClient(quality, CLIENT_LIMITS, 2);
      const sink = new MemorySink({ disk, clock: client.clock, delayMs: () => 0, onContent });
      return { client, sink, transfer: client.client.receiveInto(async () => sink, LINK) };
    };
    return { world, disk: logs, stream, sender, senderClient, join };
  }

  /** A receiver has written 60 bytes of which the server has synced 10; then the server loses power. */
  async function losePower({ world, disk, stream, sender, join }: Awaited<ReturnType<typeof start>>) {
    const received = new ReceivedDisk();
    const writtenBytes = (): number => received.resume?.snapshot.contentBytes ?? 0;
    const problems: string[] = [];
    sender.on((event) => event.type === 'warning' && problems.push(event.error.code));
    disk.maxDelayMs = 0.5;
    const receiver = join(() => {}, received);
    stream.push(contentOf(10, 0));
    await world.clock.advance(5_000);
    expect(writtenBytes()).toBe(10);
    for (let i = 1; i <= 5; i++) stream.push(contentOf(10, i));
    expect(await world.runUntil(() => writtenBytes() === 60)).toBe(true);
    world.service.kill(true);
    return { received, receiver, problems };
  }

  const sixtyBytes = joined([0, 1, 2, 3, 4, 5].map((i) => contentOf(10, i)));

  test('a byte is at the receiver before the next one is produced, in the time the lines take', async () => {
    const { world, stream, sender, join } = await start({ latencyMs: 40 });
    let received = 0;
    const { transfer } = join((_file, end) => {
      received = end;
    });
    // It has come before the first byte.
    await world.clock.advance(1_000);
    for (let sent = 1; sent <= 50; sent++) {
      stream.push(contentOf(1, sent));
      const from = world.clock.now();
      expect(await world.runUntil(() => received === sent, 1_000)).toBe(true);
      // Two lines of 40 ms, what a live source waits for more bytes, and the disk.
      expect(world.clock.now() - from).toBeLessThanOrEqual(40 + 40 + 5 + DISK_MS + 2);
    }
    stream.end();
    expect(await world.clock.until(transfer.done)).toMatchObject({ files: 1, sizeBytes: 50 });
    expect(await world.clock.until(sender.done)).toMatchObject({ sizeBytes: 50 });
  });

  test('that is cancelled ends for everybody, and leaves no bytes', async () => {
    const { world, stream, sender, join } = await start();
    stream.push(contentOf(200_000));
    const { transfer } = join();
    const late = join();
    await world.clock.advance(1_000);
    const ends = [sender, transfer, late.transfer].map(({ done }) => codeWhen(done));
    await world.clock.until(sender.cancel());
    expect(await world.clock.until(Promise.all(ends))).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(world.service.stats()).toMatchObject({ transfers: 0, senders: 0, receivers: 0 });
    expect(await world.service.logs.ids()).toEqual([]);
    expect(await world.clock.until(codeWhen(join().transfer.done))).toBe('cancelled');
  });

  test('whose sender is gone for good expires for those who wait', async () => {
    const { world, stream, senderClient, join } = await start({ expiresMs: 120_000 });
    stream.push(contentOf(1_000));
    let received = 0;
    const { transfer } = join((_file, end) => {
      received = end;
    });
    expect(await world.runUntil(() => received === 1_000)).toBe(true);
    senderClient.kill();
    const goneAt = world.clock.now();
    expect(await world.clock.until(codeWhen(transfer.done))).toBe('expired');
    expect(world.clock.now() - goneAt).toBeGreaterThanOrEqual(120_000);
    expect(world.clock.now() - goneAt).toBeLessThan(200_000);
    await world.clock.advance(1_000);
    expect(await world.service.logs.ids()).toEqual([]);
  });

  test('whose sender lives does not expire, however long nothing comes', async () => {
    const { world, stream, sender, join } = await start({ expiresMs: 60_000 });
    const { transfer } = join();
    await world.clock.advance(600_000);
    stream.push(contentOf(10));
    stream.end();
    expect(await world.clock.until(transfer.done)).toMatchObject({ sizeBytes: 10 });
    await world.clock.until(sender.done);
  });

  test('one receiver that reads nothing costs the others nothing, and the server no more than its bounds', async () => {
    const { world, stream, sender, join } = await start();
    const stopped = world.service.createClient({ latencyMs: 5 }, CLIENT_LIMITS, 9);
    const stuck = new MemorySink({
      disk: new ReceivedDisk(),
      clock: { now: () => 0, wallNow: () => 0, setTimer: () => ({ cancel: () => {} }) },
      delayMs: () => 0,
    });
    stopped.client.receiveInto(async () => stuck, LINK);
    const { transfer } = join();
    for (let i = 0; i < 60; i++) stream.push(contentOf(100_000, i));
    stream.end();
    expect(await world.clock.until(transfer.done)).toMatchObject({ sizeBytes: 6_000_000 });
    await world.clock.until(sender.done);
    expect(stuck.mostPendingBytes).toBeGreaterThan(0);
    expect(stuck.mostPendingBytes).toBeLessThanOrEqual(RECEIVE_FLOOR_BYTES);
    const { hotBytes = 0, readAheadBytes = 0 } = world.service.stats() ?? {};
    expect(hotBytes).toBeLessThanOrEqual(HOT_BYTES + 1024 * KIB);
    expect(readAheadBytes).toBeLessThanOrEqual(READ_AHEAD_BYTES);
  });

  test('a server that stops and comes back in order costs only time', async () => {
    const { world, stream, sender, join } = await start();
    const { transfer, sink } = join();
    for (let i = 0; i < 30; i++) {
      stream.push(contentOf(30_000, i));
      await world.clock.advance(20);
      if (i % 10 !== 5) continue;
      await world.clock.until(world.service.stop());
      await world.clock.advance(500);
      await world.service.start();
    }
    stream.end();
    expect(await world.clock.until(transfer.done)).toMatchObject({ sizeBytes: 900_000 });
    await world.clock.until(sender.done);
    expect(sink.problems).toEqual([]);
    expect(sink.rewinds).toBe(0);
  });

  test('a receiver that is ahead of what a power failure left goes back and gets it again', async () => {
    // The sender is far away, so that the receiver is back first.
    const rig = await start({ senderLatencyMs: 2_000 });
    const { receiver, received, problems } = await losePower(rig);
    const { world, stream, sender } = rig;
    await world.clock.advance(100);
    await world.service.start();
    await world.clock.advance(60_000);
    stream.end();
    await world.clock.until(Promise.all([receiver.transfer.done, sender.done]));
    expect(receiver.sink.rewinds).toBe(1);
    expect(Buffer.from(received.placed.get('live')?.content ?? [])).toEqual(Buffer.from(sixtyBytes));
    expect([...receiver.sink.problems, ...problems]).toEqual([]);
  });

  test('so does one that died meanwhile and comes back with what it had written', async () => {
    const rig = await start({ senderLatencyMs: 2_000 });
    const { receiver, received, problems } = await losePower(rig);
    const { world, stream, sender, join } = rig;
    receiver.client.kill();
    await world.service.start();
    const again = join(() => {}, received);
    await world.clock.advance(60_000);
    stream.end();
    await world.clock.until(Promise.all([again.transfer.done, sender.done]));
    expect(again.sink.rewinds).toBe(1);
    expect(Buffer.from(received.placed.get('live')?.content ?? [])).toEqual(Buffer.from(sixtyBytes));
    expect([...again.sink.problems, ...problems]).toEqual([]);
  });
});
