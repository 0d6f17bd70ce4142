// Sender, server and receivers in simulated time, with everything that can go wrong between them. A run is made from a
// seed alone: SIM_SEED=n repeats one, SIM_RUNS=n makes more of them.
import { expect, test } from 'vitest';
import { encodeTransferHeader } from '../../src/protocol/index.ts';
import { blake3 } from '../support/digester.ts';
import { header, startOfLog } from '../support/log-fixtures.ts';
import { ModelReceiver, ModelSender, type Network } from '../support/model-clients.ts';
import { ModelServer } from '../support/model-server.ts';
import { Chance, createLink, type SimulatedLink, SimulatedTime } from '../support/simulated-world.ts';

const RUNS = Number(process.env['SIM_RUNS'] ?? 60);
const ONLY = process.env['SIM_SEED'];
const SEEDS = ONLY === undefined ? Array.from({ length: RUNS }, (_, i) => i + 1) : [Number(ONLY)];

const SERVER_WINDOW_BYTES = 200_000;
const SERVER_POOL_BYTES = 300_000;
/** Faults happen until then, ms. */
const TROUBLE_MS = 20_000;
/** Long enough for the slowest link and the slowest reader, ms. */
const PATIENCE_MS = 600_000;

class Simulation {
  readonly chance: Chance;
  readonly time = new SimulatedTime();
  readonly server: ModelServer;
  readonly sender: ModelSender;
  readonly receivers: ModelReceiver[];
  readonly #links = new Set<SimulatedLink>();
  #damage = 0;
  #toldDurable = 0;

  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
    this.chance = new Chance(seed);
    this.#damage = this.chance.pick([0, 0.02, 0.2]);
    this.server = new ModelServer(this.time, this.chance, {
      header: encodeTransferHeader(header),
      headerHash: startOfLog().chain,
      streamWindowBytes: SERVER_WINDOW_BYTES,
      connectionWindowBytes: SERVER_POOL_BYTES,
    });
    this.sender = new ModelSender(this.#network(), this.chance.int(3, 80));
    this.receivers = [0, 5, 400].map((slowness) => new ModelReceiver(this.#network(), this.sender, slowness));
    this.sender.start();
    for (const receiver of this.receivers)
      this.time.setTimer(() => receiver.start(), this.chance.pick([0, 500, this.chance.int(0, TROUBLE_MS)]));
    this.#produceLater();
    this.#troubleLater();
    this.time.setTimer(() => {
      this.#damage = 0;
      this.sender.pause(false);
    }, TROUBLE_MS);
  }

  get isDone(): boolean {
    this.#check();
    return this.sender.isDone && this.receivers.every(({ isDone }) => isDone);
  }

  /** Each client has a network of its own quality. */
  #network(): Network {
    const quality = {
      latencyMs: this.chance.pick([0, 1, 30, 150]),
      bytesPerMs: this.chance.pick([15, 300, 20_000]),
      damage: () => this.#damage,
    };
    return {
      time: this.time,
      chance: this.chance,
      connect: () => {
        const link = createLink(this.time, this.chance, quality);
        this.#links.add(link);
        this.server.accept(link.server);
        return link.client;
      },
    };
  }

  #produceLater(): void {
    this.time.setTimer(
      () => {
        for (let i = this.chance.int(1, 4); i > 0; i--) this.sender.produce();
        this.#produceLater();
      },
      this.chance.pick([1, 20, 300]),
    );
  }

  #troubleLater(): void {
    this.time.setTimer(
      () => {
        if (this.time.now() >= TROUBLE_MS) return;
        this.chance.pick([
          () => this.#cut(),
          () => this.#cut(),
          () => this.#fail(),
          () => this.#pause(),
          () => this.#reprioritise(),
        ])();
        this.#troubleLater();
      },
      this.chance.int(1, 2_000),
    );
  }

  #cut(): void {
    if (this.#links.size === 0) return;
    const link = this.chance.pick([...this.#links]);
    link.cut(this.chance.pick([0, 10, 3_000]));
    this.#links.delete(link);
  }

  #fail(): void {
    this.server.fail();
    for (const link of this.#links) link.cut(0);
    this.#links.clear();
  }

  #pause(): void {
    this.sender.pause(true);
    this.time.setTimer(() => this.sender.pause(false), this.chance.int(1, 3_000));
  }

  #reprioritise(): void {
    this.chance.pick([this.sender, ...this.receivers]).changePriority();
  }

  #check(): void {
    // Asked after every step, so without the cost of `expect`.
    const problems = [this.sender, ...this.receivers].flatMap((client) => client.problems);
    for (const { code, message } of this.server.errors) if (code !== 'peerTimeout') problems.push(message);
    this.#toldDurable = Math.max(this.#toldDurable, this.sender.durableIndex);
    if (this.server.durableIndex < this.#toldDurable) problems.push('what was acknowledged is gone');
    if (this.server.heldBytes() > SERVER_WINDOW_BYTES) problems.push('the server holds more than it granted');
    if (problems.length > 0) throw new Error(`SIM_SEED=${this.seed}: ${problems.join(' ')}`);
  }
}

const seen = { runs: 0, rewinds: 0, nacks: 0 };

test.each(SEEDS)('seed %d', (seed) => {
  const simulation = new Simulation(seed);
  const isDone = simulation.time.runUntil(() => simulation.isDone, PATIENCE_MS);
  const { sender, receivers } = simulation;
  expect(
    {
      seed,
      isDone,
      sent: sender.sent.length,
      durable: sender.durableIndex,
      received: receivers.map(({ index }) => index),
    },
    `repeat with SIM_SEED=${seed}`,
  ).toEqual({
    seed,
    isDone: true,
    sent: sender.sent.length,
    durable: sender.sent.length,
    received: receivers.map(() => sender.sent.length),
  });
  let chain = startOfLog().chain;
  for (const record of sender.sent) chain = blake3(chain, record.subarray(-32));
  for (const receiver of receivers) {
    expect(receiver.chain).toEqual(chain);
    seen.rewinds += receiver.rewinds;
    seen.nacks += receiver.nacks;
  }
  seen.runs += 1;
});

test('the seeds have seen what they are for', () => {
  // One seed alone, or a few, may see neither.
  if (SEEDS.length >= 60) expect([seen.rewinds > 0, seen.nacks > 0]).toEqual([true, true]);
  expect(seen.runs).toBe(SEEDS.length);
});
