// Cells of text: narrow, wide, combining and emoji; cutting in the middle; padding.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cellWidth, fitCells, padCells } from '../../../src/cli/terminal-width.ts';

const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'a',
        '文',
        '한',
        'é',
        'e\u0301',
        '👩‍🚀',
        '❤️',
        '🇨🇳',
        '1️⃣',
        'ｱ',
        'Ａ',
        'क्ष',
        ' ',
        '…',
        '\ud83d',
      ),
      fc.string({ unit: 'grapheme', maxLength: 5 }),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe('cellWidth', () => {
  test.each<[string, string, number]>([
    ['nothing', '', 0],
    ['ASCII', 'photo.jpg', 9],
    ['Latin', 'café', 4],
    ['a combining mark', 'cafe\u0301', 4],
    ['Chinese', '文件', 4],
    ['Japanese with kana', 'ひらカナ', 8],
    ['half-width kana', 'ｱｲ', 2],
    ['full-width Latin', 'ＡＢ', 4],
    ['the ideographic space', '\u3000', 2],
    ['Korean', '한글', 4],
    ['Korean in parts', '한글'.normalize('NFD'), 4],
    ['rare ideographs', '𠀀𰀀', 4],
    ['an emoji', '😀', 2],
    ['a text symbol', '❤', 1],
    ['the same as emoji', '❤️', 2],
    ['a joined emoji', '👨‍👩‍👧‍👦', 2],
    ['a skin tone', '👍🏽', 2],
    ['a flag', '🇨🇳', 2],
    ['a keycap', '1️⃣', 2],
    ['a digit', '1', 1],
    ['Hebrew', 'שלום', 4],
    ['Hindi with a conjunct', 'क्ष', 2],
    ['Thai with marks', 'ที่', 1],
    ['the replacement character', '\uFFFD', 1],
    ['the bar and the ellipsis', '▕█▒▏…', 5],
  ])('%s', (_what, value, cells) => {
    expect(cellWidth(value)).toBe(cells);
  });
});

describe('fitCells', () => {
  test.each<[string, number, string]>([
    ['IMG_2041.MOV', 12, 'IMG_2041.MOV'],
    ['IMG_2041.MOV', 11, 'IMG_2…1.MOV'],
    ['IMG_2041.MOV', 4, 'IM…V'],
    ['IMG_2041.MOV', 1, '…'],
    ['IMG_2041.MOV', 0, ''],
    ['IMG_2041.MOV', -3, ''],
    ['', 5, ''],
    ['文件文件.txt', 12, '文件文件.txt'],
    ['文件文件.txt', 11, '文件…件.txt'],
    ['文件文件.txt', 10, '文件….txt'],
    ['文文文', 2, '…'],
    ['👨‍👩‍👧‍👦👩‍🚀❤️🇨🇳', 5, '👨‍👩‍👧‍👦…🇨🇳'],
  ])('%j in %i', (value, cells, fitted) => {
    expect(fitCells(value, cells)).toBe(fitted);
  });

  test('never takes more, never cuts without need, wastes at most one cell', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 60 }), (value, cells) => {
        const fitted = fitCells(value, cells);
        expect(cellWidth(fitted)).toBeLessThanOrEqual(cells);
        if (cellWidth(value) <= cells) expect(fitted).toBe(value);
        else if (cells > 0) expect(fitted).toContain('…');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('padCells', () => {
  test.each<[string, number, 'behind' | 'before', string]>([
    ['文', 4, 'behind', '文  '],
    ['文', 4, 'before', '  文'],
    ['文文文', 4, 'behind', '文文文'],
    ['', 2, 'behind', '  '],
  ])('%j to %i, spaces %s', (value, cells, where, padded) => {
    expect(padCells(value, cells, where)).toBe(padded);
  });

  test('with fitCells makes a column of one width', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 60 }), (value, cells) => {
        expect(cellWidth(padCells(fitCells(value, cells), cells))).toBe(cells);
      }),
    );
  });
});
