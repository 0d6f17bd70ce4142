import { describe, expect, test } from 'vitest';
import {
  BODY_SLACK_BYTES,
  decodeRecordHeader,
  emptyLog,
  encodeRecordHeader,
  type LogSnapshot,
  LogState,
  MAX_FILES,
  MAX_OPEN_FILES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  type RecordHeader,
  type RecordHeaderFields,
} from '../../../src/protocol/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf, RECORD_SIZE } from '../../support/log-fixtures.ts';

const H = contentOf(32, 99);
const MAX = Number.MAX_SAFE_INTEGER;
type Fields = Partial<RecordHeaderFields> & Pick<RecordHeaderFields, 'kind'>;

function headerOf(fields: Fields, index: number): RecordHeader {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES);
  encodeRecordHeader(bytes, { index, plainLength: 0, bodyLength: 0, ...fields });
  return decodeRecordHeader(bytes);
}

/** A log after these records, all with the same digest. */
function logWith(...records: Fields[]): LogState {
  const state = new LogState(emptyLog(H), RECORD_SIZE, digester);
  for (const fields of [{ kind: 'manifest' } as Fields, ...records]) apply(state, fields);
  return state;
}

function from(snapshot: Partial<LogSnapshot>): LogState {
  return new LogState({ ...emptyLog(H), index: 1, ...snapshot }, RECORD_SIZE, digester);
}

function apply(state: LogState, fields: Fields): void {
  state.apply(headerOf(fields, state.index), H);
}

const first = (file: number, span: number): Fields => ({ kind: 'data', file, span, isFirst: true });
const more = (file: number, offset: number, span: number): Fields => ({ kind: 'data', file, offset, span });
const last = (file: number, offset: number, span: number): Fields => ({
  kind: 'data',
  file,
  offset,
  span,
  isLast: true,
});
const whole = (file: number, span: number): Fields => ({
  kind: 'data',
  file,
  span,
  isFirst: true,
  isLast: true,
});
const pack = (file: number, count: number, span = 0): Fields => ({ kind: 'pack', file, offset: count, span });

describe('what is known after a record', () => {
  test('the empty log is named by the hash of the header', () => {
    expect(new LogState(emptyLog(H), RECORD_SIZE, digester).snapshot()).toEqual({
      index: 0,
      position: 0,
      chain: H,
      nextFile: 1,
      openFiles: [],
      endedFiles: 0,
      contentBytes: 0,
      isSealed: false,
    });
  });

  test('index, position and chain go on with every record', () => {
    const state = new LogState(emptyLog(H), RECORD_SIZE, digester);
    const [a, b] = [contentOf(32, 1), contentOf(32, 2)];
    state.apply(headerOf({ kind: 'manifest', bodyLength: 10, plainLength: 10 }, 0), a);
    state.apply(headerOf({ kind: 'manifest', bodyLength: 20, plainLength: 20 }, 1), b);
    expect(state.index).toBe(2);
    expect(state.position).toBe(2 * RECORD_OVERHEAD_BYTES + 30);
    expect(state.chain).toEqual(blake3(blake3(H, a), b));
  });

  test('files: begun, gone on, ended, packed; holes count as content', () => {
    const state = logWith(first(2, 100), { kind: 'hole', file: 2, offset: 100, span: 1_000 }, first(5, 7));
    expect(state.snapshot()).toMatchObject({
      nextFile: 6,
      openFiles: [
        { file: 2, nextOffset: 1_100 },
        { file: 5, nextOffset: 7 },
      ],
      endedFiles: 0,
      contentBytes: 1_107,
    });
    expect([state.openFileCount, state.nextOffsetOf(2), state.nextOffsetOf(5)]).toEqual([2, 1_100, 7]);
    expect([state.nextOffsetOf(1), state.nextOffsetOf(6)]).toEqual([null, null]);
    for (const fields of [last(5, 7, 0), whole(6, 3), pack(9, 4, 50), last(2, 1_100, 1)])
      apply(state, fields);
    expect(state.snapshot()).toMatchObject({
      nextFile: 13,
      openFiles: [],
      endedFiles: 7,
      contentBytes: 1_161,
    });
    expect([state.nextFile, state.endedFiles, state.contentBytes]).toEqual([13, 7, 1_161]);
  });

  test('a seal seals', () => {
    const state = logWith({ kind: 'seal' });
    expect(state.isSealed).toBe(true);
    expect(state.snapshot().isSealed).toBe(true);
  });

  test('open files stay in ascending order', () => {
    const state = logWith(
      first(1, 1),
      first(2, 1),
      first(3, 1),
      more(1, 1, 1),
      last(2, 1, 0),
      first(4, 1),
      more(3, 1, 1),
    );
    expect(state.snapshot().openFiles.map(({ file }) => file)).toEqual([1, 3, 4]);
  });

  test('a state made of a snapshot goes on alike', () => {
    const whole1 = logWith(first(1, 10), first(2, 20));
    const copy = new LogState(whole1.snapshot(), RECORD_SIZE, digester);
    for (const state of [whole1, copy]) {
      for (const fields of [last(1, 10, 5), last(2, 20, 0), { kind: 'seal' } as Fields]) apply(state, fields);
    }
    expect(copy.snapshot()).toEqual(whole1.snapshot());
  });
});

const sixteen = Array.from({ length: MAX_OPEN_FILES }, (_, i) => first(i + 1, 1));

describe('what is allowed at the edge', () => {
  test.each([
    [
      'a full record with a file end and a tag',
      () => logWith(),
      { ...whole(1, RECORD_SIZE), bodyLength: RECORD_SIZE + BODY_SLACK_BYTES },
    ],
    ['a hole larger than a record', () => logWith(), { kind: 'hole', file: 1, span: 2 ** 50, isFirst: true }],
    ['an empty record of a file', () => logWith(first(1, 5)), more(1, 5, 0)],
    ['the 16th open file', () => logWith(...sixteen.slice(1)), first(17, 1)],
    ['a whole file beside 16 open ones', () => logWith(...sixteen), whole(17, 1)],
    ['a pack beside 16 open ones', () => logWith(...sixteen), pack(17, 100)],
    ['the last possible file', () => logWith(), whole(MAX_FILES, 1)],
    ['a pack up to the last possible file', () => logWith(), pack(MAX_FILES - 9, 10)],
    [
      'a file of 2^53-1 bytes',
      () => from({ openFiles: [{ file: 1, nextOffset: MAX - 5 }], nextFile: 2 }),
      more(1, MAX - 5, 5),
    ],
    ['a manifest behind data', () => logWith(first(1, 1)), { kind: 'manifest' }],
    ['a seal behind nothing but the manifest', () => logWith(), { kind: 'seal' }],
  ] as [string, () => LogState, Fields][])('%s', (_, make, fields) => {
    const state = make();
    const { index } = state;
    apply(state, fields);
    expect(state.index).toBe(index + 1);
  });
});

describe('a refused record changes nothing', () => {
  test.each([
    ['anything after the seal', 'sealed', () => logWith({ kind: 'seal' }), { kind: 'manifest' }],
    ['an index that was', 'protocol', () => logWith(), { kind: 'manifest', index: 0 }],
    ['an index that leaves a hole', 'protocol', () => logWith(), { kind: 'manifest', index: 2 }],
    [
      'a body above the record size',
      'tooLarge',
      () => logWith(),
      { kind: 'manifest', bodyLength: RECORD_SIZE + BODY_SLACK_BYTES + 1 },
    ],
    ['more than 2^53-1 bytes of content', 'protocol', () => from({ contentBytes: MAX }), whole(1, 1)],

    ['a manifest with a file', 'protocol', () => logWith(), { kind: 'manifest', file: 1 }],
    ['a manifest with an offset', 'protocol', () => logWith(), { kind: 'manifest', offset: 1 }],
    ['a manifest with a span', 'protocol', () => logWith(), { kind: 'manifest', span: 1 }],
    ['a manifest that is first', 'protocol', () => logWith(), { kind: 'manifest', isFirst: true }],
    ['a manifest that is last', 'protocol', () => logWith(), { kind: 'manifest', isLast: true }],
    ['a seal with a file', 'protocol', () => logWith(), { kind: 'seal', file: 1 }],
    ['a seal before the end of a file', 'protocol', () => logWith(first(1, 1)), { kind: 'seal' }],

    ['data that spans more than a record', 'protocol', () => logWith(), whole(1, RECORD_SIZE + 1)],
    [
      'a file beyond 2^53-1 bytes',
      'protocol',
      () => from({ openFiles: [{ file: 1, nextOffset: MAX }], nextFile: 2 }),
      more(1, MAX, 1),
    ],
    ['file 0', 'protocol', () => logWith(), whole(0, 1)],
    ['a file that began before', 'protocol', () => logWith(first(1, 1)), first(1, 1)],
    ['a file that has ended', 'protocol', () => logWith(whole(1, 1)), whole(1, 1)],
    ['a file out of order', 'protocol', () => logWith(whole(5, 1)), whole(4, 1)],
    ['a file above the limit', 'limit', () => logWith(), whole(MAX_FILES + 1, 1)],
    ['a file that begins in its middle', 'protocol', () => logWith(), { ...first(1, 1), offset: 1 }],
    ['the 17th open file', 'protocol', () => logWith(...sixteen), first(17, 1)],
    ['more of a file that never began', 'protocol', () => logWith(), more(1, 0, 1)],
    ['more of a file that has ended', 'protocol', () => logWith(whole(1, 5)), more(1, 5, 1)],
    ['a gap in a file', 'protocol', () => logWith(first(1, 5)), more(1, 6, 1)],
    ['an overlap in a file', 'protocol', () => logWith(first(1, 5)), more(1, 4, 1)],
    [
      'a hole with a gap',
      'protocol',
      () => logWith(first(1, 5)),
      { kind: 'hole', file: 1, offset: 6, span: 1 },
    ],

    ['a pack of no files', 'protocol', () => logWith(), pack(1, 0)],
    ['a pack that is first', 'protocol', () => logWith(), { ...pack(1, 1), isFirst: true }],
    ['a pack that is last', 'protocol', () => logWith(), { ...pack(1, 1), isLast: true }],
    ['a pack that spans more than a record', 'protocol', () => logWith(), pack(1, 1, RECORD_SIZE + 1)],
    ['a pack of files that began', 'protocol', () => logWith(whole(3, 1)), pack(3, 2)],
    ['a pack of file 0', 'protocol', () => logWith(), pack(0, 2)],
    ['a pack beyond the last possible file', 'limit', () => logWith(), pack(MAX_FILES - 9, 11)],
    ['a pack of 2^53-1 files', 'limit', () => logWith(), pack(1, MAX)],
  ] as [string, string, () => LogState, Fields][])('%s', (_, code, make, fields) => {
    const state = make();
    const before = state.snapshot();
    expect(codeOf(() => apply(state, fields))).toBe(code);
    expect(state.snapshot()).toEqual(before);
  });

  test.each([
    whole(1, 1),
    pack(1, 1),
    { kind: 'seal' },
    { kind: 'hole', file: 1, isFirst: true },
  ] as Fields[])('record 0 that is no manifest: %j', (fields) => {
    const state = new LogState(emptyLog(H), RECORD_SIZE, digester);
    expect(codeOf(() => apply(state, fields))).toBe('protocol');
    expect(state.snapshot()).toEqual(emptyLog(H));
  });
});
