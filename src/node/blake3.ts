/**
 * BLAKE3 for Node: the native module where it loads, WebAssembly elsewhere. Both give the same digests and are
 * synchronous once loaded. Not responsible for what is hashed, nor for hashing off the main thread.
 */
import type { Digester } from '../protocol/index.ts';
import { createWasmDigester } from '../runtime/index.ts';

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

/** The fallback. */
export async function loadWasmDigester(): Promise<Digester> {
  const digester = await createWasmDigester();
  names.set(digester, 'wasm');
  return digester;
}
