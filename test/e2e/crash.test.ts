/**
 * kill -9 of sender, receiver and server at a random byte of a transfer. Afterwards the same command is run again, or
 * the server is started again and everybody comes back: all content arrives, whole and once, nothing is left behind, and
 * nothing that was acknowledged as durable is lost. Acknowledgements are remembered by the proxy, outside of the server.
 *
 * The kernel keeps what a killed process wrote, so this proves nothing about a power cut: that is for
 * test/simulation/transfer-log-crash.test.ts (a simulated disk) and test/long/strace.test.ts (the order of the calls).
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SluiceProcess } from '../support/cli.ts';
import {
  ALL_KINDS,
  CrashRig,
  cameBefore,
  hasSettled,
  killHard,
  linkOf,
  printedRandom,
  randomBytes,
  type SourceKind,
  type Transfer,
} from '../support/crash-rig.ts';

const MIB = 1024 * 1024;
/** What a sender may have on its way: the default of `sendWindowBytes`, with room for what is not content. */
const SEND_WINDOW_BYTES = 16.5 * MIB;

/** A server that dies again and again is asked less and less often, up to every 20 s. */
const PATIENT = { deadlineMs: 50_000 };

const random = printedRandom('crash');

test('a sender that is killed goes on where it stopped', async () => {
  const rig = await CrashRig.start(random);
  let kills = 0;
  const killTwice = async (transfer: Transfer): Promise<void> => {
    const upBytes = await sizeUp(transfer);
    const early: SluiceProcess[] = [];
    for (let life = 0; life < 2; life++) {
      const moment = transfer.proxy.holdAfter('up', 1 + random.below(upBytes - 60));
      const sender = transfer.send();
      const isDying = await cameBefore(moment, sender);
      await killHard(sender);
      // What a dead process has handed to the network still arrives, or does not.
      if (random.chance(0.5)) transfer.proxy.cut();
      transfer.proxy.release();
      if (!isDying) continue;
      kills += 1;
      const link = linkOf(sender);
      // A receiver waits while there is no sender.
      if (link !== null && life === 0) early.push(transfer.receive(link, 'early'));
    }
    const sender = transfer.send();
    expect(await sender.finished()).toMatchObject({ code: 0 });
    const receiver = transfer.receive(linkOf(sender) as string, 'in');
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    await transfer.expectArrived('in', sender, receiver);
    for (const waiting of early) expect(await waiting.finished()).toMatchObject({ code: 0 });
    await transfer.expectTidyState();
    expect(transfer.proxy.brokenPromises).toEqual([]);
  };
  const transfers = await Promise.all(ALL_KINDS.map((kind) => rig.prepare(kind)));
  await Promise.all(transfers.map(killTwice));
  // Otherwise this test would prove nothing.
  expect(kills).toBeGreaterThanOrEqual(ALL_KINDS.length);
});

test('a receiver that is killed goes on where it stopped', async () => {
  const rig = await CrashRig.start(random);
  let kills = 0;
  const killOften = async (transfer: Transfer): Promise<void> => {
    const sender = transfer.send();
    expect(await sender.finished()).toMatchObject({ code: 0 });
    const link = linkOf(sender) as string;
    const before = transfer.proxy.passed.down;
    expect(await transfer.receive(link, 'whole').finished()).toMatchObject({ code: 0 });
    const downBytes = transfer.proxy.passed.down - before;
    // Anywhere, then among the last bytes: when files get their names and the staging folder goes.
    const places = [1 + random.below(downBytes - 60), downBytes - 1 - random.below(60)];
    const runs: SluiceProcess[] = [];
    for (const place of places) {
      if (await hasSettled(join(transfer.folder, 'in'))) break;
      const moment = transfer.proxy.holdAfter('down', place);
      const receiver = transfer.receive(link, 'in');
      runs.push(receiver);
      if (await cameBefore(moment, receiver)) kills += 1;
      await killHard(receiver);
      transfer.proxy.release();
    }
    if (!(await hasSettled(join(transfer.folder, 'in')))) {
      const receiver = transfer.receive(link, 'in');
      runs.push(receiver);
      expect(await receiver.finished()).toMatchObject({ code: 0 });
    }
    await transfer.expectArrived('in', ...runs);
  };
  const transfers = await Promise.all(ALL_KINDS.map((kind) => rig.prepare(kind)));
  await Promise.all(transfers.map(killOften));
  expect(kills).toBeGreaterThanOrEqual(ALL_KINDS.length);
});

test('senders and receivers survive a server that is killed', async () => {
  const rig = await CrashRig.start(random);
  const transfers = await Promise.all(ALL_KINDS.map((kind) => rig.prepare(kind)));
  const sizes = await Promise.all(transfers.map(sizeUp));
  const senders = new Map<Transfer, SluiceProcess>();
  const receivers = new Map<Transfer, SluiceProcess>();
  for (let life = 0; life < 3; life++) {
    const moments = transfers.map(async (transfer, i) => {
      const moment = transfer.proxy.holdAfter('up', 1 + random.below((sizes[i] as number) / 2));
      if (life === 0) senders.set(transfer, transfer.send(PATIENT));
      await cameBefore(moment, senders.get(transfer) as SluiceProcess);
    });
    // The first time everybody is in the middle, later at least one is.
    await (life === 0 ? Promise.all(moments) : Promise.race(moments));
    await rig.server.kill();
    await rig.server.start();
    for (const transfer of transfers) {
      transfer.proxy.release();
      const link = linkOf(senders.get(transfer) as SluiceProcess);
      if (link === null || receivers.has(transfer)) continue;
      receivers.set(transfer, transfer.receive(link, 'in', PATIENT));
    }
  }
  for (const transfer of transfers) {
    const sender = senders.get(transfer) as SluiceProcess;
    expect(await sender.finished()).toMatchObject({ code: 0 });
    const receiver = receivers.get(transfer) ?? transfer.receive(linkOf(sender) as string, 'in');
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    await transfer.expectArrived('in', sender, receiver);
    await transfer.expectTidyState();
    expect(transfer.proxy.brokenPromises).toEqual([]);
  }
});

test('sender and server killed together lose nothing that was durable', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('several MiB');
  const upBytes = await sizeUp(transfer);
  let durableBytes = 0;
  for (let life = 0; life < 2; life++) {
    const moment = transfer.proxy.holdAfter('up', 1 + random.below(upBytes / 3));
    const sender = transfer.send();
    await cameBefore(moment, sender);
    await Promise.all([killHard(sender), rig.server.kill()]);
    await rig.server.start();
    transfer.proxy.release();
    for (const event of sender.jsonLines()) {
      if (event.type === 'progress') durableBytes = Math.max(durableBytes, Number(event.durableBytes));
    }
    const listing = transfer.run(['ls', '--json']);
    expect(await listing.finished()).toMatchObject({ code: 0 });
    const [newest] = listing.jsonLines();
    expect(Number(newest?.durableBytes)).toBeGreaterThanOrEqual(durableBytes);
  }
  const sender = transfer.send();
  expect(await sender.finished()).toMatchObject({ code: 0 });
  const receiver = transfer.receive(linkOf(sender) as string, 'in');
  expect(await receiver.finished()).toMatchObject({ code: 0 });
  await transfer.expectArrived('in', receiver);
  expect(transfer.proxy.brokenPromises).toEqual([]);
});

test('a sender that goes on sends at most a window again', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('empty');
  const content = randomBytes(40 * MIB, random);
  await writeFile(join(transfer.folder, 'large.bin'), content);
  const send = (): SluiceProcess => transfer.run(['send', 'large.bin', '--json']);
  const once = await bytesUp(transfer, send);
  const first = await bytesUp(transfer, async () => {
    const moment = transfer.proxy.holdAfter('up', 30 * MIB + random.below(5 * MIB));
    const sender = send();
    expect(await cameBefore(moment, sender)).toBe(true);
    await killHard(sender);
    transfer.proxy.release();
  });
  const second = await bytesUp(transfer, send);
  expect(first + second - once).toBeLessThan(SEND_WINDOW_BYTES);
  expect(transfer.proxy.brokenPromises).toEqual([]);
});

test('a sender of standard input survives the server as long as it lives itself', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('empty');
  const content = randomBytes(6 * MIB, random);
  const sender = transfer.run(['send', '-', '--json', '--name', 'stream.bin'], PATIENT);
  const link = String((await sender.event('link')).link);
  const receiver = transfer.run(['receive', link, '-o', '-', '--json'], PATIENT);
  const cuts = [0, 2 * MIB, 4 * MIB, 6 * MIB];
  for (const [i, end] of cuts.entries()) {
    if (i === 0) continue;
    const isLast = i === cuts.length - 1;
    const moment = transfer.proxy.holdAfter('up', isLast ? 0 : 1 + random.below(MIB / 2));
    sender.child.stdin.write(content.subarray(cuts[i - 1], end));
    if (isLast) sender.child.stdin.end();
    await moment;
    await rig.server.kill();
    await rig.server.start();
    transfer.proxy.release();
  }
  expect(await sender.finished()).toMatchObject({ code: 0 });
  expect(await receiver.finished()).toMatchObject({ code: 0 });
  expect(receiver.stdoutBytes.equals(content)).toBe(true);
  expect(transfer.proxy.brokenPromises).toEqual([]);
});

const knownSizes = new Map<SourceKind, Promise<number>>();

/** Bytes towards the server when a source of that kind is sent without trouble. */
function sizeUp(transfer: Transfer): Promise<number> {
  const { kind } = transfer;
  const size = knownSizes.get(kind) ?? bytesUp(transfer, () => transfer.send());
  knownSizes.set(kind, size);
  return size;
}

/** Bytes towards the server while `run` lasts; a command must end well. */
async function bytesUp(transfer: Transfer, run: () => SluiceProcess | Promise<void>): Promise<number> {
  const before = transfer.proxy.passed.up;
  const command = await run();
  if (command !== undefined) expect(await command.finished()).toMatchObject({ code: 0 });
  return transfer.proxy.passed.up - before;
}
