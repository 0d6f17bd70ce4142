/**
 * The real server, its system calls watched and failed by strace: no `durable` is told to a sender before the segment
 * that holds the records was written and synced, and no failed write or sync is taken for a success.
 *
 * Skipped where strace is missing or not permitted. What always runs is the same on a simulated disk:
 * test/simulation/transfer-log-crash.test.ts (power cuts and failing calls against an oracle),
 * test/unit/server/transfer-log.test.ts (the order of events) and test/unit/server/storage-faults.test.ts (the hub).
 */
import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { recordsIn } from '../../src/protocol/index.ts';
import type { SluiceProcess } from '../support/cli.ts';
import { CrashRig, linkOf, printedRandom, type Transfer } from '../support/crash-rig.ts';

const problem = straceProblem();
if (problem !== null) console.log(`strace tests are skipped: ${problem}`);
const random = printedRandom('strace');

function straceProblem(): string | null {
  const { status, stderr, error } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
  });
  return status === 0 ? null : (error?.message ?? stderr.trim());
}

describe.skipIf(problem !== null)('system calls', () => {
  test('every durable ack comes after the write and the sync of what it covers', async () => {
    const rig = await CrashRig.start(random);
    const trace = join(rig.folder, 'trace');
    await rig.server.kill();
    const calls = 'trace=write,writev,sendmsg,sendto,pwrite64,pwritev,fdatasync,fsync';
    await rig.server.start({ wrapper: strace(trace, '-y', '-s', '4096', '-e', calls), deadlineMs: 60_000 });
    const transfer = await rig.prepare('empty');
    // A stream in pieces, so that there are many acks.
    const sender = transfer.run(['send', '-', '--json'], { deadlineMs: 60_000 });
    const link = String((await sender.event('link')).link);
    const receiver = transfer.run(['receive', link, '-o', '-', '--json'], { deadlineMs: 60_000 });
    for (let sent = 0; sent < 24 * 400_000; sent += 400_000) {
      sender.child.stdin.write(new Uint8Array(400_000).fill(sent % 251));
      await receiver.until(`byte ${sent}`, () => (receiver.stdoutBytes.length > sent ? true : null));
    }
    sender.child.stdin.end();
    expect(await sender.finished()).toMatchObject({ code: 0 });
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    await rig.server.kill();

    const folder = join(rig.server.dataDirectory, 't', idOf(link));
    const acks = checkOrder(await readFile(trace, 'utf8'), folder, await positionsIn(folder));
    console.log(`strace: ${acks} durable acks, each behind the sync of what it covers`);
    expect(acks).toBeGreaterThan(10);
  });

  describe.each([
    ['fdatasync', 'EIO'],
    ['fdatasync', 'ENOSPC'],
    ['pwrite64,pwritev', 'ENOSPC'],
    ['pwrite64,pwritev', 'EIO'],
    ['ftruncate', 'EIO'],
  ])('%s failing with %s', (calls, error) => {
    test.each(['1', '2', '3', '5', '9', '2+4'])(
      'at call %s of a thread is no silent success',
      async (when) => {
        const rig = await CrashRig.start(random);
        const stored = await rig.prepare('several MiB', 'stored');
        const sender = stored.send();
        expect(await sender.finished()).toMatchObject({ code: 0 });
        await rig.server.kill();
        const inject = `inject=${calls}:error=${error}:when=${when}`;
        const wrapper = strace('/dev/null', '-e', `trace=${calls}`, '-e', inject);
        const isUp = await rig.server.start({ wrapper, deadlineMs: 30_000 }).then(
          () => true,
          () => false,
        );
        // It may find the disk unusable already when it starts: then it says so.
        if (!isUp) await expectTypedEnd(rig.server.process);
        const transfers = [await rig.prepare('several MiB'), await rig.prepare('folder')];
        const senders = transfers.map((transfer) => transfer.send({ deadlineMs: 45_000 }));
        if (isUp) {
          const receiver = stored.receive(linkOf(sender) as string, 'in');
          expect(await receiver.finished()).toMatchObject({ code: 0 });
          await stored.expectArrived('in', receiver);
        }
        const isDone = await Promise.all(senders.map((running) => endsSoon(running)));
        await rig.server.kill();
        await rig.server.start();
        for (const [i, transfer] of transfers.entries()) {
          await expectIntact(transfer, senders[i] as SluiceProcess, isDone[i] as boolean);
        }
      },
    );
  });
});

function strace(output: string, ...options: string[]): string[] {
  // -D: the server stays our child, and is what gets our signals.
  return ['strace', '-f', '-D', '-qq', '--seccomp-bpf', '-o', output, ...options];
}

function idOf(link: string): string {
  return /\/t\/([\w-]{22})#/.exec(link)?.[1] ?? '';
}

async function expectTypedEnd(server: SluiceProcess): Promise<void> {
  expect((await server.finished()).code).toBeGreaterThan(0);
  expect(server.jsonLines().at(-1)).toMatchObject({ type: 'error' });
}

/** How long a sender may go on trying while calls fail, ms. */
const PATIENCE_MS = 10_000;

/** True when it has ended well while calls fail. With every fourth call failing it may still be trying. */
function endsSoon(sender: SluiceProcess): Promise<boolean> {
  const ended = sender.finished().then(({ code }) => code === 0);
  return Promise.race([ended, setTimeout(PATIENCE_MS, false)]);
}

/** On a healthy server: who was done is done, who failed said why and goes on, who was trying comes back. */
async function expectIntact(transfer: Transfer, sender: SluiceProcess, isDone: boolean): Promise<void> {
  const { code } = await sender.finished();
  let last = sender;
  if (code !== 0) {
    expect(isDone).toBe(false);
    expect(sender.jsonLines().at(-1)).toMatchObject({ type: 'error', exitCode: code });
    last = transfer.send();
    expect(await last.finished()).toMatchObject({ code: 0 });
  }
  const receiver = transfer.receive(linkOf(last) as string, 'in');
  expect(await receiver.finished()).toMatchObject({ code: 0 });
  await transfer.expectArrived('in', receiver);
  expect(transfer.proxy.brokenPromises).toEqual([]);
}

/** Where each record of a log ends, by its index plus one. */
async function positionsIn(folder: string): Promise<number[]> {
  const positions = [0];
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.log')).sort()) {
    for (const { bytes } of recordsIn(new Uint8Array(await readFile(join(folder, name))))) {
      positions.push((positions.at(-1) as number) + bytes.length);
    }
  }
  return positions;
}

/** What is known of one segment at one moment of the trace, in bytes from its beginning. */
interface SegmentTrace {
  written: number;
  /** What a sync under way will have covered, by thread. */
  readonly syncing: Map<string, number>;
  synced: number;
}

/** Goes through a trace and checks each ack against the syncs that had ended before it. Returns how many there were. */
function checkOrder(trace: string, folder: string, positions: readonly number[]): number {
  const segments = new Map<number, SegmentTrace>();
  const unfinished = new Map<string, string>();
  let isFolderSynced = false;
  let acks = 0;
  for (const line of trace.split('\n')) {
    const { thread, begun, ended } = readCall(line, unfinished);
    const segment =
      begun === null && ended === null ? null : segmentOf(begun ?? ended ?? '', folder, segments);
    if (begun !== null) {
      for (const [, index] of begun.matchAll(/\\"durable\\":\{\\"index\\":(\d+)/g)) {
        if (!begun.includes('\\"type\\":\\"ack\\"')) continue;
        const covered = positions[Number(index)] ?? Number.POSITIVE_INFINITY;
        expect({ index, isFolderSynced, isSynced: covered <= syncedEnd(segments) }).toEqual({
          index,
          isFolderSynced: true,
          isSynced: true,
        });
        acks += 1;
      }
      if (segment !== null && begun.startsWith('fdatasync')) segment.syncing.set(thread, segment.written);
    }
    if (ended === null) continue;
    if (segment !== null && ended.startsWith('pwrite')) noteWritten(segment, ended);
    if (segment !== null && /^fdatasync.* = 0$/.test(ended)) {
      segment.synced = Math.max(segment.synced, segment.syncing.get(thread) ?? 0);
    }
    if (ended.startsWith('fsync') && ended.includes(`<${folder}>`) && ended.endsWith(' = 0')) {
      isFolderSynced = true;
    }
  }
  return acks;
}

/** One line of strace: a call that begins, one that ends, or both. An ended one comes with its arguments. */
function readCall(
  line: string,
  unfinished: Map<string, string>,
): { thread: string; begun: string | null; ended: string | null } {
  const [, thread = '', call = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
  const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(call);
  if (resumed !== null) {
    const begun = unfinished.get(thread) ?? '';
    unfinished.delete(thread);
    return { thread, begun: null, ended: begun + resumed[1] };
  }
  if (!call.endsWith('<unfinished ...>')) return { thread, begun: call, ended: call };
  const begun = call.slice(0, -'<unfinished ...>'.length).trimEnd();
  unfinished.set(thread, begun);
  return { thread, begun, ended: null };
}

function segmentOf(call: string, folder: string, segments: Map<number, SegmentTrace>): SegmentTrace | null {
  const [, path = ''] = /^\w+\(\d+<([^>]*)>/.exec(call) ?? [];
  const [, base] = path.startsWith(folder) ? (/\/(\d{16})\.log$/.exec(path) ?? []) : [];
  if (base === undefined) return null;
  const known = segments.get(Number(base)) ?? { written: 0, syncing: new Map(), synced: 0 };
  segments.set(Number(base), known);
  return known;
}

/** Segments are written in order: what does not go on where the last write ended would be a gap. */
function noteWritten(segment: SegmentTrace, call: string): void {
  const [, offset = '', bytes = ''] = /, (\d+)\) += (\d+)$/.exec(call) ?? [];
  if (Number(offset) === segment.written) segment.written += Number(bytes);
}

/** The end of what is synced without a gap. */
function syncedEnd(segments: ReadonlyMap<number, SegmentTrace>): number {
  let end = 0;
  for (let next = segments.get(0); next !== undefined && next.synced > 0; next = segments.get(end)) {
    end += next.synced;
  }
  return end;
}
