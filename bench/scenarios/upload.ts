/** One large file to a server, until it is safe there. */
import type { Contest, Scenario } from '../harness/contest.ts';
import { Roster } from '../harness/roster.ts';
import { Sluice } from '../harness/sluice.ts';
import { addCopy } from '../peers/copy.ts';
import { NginxPeer } from '../peers/nginx.ts';
import { RawWsPeer } from '../peers/raw-ws.ts';
import { RsyncPeer } from '../peers/rsync.ts';

export const upload: Scenario = {
  name: 'upload',
  title: 'Upload of one file, until it is safe',
  neededBytes: ({ sizeBytes }) => 4 * sizeBytes,
  async open(options, workspace): Promise<Contest> {
    const { sizeBytes: bytes, timeoutMs } = options;
    const file = workspace.randomFile(bytes);
    await using roster = new Roster();

    const sluice = roster.use(await Sluice.start(workspace, options));
    roster.ours('sluice send', 'process', () => sluice.send(file, { bytes }));
    roster.ours('sluice library', 'inside', () => sluice.librarySend(file, { bytes }));

    const rsync = await RsyncPeer.start(roster, workspace, timeoutMs);
    if (rsync !== null) roster.reference('rsync to daemon', 'process', () => rsync.upload(file, { bytes }));
    const nginx = await NginxPeer.start(roster, workspace, timeoutMs);
    if (nginx !== null) roster.peer('curl PUT to nginx', 'process', () => nginx.upload(file, bytes));
    const ws = await RawWsPeer.start(roster, timeoutMs);
    roster.peer('ws alone, masked', 'inside', () => ws.upload(bytes, 'masked'));
    roster.peer('ws alone, zero mask', 'inside', () => ws.upload(bytes, 'zero-mask'));
    addCopy(roster, workspace, file, timeoutMs, { bytes });

    return roster.finish('MB/s');
  },
};
