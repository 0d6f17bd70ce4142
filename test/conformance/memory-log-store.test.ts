import { describe, expect, test } from 'vitest';
import { MemoryLogStore } from '../../src/server/log/memory-log-store.ts';
import { contentOf } from '../support/log-fixtures.ts';
import { append, logStoreSuite } from './log-store.suite.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAAA0';

describe('MemoryLogStore', () => {
  logStoreSuite(async () => {
    const store = new MemoryLogStore();
    return { store, reopen: async () => store, dispose: async () => {} };
  });

  test('is bounded, and has room again after a cut or a removal', async () => {
    const store = new MemoryLogStore({ maxBytes: 1_000 });
    const storage = await store.open(ID);
    await append(storage, contentOf(900));
    await expect(append(storage, contentOf(101))).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(append(storage, contentOf(1))).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await store.freeBytes()).toBe(100);
    await storage.truncate(500, 0);
    await append(storage, contentOf(500));
    await storage.close();
    await store.remove(ID);
    expect(await store.freeBytes()).toBe(1_000);
  });
});
