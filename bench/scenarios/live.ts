/** One sender and one receiver at the same time, with the server between them, and how soon a byte arrives. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, write } from '../harness/child.ts';
import { type Contest, median, type Run, type Scenario } from '../harness/contest.ts';
import { measure } from '../harness/measure.ts';
import { Roster } from '../harness/roster.ts';
import { drain, removeSent, Sluice } from '../harness/sluice.ts';
import { HttpRelayPeer } from '../peers/http-relay.ts';
import { RawWsPeer } from '../peers/raw-ws.ts';

/** Pieces sent one by one for the latency, and the pause between them, in which nothing is on its way. */
const PIECES = 40;
const PIECE_BYTES = 1_000;
const PAUSE_MS = 25;

export const live: Scenario = {
  name: 'live',
  title: 'Live from one sender through the server to one receiver',
  neededBytes: ({ sizeBytes }) => 4 * sizeBytes,
  async open(options, workspace): Promise<Contest> {
    const { sizeBytes: bytes, timeoutMs } = options;
    const file = workspace.randomFile(bytes);
    await using roster = new Roster();

    const sluice = roster.use(await Sluice.start(workspace, options));
    roster.ours('sluice send, receive -o -', 'process', () => commands(sluice, file, bytes));
    roster.ours('sluice library, receiver waits', 'inside', () => library(sluice, file, bytes));
    roster.ours('sluice send - in pieces', 'inside', () => pieces(sluice));

    const relay = await HttpRelayPeer.start(roster, timeoutMs);
    if (relay !== null) roster.reference('curl, HTTP relay, curl', 'process', () => relay.relay(file, bytes));
    const ws = await RawWsPeer.start(roster, timeoutMs);
    roster.peer('ws alone, masked', 'inside', () => ws.relay(bytes, 'masked', 1, 1));
    roster.peer('ws alone, zero mask', 'inside', () => ws.relay(bytes, 'zero-mask', 1, 1));
    return roster.finish('MB/s');
  },
};

/** As two users would: the receiver starts when it sees the link, and joins late. */
async function commands(sluice: Sluice, file: string, bytes: number): Promise<Run> {
  let id = '';
  const run = await measure({ server: sluice.server }, async (meter) => {
    await using sender = sluice.startSend(file, meter);
    const event = await sender.child.nextEvent<{ link: string; id: string }>(sender.lines, 'link');
    id = event.id;
    await using receiver = sluice.startReceiveToNull(event.link, meter);
    await Promise.all([drain(sender), receiver.succeeded()]);
    return { bytes };
  });
  await sluice.cancel(id);
  return run;
}

/** The receiver is there before the first byte leaves, so every byte goes through live. */
function library(sluice: Sluice, file: string, bytes: number): Promise<Run> {
  return measure({ server: sluice.server }, async (meter) => {
    await using sender = sluice.startLibrarySend(file, meter, 'paused');
    const { link } = await sender.child.nextEvent<{ link: string }>(sender.lines, 'link');
    await using receiver = sluice.startLibraryReceive(link, meter, 1);
    await receiver.child.nextEvent(receiver.lines, 'ready');
    const startedAt = performance.now();
    sender.child.process.stdin?.write('go\n');
    await receiver.child.nextEvent(receiver.lines, 'done');
    const seconds = (performance.now() - startedAt) / 1000;
    await sender.child.nextEvent(sender.lines, 'done');
    await removeSent(sender);
    return { bytes, seconds };
  });
}

/** From the write into the sender's standard input to the read from the receiver's standard output. */
async function pieces(sluice: Sluice): Promise<Run> {
  let id = '';
  const run = await measure({ server: sluice.server }, async (meter) => {
    await using sender = sluice.startSend('-', meter, 'pipe');
    const event = await sender.child.nextEvent<{ link: string; id: string }>(sender.lines, 'link');
    id = event.id;
    await using receiver = sluice.startReceive(event.link, meter, 'pipe');
    const arrivals = countArrivals(receiver);
    const piece = new Uint8Array(PIECE_BYTES).fill(0x2e);
    // The first piece waits for the receiver to start, so it tells nothing.
    await write(sender.child, piece);
    await arrivals.until(PIECE_BYTES);
    const latencies: number[] = [];
    const startedAt = performance.now();
    for (let i = 2; i <= PIECES + 1; i++) {
      await sleep(PAUSE_MS);
      const writtenAt = performance.now();
      const arrival = arrivals.until(i * PIECE_BYTES);
      await write(sender.child, piece);
      latencies.push((await arrival) - writtenAt);
    }
    const seconds = (performance.now() - startedAt) / 1000;
    sender.child.process.stdin?.end();
    await Promise.all([drain(sender), receiver.succeeded()]);
    const extra = { firstByteMs: median(latencies) ?? 0, slowestFirstByteMs: Math.max(...latencies) };
    return { bytes: PIECES * PIECE_BYTES, seconds, extra };
  });
  await sluice.cancel(id);
  return run;
}

function countArrivals({ process: { stdout } }: Child): { until(bytes: number): Promise<number> } {
  let count = 0;
  let waiting: { readonly bytes: number; readonly arrival: PromiseWithResolvers<number> } | null = null;
  stdout?.on('data', (chunk: Buffer) => {
    count += chunk.length;
    if (waiting !== null && count >= waiting.bytes) waiting.arrival.resolve(performance.now());
  });
  stdout?.on('end', () => waiting?.arrival.reject(new Error('the receiver ended too early')));
  return {
    until: (bytes) => {
      const arrival = Promise.withResolvers<number>();
      waiting = { bytes, arrival };
      if (count >= bytes) arrival.resolve(performance.now());
      return arrival.promise;
    },
  };
}
