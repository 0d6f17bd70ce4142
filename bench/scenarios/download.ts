/** One large file that is stored on a server, into a folder and into nothing. */
import { join } from 'node:path';
import type { Contest, Scenario } from '../harness/contest.ts';
import { Roster } from '../harness/roster.ts';
import { Sluice } from '../harness/sluice.ts';
import { addCopy } from '../peers/copy.ts';
import { NginxPeer } from '../peers/nginx.ts';
import { RawWsPeer } from '../peers/raw-ws.ts';
import { RsyncPeer } from '../peers/rsync.ts';

export const download: Scenario = {
  name: 'download',
  title: 'Download of one stored file',
  neededBytes: ({ sizeBytes }) => 5 * sizeBytes,
  async open(options, workspace): Promise<Contest> {
    const { sizeBytes: bytes, timeoutMs } = options;
    const file = workspace.randomFile(bytes);
    await using roster = new Roster();

    const sluice = roster.use(await Sluice.start(workspace, options));
    const { link } = await sluice.store(file);
    roster.ours('sluice receive', 'process', async () => {
      const folder = workspace.folder('received');
      try {
        return await sluice.receive(link, folder, { bytes });
      } finally {
        workspace.remove(folder);
      }
    });
    roster.ours('sluice receive -o - to /dev/null', 'process', () => sluice.receiveToNull(link, { bytes }));
    roster.ours('sluice library, discarded', 'inside', () => sluice.libraryReceive(link, { bytes }));

    const nginx = await NginxPeer.start(roster, workspace, timeoutMs);
    if (nginx !== null) {
      const target = join(workspace.path, 'downloaded');
      roster.reference('curl from nginx', 'process', () => nginx.download(file, target, bytes));
      roster.peer('curl from nginx to /dev/null', 'process', () => nginx.download(file, '/dev/null', bytes));
    }
    const rsync = await RsyncPeer.start(roster, workspace, timeoutMs);
    if (rsync !== null) {
      const name = await rsync.keep(file);
      roster.peer('rsync from daemon', 'process', () => rsync.download(name, { bytes }));
    }
    const ws = await RawWsPeer.start(roster, timeoutMs);
    roster.peer('ws alone', 'inside', () => ws.download(bytes));
    addCopy(roster, workspace, file, timeoutMs, { bytes });

    return roster.finish('MB/s');
  },
};
