import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listJournaledTransfers, SenderJournal } from '../../../src/node/sender-journal.ts';
import type { JournaledFile } from '../../../src/runtime/index.ts';

let state = '';
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'sluice-journal-'));
});
afterEach(() => rmSync(state, { recursive: true, force: true }));

const place = (more: Partial<Parameters<typeof SenderJournal.findUnfinished>[0]> = {}) => ({
  server: 'http://host',
  paths: ['/a', '/b'],
  name: null,
  stateDirectory: state,
  ...more,
});
const credentials = (seed: number) => ({
  id: new Uint8Array(16).fill(seed),
  secret: new Uint8Array(32).fill(seed + 1),
  writeToken: new Uint8Array(32).fill(seed + 2),
});
const file = (number: number): JournaledFile => ({
  entry: {
    file: number,
    path: ['d', `f${number}`],
    type: 'file',
    sizeBytes: 5,
    mtime: { seconds: 1, nanoseconds: 2 },
    mode: 0o644,
    replaces: null,
  },
  origin: { location: `/d/f${number}`, identity: `1-${number}` },
});
const folderOf = (journal: SenderJournal) => join(state, 'transfers', journal.id);

describe('the journal of a sender', () => {
  it('is found again by the same sources in any order, and by nothing else', async () => {
    const journal = await SenderJournal.create({ ...place(), credentials: credentials(1) });
    await journal.append([file(1), file(2)]);
    await journal.append([file(3)]);
    await journal.release();
    const again = await SenderJournal.findUnfinished(place({ paths: ['/b', '/a'] }));
    expect(again?.credentials).toEqual(credentials(1));
    expect(again?.files).toEqual([file(1), file(2), file(3)]);
    await again?.release();
    expect(await SenderJournal.findUnfinished(place({ name: 'x' }))).toBeNull();
    expect(await SenderJournal.findUnfinished(place({ server: 'http://other' }))).toBeNull();
    expect(await SenderJournal.findUnfinished(place({ paths: ['/a'] }))).toBeNull();
  });

  it('is not found while a living process has it, and is found when that died', async () => {
    const journal = await SenderJournal.create({ ...place(), credentials: credentials(1) });
    expect(await SenderJournal.findUnfinished(place())).toBeNull();
    writeFileSync(join(folderOf(journal), 'lock'), '999999 - 1\n');
    expect((await SenderJournal.findUnfinished(place()))?.id).toBe(journal.id);
  });

  it('is removed after a day when its process died before it was written', async () => {
    const [young, old] = ['young', 'old'].map((name) => join(state, 'transfers', name)) as [string, string];
    for (const folder of [young, old]) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'transfer.json.new'), '{');
    }
    const longAgo = Date.now() / 1000 - 25 * 3600;
    utimesSync(old, longAgo, longAgo);
    expect(await listJournaledTransfers(state)).toEqual([]);
    expect(existsSync(young)).toBe(true);
    expect(existsSync(old)).toBe(false);
  });

  it('can be read by its owner only', async () => {
    const journal = await SenderJournal.create({ ...place(), credentials: credentials(1) });
    await journal.append([file(1)]);
    expect(statSync(folderOf(journal)).mode & 0o777).toBe(0o700);
    for (const name of ['transfer.json', 'files.jsonl', 'lock']) {
      expect(statSync(join(folderOf(journal), name)).mode & 0o777).toBe(0o600);
    }
  });

  it('loses nothing that is appended after a torn line', async () => {
    let journal = await SenderJournal.create({ ...place(), credentials: credentials(1) });
    await journal.append([file(1)]);
    await journal.release();
    appendFileSync(join(folderOf(journal), 'files.jsonl'), '{"entry":{"file":2,"pa');
    journal = (await SenderJournal.findUnfinished(place()))!;
    expect(journal.files).toEqual([file(1)]);
    await journal.append([file(2)]);
    await journal.release();
    journal = (await SenderJournal.findUnfinished(place()))!;
    expect(journal.files).toEqual([file(1), file(2)]);
    await journal.release();
  });

  it('stays in the list when it is done, and goes when it has long expired', async () => {
    const journal = await SenderJournal.create({ ...place(), credentials: credentials(1) });
    await journal.append([file(1)]);
    await journal.setLink('http://host/t/x#y', Date.now() + 1000);
    await journal.finish('done', 42);
    expect(await SenderJournal.findUnfinished(place())).toBeNull();
    expect(existsSync(join(folderOf(journal), 'files.jsonl'))).toBe(false);
    expect(await listJournaledTransfers(state)).toMatchObject([
      { id: journal.id, state: 'done', sizeBytes: 42, link: 'http://host/t/x#y' },
    ]);
    const path = join(folderOf(journal), 'transfer.json');
    const stored = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...stored, expiresAtMs: Date.now() - 8 * 24 * 3_600_000 }));
    expect(await listJournaledTransfers(state)).toEqual([]);
    expect(existsSync(folderOf(journal))).toBe(false);
  });

  it('ignores folders without a whole description', async () => {
    const journal = await SenderJournal.create({ ...place(), credentials: credentials(1) });
    await journal.release();
    writeFileSync(join(folderOf(journal), 'transfer.json'), '{"v":1,');
    expect(await SenderJournal.findUnfinished(place())).toBeNull();
    expect(await listJournaledTransfers(state)).toEqual([]);
  });
});
