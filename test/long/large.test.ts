/**
 * Much: a file of 4 GiB, and a folder of 20,000 small files with three large ones, through real processes. Memory of
 * server, sender and receiver is measured by the system and does not grow with the size; three receivers, of which one
 * joins late and one is stopped for a while; the server is killed and started again in the middle.
 *
 * LARGE_GIB sets the size of the file (default 4). Needs three times that on the disk of the temporary folder.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import type { SluiceProcess } from '../support/cli.ts';
import {
  CrashRig,
  describeFolder,
  killHard,
  linkOf,
  printedRandom,
  randomBytes,
  type Transfer,
} from '../support/crash-rig.ts';
import { canReadMemory, peakMemoryMib } from '../support/process-memory.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const LARGE_BYTES = Number(process.env.LARGE_GIB ?? 4) * GIB;
const DEADLINE_MS = 14 * 60_000;
/** The most that any of our processes may ever have in use, MiB. */
const MAX_MEMORY_MIB = 400;
/** What it may grow by between the first and the last quarter of a large file, MiB. */
const MAX_GROWTH_MIB = 48;

const random = printedRandom('large');
const isMeasurable = canReadMemory;
if (!isMeasurable) console.log('large tests measure no memory: there is no /proc');

test('a file of several GiB, and nobody needs more memory for it', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('empty');
  await writeLargeFile(join(transfer.folder, 'large.bin'), LARGE_BYTES);
  const startedAt = performance.now();
  const sender = transfer.run(['send', 'large.bin', '--json'], { deadlineMs: DEADLINE_MS });
  const link = String((await sender.event('link')).link);
  const receiver = transfer.receive(link, 'in', { deadlineMs: DEADLINE_MS });
  const parties = { server: rig.server.process, sender, receiver };
  // Each is measured while it is at work: the sender is done before the receiver.
  const [earlySender, earlyReceiver, lateSender, lateReceiver] = await Promise.all(
    [0.25, 0.95].flatMap((fraction) => [
      sender
        .event('progress', ({ sentBytes }) => Number(sentBytes) >= LARGE_BYTES * fraction)
        .then(() => memoryOf({ sender })),
      receiver
        .event('progress', ({ receivedBytes }) => Number(receivedBytes) >= LARGE_BYTES * fraction)
        .then(() => memoryOf({ receiver, server: rig.server.process })),
    ]),
  );
  const early = { ...earlySender, ...earlyReceiver } as Memory<typeof parties>;
  const late = { ...lateSender, ...lateReceiver } as Memory<typeof parties>;
  expect(await sender.finished()).toMatchObject({ code: 0 });
  expect(await receiver.finished()).toMatchObject({ code: 0 });
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = Math.round(LARGE_BYTES / MIB / seconds);
  console.log(
    `large: ${LARGE_BYTES / GIB} GiB in ${seconds.toFixed(1)} s (${rate} MiB/s), peak memory in MiB`,
    {
      early,
      late,
    },
  );
  for (const party of Object.keys(parties) as (keyof typeof parties)[]) {
    expect({ party, mib: late[party] }).toSatisfy(({ mib }) => mib < MAX_MEMORY_MIB);
    expect({ party, grown: late[party] - early[party] }).toSatisfy(({ grown }) => grown < MAX_GROWTH_MIB);
  }
  expect(await hashOfFile(join(transfer.folder, 'in', 'large.bin'))).toBe(
    await hashOfFile(join(transfer.folder, 'large.bin')),
  );
});

test('a receiver of a large file that is killed receives little again', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('empty');
  await writeLargeFile(join(transfer.folder, 'large.bin'), GIB);
  const sender = transfer.run(['send', 'large.bin', '--json'], { deadlineMs: DEADLINE_MS });
  expect(await sender.finished()).toMatchObject({ code: 0 });
  const link = linkOf(sender) as string;
  const { proxy } = transfer;
  for (let life = 0; life < 3; life++) {
    const moment = proxy.holdAfter('down', 200 * MIB + random.below(50 * MIB));
    const receiver = transfer.receive(link, 'in', { deadlineMs: DEADLINE_MS });
    await moment;
    await killHard(receiver);
    proxy.release();
  }
  const receiver = transfer.receive(link, 'in', { deadlineMs: DEADLINE_MS });
  expect(await receiver.finished()).toMatchObject({ code: 0 });
  const again = proxy.passed.down - GIB;
  console.log(`large: 3 kills of a receiver cost ${Math.round(again / MIB)} MiB of 1024 again`);
  // A checkpoint is written every 64 MiB or second; the window and what the proxy holds comes on top.
  expect(again).toBeLessThan(3 * 100 * MIB);
  expect(await hashOfFile(join(transfer.folder, 'in', 'large.bin'))).toBe(
    await hashOfFile(join(transfer.folder, 'large.bin')),
  );
});

describe('20,000 small files and three large ones', () => {
  test('three receivers, one late and one stopped for a while, and a server that is killed', async () => {
    const rig = await CrashRig.start(random);
    const transfer = await rig.prepare('empty', 'many');
    const source = join(transfer.folder, 'tree');
    await writeTree(source);
    const startedAt = performance.now();
    const sender = transfer.run(['send', 'tree', '--json'], { deadlineMs: DEADLINE_MS });
    const link = String((await sender.event('link')).link);
    const receive = (into: string): SluiceProcess =>
      transfer.receive(link, into, { deadlineMs: DEADLINE_MS });
    const prompt = receive('prompt');
    const stopped = receive('stopped');
    await stopped.event('progress', ({ receivedBytes }) => Number(receivedBytes) > 0);
    stopped.child.kill('SIGSTOP');
    await durableAtSender(sender, 200 * MIB);
    const beforeKill = memoryOf({ server: rig.server.process });
    await rig.server.kill();
    await rig.server.start({ deadlineMs: DEADLINE_MS });
    await durableAtSender(sender, 400 * MIB);
    const late = receive('late');
    expect(await sender.finished()).toMatchObject({ code: 0 });
    // Those who are there are not harmed by the one that stands still.
    expect(await prompt.finished()).toMatchObject({ code: 0 });
    expect(await late.finished()).toMatchObject({ code: 0 });
    const seconds = (performance.now() - startedAt) / 1000;
    const memory = memoryOf({ server: rig.server.process, stopped });
    stopped.child.kill('SIGCONT');
    expect(await stopped.finished()).toMatchObject({ code: 0 });
    console.log(`large: 20,003 files in ${seconds.toFixed(1)} s, peak memory in MiB`, {
      beforeKill,
      ...memory,
    });
    for (const mib of [beforeKill.server, memory.server]) expect(mib).toBeLessThan(MAX_MEMORY_MIB);
    await expectSame(transfer, source, ['prompt', 'late', 'stopped']);
    expect(transfer.proxy.brokenPromises).toEqual([]);
  });
});

type Memory<Parties> = Record<keyof Parties, number>;

function memoryOf<Party extends string>(parties: Record<Party, SluiceProcess>): Record<Party, number> {
  const memory: Partial<Record<Party, number>> = {};
  for (const [party, { child }] of Object.entries(parties) as [Party, SluiceProcess][]) {
    memory[party] = isMeasurable ? peakMemoryMib(child.pid) : 0;
  }
  return memory as Record<Party, number>;
}

async function durableAtSender(sender: SluiceProcess, bytes: number): Promise<void> {
  await sender.event('progress', ({ durableBytes }) => Number(durableBytes) >= bytes);
}

/** No block is like another, and nothing can be stored sparsely. */
async function writeLargeFile(path: string, sizeBytes: number): Promise<void> {
  const block = randomBytes(64 * MIB, random);
  const counters = new DataView(block.buffer);
  await pipeline(async function* () {
    for (let at = 0; at < sizeBytes; at += block.length) {
      for (let page = 0; page < block.length; page += 4096) counters.setFloat64(page, at + page);
      yield new Uint8Array(block.subarray(0, Math.min(block.length, sizeBytes - at)));
    }
  }, createWriteStream(path));
}

async function writeTree(root: string): Promise<void> {
  const content = randomBytes(64 * 1024, random);
  for (let folder = 0; folder < 100; folder++) {
    const path = join(root, `folder-${folder}`);
    await mkdir(path, { recursive: true });
    const names = Array.from({ length: 200 }, (_, i) => join(path, `file-${i}`));
    await Promise.all(
      names.map((name, i) => writeFile(name, content.subarray(i, i + ((folder * 200 + i) % 8_000)))),
    );
  }
  for (const name of ['large-1', 'large-2', 'large-3']) await writeLargeFile(join(root, name), 256 * MIB);
}

async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 4 * MIB })) hash.update(piece as Buffer);
  return hash.digest('hex');
}

async function expectSame(transfer: Transfer, source: string, copies: readonly string[]): Promise<void> {
  const sent = await describeFolder(source);
  expect(sent.size).toBe(20_103);
  for (const copy of copies) {
    const arrived = await describeFolder(join(transfer.folder, copy, 'tree'));
    // Compared entry by entry: a difference of two maps of this size could not be read.
    expect(arrived.size).toBe(sent.size);
    for (const [path, entry] of sent) expect({ path, ...arrived.get(path) }).toEqual({ path, ...entry });
    await rm(join(transfer.folder, copy), { recursive: true });
  }
}
