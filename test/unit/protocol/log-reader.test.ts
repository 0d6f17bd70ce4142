import { describe, expect, test } from 'vitest';
import {
  encodeRecordHeader,
  finishRecord,
  type Inflate,
  type LogItem,
  LogReader,
  MAX_REPAIRS,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  type RecordHeaderFields,
  SluiceError,
} from '../../../src/protocol/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { codeOf } from '../../support/errors.ts';
import {
  contentOf,
  dataRecord,
  emptyManifest,
  endOf,
  joined,
  logOfAllKinds,
  newBuilder,
  packed,
  RECORD_SIZE,
  startOfLog,
} from '../../support/log-fixtures.ts';

const noInflate: Inflate = () => {
  throw new SluiceError('unsupported');
};
const newReader = (inflate = noInflate) => new LogReader(startOfLog(), RECORD_SIZE, digester, inflate);

/** A record with any header and body, its digest right. */
function record(index: number, plain: Uint8Array, fields: Partial<RecordHeaderFields>): Uint8Array {
  const bytes = new Uint8Array(RECORD_OVERHEAD_BYTES + plain.length);
  bytes.set(plain, RECORD_HEADER_BYTES);
  encodeRecordHeader(bytes, {
    kind: 'manifest',
    index,
    plainLength: plain.length,
    bodyLength: plain.length,
    ...fields,
  });
  finishRecord(bytes, digester);
  return bytes;
}

function damaged(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 0x10;
  return copy;
}

describe('round trip', () => {
  const records = logOfAllKinds();

  test.each([1, 2, 3, 7])('in chunks of %d records', (size) => {
    const reader = newReader();
    const items: LogItem[] = [];
    let bytes = 0;
    for (let at = 0; at < records.length; at += size) {
      const result = reader.read(joined(records.slice(at, at + size)));
      expect(result).toMatchObject({ damagedIndex: null, droppedBytes: 0 });
      for (const one of result.records) {
        items.push(one.item);
        bytes += one.bytes;
        expect(one.index).toBe(items.length);
      }
    }
    expect(bytes).toBe(joined(records).length);
    const content = contentOf(3_000);
    expect(items).toEqual([
      { type: 'manifest', manifest: { ...emptyManifest, name: 'all kinds', totalFiles: 4 } },
      { type: 'data', file: 1, offset: 0, content: content.subarray(0, 1_000), end: null },
      { type: 'hole', file: 2, offset: 0, span: 5_000, end: null },
      { type: 'data', file: 1, offset: 1_000, content: content.subarray(1_000), end: endOf(content) },
      {
        type: 'hole',
        file: 2,
        offset: 5_000,
        span: 10,
        end: { blake3: new Uint8Array(32), sizeBytes: 5_010, status: 'ok' },
      },
      { type: 'pack', firstFile: 3, files: [packed(contentOf(10, 2)), packed(new Uint8Array(0))] },
      { type: 'seal', seal: { records: 6, files: 4, contentBytes: 8_020, chain: expect.any(Uint8Array) } },
    ]);
    expect(reader.state.isSealed).toBe(true);
  });

  test('an empty chunk is nothing', () => {
    expect(newReader().read(new Uint8Array(0))).toEqual({ records: [], damagedIndex: null, droppedBytes: 0 });
  });

  test("the chain is the same as the builder's", () => {
    const builder = newBuilder();
    const reader = newReader();
    reader.read(
      joined([builder.manifest(emptyManifest), dataRecord(builder, 1, contentOf(9), endOf(contentOf(9)))]),
    );
    expect(reader.state.snapshot()).toEqual(builder.state.snapshot());
  });

  test('goes on from a snapshot', () => {
    const half = newReader();
    half.read(joined(records.slice(0, 4)));
    const heir = new LogReader(half.state.snapshot(), RECORD_SIZE, digester, noInflate);
    expect(heir.read(joined(records.slice(4))).records.length).toBe(3);
  });
});

describe('damage', () => {
  const records = logOfAllKinds();
  const lengths = records.map(({ length }) => length);
  const rest = (from: number) => lengths.slice(from).reduce((sum, length) => sum + length, 0);

  test.each([
    ['body', RECORD_HEADER_BYTES + 5],
    ['digest', -1],
    ['format', 0],
    ['kind', 1],
    ['flags', 2],
    ['reserved byte', 5],
    ['index', 15],
    ['highest byte of the index', 8],
    ['body length: longer than the chunk', 33],
    ['body length: above the limit', 32],
    ['body length: a little longer', 34],
  ])('in the %s asks to go back, and drops what follows', (_, at) => {
    const reader = newReader();
    const before = reader.read(joined(records.slice(0, 1)));
    expect(before.damagedIndex).toBeNull();
    const bad = records[1]!;
    const chunk = joined([damaged(bad, at < 0 ? bad.length + at : at), ...records.slice(2)]);
    const { records: read, damagedIndex, droppedBytes } = reader.read(chunk);
    expect([read.length, damagedIndex, droppedBytes]).toEqual([0, 1, chunk.length]);
    expect(reader.state.index).toBe(1);
  });

  test('what came before it in the chunk counts', () => {
    const reader = newReader();
    const chunk = joined([...records.slice(0, 3), damaged(records[3]!, 70), ...records.slice(4)]);
    const result = reader.read(chunk);
    expect(result.records.length).toBe(3);
    expect([result.damagedIndex, result.droppedBytes]).toEqual([3, rest(3)]);
  });

  test('late records are dropped without a word until the repair comes', () => {
    const reader = newReader();
    reader.read(joined([...records.slice(0, 1), damaged(records[1]!, 70)]));
    const late = reader.read(joined(records.slice(2, 5)));
    expect(late).toEqual({ records: [], damagedIndex: null, droppedBytes: rest(2) - rest(5) });
    const repair = reader.read(joined([records[5]!, ...records.slice(1, 4)]));
    expect([repair.records.length, repair.damagedIndex, repair.droppedBytes]).toEqual([3, null, lengths[5]]);
    expect(reader.read(joined(records.slice(4))).records.length).toBe(3);
    expect(reader.state.isSealed).toBe(true);
  });

  test('a repair that is damaged as well is asked for again', () => {
    const reader = newReader();
    reader.read(records[0]!);
    expect(reader.read(damaged(records[1]!, 70)).damagedIndex).toBe(1);
    expect(reader.read(damaged(records[1]!, 80)).damagedIndex).toBe(1);
    expect(reader.read(damaged(records[1]!, 15)).damagedIndex).toBe(1);
    expect(reader.read(joined(records.slice(1))).records.length).toBe(6);
  });

  test('asked twice, answered twice: what comes again is dropped', () => {
    const reader = newReader();
    reader.read(records[0]!);
    reader.read(damaged(records[1]!, 70));
    reader.read(damaged(records[2]!, 70));
    expect(reader.read(joined(records.slice(1, 4))).records.length).toBe(3);
    const again = reader.read(joined(records.slice(1)));
    expect([again.records.length, again.damagedIndex, again.droppedBytes]).toEqual([
      3,
      null,
      rest(1) - rest(4),
    ]);
    expect(reader.state.isSealed).toBe(true);
  });

  test('the same record damaged again and again ends it', () => {
    const reader = newReader();
    reader.read(records[0]!);
    for (let i = 0; i < MAX_REPAIRS; i++) expect(reader.read(damaged(records[1]!, 70)).damagedIndex).toBe(1);
    expect(codeOf(() => reader.read(damaged(records[1]!, 70)))).toBe('digestMismatch');
  });

  test('damage now and then does not', () => {
    const reader = newReader();
    reader.read(records[0]!);
    for (const [i, good] of records.slice(1).entries()) {
      for (let times = 0; times < MAX_REPAIRS; times++)
        expect(reader.read(damaged(good, 70)).damagedIndex).toBe(i + 1);
      reader.read(good);
    }
    expect(reader.state.isSealed).toBe(true);
  });

  test('a chunk that ends within a record is damaged', () => {
    const reader = newReader();
    const chunk = joined(records.slice(0, 2)).subarray(0, -1);
    expect(reader.read(chunk)).toMatchObject({ damagedIndex: 1, droppedBytes: lengths[1]! - 1 });
    expect(reader.read(new Uint8Array(20))).toMatchObject({ damagedIndex: 1, droppedBytes: 20 });
  });

  test('a gap without damage breaks the protocol', () => {
    const reader = newReader();
    reader.read(records[0]!);
    expect(codeOf(() => reader.read(records[2]!))).toBe('protocol');
  });

  test('a record again without damage breaks the protocol', () => {
    const reader = newReader();
    reader.read(records[0]!);
    expect(codeOf(() => reader.read(records[0]!))).toBe('protocol');
  });
});

describe('what a writer with right digests may not do', () => {
  const json = (value: unknown) => new Uint8Array(Buffer.from(JSON.stringify(value)));
  const start = record(0, json({ entries: [] }), {});
  const end = (sizeBytes: number) => {
    const bytes = new Uint8Array(48);
    new DataView(bytes.buffer).setBigUint64(32, BigInt(sizeBytes));
    return bytes;
  };

  test.each([
    [
      'an unknown kind',
      'unsupported',
      (() => {
        const bytes = record(1, json({}), {});
        bytes[1] = 9;
        finishRecord(bytes, digester);
        return bytes;
      })(),
    ],
    [
      'an unknown format',
      'unsupported',
      (() => {
        const bytes = record(1, json({}), {});
        bytes[0] = 2;
        finishRecord(bytes, digester);
        return bytes;
      })(),
    ],
    ['a body that is not JSON', 'protocol', record(1, contentOf(10), {})],
    ['an encrypted body', 'unsupported', record(1, contentOf(10), { suite: 'aes-256-gcm' })],
    ['padding', 'unsupported', record(1, json({ entries: [] }), { isPadded: true })],
    [
      'a plain length that is not that of the body',
      'protocol',
      record(1, json({ entries: [] }), { plainLength: 3 }),
    ],
    [
      'a span that is longer than the body',
      'protocol',
      record(1, contentOf(5), { kind: 'data', file: 1, isFirst: true, span: 6 }),
    ],
    [
      'a span that is shorter than the body',
      'protocol',
      record(1, contentOf(5), { kind: 'data', file: 1, isFirst: true, span: 4 }),
    ],
    [
      'a last record without a file end',
      'protocol',
      record(1, contentOf(5), { kind: 'data', file: 1, isFirst: true, isLast: true, span: 5 }),
    ],
    [
      'a file end with a wrong size',
      'protocol',
      record(1, end(6), { kind: 'hole', file: 1, isFirst: true, isLast: true, span: 5 }),
    ],
    [
      'a hole with a body',
      'protocol',
      record(1, contentOf(5), { kind: 'hole', file: 1, isFirst: true, span: 5 }),
    ],
    [
      'a pack with a wrong span',
      'protocol',
      record(1, new Uint8Array(40), { kind: 'pack', file: 1, offset: 1, span: 1 }),
    ],
    [
      'a pack with a wrong count',
      'protocol',
      record(1, new Uint8Array(40), { kind: 'pack', file: 1, offset: 2 }),
    ],
    ['a body longer than the record size', 'tooLarge', record(1, contentOf(RECORD_SIZE + 65), {})],
    ['a seal that is not JSON', 'protocol', record(1, contentOf(9), { kind: 'seal' })],
  ] as const)('%s', (_, code, bytes) => {
    const reader = newReader();
    reader.read(start);
    expect(codeOf(() => reader.read(bytes))).toBe(code);
  });

  const chain = blake3(startOfLog().chain, start.subarray(-32));
  const seal = { records: 1, files: 0, bytes: 0, chain: Buffer.from(chain).toString('base64url') };

  test('the right seal is taken', () => {
    const reader = newReader();
    reader.read(start);
    expect(reader.read(record(1, json(seal), { kind: 'seal' })).records.length).toBe(1);
  });

  test.each([
    ['records', { records: 2 }],
    ['files', { files: 1 }],
    ['bytes', { bytes: 1 }],
    ['chain', { chain: Buffer.from(contentOf(32)).toString('base64url') }],
  ])('a seal with other %s does not match', (_, change) => {
    const reader = newReader();
    reader.read(start);
    expect(codeOf(() => reader.read(record(1, json({ ...seal, ...change }), { kind: 'seal' })))).toBe(
      'integrity',
    );
  });
});

describe('compressed bodies', () => {
  const plain = Buffer.from(JSON.stringify({ entries: [] }));

  test.each(['deflate-raw', 'zstd'] as const)('%s is inflated to the declared length', (codec) => {
    const calls: unknown[] = [];
    const reader = newReader((...args) => {
      calls.push(args);
      return plain;
    });
    const body = contentOf(7);
    const bytes = record(0, body, { codec, plainLength: plain.length });
    expect(reader.read(bytes).records[0]!.item).toEqual({ type: 'manifest', manifest: emptyManifest });
    expect(calls).toEqual([[codec, body, plain.length]]);
  });

  test('another length is refused', () => {
    const reader = newReader(() => plain);
    const bytes = record(0, contentOf(7), { codec: 'zstd', plainLength: plain.length + 1 });
    expect(codeOf(() => reader.read(bytes))).toBe('protocol');
  });
});
