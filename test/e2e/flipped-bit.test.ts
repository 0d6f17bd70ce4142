/**
 * One byte that changes on the server's disk, at a random place, while the server is stopped or while it runs: found,
 * told to the receivers of that transfer, never delivered, and no harm to any other transfer.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  CrashRig,
  describeFolder,
  linkOf,
  printedRandom,
  type SourceKind,
  type Transfer,
} from '../support/crash-rig.ts';

const KINDS: readonly SourceKind[] = ['one byte', 'record and one', 'several MiB', 'folder'];
const random = printedRandom('flipped-bit');

describe.each(['stopped', 'running'] as const)('a byte that changes while the server is %s', (when) => {
  test('is never delivered, and harms its transfer only', async () => {
    const rig = await CrashRig.start(random);
    const good = await rig.prepare('several MiB', 'good');
    const bad = await Promise.all(KINDS.map((kind) => rig.prepare(kind)));
    const links = new Map<Transfer, string>();
    const send = async (transfer: Transfer): Promise<void> => {
      const sender = transfer.send();
      expect(await sender.finished()).toMatchObject({ code: 0 });
      links.set(transfer, linkOf(sender) as string);
    };
    await Promise.all([good, ...bad].map(send));
    if (when === 'stopped') await rig.server.kill();
    const flips = new Map<Transfer, string>();
    for (const transfer of bad) {
      flips.set(transfer, await flipByte(rig, idOf(links.get(transfer) as string)));
    }
    if (when === 'stopped') await rig.server.start();
    const refuse = async (transfer: Transfer, into: string): Promise<void> => {
      const receiver = transfer.receive(links.get(transfer) as string, into);
      const { code } = await receiver.finished();
      const last = receiver.jsonLines().at(-1);
      expect({ flip: flips.get(transfer), code, last }).toMatchObject({
        code: 7,
        last: { type: 'error', code: 'corrupted', exitCode: 7 },
      });
      await expectOnlyRight(transfer.content, join(transfer.folder, into));
    };
    await Promise.all(bad.map((transfer) => refuse(transfer, 'in')));
    // The second time it is known already.
    const [first] = bad as [Transfer];
    await refuse(first, 'again');
    const receiver = good.receive(links.get(good) as string, 'in');
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    await good.expectArrived('in', receiver);
    // The server is as good as before for new ones, also for those who send the same again.
    const sender = first.send();
    expect(await sender.finished()).toMatchObject({ code: 0 });
    const fresh = first.receive(linkOf(sender) as string, 'fresh');
    expect(await fresh.finished()).toMatchObject({ code: 0 });
    await first.expectArrived('fresh', fresh);
  });
});

function idOf(link: string): string {
  return /\/t\/([\w-]{22})#/.exec(link)?.[1] ?? '';
}

/** Changes one bit of one stored record, and tells which. */
async function flipByte(rig: CrashRig, id: string): Promise<string> {
  const folder = join(rig.server.dataDirectory, 't', id);
  const [segment = ''] = (await readdir(folder)).filter((name) => name.endsWith('.log'));
  const path = join(folder, segment);
  const position = random.below((await stat(path)).size);
  const file = await open(path, 'r+');
  try {
    const byte = new Uint8Array(1);
    await file.read(byte, 0, 1, position);
    byte[0] = (byte[0] ?? 0) ^ (1 << random.below(8));
    await file.write(byte, 0, 1, position);
  } finally {
    await file.close();
  }
  return `${segment} at ${position}`;
}

/** Files that came before the damage may be there, and only as they were sent. */
async function expectOnlyRight(
  content: Awaited<ReturnType<typeof describeFolder>>,
  folder: string,
): Promise<void> {
  for (const [path, { blake3 }] of await describeFolder(folder)) {
    if (blake3 === null || path.startsWith('.sluice-')) continue;
    expect({ path, blake3 }).toEqual({ path, blake3: content.get(path)?.blake3 });
  }
}
