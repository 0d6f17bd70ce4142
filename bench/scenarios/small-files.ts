/** A folder of many small files, to the server and from it. */
import type { Contest, Scenario } from '../harness/contest.ts';
import { Roster } from '../harness/roster.ts';
import { Sluice } from '../harness/sluice.ts';
import { addCopy } from '../peers/copy.ts';
import { RsyncPeer } from '../peers/rsync.ts';

export const smallFiles: Scenario = {
  name: 'small-files',
  title: 'A folder of many small files',
  // A small file takes at least a page, and as much again for its inode and name.
  neededBytes: ({ smallFiles: files, smallFileBytes }) => 6 * files * (smallFileBytes + 4_096),
  async open(options, workspace): Promise<Contest> {
    const { smallFiles: files, smallFileBytes, timeoutMs } = options;
    const measured = { bytes: files * smallFileBytes, files };
    const folder = workspace.smallFiles(files, smallFileBytes);
    await using roster = new Roster();

    const sluice = roster.use(await Sluice.start(workspace, options));
    roster.ours('sluice send', 'process', () => sluice.send(folder, measured));
    roster.ours('sluice library, send', 'inside', () => sluice.librarySend(folder, measured));
    const { link } = await sluice.store(folder);
    roster.ours('sluice receive', 'process', async () => {
      const target = workspace.folder('received');
      try {
        return await sluice.receive(link, target, measured);
      } finally {
        workspace.remove(target);
      }
    });

    const rsync = await RsyncPeer.start(roster, workspace, timeoutMs);
    if (rsync !== null) {
      roster.reference('rsync to daemon', 'process', () => rsync.upload(folder, measured));
      const name = await rsync.keep(folder);
      roster.peer('rsync from daemon', 'process', () => rsync.download(name, measured));
    }
    addCopy(roster, workspace, folder, timeoutMs, measured);
    return roster.finish('files/s');
  },
};
