// What every MetadataStore must do. Run by one *.test.ts per implementation.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MetadataStore, StoredDocument } from '../../src/server/metadata/metadata-store.ts';

export interface SomeDocument {
  readonly name: string;
  readonly nested?: { readonly list: readonly (number | null)[] };
}

export interface MetadataStoreHarness {
  readonly store: MetadataStore<SomeDocument>;
  dispose(): Promise<void>;
}

export function metadataStoreSuite(makeHarness: () => Promise<MetadataStoreHarness>): void {
  let harness: MetadataStoreHarness;
  let store: MetadataStore<SomeDocument>;

  beforeEach(async () => {
    harness = await makeHarness();
    store = harness.store;
  });
  afterEach(async () => {
    await store.close();
    await harness.dispose();
  });

  async function all(): Promise<StoredDocument<SomeDocument>[]> {
    const documents: StoredDocument<SomeDocument>[] = [];
    for await (const document of store.list()) documents.push(document);
    return documents;
  }

  test('a document that was never put is null', async () => {
    expect(await store.get('a')).toBe(null);
    expect(await all()).toEqual([]);
  });

  test('what was put is read back, with its version', async () => {
    const value = { name: 'Ä 😀 "quoted" \n', nested: { list: [1, null, 2 ** 53 - 1, -0.5] } };
    const version = await store.put('a', value, null);
    expect(await store.get('a')).toEqual({ key: 'a', value, version });
  });

  test('shares no object with its callers', async () => {
    const value = { name: 'before', nested: { list: [1] } };
    await store.put('a', value, null);
    value.nested.list.push(2);
    const read = await store.get('a');
    expect(read?.value).toEqual({ name: 'before', nested: { list: [1] } });
    Object.assign(read?.value ?? {}, { name: 'after' });
    expect((await store.get('a'))?.value.name).toBe('before');
  });

  test('a version rises with every put, also over a removal', async () => {
    const first = (await store.put('a', { name: '1' }, null)) as number;
    const second = (await store.put('a', { name: '2' }, first)) as number;
    expect(second).toBeGreaterThan(first);
    expect(await store.remove('a', second)).toBe(true);
    const third = (await store.put('a', { name: '3' }, null)) as number;
    expect(third).toBeGreaterThan(second);
    expect(await store.put('a', { name: 'late' }, first)).toBe(null);
    expect((await store.get('a'))?.value.name).toBe('3');
  });

  test('a put with a wrong version changes nothing', async () => {
    const version = (await store.put('a', { name: 'kept' }, null)) as number;
    expect(await store.put('a', { name: 'lost' }, null)).toBe(null);
    expect(await store.put('a', { name: 'lost' }, version + 1)).toBe(null);
    expect(await store.put('b', { name: 'lost' }, version)).toBe(null);
    expect(await all()).toEqual([{ key: 'a', value: { name: 'kept' }, version }]);
  });

  test('a removal with a wrong version changes nothing', async () => {
    const version = (await store.put('a', { name: 'kept' }, null)) as number;
    expect(await store.remove('a', version + 1)).toBe(false);
    expect(await store.remove('b', version)).toBe(false);
    expect(await store.get('a')).not.toBe(null);
    expect(await store.remove('a', version)).toBe(true);
    expect(await store.remove('a', version)).toBe(false);
    expect(await store.get('a')).toBe(null);
  });

  test('of many puts at the same time with the same version one wins', async () => {
    const version = await store.put('a', { name: 'start' }, null);
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => store.put('a', { name: `${i}` }, version)),
    );
    const winners = results.flatMap((result, i) => (result === null ? [] : [{ i, result }]));
    expect(winners).toHaveLength(1);
    expect(await store.get('a')).toEqual({
      key: 'a',
      value: { name: `${winners[0]?.i}` },
      version: winners[0]?.result,
    });
  });

  test('the list is in order of keys, and whole', async () => {
    const keys = Array.from({ length: 700 }, (_, i) => `key-${String((i * 7919) % 700).padStart(3, '0')}`);
    await Promise.all(keys.map((key) => store.put(key, { name: key }, null)));
    expect((await all()).map(({ key }) => key)).toEqual([...keys].sort());
  });

  test('a list may be changed while it is read', async () => {
    const versions = await Promise.all(['a', 'b', 'c'].map((key) => store.put(key, { name: key }, null)));
    const seen: string[] = [];
    for await (const { key } of store.list()) {
      seen.push(key);
      if (key === 'a') await store.remove('b', versions[1] as number);
    }
    expect(seen.filter((key) => key !== 'b')).toEqual(['a', 'c']);
  });
}
