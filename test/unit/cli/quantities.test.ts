// Durations and sizes: strict reading, steady writing.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatBytes,
  formatBytesOf,
  formatDuration,
  formatRate,
  parseDuration,
  parseSize,
} from '../../../src/cli/quantities.ts';

const hour = 3_600_000;

describe('parseDuration', () => {
  test.each<[string, number]>([
    ['24h', 24 * hour],
    ['90s', 90_000],
    ['1d12h', 36 * hour],
    ['500ms', 500],
    ['5m', 300_000],
    ['5m500ms', 300_500],
    ['1d2h3m4s5ms', 93_784_005],
    ['1.5h', 1.5 * hour],
    ['0.001s', 1],
    ['0s', 0],
    ['007s', 7000],
    ['104249991d', 9_007_199_222_400_000],
  ])('%s', (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  test.each([
    '',
    ' ',
    '24',
    'h',
    '-1h',
    '+1h',
    '1 h',
    ' 1h',
    '1h ',
    '1h\n',
    '1H',
    '1w',
    '1y',
    '12h1d',
    '1h1h',
    '1e3s',
    '0x1s',
    '.5h',
    '1.h',
    '1,5h',
    'Infinity',
    'NaN',
    '１h',
    '1h2',
    '12345678901234567s',
  ])('refuses %j and says how to write it', (text) => {
    expect(() => parseDuration(text)).toThrow(/is not a duration\. Write a number with a unit .*24h/);
  });

  test.each<[string, RegExp]>([
    ['0.5ms', /^"0.5ms" is not a whole number of milliseconds\.$/],
    ['9007199254740992ms', /^"9007199254740992ms" is too large\.$/],
    ['9999999999999999d', /too large/],
  ])('refuses %s', (text, message) => {
    expect(() => parseDuration(text)).toThrow(message);
  });

  test('repeats bad input short and without controls', () => {
    let message = '';
    try {
      parseDuration(`\x1b[31m${'9'.repeat(100_000)}`);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^"\\u001b\[31m9+…" is not/);
    expect(message.length).toBeLessThan(200);
  });

  test('any text gives a safe whole number or an Error', () => {
    const nearly = fc.stringMatching(/^[0-9.]{0,20}(d|h|m|s|ms)?[0-9]{0,3}(d|h|m|s|ms)?$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearly), (text) => {
        for (const parse of [parseDuration, parseSize]) {
          try {
            const value = parse(text);
            expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
          } catch (error) {
            expect((error as Error).constructor).toBe(Error);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parseSize', () => {
  test.each<[string, number]>([
    ['1024', 1024],
    ['0', 0],
    ['10B', 10],
    ['8MiB', 8 * 1024 ** 2],
    ['10MB', 10_000_000],
    ['256KiB', 256 * 1024],
    ['2kB', 2000],
    ['2KB', 2000],
    ['2kb', 2000],
    ['8mib', 8 * 1024 ** 2],
    ['3GiB', 3 * 1024 ** 3],
    ['2TB', 2e12],
    ['1.5GB', 1_500_000_000],
    ['0.1GB', 100_000_000],
    ['1.1GB', 1_100_000_000],
    ['0.5KiB', 512],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each([
    '',
    ' ',
    '-1',
    '+1',
    '1 MB',
    ' 1MB',
    '1MB ',
    'MB',
    '1e6',
    '0x10',
    '1,000',
    '.5MB',
    '1.',
    '１MB',
  ])('refuses %j and says how to write it', (text) => {
    expect(() => parseSize(text)).toThrow(/(is not a size|has an unknown unit)\. Write bytes, .*8MiB/);
  });

  test.each<[string, string]>([
    ['10M', '"10M" can be read in two ways. Write 10MB (powers of 1000) or 10MiB (powers of 1024).'],
    ['10k', '"10k" can be read in two ways. Write 10kB (powers of 1000) or 10KiB (powers of 1024).'],
    [
      '5XB',
      '"5XB" has an unknown unit. Write bytes, or a number with a unit such as 256KiB, 8MiB, 10MB or 2GB.',
    ],
    ['1.5', '"1.5" is not a whole number of bytes.'],
    ['0.3KiB', '"0.3KiB" is not a whole number of bytes.'],
    ['9007199254740992', '"9007199254740992" is too large.'],
    ['9999TiB', '"9999TiB" is too large.'],
  ])('refuses %s', (text, message) => {
    expect(() => parseSize(text)).toThrow(new Error(message));
  });
});

describe('formatBytes', () => {
  test.each<[number, string]>([
    [0, '0 B'],
    [1, '1 B'],
    [999, '999 B'],
    [999.6, '1.00 kB'],
    [1000, '1.00 kB'],
    [1234, '1.23 kB'],
    [9994, '9.99 kB'],
    [9996, '10.0 kB'],
    [38_249_000, '38.2 MB'],
    [99_960, '100 kB'],
    [612_000, '612 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [1_730_000_000, '1.73 GB'],
    [3.2e12, '3.20 TB'],
    [Number.MAX_SAFE_INTEGER, '9.01 PB'],
    [-1, '–'],
    [Number.NaN, '–'],
    [Number.POSITIVE_INFINITY, '–'],
  ])('%d', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  test('has three digits and at most seven characters, and does not stray from the value', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        const text = formatBytes(bytes);
        expect(text).toMatch(/^(\d{1,3} B|\d\.\d\d [kMGTP]B|\d\d\.\d [kMGTP]B|\d{3} [kMGTP]B)$/);
        const [value, unit = ''] = text.split(' ');
        const shown = Number(value) * 1000 ** ['B', 'kB', 'MB', 'GB', 'TB', 'PB'].indexOf(unit);
        expect(Math.abs(shown - bytes)).toBeLessThanOrEqual(bytes * 0.006);
      }),
    );
  });
});

test.each<[number, number, string]>([
  [1_730_000_000, 3_200_000_000, '1.73/3.20 GB'],
  [0, 3_200_000_000, '0.00/3.20 GB'],
  [98_100_000, 612_000_000, '98.1/612 MB'],
  [5, 12, '5/12 B'],
  [0, 0, '0/0 B'],
  [3_200_000_000, 3_200_000_000, '3.20/3.20 GB'],
  [4_000, 3_000, '4.00 kB/3.00 kB'],
])('formatBytesOf(%d, %d)', (part, whole, text) => {
  expect(formatBytesOf(part, whole)).toBe(text);
});

test.each<[number, string]>([
  [38_200_000, '38.2 MB/s'],
  [0, '0 B/s'],
  [0.4, '0 B/s'],
])('formatRate(%d)', (rate, text) => {
  expect(formatRate(rate)).toBe(text);
});

test.each<[number, string]>([
  [0, '0:00'],
  [499, '0:00'],
  [39_000, '0:39'],
  [59_600, '1:00'],
  [600_000, '10:00'],
  [3_723_000, '1:02:03'],
  [86_399_000, '23:59:59'],
  [86_399_600, '1 d 0 h'],
  [2 * 24 * hour + 3 * hour + 59 * 60_000, '2 d 3 h'],
  [240 * hour - 1000, '9 d 23 h'],
  [250 * hour, '10 d'],
  [-1, '–'],
  [Number.NaN, '–'],
  [Number.POSITIVE_INFINITY, '–'],
])('formatDuration(%d)', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});
