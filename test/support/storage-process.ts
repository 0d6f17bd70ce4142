// A process that uses a data folder until it is killed: `node storage-process.ts <data folder> <lock|append>`. It says
// what it may promise on stdout, one JSON value per line.

import { systemClock } from '../../src/node/index.ts';
import { SluiceError } from '../../src/protocol/index.ts';
import { openDataFolder } from '../../src/server/data-folder.ts';
import { TransferLog } from '../../src/server/log/transfer-log.ts';
import { digester } from './digester.ts';
import { joined, RECORD_SIZE, startOfLog } from './log-fixtures.ts';
import { RecordMaker } from './record-maker.ts';

const [path, task] = process.argv.slice(2) as [string, string];
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

async function appendForEver(): Promise<void> {
  const data = await openDataFolder(path, { segmentBytes: 300_000 });
  const log = await TransferLog.open(await data.logs.open('AAAAAAAAAAAAAAAAAAAAA0'), {
    headerHash: startOfLog().chain,
    recordSizeBytes: RECORD_SIZE,
    digester,
    clock: systemClock,
    durability: 'disk',
    commitMs: 2,
  });
  const maker = new RecordMaker(log.durable);
  const append = (): void => log.append(joined(maker.many(5, 5_000)));
  let writtenChunks = 0;
  log.setListener({
    onWritten: (_chunk, _first, next) => {
      // Not each one, or the pipe is all this process does.
      if (writtenChunks++ % 10 === 0) say({ written: next.index });
      append();
    },
    onDurable: ({ index }) => say({ durable: index }),
    onFailed: (error) => {
      throw error;
    },
  });
  for (let i = 0; i < 4; i++) append();
}

try {
  if (task === 'append') await appendForEver();
  else {
    const { metadata } = await openDataFolder<{ name: string }>(path);
    await metadata.put('kept', { name: 'kept' }, (await metadata.get('kept'))?.version ?? null);
    say({ locked: true });
    setInterval(() => {}, 1_000);
  }
} catch (error) {
  const { code, message, hint } = SluiceError.from(error);
  say({ code, message, hint });
  process.exitCode = 1;
}
