/**
 * A digester that is still being loaded when it is handed out. Loading takes milliseconds and is over before the
 * first connection is, which is what waits for it; nobody hashes earlier.
 */
import type { Digester } from '../protocol/index.ts';

export interface LateDigester extends Digester {
  /** Resolves when the digester can be used. */
  readonly loaded: Promise<void>;
}

export function createLateDigester(load: () => Promise<Digester>): LateDigester {
  let digester: Digester | null = null;
  const loaded = load().then((real) => {
    digester = real;
  });
  // Whoever connects is told; until somebody does, it concerns nobody.
  loaded.catch(() => {});
  const real = (): Digester => {
    if (digester === null) throw new Error('the digester is used before it was loaded');
    return digester;
  };
  return {
    loaded,
    digest: (bytes) => real().digest(bytes),
    createHasher: () => real().createHasher(),
  };
}
