/**
 * Disks that are really full, at the server and at a receiver: everybody hears of it, nothing acknowledged is lost, and
 * it goes on when there is space again. Skipped where no small disk can be mounted; what runs everywhere is
 * test/unit/server/storage-faults.test.ts (server) and test/unit/node/full-disk.test.ts (receiver).
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CrashRig, linkOf, MortalServer, printedRandom, randomBytes } from '../support/crash-rig.ts';
import { SmallDisk, smallDiskProblem } from '../support/small-disk.ts';

const MIB = 1024 * 1024;

const problem = smallDiskProblem();
if (problem !== null) console.log(`disk-full tests are skipped: ${problem}`);
const random = printedRandom('disk-full');

describe.skipIf(problem !== null)('a full disk', () => {
  test('at the server: the sender waits and goes on by itself when another transfer is cancelled', async () => {
    const disk = await SmallDisk.mount(100);
    const rig = await CrashRig.start(random);
    const transfer = await rig.prepare('empty');
    await rig.server.kill();
    const server = await MortalServer.start(disk.path, [], { wrapper: disk.wrapper });
    const env = { SLUICE_SERVER: `http://127.0.0.1:${server.port}` };
    const content = randomBytes(90 * MIB, random);
    await writeFile(join(transfer.folder, 'old.bin'), content.subarray(0, 34 * MIB));
    await writeFile(join(transfer.folder, 'new.bin'), content);

    const old = transfer.run(['send', 'old.bin', '--json'], { env });
    expect(await old.finished()).toMatchObject({ code: 0 });
    const sender = transfer.run(['send', 'new.bin', '--json'], { env });
    const link = String((await sender.event('link')).link);
    const receiver = transfer.receive(link, 'in', { env });
    await sender.event('state', ({ state }) => state === 'waiting for server space');

    // Others are not harmed: what is stored can be had.
    const other = transfer.receive(linkOf(old) as string, 'other', { env });
    expect(await other.finished()).toMatchObject({ code: 0 });
    const { id } = old.jsonLines().at(-1) as { id: string };
    expect(await transfer.run(['cancel', id], { env }).finished()).toMatchObject({ code: 0 });
    expect(await sender.finished()).toMatchObject({ code: 0 });
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    expect((await readFile(join(transfer.folder, 'in', 'new.bin'))).equals(content)).toBe(true);
  });

  test('at the server: what was durable when it was killed is there when it starts again', async () => {
    const disk = await SmallDisk.mount(80);
    const rig = await CrashRig.start(random);
    const transfer = await rig.prepare('empty');
    await rig.server.kill();
    const content = randomBytes(24 * MIB, random);
    await writeFile(join(transfer.folder, 'a.bin'), content);
    const proxied = transfer.proxy;
    const moment = proxied.holdAfter('up', 8 * MIB);
    await rig.server.start({ wrapper: disk.wrapper }, disk.path);
    const sender = transfer.run(['send', 'a.bin', '--json']);
    await moment;
    // All that is left, to the last byte.
    await disk.takeSpace(80).catch(() => {});
    proxied.release();
    await sender.event('state', ({ state }) => state === 'waiting for server space');
    await rig.server.kill();
    await disk.freeSpace();
    await rig.server.start({ wrapper: disk.wrapper }, disk.path);
    expect(await sender.finished()).toMatchObject({ code: 0 });
    expect(proxied.brokenPromises).toEqual([]);
    const receiver = transfer.receive(linkOf(sender) as string, 'in');
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    expect((await readFile(join(transfer.folder, 'in', 'a.bin'))).equals(content)).toBe(true);
  });

  test.each(['several MiB', 'folder'] as const)(
    'at a receiver of %s: exit code 8, and the same command goes on when there is space again',
    async (kind) => {
      const disk = await SmallDisk.mount(16);
      const rig = await CrashRig.start(random);
      const transfer = await rig.prepare(kind);
      const sender = transfer.send();
      expect(await sender.finished()).toMatchObject({ code: 0 });
      await disk.takeSpace(13);
      const { wrapper } = disk;
      const into = join(disk.path, 'in');
      const first = transfer.receive(linkOf(sender) as string, into, { wrapper });
      expect(await first.finished()).toMatchObject({ code: 8 });
      const last = first.jsonLines().at(-1);
      expect(last).toMatchObject({ type: 'error', code: 'localDisk', exitCode: 8 });
      expect(last?.hint).toContain('Free space');
      await disk.freeSpace();
      const again = transfer.receive(linkOf(sender) as string, into, { wrapper });
      expect(await again.finished()).toMatchObject({ code: 0 });
      await transfer.expectArrived(disk.outside('in'), first, again);
      expect(await readdir(disk.outside())).toEqual(['in']);
    },
  );
});
