// The digester that is still being loaded when it is handed out.
import { describe, expect, test } from 'vitest';
import type { Digester } from '../../../src/protocol/index.ts';
import { createLateDigester } from '../../../src/runtime/index.ts';

describe('a late digester', () => {
  const real: Digester = {
    digest: () => new Uint8Array(32).fill(1),
    createHasher: () => ({ update: () => {}, digest: () => new Uint8Array(32).fill(2) }),
  };

  test('is the real one once it was loaded', async () => {
    const digester = createLateDigester(async () => real);
    await digester.loaded;
    expect(digester.digest(new Uint8Array(0))[0]).toBe(1);
    expect(digester.createHasher().digest()[0]).toBe(2);
  });

  test('cannot be used before', () => {
    const digester = createLateDigester(async () => real);
    expect(() => digester.digest(new Uint8Array(0))).toThrow('before it was loaded');
    expect(() => digester.createHasher()).toThrow('before it was loaded');
  });

  test('tells those who wait that it cannot be loaded, and ends no process over it', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listen);
    try {
      const digester = createLateDigester(() => Promise.reject(new Error('no WebAssembly')));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      await expect(digester.loaded).rejects.toThrow('no WebAssembly');
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', listen);
    }
  });
});
