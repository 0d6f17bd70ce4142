// Files, folders and names through the command line, and the list of what was sent.
import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Workplace, workplace } from '../support/cli.ts';

/** Sends to the end and returns the link. */
async function sent({ run }: Workplace, args: readonly string[]): Promise<string> {
  const sender = run(['send', ...args]);
  const link = await sender.firstLine();
  expect(await sender.finished()).toMatchObject({ code: 0 });
  return link;
}

async function received({ run }: Workplace, link: string, args: readonly string[] = []) {
  return run(['receive', link, '--yes', '-o', 'in', ...args]).finished();
}

describe('folders', () => {
  test('arrive with empty folders, modes and times', async () => {
    const place = await workplace();
    const tree = join(place.folder, 'tree');
    await mkdir(join(tree, 'sub', 'empty'), { recursive: true });
    await writeFile(join(tree, 'run.sh'), '#!/bin/sh\n');
    await writeFile(join(tree, 'sub', 'nothing'), '');
    await chmod(join(tree, 'run.sh'), 0o750);
    await utimes(join(tree, 'run.sh'), 1e9, 1e9);
    await utimes(join(tree, 'sub', 'empty'), 1.1e9, 1.1e9);
    expect(await received(place, await sent(place, ['tree']))).toMatchObject({ code: 0 });
    const arrived = join(place.folder, 'in', 'tree');
    expect((await readdir(arrived, { recursive: true })).sort()).toEqual([
      'run.sh',
      'sub',
      join('sub', 'empty'),
      join('sub', 'nothing'),
    ]);
    expect(await readFile(join(arrived, 'run.sh'), 'utf8')).toBe('#!/bin/sh\n');
    const script = await stat(join(arrived, 'run.sh'));
    expect(script.mode & 0o777).toBe(0o750);
    expect(script.mtimeMs).toBe(1e12);
    expect((await stat(join(arrived, 'sub', 'empty'))).mtimeMs).toBe(1.1e12);
  });

  test('setuid and setgid are never applied', async () => {
    const place = await workplace();
    await writeFile(join(place.folder, 'tool'), 'x');
    await chmod(join(place.folder, 'tool'), 0o6755);
    await received(place, await sent(place, ['tool']));
    expect((await stat(join(place.folder, 'in', 'tool'))).mode & 0o7777).toBe(0o755);
  });

  test('links are skipped and named, the others arrive', async () => {
    const place = await workplace();
    await mkdir(join(place.folder, 'tree'));
    await writeFile(join(place.folder, 'tree', 'good'), 'x');
    await symlink('/etc/passwd', join(place.folder, 'tree', 'bad'));
    const sender = place.run(['send', 'tree']);
    const link = await sender.firstLine();
    const { code, stderr } = await sender.finished();
    expect(code).toBe(0);
    expect(stderr).toMatch(/^ {2}tree\/bad: skipped/m);
    await received(place, link);
    expect(await readdir(join(place.folder, 'in', 'tree'))).toEqual(['good']);
  });

  test('equal base names are kept apart', async () => {
    const place = await workplace();
    for (const parent of ['one', 'two']) {
      await mkdir(join(place.folder, parent));
      await writeFile(join(place.folder, parent, 'same.txt'), parent);
    }
    const link = await sent(place, ['one/same.txt', 'two/same.txt']);
    expect(await received(place, link)).toMatchObject({ code: 0 });
    const names = (await readdir(join(place.folder, 'in'))).sort();
    expect(names).toEqual(['same (2).txt', 'same.txt']);
    const contents = await Promise.all(names.map((name) => readFile(join(place.folder, 'in', name), 'utf8')));
    expect(contents.sort()).toEqual(['one', 'two']);
  });
});

describe('names', () => {
  test('CJK and emoji arrive as they are', async () => {
    const place = await workplace();
    const name = '照片 2026 👩‍🚀 – résumé.txt';
    await writeFile(join(place.folder, name), 'x');
    expect(await received(place, await sent(place, [name]))).toMatchObject({ code: 0 });
    expect(await readdir(join(place.folder, 'in'))).toContain(name);
  });

  test('control and bidi characters never reach the terminal raw', async () => {
    const place = await workplace();
    await mkdir(join(place.folder, 'tree'));
    for (const name of ['a\x1b[2J', 'b\nsluice: done', 'c\u202egpj.exe', 'good']) {
      await writeFile(join(place.folder, 'tree', name), 'x');
    }
    const sender = place.run(['send', 'tree']);
    const link = await sender.firstLine();
    const { code, stderr } = await sender.finished();
    // Names with controls in them serve nobody but those who forge logs: they are left out and named.
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ {2}tree\/a\uFFFD\[2J: skipped: .*\(control-character\)\.$/m);
    const receiver = await received(place, link);
    expect(receiver).toMatchObject({ code: 0 });
    for (const text of [stderr, receiver.stderr]) {
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(text).not.toMatch(/^sluice: done/m);
    }
    expect((await readdir(join(place.folder, 'in', 'tree'))).sort()).toEqual(['c\u202egpj.exe', 'good']);
  });
});

describe('--on-conflict', () => {
  async function twice(mode: string[]) {
    const place = await workplace();
    await mkdir(join(place.folder, 'in'));
    await writeFile(join(place.folder, 'in', 'a.txt'), 'old');
    await writeFile(join(place.folder, 'a.txt'), 'new');
    const { code } = await received(place, await sent(place, ['a.txt']), mode);
    const names = (await readdir(join(place.folder, 'in'))).filter((name) => !name.startsWith('.')).sort();
    const contents = await Promise.all(names.map((name) => readFile(join(place.folder, 'in', name), 'utf8')));
    return { code, files: Object.fromEntries(names.map((name, position) => [name, contents[position]])) };
  }

  test('keeps both when nothing is said', async () => {
    expect(await twice([])).toEqual({ code: 0, files: { 'a.txt': 'old', 'a (2).txt': 'new' } });
  });

  test('keep-both', async () => {
    expect(await twice(['--on-conflict', 'keep-both'])).toMatchObject({
      files: { 'a.txt': 'old', 'a (2).txt': 'new' },
    });
  });

  test('overwrite', async () => {
    expect(await twice(['--on-conflict', 'overwrite'])).toEqual({ code: 0, files: { 'a.txt': 'new' } });
  });

  test('skip', async () => {
    expect((await twice(['--on-conflict', 'skip'])).files).toEqual({ 'a.txt': 'old' });
  });
});

describe('ls and cancel', () => {
  test('list what was sent, and take it back', async () => {
    const place = await workplace();
    await writeFile(join(place.folder, 'a.txt'), 'hello world');
    expect(await place.run(['ls']).finished()).toMatchObject({ code: 0, stdout: '' });
    const link = await sent(place, ['a.txt', '--name', 'greeting']);
    const listing = place.run(['ls', '--json']);
    expect(await listing.finished()).toMatchObject({ code: 0 });
    const [listed, ...rest] = listing.jsonLines();
    expect(listed).toMatchObject({ v: 1, type: 'transfer', link, name: 'greeting', state: 'sealed' });
    expect(listed).toMatchObject({ sizeBytes: 11 });
    expect(Date.parse(String(listed?.createdAt))).toBeLessThanOrEqual(Date.now());
    expect(rest).toEqual([{ v: 1, type: 'done', transfers: 1 }]);

    const text = await place.run(['ls']).finished();
    expect(text.stdout).toContain(`greeting\n  complete, 11 B, sent `);
    expect(text.stdout).toContain(`  ${link}\n`);

    const id = String(listed?.id);
    expect(await place.run(['cancel', id]).finished()).toMatchObject({ code: 0, stdout: '' });
    expect(await received(place, link)).toMatchObject({ code: 5 });
    expect(await place.run(['cancel', 'A'.repeat(22)]).finished()).toMatchObject({ code: 5 });
  });
});

test('a receiver in a folder that cannot be written to is exit code 8', async () => {
  const place = await workplace();
  await writeFile(join(place.folder, 'a.txt'), 'x');
  await writeFile(join(place.folder, 'file'), '');
  const link = await sent(place, ['a.txt']);
  const { code, stderr } = await place.run(['receive', link, '--yes', '-o', 'file/in']).finished();
  expect(code).toBe(8);
  expect(stderr).toContain('[localDisk]');
  expect((await lstat(join(place.folder, 'file'))).isFile()).toBe(true);
});
