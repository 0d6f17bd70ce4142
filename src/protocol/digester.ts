/** What the protocol needs from a hash. Implementations live in the layers above; BLAKE3 is the only algorithm of v1. */

/** One hash over many pieces. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** 32 bytes. The hasher is spent afterwards. */
  digest(): Uint8Array;
}

/** Synchronous BLAKE3 with 32-byte output. Must not keep a reference to its input. */
export interface Digester {
  digest(bytes: Uint8Array): Uint8Array;
  createHasher(): Hasher;
}
