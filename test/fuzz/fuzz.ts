// How fuzz tests run: FUZZ_RUNS inputs each (small by default, so that they are part of every check), and all kept
// seeds. The only errors a decoder may throw are SluiceErrors with the codes its documentation names.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SluiceError, type SluiceErrorCode } from '../../src/protocol/index.ts';
import { KEPT_SEEDS } from './seeds.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 300);

/** A test of one property, on random inputs and on kept seeds. */
export function fuzz<T>(name: string, inputs: fc.Arbitrary<T>, check: (input: T) => void): void {
  test(name, { timeout: 30_000 + RUNS * 50 }, () => {
    for (const kept of KEPT_SEEDS[name] ?? []) fc.assert(fc.property(inputs, check), { ...kept, numRuns: 1 });
    fc.assert(fc.property(inputs, check), { numRuns: RUNS });
  });
}

/** Runs `decode`; any error but a SluiceError with one of `codes` fails the test. Returns null on such an error. */
export function tryDecode<T>(codes: readonly SluiceErrorCode[], decode: () => T): T | null {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    expect(codes).toContain(error.code);
    return null;
  }
}

/** Bytes of every length up to `max`, with small numbers and long runs of zero more often than by chance. */
export function someBytes(max = 300): fc.Arbitrary<Uint8Array> {
  return fc.oneof(
    fc.uint8Array({ maxLength: max }),
    fc
      .array(fc.constantFrom(0, 0, 0, 1, 2, 3, 5, 64, 255), { maxLength: max })
      .map((bytes) => Uint8Array.from(bytes)),
  );
}

type Mutation =
  | { readonly act: 'flip'; readonly at: number; readonly bit: number }
  | { readonly act: 'set'; readonly at: number; readonly value: number }
  | { readonly act: 'cut'; readonly at: number; readonly length: number }
  | { readonly act: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly act: 'repeat'; readonly at: number; readonly length: number };

/** Up to six changes to be made to valid bytes. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.oneof(
    fc.record({ act: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
    fc.record({ act: fc.constant('set' as const), at: fc.nat(), value: fc.nat(255) }),
    fc.record({ act: fc.constant('cut' as const), at: fc.nat(), length: fc.nat(300) }),
    fc.record({
      act: fc.constant('insert' as const),
      at: fc.nat(),
      bytes: fc.uint8Array({ maxLength: 100 }),
    }),
    fc.record({ act: fc.constant('repeat' as const), at: fc.nat(), length: fc.nat(300) }),
  ),
  { maxLength: 6 },
);

export function mutate(valid: Uint8Array, changes: readonly Mutation[]): Uint8Array {
  let bytes = new Uint8Array(valid);
  for (const change of changes) {
    const at = bytes.length === 0 ? 0 : change.at % bytes.length;
    if (change.act === 'flip' && bytes.length > 0) bytes[at]! ^= 1 << change.bit;
    else if (change.act === 'set' && bytes.length > 0) bytes[at] = change.value;
    else if (change.act === 'cut') bytes = spliced(bytes, at, change.length, new Uint8Array(0));
    else if (change.act === 'insert') bytes = spliced(bytes, at, 0, change.bytes);
    else if (change.act === 'repeat') bytes = spliced(bytes, at, 0, bytes.subarray(at, at + change.length));
  }
  return bytes;
}

function spliced(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes.subarray(0, at), ...added, ...bytes.subarray(at + removed)]);
}

/**
 * A copy in the middle of a larger buffer full of 0xff: reading beyond the view would find other bytes than beyond a
 * buffer of its own, so both must give the same.
 */
export function embedded(bytes: Uint8Array): Uint8Array {
  const large = new Uint8Array(bytes.length + 4_096).fill(0xff);
  large.set(bytes, 2_048);
  return large.subarray(2_048, 2_048 + bytes.length);
}
