/** Ctrl-C in the middle of a transfer: what is printed is a command that continues, to the letter. */
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { CrashRig, cameBefore, linkOf, printedRandom } from '../support/crash-rig.ts';

const MIB = 1024 * 1024;
const random = printedRandom('interrupt');

/** The command from the screen, as words for a shell that knows `sluice`. */
async function asTyped(folder: string, screen: string): Promise<{ wrapper: string[]; path: string }> {
  const [, command = ''] = /To go on: (.*)/.exec(screen) ?? [];
  expect(command).toMatch(/^sluice /);
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  const script = `#!/bin/sh\nexec '${process.execPath}' '${resolve('bin/sluice.js')}' "$@"\n`;
  await writeFile(join(bin, 'sluice'), script);
  await chmod(join(bin, 'sluice'), 0o755);
  return { wrapper: ['sh', '-c', `exec ${command}`], path: bin + delimiter + (process.env.PATH ?? '') };
}

test('at a sender: the printed command goes on, with the same link, also without SLUICE_SERVER', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('several MiB');
  await rename(join(transfer.folder, 'from', 'source'), join(transfer.folder, 'from', "it's $HOME"));
  const moment = transfer.proxy.holdAfter('up', 2 * MIB);
  const sender = transfer.run(['send', "from/it's $HOME", '--json']);
  expect(await cameBefore(moment, sender)).toBe(true);
  await sender.event('progress', ({ durableBytes }) => Number(durableBytes) > 0);
  sender.child.kill('SIGINT');
  expect(await sender.finished()).toMatchObject({ code: 130 });
  const last = sender.jsonLines().at(-1);
  expect(last?.message).toMatch(/^Interrupted\. .* of 5\.24 MB are safe on the server until /);
  // Otherwise the network would still carry the rest to the server, and the transfer would be complete.
  transfer.proxy.cut();
  transfer.proxy.release();
  const { wrapper, path } = await asTyped(transfer.folder, String(last?.hint));
  const before = transfer.proxy.passed.up;
  const again = transfer.run([], { wrapper, env: { SLUICE_SERVER: undefined, PATH: path } });
  expect(await again.finished()).toMatchObject({ code: 0 });
  const link = linkOf(sender) as string;
  expect(linkOf(again)).toBe(link);
  expect(transfer.proxy.passed.up - before).toBeLessThan(5 * MIB);
  const receiver = transfer.receive(link, 'in');
  expect(await receiver.finished()).toMatchObject({ code: 0 });
});

test('at a receiver: the printed command goes on', async () => {
  const rig = await CrashRig.start(random);
  const transfer = await rig.prepare('several MiB');
  const sender = transfer.run(['send', 'from/source', '--quiet']);
  const link = await sender.firstLine();
  expect(await sender.finished()).toMatchObject({ code: 0 });
  const moment = transfer.proxy.holdAfter('down', 3 * MIB);
  const receiver = transfer.receive(link, 'in here');
  expect(await cameBefore(moment, receiver)).toBe(true);
  await receiver.event('progress', ({ receivedBytes }) => Number(receivedBytes) > 1.5 * MIB);
  receiver.child.kill('SIGINT');
  expect(await receiver.finished()).toMatchObject({ code: 130 });
  transfer.proxy.release();
  const { wrapper, path } = await asTyped(transfer.folder, String(receiver.jsonLines().at(-1)?.hint));
  const before = transfer.proxy.passed.down;
  const again = transfer.run([], { wrapper, env: { PATH: path } });
  expect(await again.finished()).toMatchObject({ code: 0 });
  await transfer.expectArrived('in here');
  expect(transfer.proxy.passed.down - before).toBeLessThan(4 * MIB);
});
