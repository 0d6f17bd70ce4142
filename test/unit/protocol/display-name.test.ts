// Nothing a peer wrote may act on a terminal, a log or an eye. The forbidden set is spelled out here by code point,
// independently of the property names the source uses.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { displayName, displayPath } from '../../../src/protocol/display-name.ts';

const R = '\uFFFD';

/** Inclusive ranges of what acts, hides or reorders. */
const forbiddenRanges: readonly (readonly [number, number])[] = [
  [0x0000, 0x001f], // C0
  [0x007f, 0x009f], // DEL, C1
  [0x00ad, 0x00ad], // soft hyphen
  [0x034f, 0x034f], // combining grapheme joiner
  [0x061c, 0x061c], // Arabic letter mark
  [0x115f, 0x1160], // Hangul fillers
  [0x17b4, 0x17b5], // Khmer inherent vowels
  [0x180b, 0x180f], // Mongolian selectors
  [0x200b, 0x200f], // zero width, joiners, bidi marks
  [0x2028, 0x202e], // separators, bidi embeddings and overrides
  [0x2060, 0x206f], // word joiner, invisible operators, bidi isolates
  [0x2800, 0x2800], // blank Braille cell
  [0x3164, 0x3164], // Hangul filler
  [0xd800, 0xdfff], // surrogates
  [0xfdd0, 0xfdef], // noncharacters
  [0xfe00, 0xfe0f], // variation selectors
  [0xfeff, 0xfeff], // byte order mark
  [0xffa0, 0xffa0], // halfwidth Hangul filler
  [0xfff0, 0xfffb], // reserved, interlinear annotation
  [0xfffe, 0xffff], // noncharacters
  [0x1bca0, 0x1bca3], // shorthand format controls
  [0x1d173, 0x1d17a], // musical format controls
  [0xe0000, 0xe0fff], // tags, supplementary selectors
];
const isForbidden = (point: number) =>
  forbiddenRanges.some(([first, last]) => point >= first && point <= last);

/** What is left of a result when the emoji that may own invisible characters are taken out. */
const withoutEmoji = (text: string) =>
  text
    .replace(/[0-9#*]\uFE0F\u20E3/gu, '')
    .replace(
      /(?:\p{Extended_Pictographic}[\uFE0E\uFE0F\u{1F3FB}-\u{1F3FF}]?\u200D)*\p{Extended_Pictographic}[\uFE0E\uFE0F]?/gu,
      '',
    );

function forbiddenIn(text: string): string[] {
  return Array.from(withoutEmoji(text), (character) => character.codePointAt(0) ?? 0)
    .filter(isForbidden)
    .map((point) => point.toString(16));
}

const nasty = fc.oneof(
  fc.constantFrom(
    '\x1b[31m',
    '\x1b]52;c;AAAA\x07',
    '\x9b2J',
    '\r\n',
    '\t',
    '\0',
    '\x7f',
    '\u0085',
    '\u2028',
    '\u2029',
    '\u202e',
    '\u2066',
    '\u2069',
    '\u200b',
    '\u200d',
    '\ufe0f',
    '\ufe0e',
    '\ufeff',
    '\u00ad',
    '\ud83d',
    '\ude00',
    '👩',
    '🚀',
    '❤',
    '1',
    '\u20e3',
    '🏽',
    '©',
    '\u{e0067}',
    '\u{e007f}',
    '\uffff',
    'a',
    '文',
    'é',
    '/',
    '…',
    R,
  ),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 })
    .map((units) => String.fromCharCode(...units)),
);
const nastyText = fc.array(nasty, { maxLength: 40 }).map((parts) => parts.join(''));

describe('displayName', () => {
  test.each<[string, string, string]>([
    ['a colour', 'a\x1b[31mb', `a${R}[31mb`],
    ['a clipboard write', 'a\x1b]52;c;AAAA\x07b', `a${R}]52;c;AAAA${R}b`],
    ['an 8-bit escape', 'a\x9b2Jb', `a${R}2Jb`],
    ['a forged line', 'ok\r\nDone.', `ok${R}Done.`],
    ['a tab', 'a\tb', `a${R}b`],
    ['a reversed extension', 'photo\u202egpj.exe', `photo${R}gpj.exe`],
    ['isolates', '\u2066a\u2069', `${R}a${R}`],
    ['zero width', 'pay\u200bpal', `pay${R}pal`],
    ['many at once', `a${'\u200b'.repeat(500)}b`, `a${R}b`],
    ['hidden tags', 'a\u{e0041}\u{e0042}', `a${R}`],
    ['half a pair', 'a\ud83d', `a${R}`],
    ['a pair in the wrong order', '\ude00\ud83d', R],
    ['a selector after a letter', 'a\ufe0f', `a${R}`],
    ['a joiner between letters', 'a\u200db', `a${R}b`],
    ['a joiner after an emoji', '👩\u200d', `👩${R}`],
    ['two joiners', '👩\u200d\u200d🚀', `👩${R}🚀`],
    ['two selectors', '❤\ufe0f\ufe0f', `❤\ufe0f${R}`],
    ['half a keycap', '1\ufe0f', `1${R}`],
  ])('replaces %s', (_what, raw, shown) => {
    expect(displayName(raw)).toBe(shown);
  });

  test.each([
    '',
    'photo.jpg',
    'my file (2).txt',
    '报告 2026　最终.docx',
    'Ελλάδα café cafe\u0301',
    'שלום.txt',
    'مرحبا.txt',
    'ไฟล์.txt',
    '한글.hwp',
    '👩‍🚀 👨‍👩‍👧‍👦 ❤️ 👍🏽 🏳️‍🌈 🇨🇳 1️⃣ ✔︎',
    R,
  ])('leaves %j alone', (raw) => {
    expect(displayName(raw)).toBe(raw);
  });

  test('replaces every forbidden code point between letters, and no other format character survives', () => {
    const survived: string[] = [];
    for (let point = 0; point <= 0x10ffff; point += 1) {
      const character = String.fromCodePoint(point);
      const shown = displayName(`a${character}b`);
      const mustGo = isForbidden(point) || /\p{Cf}|\p{Cc}|\p{Zl}|\p{Zp}|\p{Cs}/u.test(character);
      if (
        mustGo
          ? shown !== `a${R}b`
          : shown !== `a${character}b` && !/\p{Noncharacter_Code_Point}/u.test(character)
      ) {
        survived.push(point.toString(16));
      }
    }
    expect(survived).toEqual([]);
  });

  test('never throws, never lets anything through, is stable and bounded', () => {
    fc.assert(
      fc.property(nastyText, fc.integer({ min: 1, max: 60 }), (raw, maxCharacters) => {
        for (const shown of [displayName(raw), displayName(raw, { maxCharacters })]) {
          expect(forbiddenIn(shown)).toEqual([]);
          expect(shown.length).toBeLessThanOrEqual(raw.length + 1);
        }
        const shown = displayName(raw, { maxCharacters });
        expect(Array.from(shown).length).toBeLessThanOrEqual(maxCharacters);
        expect(displayName(shown, { maxCharacters })).toBe(shown);
        expect(displayName(displayName(raw))).toBe(displayName(raw));
      }),
      { numRuns: 5000 },
    );
  });

  test.each<[string, number, string]>([
    ['abcdef', 6, 'abcdef'],
    ['abcdefg', 6, 'abcde…'],
    ['😀😀😀', 3, '😀😀😀'],
    ['😀😀😀😀', 3, '😀😀…'],
    ['ab👩‍🚀', 4, 'ab👩…'],
    ['abc', 1, '…'],
    ['abc', 0, '…'],
  ])('cuts %j to %i', (raw, maxCharacters, shown) => {
    expect(displayName(raw, { maxCharacters })).toBe(shown);
  });

  test('says so when only hidden characters fill the part it looks at', () => {
    expect(displayName(`${'\u200b'.repeat(100_000)}evil`)).toBe(`${R}…`);
  });

  test('takes bounded time for a huge text', () => {
    const huge = '👩\u200d'.repeat(5_000_000);
    const started = performance.now();
    for (let round = 0; round < 200; round += 1) displayName(huge);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

describe('displayPath', () => {
  test.each<[readonly string[], string]>([
    [['holiday', 'a.jpg'], 'holiday/a.jpg'],
    [['a.jpg'], 'a.jpg'],
    [[], ''],
    [['a/b', 'c'], `a${R}b/c`],
    [['..', 'x\x1b[2J'], `../x${R}[2J`],
    [['文件', '报告\u202e.txt'], `文件/报告${R}.txt`],
  ])('%j', (components, shown) => {
    expect(displayPath(components)).toBe(shown);
  });

  test('shows as many slashes as there are joints', () => {
    fc.assert(
      fc.property(fc.array(nastyText, { minLength: 1, maxLength: 5 }), (components) => {
        const shown = displayPath(components);
        expect(forbiddenIn(shown)).toEqual([]);
        expect(shown.split('/')).toHaveLength(components.length);
      }),
    );
  });

  test('is bounded in characters and in work', () => {
    const shown = displayPath(Array(1_000_000).fill('a'.repeat(100)), { maxCharacters: 50 });
    expect(Array.from(shown)).toHaveLength(50);
    expect(shown.endsWith('…')).toBe(true);
  });
});
