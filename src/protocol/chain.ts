/** The chain: a running hash over record digests. 32 bytes that name any prefix of a log (SPEC 3.4). */
import type { Digester } from './digester.ts';

/** chain' = BLAKE3(chain || digest); the first chain value is H = BLAKE3(transfer header). */
export function nextChain(digester: Digester, chain: Uint8Array, digest: Uint8Array): Uint8Array {
  const joined = new Uint8Array(64);
  joined.set(chain, 0);
  joined.set(digest, 32);
  return digester.digest(joined);
}
