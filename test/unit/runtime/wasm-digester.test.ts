// BLAKE3 in WebAssembly, with any number of hashers at once.
import { describe, expect, test } from 'vitest';
import { createWasmDigester } from '../../../src/runtime/index.ts';
import { blake3 } from '../../support/digester.ts';
import { contentOf, joined } from '../../support/log-fixtures.ts';
import { seededRandom } from '../../support/random.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('in WebAssembly', () => {
  test('the empty input has the hash that everybody knows', async () => {
    const digester = await createWasmDigester();
    const empty = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
    expect(hex(digester.digest(new Uint8Array(0)))).toBe(empty);
    expect(hex(digester.createHasher().digest())).toBe(empty);
  });

  test.each([1, 1_023, 1_024, 1_025, 100_000, 3_000_000])(
    'hashes %d bytes, at once and in pieces',
    async (length) => {
      const digester = await createWasmDigester();
      const content = contentOf(length);
      expect(hex(digester.digest(content))).toBe(hex(blake3(content)));
      const hasher = digester.createHasher();
      for (let at = 0; at < length; at += 7_777) hasher.update(content.subarray(at, at + 7_777));
      expect(hex(hasher.digest())).toBe(hex(blake3(content)));
    },
  );

  test('hashers that take turns in any order do not disturb each other', async () => {
    const digester = await createWasmDigester();
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const hashers = Array.from({ length: 5 }, () => ({
        hasher: digester.createHasher(),
        pieces: [] as Uint8Array[],
      }));
      while (hashers.length > 0) {
        const at = random.below(hashers.length);
        const { hasher, pieces } = hashers[at] as (typeof hashers)[number];
        if (random.chance(0.1)) {
          expect(hex(hasher.digest()), `seed ${seed}`).toBe(hex(blake3(joined(pieces))));
          hashers.splice(at, 1);
        } else {
          const piece = contentOf(random.below(3_000), seed + at);
          hasher.update(piece);
          pieces.push(piece);
          if (random.chance(0.3)) digester.digest(contentOf(10));
        }
      }
    }
  });

  test('keeps no reference to its input', async () => {
    const digester = await createWasmDigester();
    const piece = contentOf(100);
    const hasher = digester.createHasher();
    hasher.update(piece);
    piece.fill(0);
    expect(hex(hasher.digest())).toBe(hex(blake3(contentOf(100))));
  });

  test('a result is not changed by what is hashed later', async () => {
    const digester = await createWasmDigester();
    const first = digester.digest(contentOf(10, 1));
    const text = hex(first);
    digester.digest(contentOf(10, 2));
    expect(hex(first)).toBe(text);
  });
});
