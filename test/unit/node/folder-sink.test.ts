import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadDigester } from '../../../src/node/blake3.ts';
import { FolderSink, type FolderSinkOptions } from '../../../src/node/folder-sink.ts';
import type { SinkFile } from '../../../src/node/sink-file.ts';
import type { FileStatus, LogSnapshot, ManifestEntry, SluiceError } from '../../../src/protocol/index.ts';

const digester = await loadDigester();
const ID = 'AAECAwQFBgcICQoLDA0ODw';
let root = '';
let files: SinkFile[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-sink-'));
  files = [];
});
afterEach(() => {
  chmodSync(root, 0o700);
  rmSync(root, { recursive: true, force: true });
});

const at = (...path: string[]) => join(root, ...path);
const open = (options: Partial<FolderSinkOptions> = {}) =>
  FolderSink.open({
    directory: root,
    transferId: ID,
    onConflict: 'keep-both',
    digester,
    fsync: false,
    onFile: (file) => files.push(file),
    ...options,
  });
const entry = (file: number, path: string, more: Partial<ManifestEntry> = {}): ManifestEntry => ({
  file,
  path: path.split('/'),
  type: 'file',
  sizeBytes: null,
  mtime: null,
  mode: null,
  replaces: null,
  ...more,
});
const pattern = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 13) % 251);
const settled = (start: (done: (error: SluiceError | null) => void) => void) =>
  new Promise<SluiceError | null>((resolve) => start(resolve));
const endOf = (content: Uint8Array, status: FileStatus = 'ok') => ({
  blake3: digester.digest(content),
  sizeBytes: content.length,
  status,
});
const write = (sink: FolderSink, file: number, offset: number, content: Uint8Array) =>
  settled((done) => sink.write(file, offset, content, done));
const end = (sink: FolderSink, file: number, content: Uint8Array, status?: FileStatus) =>
  settled((done) => sink.endFile(file, endOf(content, status), done));
const pack = (sink: FolderSink, first: number, contents: readonly Uint8Array[]) =>
  settled((done) =>
    sink.writePacked(
      first,
      contents.map((content) => ({ content, blake3: digester.digest(content), status: 'ok' as const })),
      done,
    ),
  );
async function whole(sink: FolderSink, file: number, content: Uint8Array): Promise<SluiceError | null> {
  for (let offset = 0; offset < content.length; offset += 1000) {
    await write(sink, file, offset, content.subarray(offset, offset + 1000));
  }
  return end(sink, file, content);
}
const snapshot = (index: number, openFiles: LogSnapshot['openFiles'] = []): LogSnapshot => ({
  index,
  position: index * 1000,
  chain: new Uint8Array(32).fill(index),
  nextFile: 1 + openFiles.length,
  openFiles,
  endedFiles: 0,
  contentBytes: 0,
  isSealed: false,
});
const checkpoint = (sink: FolderSink, point: LogSnapshot) =>
  sink.checkpoint({ index: point.index, chain: point.chain }, point);
/** All names below the folder, folders with a slash. */
function tree(folder = root, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((found) =>
      found.isDirectory()
        ? [`${prefix}${found.name}/`, ...tree(join(folder, found.name), `${prefix}${found.name}/`)]
        : [`${prefix}${found.name}`],
    )
    .sort();
}
const read = (...path: string[]) => new Uint8Array(readFileSync(at(...path)));

describe('a whole transfer', () => {
  it.each([false, true])(
    'is written with times and modes, and leaves no litter (fsync %s)',
    async (fsync) => {
      const sink = await open({ fsync });
      const large = pattern(300_000);
      sink.addEntries([
        entry(1, 'photos', { type: 'dir', mode: 0o755, mtime: { seconds: 1_000_000, nanoseconds: 0 } }),
        entry(2, 'photos/empty', { type: 'dir', mode: 0o500 }),
        entry(3, 'photos/large', {
          mode: 0o640,
          mtime: { seconds: 1_700_000_000, nanoseconds: 250_000_000 },
        }),
        entry(4, 'photos/a', { mode: 0o777, mtime: { seconds: -5, nanoseconds: 0 } }),
        entry(5, 'photos/b'),
        entry(6, 'photos/none'),
      ]);
      expect(tree()).not.toContain('photos/');
      expect(await whole(sink, 3, large)).toBeNull();
      expect(await pack(sink, 4, [pattern(10), pattern(0), pattern(65_000)])).toBeNull();
      await sink.finish();
      expect(tree()).toEqual([
        'photos/',
        'photos/a',
        'photos/b',
        'photos/empty/',
        'photos/large',
        'photos/none',
      ]);
      expect(read('photos', 'large')).toEqual(large);
      expect(read('photos', 'none')).toEqual(pattern(65_000));
      const mode = (path: string) => statSync(at('photos', path)).mode & 0o7777;
      expect([mode('large'), mode('a'), mode('b'), mode('empty')]).toEqual([
        0o640,
        0o777,
        0o666 & ~process.umask(),
        0o500,
      ]);
      expect(statSync(at('photos', 'large')).mtimeMs).toBe(1_700_000_000_250);
      expect(statSync(at('photos', 'a')).mtimeMs).toBe(-5_000);
      expect(statSync(at('photos')).mtimeMs).toBe(1_000_000_000);
      expect(sink.summary).toEqual({ files: 4, sizeBytes: 365_010, renamed: [], problems: 0 });
      expect(files.map(({ path, status }) => `${path.join('/')} ${status}`).sort()).toEqual([
        'photos/a ok',
        'photos/b ok',
        'photos/large ok',
        'photos/none ok',
      ]);
      expect(files[0]?.blake3).toEqual(digester.digest(large));
      chmodSync(at('photos', 'empty'), 0o700);
    },
  );

  it('takes writes that do not wait for each other, holes and open ends', async () => {
    const sink = await open();
    sink.addEntries([entry(1, 'f'), entry(2, 'g')]);
    const content = new Uint8Array(3_000_000);
    content.set(pattern(400_000), 0);
    content.set(pattern(100_000, 2), 700_000);
    const pending = [write(sink, 1, 0, content.subarray(0, 200_000))];
    pending.push(write(sink, 1, 200_000, content.subarray(200_000, 400_000)));
    pending.push(settled((done) => sink.hole(1, 400_000, 300_000, done)));
    pending.push(write(sink, 1, 700_000, content.subarray(700_000, 800_000)));
    pending.push(settled((done) => sink.hole(1, 800_000, 100, done)));
    pending.push(settled((done) => sink.hole(1, 800_100, 2_199_900, done)));
    pending.push(end(sink, 1, content));
    pending.push(end(sink, 2, new Uint8Array(0)));
    expect(await Promise.all(pending)).toEqual(pending.map(() => null));
    await sink.finish();
    expect(read('f')).toEqual(content);
    expect(statSync(at('f')).blocks * 512).toBeLessThan(2_000_000);
    expect(statSync(at('g')).size).toBe(0);
  });

  it('writes again in place after the log went back, whatever is under way', async () => {
    const sink = await open();
    sink.addEntries([entry(1, 'f')]);
    const before = pattern(500_000);
    const after = Uint8Array.from(before);
    after.set(pattern(150_000, 9), 100_000);
    const pending = [0, 100_000, 200_000, 300_000, 400_000].map((offset) =>
      write(sink, 1, offset, before.subarray(offset, offset + 100_000)),
    );
    sink.rewindTo({ index: 1, chain: new Uint8Array(32) });
    for (let offset = 100_000; offset < 250_000; offset += 50_000) {
      pending.push(write(sink, 1, offset, after.subarray(offset, offset + 50_000)));
    }
    pending.push(end(sink, 1, after.subarray(0, 250_000)));
    expect(await Promise.all(pending)).toEqual(pending.map(() => null));
    await sink.finish();
    expect(read('f')).toEqual(after.slice(0, 250_000));
  });

  it('removes its folder again when nothing came', async () => {
    const sink = await open({ directory: at('new', 'folder') });
    sink.addEntries([entry(1, 'd', { type: 'dir' }), entry(2, 'f')]);
    await sink.keep();
    expect(tree()).toEqual(['new/', 'new/folder/']);
  });
});

describe('content that is not right', () => {
  it('is not given a name', async () => {
    const sink = await open();
    sink.addEntries([1, 2, 3, 4, 5, 6].map((file) => entry(file, `f${file}`)));
    await write(sink, 1, 0, pattern(10));
    expect(await end(sink, 1, pattern(10, 2))).toMatchObject({ code: 'integrity' });
    await write(sink, 2, 0, pattern(10));
    expect(await end(sink, 2, pattern(10), 'changed')).toBeNull();
    expect(await end(sink, 3, new Uint8Array(0), 'removed')).toBeNull();
    const wrong = { content: pattern(5), blake3: digester.digest(pattern(6)), status: 'ok' as const };
    const failed = { content: pattern(5), blake3: digester.digest(pattern(5)), status: 'failed' as const };
    const right = { content: pattern(5), blake3: digester.digest(pattern(5)), status: 'ok' as const };
    expect(await settled((done) => sink.writePacked(4, [wrong, failed, right], done))).toBeNull();
    expect(tree().filter((name) => !name.startsWith('.sluice'))).toEqual(['f6']);
    expect(files.map(({ path, status, error }) => [path[0], status, error?.code ?? null])).toEqual([
      ['f2', 'changed', 'sourceChanged'],
      ['f3', 'removed', 'sourceChanged'],
      ['f4', 'failed', 'integrity'],
      ['f5', 'failed', 'sourceChanged'],
      ['f6', 'ok', null],
    ]);
    await sink.keep();
  });

  it('makes the next run begin again, but not with what is in its place', async () => {
    let sink = await open();
    sink.addEntries([entry(1, 'good'), entry(2, 'bad')]);
    await whole(sink, 1, pattern(3000));
    await write(sink, 2, 0, pattern(2000));
    checkpoint(sink, snapshot(5, [{ file: 2, nextOffset: 2000 }]));
    await sink.keep();
    writeFileSync(at(`.sluice-${ID}`, '2.part'), pattern(2000, 3));
    sink = await open();
    expect(sink.resume?.point.index).toBe(5);
    await write(sink, 2, 2000, pattern(3000).subarray(2000));
    expect(await end(sink, 2, pattern(3000))).toMatchObject({ code: 'integrity' });
    checkpoint(sink, snapshot(6));
    await sink.keep();
    sink = await open();
    expect(sink.resume).toBeNull();
    sink.addEntries([entry(1, 'good'), entry(2, 'bad')]);
    expect(await whole(sink, 1, pattern(3000))).toBeNull();
    expect(await whole(sink, 2, pattern(3000))).toBeNull();
    await sink.finish();
    expect(tree()).toEqual(['bad', 'good']);
  });
});

describe('a second run', () => {
  it('goes on where the first one stopped, and does not receive anything twice', async () => {
    const large = pattern(1_500_000);
    let sink = await open();
    expect(sink.resume).toBeNull();
    sink.addEntries([entry(1, 'd/done'), entry(2, 'd/large'), entry(3, 'd/packed'), entry(4, 'd/later')]);
    await whole(sink, 1, pattern(5000));
    await pack(sink, 3, [pattern(7)]);
    await write(sink, 2, 0, large.subarray(0, 1_000_000));
    const head = { name: 'holiday', message: null, totalFiles: 3, totalBytes: null };
    sink.setHead(head);
    const point = snapshot(7, [{ file: 2, nextOffset: 600_000 }]);
    checkpoint(sink, point);
    await sink.keep();
    expect(files).toHaveLength(2);

    sink = await open();
    expect(sink.resume).toEqual({ point: { index: 7, chain: point.chain }, snapshot: point, head });
    // What comes again is not written again.
    expect(await whole(sink, 1, pattern(5000))).toBeNull();
    expect(await pack(sink, 3, [pattern(7)])).toBeNull();
    const pending = [write(sink, 2, 600_000, large.subarray(600_000, 900_000))];
    pending.push(write(sink, 2, 900_000, large.subarray(900_000)), end(sink, 2, large));
    expect(await Promise.all(pending)).toEqual([null, null, null]);
    expect(await whole(sink, 4, pattern(10))).toBeNull();
    await sink.finish();
    expect(tree()).toEqual(['d/', 'd/done', 'd/large', 'd/later', 'd/packed']);
    expect(read('d', 'large')).toEqual(large);
    expect(files).toHaveLength(4);
    expect(sink.summary.files).toBe(4);
  });

  it('ignores a torn line, and what lies behind a damaged one', async () => {
    const sink = await open();
    sink.addEntries([entry(1, 'a'), entry(2, 'b')]);
    await whole(sink, 1, pattern(10));
    checkpoint(sink, snapshot(3));
    await sink.keep();
    const journal = at(`.sluice-${ID}`, 'journal');
    writeFileSync(journal, `${readFileSync(journal, 'utf8')}{"c":{"index":`);
    const second = await open();
    expect(second.resume?.point.index).toBe(3);
    checkpoint(second, snapshot(4));
    await second.keep();
    expect((await open().then((third) => third.keep().then(() => third.resume)))?.point.index).toBe(4);
    const lines = readFileSync(journal, 'utf8').split('\n');
    writeFileSync(journal, [...lines.slice(0, 2), 'garbage', ...lines.slice(2)].join('\n'));
    const last = await open();
    expect(last.resume).toBeNull();
    await last.keep();
  });

  it('begins again when a partly received file was lost or shortened', async () => {
    for (const damage of [(path: string) => truncateSync(path, 10), (path: string) => rmSync(path)]) {
      const sink = await open();
      sink.addEntries([entry(1, 'f')]);
      await write(sink, 1, 0, pattern(1000));
      checkpoint(sink, snapshot(2, [{ file: 1, nextOffset: 1000 }]));
      await sink.keep();
      damage(at(`.sluice-${ID}`, '1.part'));
      const second = await open();
      expect(second.resume).toBeNull();
      expect(tree()).not.toContain(`.sluice-${ID}/1.part`);
      await second.keep();
      rmSync(at(`.sluice-${ID}`), { recursive: true, force: true });
    }
  });

  it('is refused while another one lives, and not by one that died', async () => {
    const sink = await open();
    await expect(open()).rejects.toMatchObject({
      code: 'localDisk',
      detail: 'Another process is receiving this transfer into this folder.',
    });
    sink.addEntries([entry(1, 'f')]);
    await write(sink, 1, 0, pattern(10));
    checkpoint(sink, snapshot(1, [{ file: 1, nextOffset: 10 }]));
    await sink.keep();
    writeFileSync(at(`.sluice-${ID}`, 'lock'), '999999 - 12345\n');
    const second = await open();
    expect(second.resume).not.toBeNull();
    await second.keep();
  });

  it('leaves what it does not know in the staging folder', async () => {
    const sink = await open();
    writeFileSync(at(`.sluice-${ID}`, 'mine.txt'), '');
    sink.addEntries([entry(1, 'f')]);
    await whole(sink, 1, pattern(10));
    await sink.finish();
    expect(tree()).toEqual([`.sluice-${ID}/`, `.sluice-${ID}/mine.txt`, 'f']);
  });
});

describe('names that are taken', () => {
  const receive = async (options: Partial<FolderSinkOptions>, paths: readonly string[]) => {
    const sink = await open(options);
    sink.addEntries(paths.map((path, i) => entry(i + 1, path)));
    for (const [i] of paths.entries()) expect(await whole(sink, i + 1, pattern(20, i))).toBeNull();
    await sink.finish();
    return sink.summary;
  };

  it('are kept, as a whole folder at the top', async () => {
    writeFileSync(at('a.txt'), 'old');
    writeFileSync(at('a (2).txt'), 'old');
    mkdirSync(at('d'));
    writeFileSync(at('d', 'x'), 'old');
    const { renamed } = await receive({}, ['a.txt', 'd/x', 'd/y']);
    expect(tree()).toEqual(['a (2).txt', 'a (3).txt', 'a.txt', 'd (2)/', 'd (2)/x', 'd (2)/y', 'd/', 'd/x']);
    expect(renamed).toEqual([
      { from: ['a.txt'], to: ['a (3).txt'] },
      { from: ['d'], to: ['d (2)'] },
    ]);
    expect(readFileSync(at('a.txt'), 'utf8')).toBe('old');
  });

  it('are overwritten when asked to, but never a folder by a file, and never through a link', async () => {
    writeFileSync(at('a.txt'), 'old');
    mkdirSync(at('d'));
    writeFileSync(at('victim'), 'old');
    symlinkSync(at('victim'), at('link'));
    const { renamed } = await receive({ onConflict: 'overwrite' }, ['a.txt', 'd', 'link', 'd/new']);
    expect(tree()).toEqual(['a.txt', 'd (2)', 'd/', 'd/new', 'link', 'victim']);
    expect(read('a.txt')).toEqual(pattern(20, 0));
    expect(readFileSync(at('victim'), 'utf8')).toBe('old');
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(false);
    expect(renamed).toEqual([{ from: ['d'], to: ['d (2)'] }]);
  });

  it('stay as they are when the new ones shall be skipped', async () => {
    writeFileSync(at('a.txt'), 'old');
    expect(await receive({ onConflict: 'skip' }, ['a.txt', 'b.txt'])).toMatchObject({
      files: 1,
      problems: 0,
    });
    expect(readFileSync(at('a.txt'), 'utf8')).toBe('old');
    expect(files.map(({ status, error }) => [status, error])).toEqual([
      ['skipped', null],
      ['ok', null],
    ]);
    expect(tree()).toEqual(['a.txt', 'b.txt']);
  });

  it.each(['keep-both', 'overwrite', 'skip'] as const)(
    'by another file of the transfer are never lost, also where case does not count (%s)',
    async (onConflict) => {
      await receive({ onConflict, platform: 'macos' }, ['A.txt', 'a.txt', 'u\u0308', '\u00fc']);
      expect(tree()).toEqual(['A.txt', 'a (2).txt', 'u\u0308', '\u00fc (2)'].sort());
      rmSync(root, { recursive: true });
      mkdirSync(root);
      await receive({ onConflict }, ['same', 'same', 'same']);
      expect(tree()).toEqual(['same', 'same (2)', 'same (3)']);
      expect(read('same (3)')).toEqual(pattern(20, 2));
    },
  );

  it('keeps names apart across runs', async () => {
    const sink = await open({ onConflict: 'overwrite' });
    sink.addEntries([entry(1, 'x'), entry(2, 'x')]);
    await whole(sink, 1, pattern(20, 1));
    await sink.keep();
    const second = await open({ onConflict: 'overwrite' });
    second.addEntries([entry(1, 'x'), entry(2, 'x')]);
    await whole(second, 2, pattern(20, 2));
    await second.finish();
    expect(tree()).toEqual(['x', 'x (2)']);
    expect(read('x')).toEqual(pattern(20, 1));
  });

  it('are given to a newer content of the same file', async () => {
    const sink = await open();
    sink.addEntries([entry(1, 'placed'), entry(2, 'open'), entry(3, 'changed')]);
    await whole(sink, 1, pattern(20, 1));
    await write(sink, 2, 0, pattern(10));
    await write(sink, 3, 0, pattern(10));
    await end(sink, 3, pattern(10), 'changed');
    sink.addEntries([
      entry(4, 'placed', { replaces: 1 }),
      entry(5, 'open', { replaces: 2 }),
      entry(6, 'changed', { replaces: 3 }),
    ]);
    expect(await write(sink, 2, 10, pattern(10))).toBeNull();
    for (const file of [4, 5, 6]) expect(await whole(sink, file, pattern(20, file))).toBeNull();
    await sink.finish();
    expect(tree()).toEqual(['changed', 'open', 'placed']);
    expect(read('placed')).toEqual(pattern(20, 4));
  });
});

describe('a hostile sender', () => {
  it.each([
    ['..', 'a'],
    ['a', '..', '..', 'b'],
    ['/etc/passwd'],
    ['', 'etc'],
    ['.'],
    ['nul\0byte'],
    ['line\nbreak'],
    ['x'.repeat(256)],
    ['\ud800'],
    [`.sluice-${ID}`, '1.part'],
    ['.sluice-other', 'x'],
  ])('cannot use the path %j %j %j %j', async (...path) => {
    const sink = await open({ directory: at('in') });
    sink.addEntries([{ ...entry(1, 'x'), path: path.filter((name) => name !== undefined) }, entry(2, 'ok')]);
    expect(await whole(sink, 1, pattern(20))).toBeNull();
    expect(await pack(sink, 1, [pattern(20)])).toBeNull();
    expect(await whole(sink, 2, pattern(20))).toBeNull();
    await sink.finish();
    expect(tree()).toEqual(['in/', 'in/ok']);
    expect(files.map(({ status, error }) => [status, error?.code])).toEqual([
      ['skipped', 'unsafeName'],
      ['ok', undefined],
    ]);
  });

  it('cannot write through a link, whoever put it there and when', async () => {
    mkdirSync(at('outside'));
    mkdirSync(at('in'));
    symlinkSync(at('outside'), at('in', 'd'));
    const sink = await open({ directory: at('in'), onConflict: 'overwrite' });
    sink.addEntries([entry(1, 'd/x'), entry(2, 'e/f/x'), entry(3, 'e/f/y'), entry(4, 'd', { type: 'dir' })]);
    expect(await whole(sink, 1, pattern(20))).toBeNull();
    expect(await whole(sink, 2, pattern(20))).toBeNull();
    // A folder that was entered before is swapped: what comes goes where it was, or nowhere.
    rmSync(at('in', 'e'), { recursive: true });
    symlinkSync(at('outside'), at('in', 'e'));
    mkdirSync(at('outside', 'f'));
    await whole(sink, 3, pattern(20));
    await sink.finish().catch(() => sink.keep());
    expect(readdirSync(at('outside'))).toEqual(['f']);
    expect(readdirSync(at('outside', 'f'))).toEqual([]);
    expect(files.find(({ path }) => path.join('/') === 'd/x')).toMatchObject({
      status: 'failed',
      error: { code: 'unsafeName', detail: 'A symbolic link is in the way.' },
    });
  });

  it('cannot put a folder where a file is', async () => {
    const sink = await open();
    sink.addEntries([entry(1, 'a'), entry(2, 'b/a'), entry(3, 'b/a/x'), entry(4, 'b/a/y', { type: 'dir' })]);
    for (const file of [1, 2, 3]) expect(await whole(sink, file, pattern(20, file))).toBeNull();
    await sink.finish();
    expect(tree()).toEqual(['a', 'b/', 'b/a']);
    expect(files.filter(({ error }) => error !== null).map(({ error }) => error?.code)).toEqual([
      'unsafeName',
      'unsafeName',
    ]);
  });

  it('cannot set special mode bits, nor make links', async () => {
    const sink = await open();
    sink.addEntries([
      entry(1, 'f', { mode: 0o4777 }),
      entry(2, 'g', { mode: 0o2755 }),
      entry(3, 'd', { type: 'dir', mode: 0o1777 }),
      entry(4, 'l', { type: 'symlink' }),
    ]);
    await whole(sink, 1, pattern(20));
    await pack(sink, 2, [pattern(20)]);
    await whole(sink, 4, pattern(20));
    await sink.finish();
    expect(['f', 'g', 'd'].map((name) => statSync(at(name)).mode & 0o7777)).toEqual([0o777, 0o755, 0o777]);
    expect(existsSync(at('l'))).toBe(false);
  });

  it('can use names of 255 bytes, also when they are taken', async () => {
    const name = `${'ü'.repeat(124)}.tar.x`;
    const sink = await open();
    sink.addEntries([entry(1, name), entry(2, name)]);
    await whole(sink, 1, pattern(20, 1));
    await whole(sink, 2, pattern(20, 2));
    await sink.finish();
    expect(tree()).toHaveLength(2);
    for (const found of tree()) expect(Buffer.byteLength(found)).toBeLessThanOrEqual(255);
  });

  it('that sends content without a name ends the transfer', async () => {
    const sink = await open();
    expect(await write(sink, 7, 0, pattern(1))).toMatchObject({ code: 'protocol' });
    expect(await pack(sink, 8, [pattern(1)])).toMatchObject({ code: 'protocol' });
    await sink.keep();
    expect(tree()).toEqual([]);
  });
});

it('takes no staging folder that is a link', async () => {
  mkdirSync(at('outside'));
  symlinkSync(at('outside'), at(`.sluice-${ID}`));
  await expect(open()).rejects.toMatchObject({ code: 'localDisk' });
});

it('tells what the disk says', async () => {
  writeFileSync(at('file'), '');
  await expect(open({ directory: at('file') })).rejects.toMatchObject({
    code: 'localDisk',
    detail: expect.stringContaining('(EEXIST)'),
  });
});
