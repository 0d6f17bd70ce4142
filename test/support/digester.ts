// BLAKE3 for tests: hash-wasm, so that no test depends on a native add-on. One wasm instance serves everybody, because
// every call starts and ends its hash before it returns.
import { createBLAKE3 } from 'hash-wasm';
import type { Digester } from '../../src/protocol/index.ts';

const wasm = await createBLAKE3();

export function blake3(...pieces: readonly Uint8Array[]): Uint8Array {
  wasm.init();
  for (const piece of pieces) wasm.update(piece);
  return wasm.digest('binary');
}

export const digester: Digester = {
  digest: (bytes) => blake3(bytes),
  createHasher: () => {
    const pieces: Uint8Array[] = [];
    return {
      update: (bytes) => void pieces.push(new Uint8Array(bytes)),
      digest: () => blake3(...pieces),
    };
  },
};
