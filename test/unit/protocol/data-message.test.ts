import { describe, expect, test } from 'vitest';
import {
  DATA_HEADER_BYTES,
  decodeDataMessage,
  encodeFragmentHeader,
  encodeRecordsHeader,
  FRAGMENT_HEADER_BYTES,
  FragmentAssembler,
  type FragmentMessage,
  MAX_BODY_BYTES,
  MAX_DATA_MESSAGE_BYTES,
  RECORD_OVERHEAD_BYTES,
} from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf, joined } from '../../support/log-fixtures.ts';

const chunk = contentOf(50);
const fragmentFields = { stream: 0xffff_fffe, index: 2 ** 40, offset: 100, recordBytes: 200, isLast: false };
const records = joined([encodeRecordsHeader(7), chunk]);
const fragment = joined([encodeFragmentHeader(fragmentFields), chunk]);

/** All ways to cut `bytes` into three parts, empty ones included. */
function* cuts(bytes: Uint8Array): Generator<Uint8Array[]> {
  for (let a = 0; a <= bytes.length; a++) {
    for (let b = a; b <= bytes.length; b++)
      yield [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)];
  }
}

describe('decodeDataMessage', () => {
  test('records', () => {
    expect(decodeDataMessage([records])).toEqual({ type: 'records', stream: 7, chunk });
  });

  test('a fragment', () => {
    expect(decodeDataMessage([fragment])).toEqual({ type: 'fragment', ...fragmentFields, chunk });
    const last = { ...fragmentFields, offset: 150, isLast: true };
    expect(decodeDataMessage([encodeFragmentHeader(last), chunk])).toEqual({
      type: 'fragment',
      ...last,
      chunk,
    });
  });

  test.each([
    ['records', records],
    ['a fragment', fragment],
  ])('any split of %s into parts gives the same', (_, bytes) => {
    const expected = decodeDataMessage([bytes]);
    for (const parts of cuts(bytes)) expect(decodeDataMessage(parts)).toEqual(expected);
    expect(decodeDataMessage([...bytes].map((byte) => new Uint8Array([byte])))).toEqual(expected);
  });

  test('nothing is copied when the header is a part of its own', () => {
    expect(decodeDataMessage([encodeRecordsHeader(7), chunk]).chunk).toBe(chunk);
    expect(decodeDataMessage([encodeFragmentHeader(fragmentFields), chunk]).chunk).toBe(chunk);
    expect(decodeDataMessage([records]).chunk.buffer).toBe(records.buffer);
  });

  const change = (bytes: Uint8Array, at: number, value: number) => {
    const copy = bytes.slice();
    copy[at] = value;
    return copy;
  };

  test.each([
    ['no parts', []],
    ['no bytes', [new Uint8Array(0)]],
    ['half a header', [records.subarray(0, 5)]],
    ['a header alone', [records.subarray(0, DATA_HEADER_BYTES)]],
    ['half a fragment header', [fragment.subarray(0, 20)]],
    ['a fragment header alone', [fragment.subarray(0, FRAGMENT_HEADER_BYTES)]],
    ['type 0', [change(records, 0, 0)]],
    ['type 3', [change(records, 0, 3)]],
    ['type 3, header apart', [change(encodeRecordsHeader(7), 0, 3), chunk]],
    ['a flag on records', [change(records, 1, 1)]],
    ['an unknown flag on a fragment', [change(fragment, 1, 2)]],
    ['reserved byte 2', [change(records, 2, 1)]],
    ['reserved byte 3', [change(fragment, 3, 1)]],
    ['an index above 2^53-1', [change(fragment, 8, 1)]],
    ['a last flag before the end', [encodeFragmentHeader({ ...fragmentFields, isLast: true }), chunk]],
    ['no last flag at the end', [encodeFragmentHeader({ ...fragmentFields, offset: 150 }), chunk]],
    [
      'a fragment beyond its record',
      [encodeFragmentHeader({ ...fragmentFields, offset: 151, isLast: true }), chunk],
    ],
  ])('%s is refused', (_, parts) => {
    expect(codeOf(() => decodeDataMessage(parts))).toBe('protocol');
  });

  test('what is too long is refused', () => {
    const largest = new Uint8Array(MAX_DATA_MESSAGE_BYTES - DATA_HEADER_BYTES);
    expect(decodeDataMessage([encodeRecordsHeader(1), largest]).chunk.length).toBe(largest.length);
    expect(codeOf(() => decodeDataMessage([encodeRecordsHeader(1), largest, new Uint8Array(1)]))).toBe(
      'tooLarge',
    );
    const limit = MAX_BODY_BYTES + RECORD_OVERHEAD_BYTES;
    const of = (recordBytes: number) =>
      decodeDataMessage([encodeFragmentHeader({ ...fragmentFields, recordBytes }), chunk]);
    expect(of(limit).type).toBe('fragment');
    expect(codeOf(() => of(limit + 1))).toBe('tooLarge');
  });
});

describe('FragmentAssembler', () => {
  const whole = contentOf(100);
  const part = (from: number, to: number, index = 3): FragmentMessage => ({
    type: 'fragment',
    stream: 1,
    index,
    offset: from,
    recordBytes: 100,
    isLast: to === 100,
    chunk: whole.subarray(from, to),
  });

  test('puts a record together', () => {
    const assembler = new FragmentAssembler();
    expect(assembler.add(part(0, 40))).toBeNull();
    expect(assembler.heldBytes).toBe(40);
    expect(assembler.add(part(40, 41))).toBeNull();
    expect(assembler.add(part(41, 100))).toEqual(whole);
    expect(assembler.heldBytes).toBe(0);
  });

  test('one fragment may be all of it', () => {
    expect(new FragmentAssembler().add(part(0, 100))).toEqual(whole);
  });

  test('a new start gives up what was there', () => {
    const assembler = new FragmentAssembler();
    assembler.add(part(0, 40));
    assembler.add(part(0, 30, 9));
    expect(assembler.heldBytes).toBe(30);
    expect(assembler.add(part(30, 100, 9))).toEqual(whole);
  });

  test('abandon says how much was there', () => {
    const assembler = new FragmentAssembler();
    assembler.add(part(0, 40));
    expect(assembler.abandon()).toBe(40);
    expect(assembler.abandon()).toBe(0);
    expect(codeOf(() => assembler.add(part(40, 100)))).toBe('protocol');
  });

  test.each([
    ['a gap', [part(0, 40), part(41, 100)]],
    ['an overlap', [part(0, 40), part(39, 100)]],
    ['no start', [part(40, 100)]],
    ['another index', [part(0, 40), part(40, 100, 4)]],
    ['another length', [part(0, 40), { ...part(40, 90), recordBytes: 90, isLast: true }]],
    ['more after the end', [part(0, 100), part(40, 100)]],
  ])('%s is refused', (_, fragments) => {
    const assembler = new FragmentAssembler();
    for (const one of fragments.slice(0, -1)) assembler.add(one);
    expect(codeOf(() => assembler.add(fragments.at(-1)!))).toBe('protocol');
  });
});
