import { describe, expect, it } from 'vitest';
import {
  digesterName,
  loadDigester,
  loadNativeDigester,
  loadWasmDigester,
} from '../../../src/node/blake3.ts';
import type { Digester } from '../../../src/protocol/index.ts';

/** From the official test vectors: input byte i is i % 251. */
const VECTORS: readonly [lengthBytes: number, hex: string][] = [
  [0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [102400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
];
const input = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const implementations: [string, () => Promise<Digester | null>][] = [
  ['native', loadNativeDigester],
  ['wasm', loadWasmDigester],
];

describe.each(implementations)('BLAKE3, %s', (name, load) => {
  it('gives the digests of the official vectors, whole and in pieces', async () => {
    const digester = (await load())!;
    expect(digesterName(digester)).toBe(name);
    for (const [length, expected] of VECTORS) {
      const bytes = input(length);
      expect(hex(digester.digest(bytes))).toBe(expected);
      const hasher = digester.createHasher();
      for (let at = 0; at < length; at += 1000) hasher.update(bytes.subarray(at, at + 1000));
      expect(hex(hasher.digest())).toBe(expected);
    }
  });

  it('keeps many hashers apart', async () => {
    const digester = (await load())!;
    const hashers = Array.from({ length: 5 }, () => digester.createHasher());
    for (let round = 0; round < 7; round++) {
      for (const [i, hasher] of hashers.entries()) hasher.update(input(1000 * (i + 1)));
    }
    for (const [i, hasher] of hashers.entries()) {
      const whole = Buffer.concat(Array.from({ length: 7 }, () => input(1000 * (i + 1))));
      expect(hex(hasher.digest())).toBe(hex(digester.digest(whole)));
    }
  });

  it('returns 32 bytes of their own, and keeps no reference to its input', async () => {
    const digester = (await load())!;
    const bytes = input(500);
    const first = digester.digest(bytes);
    const copy = Uint8Array.from(first);
    const hasher = digester.createHasher();
    hasher.update(bytes);
    bytes.fill(0);
    for (let i = 0; i < 1000; i++) digester.digest(input(i));
    expect(first).toEqual(copy);
    expect(hasher.digest()).toEqual(copy);
    expect(first.constructor).toBe(Uint8Array);
    expect(first.buffer.byteLength).toBe(32);
  });
});

it('prefers the native module and loads once', async () => {
  const digester = await loadDigester();
  expect(digester).toBe(await loadDigester());
  expect(digesterName(digester)).toBe((await loadNativeDigester()) === null ? 'wasm' : 'native');
});
