// Every decoder of bytes or text from a peer: only documented errors, no hang, nothing read beyond the input.
import fc from 'fast-check';
import { expect } from 'vitest';
import {
  decodeControl,
  decodeDataMessage,
  decodeManifest,
  decodePack,
  decodeRecordHeader,
  decodeTransferHeader,
  encodeControl,
  encodeFragmentHeader,
  encodeManifest,
  encodePack,
  encodeRecordsHeader,
  encodeTransferHeader,
  intactRecordsIn,
  packLength,
  recordsIn,
  type SluiceErrorCode,
} from '../../src/protocol/index.ts';
import { controlExamples } from '../support/control-examples.ts';
import { digester } from '../support/digester.ts';
import { contentOf, emptyManifest, header, joined, logOfAllKinds, packed } from '../support/log-fixtures.ts';
import { embedded, fuzz, mutate, mutations, someBytes, tryDecode } from './fuzz.ts';

/** Decodes alone and inside a larger buffer; both must agree. */
function check<T>(
  bytes: Uint8Array,
  codes: readonly SluiceErrorCode[],
  decode: (bytes: Uint8Array) => T,
): T | null {
  const alone = tryDecode(codes, () => decode(bytes));
  expect(tryDecode(codes, () => decode(embedded(bytes)))).toEqual(alone);
  return alone;
}

const json = fc.json({ maxDepth: 4 });
const examples = Object.values(controlExamples).map((message) => encodeControl(message));

// --- control ---------------------------------------------------------------------------------------------------------

const CONTROL_CODES = ['protocol', 'tooLarge'] as const;

fuzz('decodeControl: any text', fc.oneof(fc.string({ unit: 'binary', maxLength: 500 }), json), (text) => {
  tryDecode(CONTROL_CODES, () => decodeControl(text));
});

fuzz(
  'decodeControl: a valid message with other values',
  fc.record({ example: fc.constantFrom(...examples), key: fc.nat(), value: fc.jsonValue({ maxDepth: 3 }) }),
  ({ example, key, value }) => {
    const object = JSON.parse(example) as Record<string, unknown>;
    const keys = Object.keys(object);
    const text = JSON.stringify({ ...object, [keys[key % keys.length]!]: value });
    const message = tryDecode(CONTROL_CODES, () => decodeControl(text));
    // What was accepted is a message that can be written and read again.
    if (message !== null) expect(decodeControl(encodeControl(message))).toEqual(message);
  },
);

fuzz(
  'decodeControl: a valid message with changed bytes',
  fc.record({ example: fc.constantFrom(...examples), changes: mutations }),
  ({ example, changes }) => {
    tryDecode(CONTROL_CODES, () =>
      decodeControl(Buffer.from(mutate(Buffer.from(example), changes)).toString()),
    );
  },
);

// --- data messages ---------------------------------------------------------------------------------------------------

const validData = [
  joined([encodeRecordsHeader(1), contentOf(100)]),
  joined([
    encodeFragmentHeader({ stream: 1, index: 5, offset: 0, recordBytes: 100, isLast: true }),
    contentOf(100),
  ]),
];

fuzz(
  'decodeDataMessage: any bytes in any parts',
  fc.record({
    bytes: fc.oneof(
      someBytes(),
      fc
        .record({ valid: fc.constantFrom(...validData), changes: mutations })
        .map(({ valid, changes }) => mutate(valid, changes)),
    ),
    cuts: fc.array(fc.nat(), { maxLength: 4 }),
  }),
  ({ bytes, cuts }) => {
    const whole = check(bytes, ['protocol', 'tooLarge'], (input) => decodeDataMessage([input]));
    const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
    const parts = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
    expect(tryDecode(['protocol', 'tooLarge'], () => decodeDataMessage(parts))).toEqual(whole);
  },
);

// --- records and bodies ----------------------------------------------------------------------------------------------

const RECORD_CODES = ['protocol', 'unsupported', 'tooLarge'] as const;
const log = joined(logOfAllKinds());

const someLog = fc.oneof(
  someBytes(),
  mutations.map((changes) => mutate(log, changes)),
);

fuzz('decodeRecordHeader: any bytes', fc.oneof(someBytes(80), someLog), (bytes) => {
  check(bytes, RECORD_CODES, decodeRecordHeader);
});

fuzz('recordsIn: any chunk gives records that fill it', someLog, (bytes) => {
  const records = check(bytes, RECORD_CODES, recordsIn);
  if (records !== null)
    expect(records.reduce((sum, record) => sum + record.bytes.length, 0)).toBe(bytes.length);
});

fuzz('intactRecordsIn: any chunk is intact records, then damage', someLog, (bytes) => {
  const result = check(bytes, RECORD_CODES, (input) => intactRecordsIn(input, digester));
  if (result === null) return;
  const intact = result.records.reduce((sum, record) => sum + record.bytes.length, 0);
  expect(intact + result.damagedBytes).toBe(bytes.length);
});

const validHeader = encodeTransferHeader({ ...header, requires: ['x'] });

fuzz(
  'decodeTransferHeader: any bytes, any JSON',
  fc.oneof(
    someBytes(),
    mutations.map((changes) => mutate(validHeader, changes)),
    json.map((text) => {
      const body = Buffer.from(text);
      return Buffer.concat([Buffer.from([body.length >> 8, body.length]), body, Buffer.alloc(32)]);
    }),
  ),
  (bytes) => {
    check(bytes, RECORD_CODES, decodeTransferHeader);
  },
);

const validManifest = encodeManifest({
  ...emptyManifest,
  name: 'n',
  entries: [
    {
      file: 1,
      path: ['a', 'b'],
      type: 'file',
      sizeBytes: 1,
      mtime: { seconds: 1, nanoseconds: 2 },
      mode: 0o644,
      replaces: 2,
    },
  ],
});

fuzz(
  'decodeManifest: any bytes, any JSON',
  fc.oneof(
    someBytes(),
    mutations.map((changes) => mutate(validManifest, changes)),
    json.map((text) => Buffer.from(text)),
    fc
      .record({
        key: fc.constantFrom('file', 'path', 'type', 'size', 'mtime', 'mode', 'replaces', 'must'),
        value: fc.jsonValue({ maxDepth: 3 }),
      })
      .map(({ key, value }) =>
        Buffer.from(JSON.stringify({ entries: [{ file: 1, path: ['a'], type: 'file', [key]: value }] })),
      ),
  ),
  (bytes) => {
    check(bytes, ['protocol', 'unsupported'], decodeManifest);
  },
);

const packFiles = [packed(contentOf(10)), packed(new Uint8Array(0)), packed(contentOf(50, 2))];
const validPack = new Uint8Array(packLength(packFiles));
encodePack(validPack, packFiles);

fuzz(
  'decodePack: any bytes and count',
  fc.record({
    bytes: fc.oneof(
      someBytes(),
      mutations.map((changes) => mutate(validPack, changes)),
    ),
    count: fc.oneof(fc.nat(10), fc.maxSafeNat()),
  }),
  ({ bytes, count }) => {
    const files = check(bytes, ['protocol', 'unsupported'], (input) => decodePack(input, count));
    if (files !== null) expect(packLength(files)).toBe(bytes.length);
  },
);
