import { expect, it } from 'vitest';
import { hashToken, isTokenOf, readTokenOf } from '../../../src/node/token.ts';

const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);

it('derives the read token as WebCrypto does', async () => {
  const key = await crypto.subtle.importKey('raw', bytes(32, 1), 'HKDF', false, ['deriveBits']);
  const info = new TextEncoder().encode('sluice v1 read token');
  const bits = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: bytes(16, 2), info },
    key,
    256,
  );
  expect(readTokenOf(bytes(32, 1), bytes(16, 2))).toEqual(new Uint8Array(bits));
});

it('recognises a token by its hash only', async () => {
  const token = bytes(32, 3);
  expect(hashToken(token)).toEqual(new Uint8Array(await crypto.subtle.digest('SHA-256', token)));
  expect(isTokenOf(token, hashToken(token))).toBe(true);
  expect(isTokenOf(bytes(32, 4), hashToken(token))).toBe(false);
  expect(isTokenOf(bytes(31, 3), hashToken(token))).toBe(false);
  expect(isTokenOf(token, new Uint8Array(0))).toBe(false);
});
