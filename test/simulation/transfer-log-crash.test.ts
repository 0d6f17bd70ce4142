// A log that lives through crashes, power losses, full disks and failed syncs, against an oracle that remembers what
// was acknowledged. Seeded: a failing seed is printed and reproduces.
import { expect, test } from 'vitest';
import { type LogSnapshot, nextChain, recordsIn } from '../../src/protocol/index.ts';
import { TransferLog } from '../../src/server/log/transfer-log.ts';
import { digester } from '../support/digester.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RECORD_SIZE, startOfLog } from '../support/log-fixtures.ts';
import { type Random, seededRandom } from '../support/random.ts';
import { RecordMaker } from '../support/record-maker.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAAA0';
const SEEDS = 120;
const LIVES = 6;

/** Sender, server process and oracle in one. */
class World {
  readonly random: Random;
  readonly clock = new FakeClock();
  readonly disk: SimulatedDisk;
  log!: TransferLog;
  #maker!: RecordMaker;
  #contents = 0;
  /** What the sender has sent and the log has taken, by index. */
  #sent: Uint8Array[] = [];
  /** Digests of all that was ever sent: a record that was given up may still have reached the disk. */
  readonly #everSent = new Set<string>();
  /** What was acknowledged as durable: must never be lost. */
  #acknowledged: Uint8Array[] = [];
  /** What receivers may have been shown in this life: outlives the process, not a power loss. */
  #shown: Uint8Array[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.disk = new SimulatedDisk({ clock: this.clock, seed: seed + 1_000_000, maxDelayMs: 12 });
  }

  async open(): Promise<void> {
    const storage = await this.disk.open(ID);
    this.log = await this.clock.until(
      TransferLog.open(storage, {
        headerHash: startOfLog().chain,
        recordSizeBytes: RECORD_SIZE,
        digester,
        clock: this.clock,
        durability: 'disk',
        commitBytes: 4_000,
        commitMs: 1 + this.random.below(30),
      }),
    );
    const { log } = this;
    log.setListener({
      onWritten: (chunk, first, next) => {
        const records = recordsIn(chunk).map(({ bytes }) => bytes);
        expect(next.index - first.index).toBe(records.length);
        this.#shown = [...this.#shown.slice(0, first.index), ...records];
      },
      onDurable: (snapshot) => {
        expect(snapshot.index).toBeGreaterThan(this.#acknowledged.length);
        this.#acknowledged = this.#sent.slice(0, snapshot.index);
      },
      onFailed: () => this.#goOnFrom(log.state.snapshot()),
    });
  }

  /** Everything acknowledged is there and equal; everything kept verifies and was sent; index and chain agree. */
  async check(minimum: readonly Uint8Array[]): Promise<void> {
    const records = await this.readAll();
    expect(records.length).toBe(this.log.durable.index);
    expect(records.length).toBeGreaterThanOrEqual(minimum.length);
    for (const [i, record] of records.entries()) {
      const expected = minimum[i];
      const isRight =
        expected === undefined
          ? this.#everSent.has(digestOf(record))
          : Buffer.compare(record, expected) === 0;
      if (!isRight) throw new Error(`record ${i} is another one`);
    }
    let position = 0;
    let chain: Uint8Array = startOfLog().chain;
    for (const [i, record] of records.entries()) {
      const isChecked = this.random.chance(0.2);
      const point = isChecked ? await this.clock.until(this.log.seek(i)) : null;
      if (point !== null) expect([point.position, point.chain]).toEqual([position, chain]);
      chain = nextChain(digester, chain, record.subarray(-32));
      position += record.length;
    }
    expect(this.log.durable.chain).toEqual(chain);
    this.#acknowledged = records;
    this.#shown = records;
    this.#sent = records;
    this.#goOnFrom(this.log.durable);
  }

  async readAll(): Promise<Uint8Array[]> {
    const records: Uint8Array[] = [];
    for (let position = 0; position < this.log.written.position; ) {
      const { chunk } = await this.clock.until(this.log.read(position, 1 + this.random.below(20_000)));
      records.push(...recordsIn(chunk).map(({ bytes }) => new Uint8Array(bytes)));
      position += chunk.length;
    }
    return records;
  }

  async live(): Promise<void> {
    this.#injectFaults();
    for (let steps = this.random.below(25); steps > 0; steps--) {
      this.#append();
      if (this.random.chance(0.7)) await this.clock.advance(this.random.below(15));
      if (this.random.chance(0.1)) await this.clock.until(this.log.commit()).catch(() => {});
      if (this.random.chance(0.2)) this.disk.capacityBytes = Number.POSITIVE_INFINITY;
      if (this.log.failure !== null) return;
      await this.#compareDigest();
    }
  }

  /** Ends this life; returns what must be there in the next. */
  async end(): Promise<readonly Uint8Array[]> {
    const way = this.random.below(3);
    this.disk.capacityBytes = Number.POSITIVE_INFINITY;
    if (way === 0) this.disk.crash();
    else if (way === 1) {
      this.disk.kill();
      // A process that dies with a broken disk behind it promises no more than what was acknowledged.
      if (this.log.failure === null) return this.#shown;
    } else {
      await this.clock.until(this.log.close());
      if (this.log.failure === null) return this.#shown;
    }
    return this.#acknowledged;
  }

  #append(): void {
    const records = this.#maker.many(
      1 + this.random.below(4),
      this.random.below(this.random.chance(0.1) ? 9_000 : 700),
    );
    const chunk = Buffer.concat(records);
    for (const record of records) this.#everSent.add(digestOf(record));
    try {
      this.log.append(chunk);
      this.#sent.push(...records);
    } catch {
      this.#goOnFrom(this.log.state.snapshot());
    }
  }

  async #compareDigest(): Promise<void> {
    if (this.log.received.index === 0) return;
    const index = this.random.below(this.log.received.index);
    const sent = this.#sent[index] as Uint8Array;
    const digest = await this.clock.until(this.log.digestAt(index));
    // Time passed meanwhile, so the record may have been given up.
    if (this.#sent[index] === sent) expect(digest).toEqual(sent.slice(-32));
  }

  /** A new attempt of the sender, with other contents. */
  #goOnFrom(snapshot: LogSnapshot): void {
    this.#sent = this.#sent.slice(0, snapshot.index);
    this.#contents += 1;
    this.#maker = new RecordMaker(snapshot, this.#contents);
  }

  #injectFaults(): void {
    const { random, disk } = this;
    const nth = 1 + random.below(6);
    if (random.chance(0.25)) disk.capacityBytes = disk.recordsOf(ID).length + random.below(6_000);
    if (random.chance(0.1)) disk.failNext('append', 'EIO', nth);
    if (random.chance(0.1)) disk.failNext('sync', 'EIO', nth);
    if (random.chance(0.05)) disk.failNext('writeMark', 'EIO', nth);
    if (random.chance(0.1)) disk.failNext('writeIndex', 'ENOSPC', nth);
  }
}

function digestOf(record: Uint8Array): string {
  return Buffer.from(record.subarray(-32)).toString('hex');
}

test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))(
  'nothing acknowledged is lost (seed %d)',
  async (seed) => {
    const world = new World(seed);
    await world.open();
    let minimum: readonly Uint8Array[] = [];
    await world.check(minimum);
    for (let life = 0; life < LIVES; life++) {
      await world.live();
      minimum = await world.end();
      world.disk.forgetFailures();
      await world.open();
      await world.check(minimum);
    }
  },
);

test.each(Array.from({ length: 30 }, (_, i) => i + 1))(
  'no flipped bit is ever delivered (seed %d)',
  async (seed) => {
    const world = new World(seed);
    await world.open();
    await world.check([]);
    while (world.log.durable.index === 0) {
      await world.live();
      const minimum = await world.end();
      world.disk.forgetFailures();
      await world.open();
      await world.check(minimum);
    }
    const truth = Buffer.concat(await world.readAll());
    await world.clock.until(world.log.close());
    for (let flips = 0; flips < 20; flips++) {
      const at = world.random.below(truth.length);
      const bit = world.random.below(8);
      world.disk.flipBit(ID, at, bit);
      await world.open();
      let position = 0;
      const failure = await (async () => {
        while (position < world.log.durable.position) {
          const { chunk } = await world.clock.until(world.log.read(position, 5_000));
          expect(Buffer.compare(chunk, truth.subarray(position, position + chunk.length))).toBe(0);
          position += chunk.length;
        }
      })().catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'corrupted' });
      expect(position).toBeLessThanOrEqual(at);
      await world.clock.until(world.log.close());
      world.disk.flipBit(ID, at, bit);
    }
  },
);
