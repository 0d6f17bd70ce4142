/**
 * kill -9, again and again: several transfers of every kind at the same time, with live receivers, while senders,
 * receivers and the server are killed at random bytes, sometimes two at once, and started again. After the faults have
 * ended everything arrives, whole and once, and nothing that was promised as durable was lost.
 *
 * CRASH_RUNS sets how many runs there are (default 60), CRASH_SEED the first seed; each run prints nothing unless it
 * fails, and is named by its seed. Its short form for every day is test/e2e/crash.test.ts.
 */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { SluiceProcess } from '../support/cli.ts';
import { ALL_KINDS, CrashRig, hasSettled, killHard, linkOf, type Transfer } from '../support/crash-rig.ts';
import { type Random, seededRandom } from '../support/random.ts';

const RUNS = Number(process.env.CRASH_RUNS ?? 60);
const FIRST_SEED = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 1e9));
const TRANSFERS = 3;
const DEADLINE_MS = 60_000;

const counts = {
  runs: 0,
  transfers: 0,
  receivers: 0,
  promises: 0,
  sender: 0,
  receiver: 0,
  server: 0,
  atOnce: 0,
};
afterAll(() => console.log(`crash loop from CRASH_SEED=${FIRST_SEED}: ${JSON.stringify(counts)}`));

test.each(Array.from({ length: RUNS }, (_, i) => FIRST_SEED + i))('CRASH_SEED=%i', async (seed) => {
  const random = seededRandom(seed);
  const rig = await CrashRig.start(random);
  const lives: Life[] = [];
  for (let i = 0; i < TRANSFERS; i++) {
    const kind = ALL_KINDS[random.below(ALL_KINDS.length)] ?? 'folder';
    lives.push(new Life(await rig.prepare(kind, `transfer-${i}`), random));
  }
  for (const life of lives) life.startSender();
  for (let crash = 4 + random.below(4); crash > 0; crash--) await crashOnce(rig, lives, random);
  for (const life of lives) await life.expectEnd();
  counts.runs += 1;
});

async function crashOnce(rig: CrashRig, lives: readonly Life[], random: Random): Promise<void> {
  const watched = lives[random.below(lives.length)] as Life;
  await watched.untilMoment();
  const victims = new Set([pickVictim(random)]);
  if (random.chance(0.35)) victims.add(pickVictim(random));
  if (victims.size > 1) counts.atOnce += 1;
  const deaths: Promise<void>[] = [];
  if (victims.has('server')) {
    counts.server += 1;
    deaths.push(rig.server.kill());
  }
  if (victims.has('sender')) deaths.push(watched.killSender());
  if (victims.has('receiver')) deaths.push(watched.killReceivers());
  await Promise.all(deaths);
  if (random.chance(0.5)) watched.transfer.proxy.cut();
  watched.transfer.proxy.release();
  const isServerFirst = random.chance(0.5);
  if (victims.has('server') && isServerFirst) await rig.server.start();
  for (const life of lives) await life.goOn();
  if (victims.has('server') && !isServerFirst) await rig.server.start();
}

type Victim = 'sender' | 'receiver' | 'server';

function pickVictim(random: Random): Victim {
  return (['sender', 'receiver', 'server'] as const)[random.below(3)] ?? 'server';
}

interface Receiving {
  readonly link: string;
  readonly into: string;
  process: SluiceProcess | null;
}

/** One transfer with its sender and two receivers, through all their deaths. */
class Life {
  readonly transfer: Transfer;
  readonly #random: Random;
  #sender: SluiceProcess | null = null;
  #receiving: Receiving[] = [];

  constructor(transfer: Transfer, random: Random) {
    this.transfer = transfer;
    this.#random = random;
  }

  startSender(): void {
    this.#sender = this.transfer.send({ deadlineMs: DEADLINE_MS });
  }

  /** A random byte of what is going on, or the end of it. */
  async untilMoment(): Promise<void> {
    const { proxy, content, kind } = this.transfer;
    const direction = this.#random.chance(0.5) ? 'up' : 'down';
    const mostBytes = kind === 'several MiB' || kind === 'folder' ? 4e6 : content.size > 0 ? 3e5 : 2e3;
    // Small numbers as well: the first bytes of a connection.
    const bytes = 1 + this.#random.below(this.#random.chance(0.4) ? 4_000 : mostBytes);
    const moment = proxy.holdAfter(direction, bytes);
    const processes = [this.#sender, ...this.#receiving.map(({ process }) => process)];
    await Promise.race([moment, Promise.all(processes.map((process) => process?.finished()))]);
  }

  async killSender(): Promise<void> {
    const sender = this.#sender;
    if (sender === null || sender.child.exitCode !== null) return;
    counts.sender += 1;
    await killHard(sender);
    // Receivers of a link that was printed stay with it.
    this.#noteLink(sender);
    this.#sender = null;
  }

  async killReceivers(): Promise<void> {
    for (const receiving of this.#receiving) {
      const { process } = receiving;
      if (process === null || process.child.exitCode !== null) continue;
      counts.receiver += 1;
      await killHard(process);
      receiving.process = null;
    }
  }

  /** Runs again what was killed, and receivers when there is a link. */
  async goOn(): Promise<void> {
    if (this.#sender === null) this.startSender();
    else this.#noteLink(this.#sender);
    for (const receiving of this.#receiving) {
      const { link, into, process } = receiving;
      if (process !== null || (await hasSettled(join(this.transfer.folder, into)))) continue;
      receiving.process = this.transfer.receive(link, into, { deadlineMs: DEADLINE_MS });
    }
  }

  async expectEnd(): Promise<void> {
    const { proxy } = this.transfer;
    proxy.release();
    await this.goOn();
    const sender = this.#sender as SluiceProcess;
    expect(await sender.finished()).toMatchObject({ code: 0 });
    this.#noteLink(sender);
    await this.goOn();
    for (const { process, into } of this.#receiving) {
      if (process !== null) expect(await process.finished()).toMatchObject({ code: 0 });
      await this.transfer.expectArrived(into, ...(process === null ? [] : [process]));
      counts.receivers += 1;
    }
    await this.transfer.expectTidyState();
    expect(proxy.brokenPromises).toEqual([]);
    counts.transfers += 1;
    counts.promises += proxy.promised.size;
  }

  /** Two receivers for each link: a sender that is killed behind its seal begins a new transfer. */
  #noteLink(sender: SluiceProcess): void {
    const link = linkOf(sender);
    if (link === null || this.#receiving.some((receiving) => receiving.link === link)) return;
    for (let i = 0; i < 2; i++) {
      this.#receiving.push({ link, into: `in-${this.#receiving.length}`, process: null });
    }
  }
}
