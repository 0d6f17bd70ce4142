// What the display says: which facts, in what order, and what gives way when there is little room.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ProgressSnapshot,
  type ProgressState,
  plainProgress,
  progressLines,
} from '../../../src/cli/progress-lines.ts';
import { cellWidth } from '../../../src/cli/terminal-width.ts';

const GB = 1e9;

const sending: ProgressSnapshot = {
  kind: 'send',
  state: 'sending',
  name: 'holiday',
  sentBytes: 1.73 * GB,
  safeBytes: 1.2 * GB,
  totalBytes: 3.2 * GB,
  bytesPerSecond: 38.2e6,
  etaSeconds: 39,
  currentFile: 'IMG_2041.MOV',
  receivers: { live: 3, done: 1 },
  filesDone: 12,
  filesTotal: 214,
};

const receiving: ProgressSnapshot = {
  kind: 'receive',
  state: 'receiving',
  name: 'holiday',
  receivedBytes: 1.6 * GB,
  sentBytes: 2.4 * GB,
  totalBytes: 3.2 * GB,
  bytesPerSecond: 38.2e6,
  etaSeconds: 39,
  filesDone: 12,
  filesTotal: 214,
};

function text(snapshot: ProgressSnapshot, cells: number, stateSeconds = 0): string[] {
  return progressLines(snapshot, stateSeconds, cells).map((line) =>
    line
      .map((part) => part.text)
      .join('')
      .trimEnd(),
  );
}

describe('on a terminal', () => {
  test.each<[string, number, ProgressSnapshot, readonly [string, string]]>([
    [
      'a sender with all the room',
      199,
      sending,
      [
        '  ▕███████▒▒▒          ▏  54%  1.73/3.20 GB  safe 1.20 GB  38.2 MB/s  ETA 0:39',
        '  sending  12/214 files  receivers: 3 live, 1 done  IMG_2041.MOV',
      ],
    ],
    [
      '80 columns',
      79,
      sending,
      [
        '  ▕██████▒▒▒        ▏  54%  1.73/3.20 GB  safe 1.20 GB  38.2 MB/s  ETA 0:39',
        '  sending  12/214 files  receivers: 3 live, 1 done  IMG_2041.MOV',
      ],
    ],
    [
      '60 columns',
      59,
      sending,
      [
        '  ▕████▒      ▏  54%  safe 1.20 GB  38.2 MB/s  ETA 0:39',
        '  sending  12/214 files  3 live, 1 done  IMG_2041.MOV',
      ],
    ],
    [
      '40 columns',
      39,
      sending,
      ['  ▕█▒   ▏  54%  38.2 MB/s  ETA 0:39', '  sending  3 live, 1 done  IMG_2041.MOV'],
    ],
    ['20 columns', 19, sending, ['  ▕███▒▒     ▏  54%', '  sending  IMG_…MOV']],
    [
      'a receiver',
      79,
      receiving,
      [
        '  ▕██████████▒▒▒▒▒     ▏  50%  1.60/3.20 GB  38.2 MB/s  ETA 0:39',
        '  receiving  12/214 files  holiday',
      ],
    ],
  ])('%s', (_what, cells, snapshot, lines) => {
    expect(text(snapshot, cells)).toEqual(lines);
  });

  test('an unknown size has no bar and no percentage', () => {
    expect(text({ ...sending, totalBytes: null, etaSeconds: null }, 79)[0]).toBe(
      '  1.73 GB  safe 1.20 GB  38.2 MB/s',
    );
  });

  test.each<[ProgressState, string]>([
    ['connecting', 'connecting 0:07'],
    ['waiting-for-sender', 'waiting for sender 0:07'],
    ['checking', 'checking files'],
    ['sending', 'sending'],
    ['receiving', 'receiving'],
    ['paused', 'paused 0:07'],
    ['reconnecting', 'reconnecting (3) 0:07'],
    ['waiting-for-space', 'waiting for server space 0:07'],
    ['verifying', 'verifying'],
    ['finishing', 'finishing 0:07'],
  ])('%s has a name at every width', (state, words) => {
    for (let cells = 39; cells < 300; cells += 1) {
      const [figures, line] = text({ ...sending, state, attempt: 3 }, cells, 7);
      expect(line).toMatch(new RegExp(`^  ${words.replace(/[()]/g, '\\$&')}  `));
      expect(figures).toMatch(/^ {2}▕█+▒+ +▏ {2}54%/);
    }
  });

  test('shows the age of a state from three seconds on, an attempt only while reconnecting', () => {
    expect(text({ ...sending, state: 'paused', attempt: 3 }, 79, 2.9)[1]).toMatch(/^ {2}paused {2}/);
    expect(text({ ...sending, state: 'paused', attempt: 3 }, 79, 3)[1]).toMatch(/^ {2}paused 0:03 {2}/);
    expect(text({ ...sending, state: 'reconnecting' }, 79, 0)[1]).toMatch(/^ {2}reconnecting {2}/);
  });

  test.each<[ProgressState, number, string]>([
    ['sending', 2.9, '38.2 MB/s  ETA 0:39'],
    ['sending', 3, 'stalled 3 s'],
    ['receiving', 59.9, 'stalled 59 s'],
    ['reconnecting', 7.2, 'stalled 7 s'],
    ['reconnecting', 67, 'stalled 1:07'],
  ])('%s without a byte for %d s', (state, stalledSeconds, words) => {
    expect(text({ ...sending, state, stalledSeconds }, 79)[0]).toContain(words);
  });

  test.each<ProgressState>(['connecting', 'waiting-for-sender', 'paused', 'waiting-for-space', 'finishing'])(
    '%s has no rate, no time left and no stall',
    (state) => {
      expect(text({ ...sending, state, stalledSeconds: 60 }, 79)[0]).not.toMatch(/MB\/s|ETA|stalled/);
    },
  );

  test('the bar keeps its place and length while rate, time left and stall come and go', () => {
    const variants: Partial<ProgressSnapshot>[] = [
      { bytesPerSecond: 0, etaSeconds: null },
      { etaSeconds: 36_000 },
      { etaSeconds: 2e6 },
      { stalledSeconds: 70 },
      { state: 'paused' },
      { sentBytes: 0, safeBytes: 0 },
      { sentBytes: 3.2 * GB, safeBytes: 3.2 * GB },
    ];
    const ends = (snapshot: ProgressSnapshot) => text(snapshot, 79)[0]?.indexOf('▏');
    for (const variant of variants) expect(ends({ ...sending, ...variant })).toBe(ends(sending));
  });

  test.each<[string, Partial<ProgressSnapshot>, RegExp]>([
    ['all sent, not all safe', { sentBytes: 3.2 * GB }, /█▒+▏ {2}99%/],
    ['all sent, safe unknown', { sentBytes: 3.2 * GB, safeBytes: undefined }, /▕▒+▏ {2}99%/],
    ['all safe', { sentBytes: 3.2 * GB, safeBytes: 3.2 * GB }, /▕█+▏ 100%/],
    ['an empty transfer', { sentBytes: 0, safeBytes: 0, totalBytes: 0 }, /▕█+▏ 100%/],
    ['one byte short', { sentBytes: 3.2 * GB - 1, safeBytes: 3.2 * GB - 1 }, /█ ▏ {2}99%/],
    ['nothing yet', { sentBytes: 0, safeBytes: 0 }, /▕ +▏ {3}0%/],
    ['more than announced', { sentBytes: 4 * GB, safeBytes: 4 * GB }, /▕█+▏ 100%/],
    ['safe beyond sent after a resume', { sentBytes: 0, safeBytes: 1.6 * GB }, /▕█+ +▏ {3}0%/],
    ['figures that are none', { sentBytes: Number.NaN, safeBytes: -5 }, /▕ +▏ {3}0%/],
  ])('%s', (_what, change, expected) => {
    expect(text({ ...sending, ...change }, 79)[0]).toMatch(expected);
  });

  test.each<[string, Partial<ProgressSnapshot>, string]>([
    [
      'nobody',
      { receivers: { live: 0, done: 0 } },
      '  sending  12/214 files  receivers: none yet  IMG_2041.MOV',
    ],
    ['one', { receivers: { live: 1, done: 0 } }, '  sending  12/214 files  receivers: 1 live  IMG_2041.MOV'],
    [
      'all done',
      { receivers: { live: 0, done: 9 } },
      '  sending  12/214 files  receivers: 0 live, 9 done  IMG_2041.MOV',
    ],
    ['a single file', { filesTotal: 1, receivers: undefined }, '  sending  IMG_2041.MOV'],
    [
      'files without a number',
      { filesTotal: undefined, receivers: undefined },
      '  sending  12 files  IMG_2041.MOV',
    ],
    [
      'no current file',
      { currentFile: undefined },
      '  sending  12/214 files  receivers: 3 live, 1 done  holiday',
    ],
  ])('receivers and files: %s', (_what, change, line) => {
    expect(text({ ...sending, ...change }, 79)[1]).toBe(line);
  });

  test('cuts wide names by cells and replaces what acts on a terminal', () => {
    expect(text({ ...sending, currentFile: '二〇二六年夏天的照片和视频合集最终版.tar.gz' }, 59)[1]).toBe(
      '  sending  12/214 files  3 live, 1 done  二〇二六…版.tar.gz',
    );
    expect(text({ ...sending, currentFile: 'a\x1b[2J\u202egpj.exe' }, 79)[1]).toContain(
      'a\uFFFD[2J\uFFFDgpj.exe',
    );
  });
});

const states: readonly ProgressState[] = [
  'connecting',
  'waiting-for-sender',
  'checking',
  'sending',
  'receiving',
  'paused',
  'reconnecting',
  'waiting-for-space',
  'verifying',
  'finishing',
];
const anyNumber = fc.oneof(fc.maxSafeNat(), fc.double(), fc.constantFrom(0, 1, 999.5, 1e12));
const anyName = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc
    .array(fc.constantFrom('文', '한', '👩‍🚀', '\x1b[2J', '\r\n', '\u202e', 'a'))
    .map((parts) => parts.join('')),
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const anySnapshot: fc.Arbitrary<ProgressSnapshot> = fc.record({
  kind: fc.constantFrom('send', 'receive'),
  state: fc.constantFrom(...states),
  attempt: optional(anyNumber),
  name: anyName,
  sentBytes: optional(anyNumber),
  safeBytes: optional(anyNumber),
  receivedBytes: optional(anyNumber),
  totalBytes: fc.option(fc.maxSafeNat(), { nil: null }),
  bytesPerSecond: anyNumber,
  etaSeconds: fc.option(anyNumber, { nil: null }),
  stalledSeconds: optional(anyNumber),
  currentFile: optional(anyName),
  receivers: optional(fc.record({ live: fc.nat(), done: fc.nat() })),
  filesDone: optional(fc.nat()),
  filesTotal: optional(fc.nat()),
});

test('no line exceeds its cells or holds a control, whatever the snapshot', () => {
  fc.assert(
    fc.property(anySnapshot, anyNumber, fc.integer({ min: 0, max: 300 }), (snapshot, stateSeconds, cells) => {
      for (const line of progressLines(snapshot, stateSeconds, cells)) {
        const joined = line.map((part) => part.text).join('');
        expect(cellWidth(joined)).toBeLessThanOrEqual(cells);
        expect(joined).not.toMatch(/\p{Cc}/u);
      }
      const plain = plainProgress(snapshot, stateSeconds);
      expect(plain).not.toMatch(/\p{Cc}/u);
      expect(cellWidth(plain)).toBeLessThan(300);
    }),
    { numRuns: 3000 },
  );
});

describe('as a plain line', () => {
  test.each<[ProgressSnapshot, number, string]>([
    [
      sending,
      0,
      'sending holiday: 54%, 1.73/3.20 GB, safe 1.20 GB, 38.2 MB/s, ETA 0:39, 12/214 files, receivers: 3 live, 1 done',
    ],
    [receiving, 0, 'receiving holiday: 50%, 1.60/3.20 GB, 38.2 MB/s, ETA 0:39, 12/214 files'],
    [
      { ...sending, state: 'reconnecting', attempt: 3, stalledSeconds: 12 },
      12,
      'reconnecting (3) 0:12 holiday: 54%, 1.73/3.20 GB, safe 1.20 GB, stalled 12 s, 12/214 files, receivers: 3 live, 1 done',
    ],
    [
      {
        ...receiving,
        state: 'waiting-for-sender',
        receivedBytes: 0,
        totalBytes: null,
        filesTotal: undefined,
        filesDone: undefined,
      },
      130,
      'waiting for sender 2:10 holiday: 0 B',
    ],
  ])('%#', (snapshot, stateSeconds, line) => {
    expect(plainProgress(snapshot, stateSeconds)).toBe(line);
  });
});
