/**
 * Capability tokens as a server sees them: it keeps only their hashes, and compares without leaking by time.
 */
import { createHash, hkdfSync, timingSafeEqual } from 'node:crypto';

const READ_TOKEN_INFO = 'sluice v1 read token';
const TOKEN_BYTES = 32;

/** The read token that follows from the secret of a link: HKDF-SHA-256, salt = transfer id, 32 bytes. */
export function readTokenOf(secret: Uint8Array, transferId: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(hkdfSync('sha256', secret, transferId, READ_TOKEN_INFO, TOKEN_BYTES));
}

/** SHA-256 of a token: what a server stores. Tokens are random, so no salt and no slow hash is needed. */
export function hashToken(token: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(token).digest());
}

/** Compares in constant time, whatever the length of `token`. */
export function isTokenOf(token: Uint8Array, hash: Uint8Array): boolean {
  const actual = hashToken(token);
  return actual.length === hash.length && timingSafeEqual(actual, hash);
}
