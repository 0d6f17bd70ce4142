/**
 * BLAKE3 for Node: the native module where it loads, WebAssembly elsewhere. Both give the same digests and are
 * synchronous once loaded. Not responsible for what is hashed, nor for hashing off the main thread.
 */
import { createBLAKE3, type IHasher } from 'hash-wasm';
import type { Digester, Hasher } from '../protocol/index.ts';

/** Which implementation is at work: `native` is about ten times as fast on large inputs. */
export type DigesterName = 'native' | 'wasm';

let loading: Promise<Digester> | null = null;
const names = new WeakMap<Digester, DigesterName>();

/** The digester of this process. Loads it once; never rejects, because WebAssembly is always there. */
export function loadDigester(): Promise<Digester> {
  loading ??= loadNativeDigester().then((native) => native ?? loadWasmDigester());
  return loading;
}

/** What `loadDigester` found, for logs and `--version`. Null for a digester that was made elsewhere. */
export function digesterName(digester: Digester): DigesterName | null {
  return names.get(digester) ?? null;
}

/** Null where no prebuilt module fits the platform, or it was not installed: it is an optional dependency. */
export async function loadNativeDigester(): Promise<Digester | null> {
  try {
    const { default: native } = await import('@napi-rs/blake-hash');
    // The module takes any Uint8Array, though it says Buffer, reads it in place and keeps no reference.
    // Its results are copied: 32 bytes on the JavaScript heap cost less to keep than memory outside of it.
    const digester: Digester = {
      digest: (bytes) => new Uint8Array(native.blake3(bytes as Buffer)),
      createHasher: () => {
        const hasher = new native.Blake3Hasher();
        return {
          update: (bytes) => void hasher.update(bytes as Buffer),
          digest: () => new Uint8Array(hasher.digestBuffer()),
        };
      },
    };
    digester.digest(new Uint8Array(1));
    names.set(digester, 'native');
    return digester;
  } catch {
    return null;
  }
}

/** Two WebAssembly instances: one for whole inputs, one that all streaming hashers take turns on. */
export async function loadWasmDigester(): Promise<Digester> {
  const [oneShot, shared] = await Promise.all([createBLAKE3(), createBLAKE3()]);
  const turns = new WasmTurns(shared);
  const digester: Digester = {
    digest: (bytes) => oneShot.init().update(bytes).digest('binary'),
    createHasher: () => new WasmHasher(turns),
  };
  names.set(digester, 'wasm');
  return digester;
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
