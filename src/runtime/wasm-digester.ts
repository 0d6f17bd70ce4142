/** BLAKE3 in WebAssembly: for browsers, and for Node where no native module fits. Synchronous once made. */
import { createBLAKE3, type IHasher } from 'hash-wasm';
import type { Digester, Hasher } from '../protocol/index.ts';

/** Two WebAssembly instances: one for whole inputs, one that all streaming hashers take turns on. */
export async function createWasmDigester(): Promise<Digester> {
  const [oneShot, shared] = await Promise.all([createBLAKE3(), createBLAKE3()]);
  const turns = new WasmTurns(shared);
  return {
    digest: (bytes) => oneShot.init().update(bytes).digest('binary'),
    createHasher: () => new WasmHasher(turns),
  };
}

/**
 * Instances are created asynchronously and each has its own memory, so hashers cannot have one each. The state of a
 * hasher is 2 KiB; it is swapped only when another hasher comes to turn.
 */
class WasmTurns {
  readonly instance: IHasher;
  #current: WasmHasher | null = null;

  constructor(instance: IHasher) {
    this.instance = instance;
  }

  take(hasher: WasmHasher): void {
    if (this.#current === hasher) return;
    if (this.#current !== null) this.#current.state = this.instance.save();
    if (hasher.state === null) this.instance.init();
    else this.instance.load(hasher.state);
    this.#current = hasher;
  }

  release(): void {
    this.#current = null;
  }
}

class WasmHasher implements Hasher {
  /** Where this hasher stands while another one has the instance; null before its first turn. */
  state: Uint8Array | null = null;
  readonly #turns: WasmTurns;

  constructor(turns: WasmTurns) {
    this.#turns = turns;
  }

  update(bytes: Uint8Array): void {
    this.#turns.take(this);
    this.#turns.instance.update(bytes);
  }

  digest(): Uint8Array {
    this.#turns.take(this);
    const digest = this.#turns.instance.digest('binary');
    this.#turns.release();
    return digest;
  }
}
