import { describe, expect, test } from 'vitest';
import {
  decodeRecordHeader,
  FILE_END_BYTES,
  LogBuilder,
  PACK_ROW_BYTES,
  RECORD_OVERHEAD_BYTES,
  recordAt,
  verifyRecord,
} from '../../../src/protocol/index.ts';
import { digester } from '../../support/digester.ts';
import { codeOf } from '../../support/errors.ts';
import {
  contentOf,
  dataRecord,
  emptyManifest,
  endOf,
  logOfAllKinds,
  newBuilder,
  packed,
  RECORD_SIZE,
} from '../../support/log-fixtures.ts';

test('every record carries its index and a right digest', () => {
  for (const [index, record] of logOfAllKinds().entries()) {
    const view = recordAt(record, 0);
    expect(view.bytes.length).toBe(record.length);
    expect(view.header.index).toBe(index);
    expect(verifyRecord(view, digester)).toBe(true);
  }
});

test('headers place the record in its file', () => {
  const headers = logOfAllKinds().map((record) => decodeRecordHeader(record));
  expect(headers.map(({ kind }) => kind)).toEqual([
    'manifest',
    'data',
    'hole',
    'data',
    'hole',
    'pack',
    'seal',
  ]);
  expect(
    headers
      .slice(1, 6)
      .map(({ file, offset, span, isFirst, isLast }) => [file, offset, span, isFirst, isLast]),
  ).toEqual([
    [1, 0, 1_000, true, false],
    [2, 0, 5_000, true, false],
    [1, 1_000, 2_000, false, true],
    [2, 5_000, 10, false, true],
    [3, 2, 10, false, false],
  ]);
  expect(
    headers.every(
      ({ plainLength, bodyLength, codec, suite }) =>
        plainLength === bodyLength && codec === 'raw' && suite === 'none',
    ),
  ).toBe(true);
});

test('a full record with a file end fits the buffer and stays in it', () => {
  const builder = newBuilder();
  builder.manifest(emptyManifest);
  const buffer = new Uint8Array(builder.recordBufferBytes);
  expect(builder.contentOf(buffer).length).toBe(RECORD_SIZE);
  const content = contentOf(RECORD_SIZE);
  builder.contentOf(buffer).set(content);
  const record = builder.data(buffer, 1, RECORD_SIZE, endOf(content));
  expect(record.buffer).toBe(buffer.buffer);
  expect(record.length).toBe(builder.recordBufferBytes);
  expect(record.length).toBe(RECORD_OVERHEAD_BYTES + RECORD_SIZE + FILE_END_BYTES);
});

test('a buffer can be used again for a shorter record', () => {
  const builder = newBuilder();
  builder.manifest(emptyManifest);
  const buffer = new Uint8Array(builder.recordBufferBytes).fill(0xff);
  const long = contentOf(1_000);
  builder.contentOf(buffer).set(long);
  builder.data(buffer, 1, 1_000, endOf(long));
  builder.contentOf(buffer).set(contentOf(3, 2));
  const record = builder.data(buffer, 2, 3, endOf(contentOf(3, 2)));
  expect(verifyRecord(recordAt(record, 0), digester)).toBe(true);
  expect(record.length).toBe(RECORD_OVERHEAD_BYTES + 3 + FILE_END_BYTES);
});

test('goes on from the point of an earlier sender with the same bytes', () => {
  const [one, two] = [newBuilder(), newBuilder()];
  for (const builder of [one, two]) {
    builder.manifest(emptyManifest);
    dataRecord(builder, 1, contentOf(10));
  }
  const heir = new LogBuilder(two.state.snapshot(), RECORD_SIZE, digester);
  expect(dataRecord(heir, 1, contentOf(5), endOf(contentOf(15)))).toEqual(
    dataRecord(one, 1, contentOf(5), endOf(contentOf(15))),
  );
  expect(heir.seal()).toEqual(one.seal());
});

describe('mistakes of the caller show and change nothing', () => {
  const started = () => {
    const builder = newBuilder();
    builder.manifest(emptyManifest);
    return builder;
  };

  const withOpenFile = () => {
    const builder = started();
    dataRecord(builder, 1, contentOf(1));
    return builder;
  };
  const sealed = () => {
    const builder = started();
    builder.seal();
    return builder;
  };
  const tooLong = RECORD_SIZE - PACK_ROW_BYTES + FILE_END_BYTES + 1;

  test.each([
    ['no manifest first', 'protocol', newBuilder, (b) => b.pack(1, [packed(contentOf(1))])],
    ['a seal before the end of a file', 'protocol', withOpenFile, (b) => b.seal()],
    [
      'too large a manifest',
      'tooLarge',
      started,
      (b) => b.manifest({ ...emptyManifest, message: 'x'.repeat(RECORD_SIZE + 40) }),
    ],
    ['too large a pack', 'tooLarge', started, (b) => b.pack(1, [packed(contentOf(tooLong))])],
    ['a pack of no files', 'protocol', started, (b) => b.pack(1, [])],
    ['a file out of order', 'protocol', withOpenFile, (b) => b.pack(1, [packed(contentOf(1))])],
    ['anything after the seal', 'sealed', sealed, (b) => b.seal()],
  ] as [string, string, () => LogBuilder, (b: LogBuilder) => unknown][])('%s', (_, code, make, act) => {
    const builder = make();
    const before = builder.state.snapshot();
    expect(codeOf(() => act(builder))).toBe(code);
    expect(builder.state.snapshot()).toEqual(before);
  });
});
