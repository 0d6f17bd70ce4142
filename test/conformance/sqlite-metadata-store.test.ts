import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SqliteMetadataStore } from '../../src/server/metadata/sqlite-metadata-store.ts';
import { codeOf } from '../support/errors.ts';
import { metadataStoreSuite, type SomeDocument } from './metadata-store.suite.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-metadata-'));
  path = join(folder, 'sluice.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('SqliteMetadataStore', () => {
  describe('as a MetadataStore', () => {
    metadataStoreSuite(async () => ({ store: SqliteMetadataStore.open(path), dispose: async () => {} }));
  });

  test('keeps documents and goes on counting versions when opened again', async () => {
    let store = SqliteMetadataStore.open<SomeDocument>(path);
    const version = (await store.put('a', { name: 'kept' }, null)) as number;
    await store.remove('a', version);
    await store.put('b', { name: 'kept' }, null);
    await store.close();
    store = SqliteMetadataStore.open(path);
    expect((await store.get('b'))?.value).toEqual({ name: 'kept' });
    expect(await store.put('a', { name: 'new' }, null)).toBeGreaterThan(version);
    await store.close();
  });

  test('a put that was not waited for is finished by close', async () => {
    let store = SqliteMetadataStore.open<SomeDocument>(path);
    void store.put('a', { name: 'kept' }, null);
    await store.close();
    await expect(store.put('b', { name: 'late' }, null)).rejects.toMatchObject({ code: 'internal' });
    store = SqliteMetadataStore.open(path);
    expect((await store.get('a'))?.value.name).toBe('kept');
    await store.close();
  });

  test('only the owner can read it', async () => {
    const store = SqliteMetadataStore.open<SomeDocument>(path);
    await store.put('a', { name: 'a' }, null);
    for (const name of ['sluice.db', 'sluice.db-wal'])
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    await store.close();
  });

  test('refuses a second opener, another schema, and what is no database', async () => {
    const store = SqliteMetadataStore.open<SomeDocument>(path);
    expect(codeOf(() => SqliteMetadataStore.open(path))).toBe('dataFolder');
    await store.put('a', { name: 'not disturbed' }, null);
    await store.close();

    const newer = new DatabaseSync(path);
    newer.exec('PRAGMA user_version = 99');
    newer.close();
    expect(() => SqliteMetadataStore.open(path)).toThrow('has schema 99');

    const other = join(folder, 'other.db');
    writeFileSync(other, 'this is no database, but something else that happens to be long enough');
    expect(codeOf(() => SqliteMetadataStore.open(other))).toBe('dataFolder');
    expect(codeOf(() => SqliteMetadataStore.open(join(folder, 'missing', 'sluice.db')))).toBe('dataFolder');
  });
});
