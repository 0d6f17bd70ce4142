import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type SkippedSource, streamEntry, walkSources } from '../../../src/node/file-source.ts';
import type { SourceEntry } from '../../../src/runtime/index.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-source-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));
const at = (...path: string[]) => join(root, ...path);
function put(path: string, content: string | Uint8Array = path): string {
  mkdirSync(join(at(path), '..'), { recursive: true });
  writeFileSync(at(path), content);
  return at(path);
}

async function walk(...paths: string[]): Promise<{ entries: SourceEntry[]; skipped: SkippedSource[] }> {
  const skipped: SkippedSource[] = [];
  const entries: SourceEntry[] = [];
  for await (const entry of walkSources(paths, { onSkipped: (one) => skipped.push(one) }))
    entries.push(entry);
  return { entries, skipped };
}
const names = (entries: readonly SourceEntry[]) => entries.map(({ path }) => path.join('/'));

describe('the walk', () => {
  it('gives folders before their content, sorted, with empty folders, under the name of the folder', async () => {
    put('photos/b.jpg');
    put('photos/a/2');
    put('photos/a/10');
    put('photos/a.txt');
    mkdirSync(at('photos/empty'));
    const { entries, skipped } = await walk(`${at('photos')}/`);
    expect(names(entries)).toEqual([
      'photos',
      'photos/a',
      'photos/a/10',
      'photos/a/2',
      'photos/a.txt',
      'photos/b.jpg',
      'photos/empty',
    ]);
    expect(entries.map(({ type }) => type).join(' ')).toBe('dir dir file file file file dir');
    expect(skipped).toEqual([]);
  });

  it('tells size, mode, time with nanoseconds and where a file is', async () => {
    const path = put('f', 'hello');
    chmodSync(path, 0o4640);
    execFileSync('touch', ['-d', '1969-12-31T23:59:58.250000001Z', path]);
    const [entry] = (await walk(path)).entries;
    expect(entry).toMatchObject({
      path: ['f'],
      type: 'file',
      sizeBytes: 5,
      mode: 0o640,
      mtime: { seconds: -2, nanoseconds: 250_000_001 },
      origin: { location: path },
    });
    const [again] = (await walk(path)).entries;
    expect(again?.origin).toEqual(entry?.origin);
    // Same size and time, other content: ctime tells.
    writeFileSync(path, 'world');
    execFileSync('touch', ['-d', '1969-12-31T23:59:58.250000001Z', path]);
    expect((await walk(path)).entries[0]?.origin?.identity).not.toBe(entry?.origin?.identity);
  });

  it('keeps equal names of several arguments apart', async () => {
    const paths = [put('1/a.txt'), put('2/a.txt'), put('3/a.txt'), put('4/a (2).txt')];
    expect(names((await walk(...paths)).entries)).toEqual([
      'a.txt',
      'a (2).txt',
      'a (3).txt',
      'a (2) (2).txt',
    ]);
  });

  it('follows a link that was named, and leaves out and reports links and special files inside', async () => {
    put('real/file');
    symlinkSync(at('real'), at('link'));
    symlinkSync('/etc/passwd', at('real/passwd'));
    symlinkSync('nowhere', at('real/broken'));
    execFileSync('mkfifo', [at('real/pipe')]);
    const { entries, skipped } = await walk(at('link'));
    expect(names(entries)).toEqual(['link', 'link/file']);
    expect(skipped.map(({ location, reason }) => [location, reason])).toEqual([
      [at('link/broken'), 'symlink'],
      [at('link/passwd'), 'symlink'],
      [at('link/pipe'), 'special'],
    ]);
  });

  it('reports names that no receiver could create', async () => {
    put('d/ok');
    put('d/line\nbreak');
    writeFileSync(Buffer.concat([Buffer.from(`${at('d')}/`), Buffer.from([0x66, 0xff])]), '');
    const { entries, skipped } = await walk(at('d'));
    expect(names(entries)).toEqual(['d', 'd/ok']);
    expect(skipped.map(({ reason, code }) => `${reason} ${code}`).sort()).toEqual([
      'name control-character',
      'name not-utf8',
    ]);
  });

  it('refuses what is not there and what cannot be sent, before anything comes out', async () => {
    put('a');
    await expect(walk(at('a'), at('none'))).rejects.toMatchObject({ code: 'usage' });
    await expect(walk(at('a', 'b'))).rejects.toMatchObject({ code: 'usage' });
    await expect(walk('/dev/null')).rejects.toMatchObject({ code: 'usage' });
  });

  it('walks a folder of many entries in order and reports one that went away', async () => {
    for (let i = 0; i < 300; i++) put(`many/${String(i).padStart(3, '0')}`);
    const seen: string[] = [];
    const skipped: SkippedSource[] = [];
    for await (const { path } of walkSources([at('many')], { onSkipped: (one) => skipped.push(one) })) {
      if (seen.length === 1) unlinkSync(at('many/299'));
      seen.push(path.at(-1) as string);
    }
    expect(seen).toEqual(['many', ...Array.from({ length: 299 }, (_, i) => String(i).padStart(3, '0'))]);
    expect(skipped).toEqual([{ location: at('many/299'), reason: 'removed', code: 'ENOENT' }]);
  });

  it('sends a named pipe as a stream', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const [entry] = (await walk(at('pipe'))).entries;
    expect(entry).toMatchObject({ path: ['pipe'], sizeBytes: null, origin: null });
  });
});

describe('reading a file', () => {
  const entryFor = async (content: Uint8Array) => (await walk(put('f', content))).entries[0]!;
  const large = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 31) % 251);

  it('fills the parts one after another, at any position', async () => {
    const source = await (await entryFor(large)).open();
    const parts = [new Uint8Array(10), new Uint8Array(0), new Uint8Array(300_000)];
    expect(await source.read(parts, 7)).toBe(300_010);
    expect(Buffer.concat(parts)).toEqual(Buffer.from(large.subarray(7, 300_017)));
    expect(await source.read(parts, 999_995)).toBe(5);
    expect(await source.read(parts, 1_000_000)).toBe(0);
    expect(await source.check()).toBe('ok');
    await source.close();
  });

  it.each<[string, () => void]>([
    ['grew', () => appendFileSync(at('f'), 'x')],
    ['shrank', () => truncateSync(at('f'), 10)],
    ['was touched', () => utimesSync(at('f'), 1, 1)],
    ['was replaced', () => renameSync(put('g', large), at('f'))],
  ])('sees that it %s since the walk', async (_what, change) => {
    const entry = await entryFor(large);
    change();
    const source = await entry.open();
    expect(await source.check()).toBe('changed');
    await source.close();
  });

  it('tells a file that has gone, also as a small one', async () => {
    const entry = await entryFor(large.subarray(0, 100));
    unlinkSync(at('f'));
    const source = await entry.open();
    expect(await source.read([new Uint8Array(10)], 0)).toBe(0);
    expect(await source.check()).toBe('removed');
    await source.close();
    expect(await entry.readWhole?.()).toEqual({ content: new Uint8Array(0), status: 'removed' });
  });

  it('does not follow a link that took the place of a file inside a folder, nor wait for a pipe', async () => {
    put('d/a', 'aaa');
    put('d/b', 'bbb');
    const [, a, b] = (await walk(at('d'))).entries;
    unlinkSync(at('d/a'));
    symlinkSync('/etc/passwd', at('d/a'));
    unlinkSync(at('d/b'));
    execFileSync('mkfifo', [at('d/b')]);
    await expect(a!.open()).rejects.toMatchObject({ code: 'localDisk' });
    await expect(a!.readWhole?.()).rejects.toMatchObject({ code: 'localDisk' });
    const source = await b!.open();
    expect(await source.check()).toBe('changed');
    await source.close();
  });

  it('reads small files whole, and no byte more than announced', async () => {
    const entry = await entryFor(large.subarray(0, 65_536));
    expect(await entry.readWhole?.()).toEqual({ content: large.slice(0, 65_536), status: 'ok' });
    appendFileSync(at('f'), 'more');
    const grown = await entry.readWhole!();
    expect([grown.content.length, grown.status]).toEqual([65_536, 'changed']);
    expect((await entryFor(large)).readWhole).toBeUndefined();
  });
});

describe('a stream', () => {
  it('gives what is there at once, cuts large pieces, and ends', async () => {
    const input = new PassThrough();
    const source = await streamEntry('-', input).open();
    input.write('hello');
    const parts = [new Uint8Array(3), new Uint8Array(100)];
    expect(await source.read(parts, 0)).toBe(5);
    expect(Buffer.concat(parts).subarray(0, 5).toString()).toBe('hello');
    const waiting = source.read([new Uint8Array(2)], 5);
    input.write('world');
    expect(await waiting).toBe(2);
    expect(await source.read([new Uint8Array(100)], 7)).toBe(3);
    input.end();
    expect(await source.read([new Uint8Array(1)], 10)).toBe(0);
    expect(await source.check()).toBe('ok');
    await source.close();
  });

  it('reads no further than asked', async () => {
    const input = new PassThrough({ highWaterMark: 1000 });
    const source = await streamEntry('-', input).open();
    const chunk = Buffer.alloc(600);
    let hasRoom = true;
    let written = 0;
    for (; hasRoom && written < 100; written++) hasRoom = input.write(chunk);
    expect(written).toBeLessThan(10);
    await source.read([new Uint8Array(1)], 0);
    await source.close();
    expect(input.destroyed).toBe(true);
  });

  it('passes a failure on', async () => {
    const input = new PassThrough();
    const source = await streamEntry('-', input).open();
    input.destroy(Object.assign(new Error('gone'), { code: 'EIO', errno: -5 }));
    await expect(source.read([new Uint8Array(1)], 0)).rejects.toMatchObject({ code: 'localDisk' });
  });
});
