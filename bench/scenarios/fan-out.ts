/** One sender, many receivers that are there before the first byte, in two processes that verify and forget. */
import type { Contest, Run, Scenario } from '../harness/contest.ts';
import { measure } from '../harness/measure.ts';
import { Roster } from '../harness/roster.ts';
import { removeSent, Sluice } from '../harness/sluice.ts';
import { RawWsPeer } from '../peers/raw-ws.ts';

const PROCESSES = 2;

export const fanOut: Scenario = {
  name: 'fan-out',
  title: 'Live from one sender to many receivers, all together',
  neededBytes: ({ sizeBytes }) => 3 * sizeBytes,
  async open(options, workspace): Promise<Contest> {
    const { sizeBytes, receivers, timeoutMs } = options;
    const file = workspace.randomFile(sizeBytes);
    await using roster = new Roster();

    const sluice = roster.use(await Sluice.start(workspace, options));
    roster.ours(`sluice library, 1:${receivers}`, 'inside', () => library(sluice, file, receivers));

    const ws = await RawWsPeer.start(roster, timeoutMs);
    roster.reference(`ws alone, 1:${receivers}`, 'inside', () =>
      ws.relay(sizeBytes, 'zero-mask', receivers, PROCESSES),
    );
    return roster.finish('MB/s');
  },
};

function library(sluice: Sluice, file: string, receivers: number): Promise<Run> {
  return measure({ server: sluice.server }, async (meter) => {
    await using receiving = new AsyncDisposableStack();
    await using sender = sluice.startLibrarySend(file, meter, 'paused');
    const { link } = await sender.child.nextEvent<{ link: string }>(sender.lines, 'link');
    const all = Array.from({ length: PROCESSES }, () =>
      receiving.use(sluice.startLibraryReceive(link, meter, receivers / PROCESSES)),
    );
    await Promise.all(all.map(({ child, lines }) => child.nextEvent(lines, 'ready')));
    const startedAt = performance.now();
    sender.child.process.stdin?.write('go\n');
    const done = await Promise.all(
      all.map(({ child, lines }) => child.nextEvent<{ bytes: number }>(lines, 'done')),
    );
    const seconds = (performance.now() - startedAt) / 1000;
    await sender.child.nextEvent(sender.lines, 'done');
    await removeSent(sender);
    return { bytes: done.reduce((sum, { bytes }) => sum + bytes, 0), seconds };
  });
}
