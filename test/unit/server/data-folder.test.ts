import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultDataFolder, openDataFolder } from '../../../src/server/data-folder.ts';

let parent: string;
let path: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'sluice-data-'));
  path = join(parent, 'a', 'b');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

test('is created for the owner alone, with its format, and opens again', async () => {
  const data = await openDataFolder<string>(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(readFileSync(join(path, 'format.json'), 'utf8')).toBe('{"format":1}\n');
  await data.metadata.put('key', 'value', null);
  await (await data.logs.open('AAAAAAAAAAAAAAAAAAAAA0')).close();
  await data.close();
  for (const name of readdirSync(path)) {
    const { mode } = statSync(join(path, name));
    expect(mode & 0o077).toBe(0);
  }
  const again = await openDataFolder<string>(path);
  expect((await again.metadata.get('key'))?.value).toBe('value');
  expect(await again.logs.ids()).toEqual(['AAAAAAAAAAAAAAAAAAAAA0']);
  await again.close();
});

test('is finished when its creation was cut off', async () => {
  const data = await openDataFolder(path);
  await data.close();
  rmSync(join(path, 'format.json'));
  writeFileSync(join(path, 'format.json.new'), '{"for');
  await (await openDataFolder(path)).close();
  expect(readFileSync(join(path, 'format.json'), 'utf8')).toBe('{"format":1}\n');
});

test.each(['{"format":2}', '{"format":"1"}', '{}', 'null', 'garbage', ''])(
  'the format %j is refused, and nothing is touched',
  async (text) => {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'format.json'), text);
    await expect(openDataFolder(path)).rejects.toMatchObject({
      code: 'dataFolder',
      message: expect.stringContaining('has format'),
    });
    expect(readdirSync(path)).toEqual(['format.json']);
  },
);

test('a folder with other things in it is not taken', async () => {
  writeFileSync(join(parent, 'thesis.txt'), 'mine');
  await expect(openDataFolder(parent)).rejects.toMatchObject({
    code: 'dataFolder',
    message: expect.stringContaining('"thesis.txt"'),
  });
  expect(readdirSync(parent)).toEqual(['thesis.txt']);
});

test('a path that is no folder is a clear error', async () => {
  writeFileSync(join(parent, 'file'), '');
  await expect(openDataFolder(join(parent, 'file'))).rejects.toMatchObject({ code: 'dataFolder' });
  await expect(openDataFolder(join(parent, 'file', 'below'))).rejects.toMatchObject({ code: 'dataFolder' });
});

describe('the default', () => {
  test.each([
    [{ XDG_DATA_HOME: '/xdg' }, '/xdg/sluice'],
    [{ XDG_DATA_HOME: 'relative' }, '/home/me/.local/share/sluice'],
    [{ XDG_DATA_HOME: '' }, '/home/me/.local/share/sluice'],
    [{}, '/home/me/.local/share/sluice'],
  ])('with %j is %s', (environment, expected) => {
    expect(defaultDataFolder(environment, '/home/me')).toBe(expected);
  });
});
