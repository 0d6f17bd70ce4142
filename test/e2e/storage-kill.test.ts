// Real processes on a real disk: the lock of the data folder, and what kill -9 leaves behind.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/node/index.ts';
import { recordsIn } from '../../src/protocol/index.ts';
import { openDataFolder } from '../../src/server/data-folder.ts';
import { TransferLog } from '../../src/server/log/transfer-log.ts';
import { digester } from '../support/digester.ts';
import { RECORD_SIZE, startOfLog } from '../support/log-fixtures.ts';
import { RecordMaker } from '../support/record-maker.ts';

const SCRIPT = fileURLToPath(new URL('../support/storage-process.ts', import.meta.url));
const ID = 'AAAAAAAAAAAAAAAAAAAAA0';

interface Said {
  readonly durable?: number;
  readonly written?: number;
  readonly locked?: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
}

let path: string;
let children: ChildProcess[];

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'sluice-data-'));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(path, { recursive: true, force: true });
});

function start(task: 'lock' | 'append'): { child: ChildProcess; lines: AsyncIterable<string> } {
  const child = spawn(process.execPath, [SCRIPT, path, task], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return { child, lines: createInterface({ input: child.stdout as NodeJS.ReadableStream }) };
}

/** May be called again, for what a dead process had still written. */
async function killHard(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function firstSaid(lines: AsyncIterable<string>): Promise<Said> {
  for await (const line of lines) return JSON.parse(line) as Said;
  throw new Error('the process said nothing');
}

test('a second server on the same folder fails at once, and a third starts after kill -9 of the first', async () => {
  const first = start('lock');
  expect(await firstSaid(first.lines)).toEqual({ locked: true });

  const second = start('lock');
  const said = await firstSaid(second.lines);
  expect(said).toMatchObject({ code: 'dataFolder' });
  expect(said.message).toContain('Another Sluice server is using it');
  expect(said.hint).toContain('--data');
  await expect(openDataFolder(path)).rejects.toMatchObject({ code: 'dataFolder' });

  await killHard(first.child);
  const { metadata, close } = await openDataFolder<{ name: string }>(path);
  expect((await metadata.get('kept'))?.value).toEqual({ name: 'kept' });
  await close();
});

test('after kill -9 in the middle of appending everything acknowledged and everything shown is there', async () => {
  let durable = 0;
  let written = 0;
  for (let life = 0; life < 4; life++) {
    const { child, lines } = start('append');
    let commits = 0;
    for await (const line of lines) {
      const said = JSON.parse(line) as Said;
      durable = said.durable ?? durable;
      written = said.written ?? written;
      if (said.durable !== undefined) commits += 1;
      if (commits === 5 + life * 3) await killHard(child);
    }
    expect(commits).toBeGreaterThanOrEqual(5);
    await checkKept(Math.max(durable, written));
  }
  expect(durable).toBeGreaterThan(100);
});

/** Opens what the dead process left: at least `minimum` records, each of them the one that was made. */
async function checkKept(minimum: number): Promise<void> {
  const data = await openDataFolder(path);
  const log = await TransferLog.open(await data.logs.open(ID), {
    headerHash: startOfLog().chain,
    recordSizeBytes: RECORD_SIZE,
    digester,
    clock: systemClock,
    durability: 'disk',
  });
  expect(log.durable.index).toBeGreaterThanOrEqual(minimum);
  const maker = new RecordMaker();
  for (let position = 0, index = 0; position < log.durable.position; ) {
    expect(await log.seek(index)).toMatchObject({ index, position });
    const { chunk, records } = await log.read(position, 1_000_000);
    for (const { bytes } of recordsIn(chunk)) expect(Buffer.compare(bytes, maker.next(5_000))).toBe(0);
    position += chunk.length;
    index += records;
  }
  await log.close();
  await data.close();
}
