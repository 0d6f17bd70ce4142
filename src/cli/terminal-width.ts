/**
 * How many cells text takes on a terminal, and text cut or padded to a number of cells.
 *
 * Responsible for: the width of what displayName() lets through.
 * Not responsible for: escape sequences and controls, which count as nothing here and must not be in the text.
 *
 * Terminals disagree about emoji joined from several, and about characters that are wide only in some East Asian
 * fonts (`…` and the bar are among them); both are counted as most terminals draw them, 2 and 1. Whoever must
 * not wrap also turns wrapping off.
 */

/** Cells the text takes on one line: 2 for East Asian wide characters and emoji, 0 for combining marks. */
export function cellWidth(text: string): number {
  if (PRINTABLE_ASCII.test(text)) return text.length;
  let cells = 0;
  for (const { segment } of GRAPHEMES.segment(text)) cells += graphemeWidth(segment);
  return cells;
}

/**
 * The text in at most that many cells, never cut inside a character: what is too long loses its middle to `…`,
 * because both the start and the extension of a name tell files apart. May be a cell shorter than asked when a
 * wide character does not fit.
 */
export function fitCells(text: string, cells: number): string {
  if (cellWidth(text) <= cells) return text;
  if (cells < 1) return '';
  const graphemes = Array.from(GRAPHEMES.segment(text), ({ segment }) => segment);
  const room = Math.floor(cells) - 1;
  const head = takeCells(graphemes, Math.ceil(room / 2));
  const tail = takeCells(graphemes.reverse(), room - head.cells);
  return `${head.taken.join('')}…${tail.taken.reverse().join('')}`;
}

/** The text filled with spaces to that many cells, behind it or in front of it. Longer text stays as it is. */
export function padCells(text: string, cells: number, where: 'behind' | 'before' = 'behind'): string {
  const spaces = ' '.repeat(Math.max(0, Math.floor(cells) - cellWidth(text)));
  return where === 'behind' ? text + spaces : spaces + text;
}

const PRINTABLE_ASCII = /^[ -~]*$/;
const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Two cells as a whole: shown as emoji by itself, by a selector, as a flag, or as a keycap. */
const EMOJI =
  /^(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier})|[0-9#*]\uFE0F?\u20E3)/u;

const ZERO_WIDTH = /[\p{Cc}\p{Mn}\p{Me}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** Vowels and final consonants of Hangul written in parts: they join the syllable before them. */
const HANGUL_JOINED = /[\u1160-\u11FF\uD7B0-\uD7FB]/u;

/**
 * East_Asian_Width W and F of Unicode 16 without what EMOJI covers, unassigned gaps inside a block included.
 * Source: unicode.org/Public/16.0.0/ucd/EastAsianWidth.txt.
 */
const WIDE = new RegExp(
  `[${[
    String.raw`\u1100-\u115F\u2329\u232A\u2630-\u2637\u268A-\u268F\u2E80-\u303E\u3041-\u3247\u3250-\uA4CF`,
    String.raw`\uA960-\uA97F\uAC00-\uD7A3\uF900-\uFAFF\uFE10-\uFE19\uFE30-\uFE6F\uFF01-\uFF60\uFFE0-\uFFE6`,
    String.raw`\u{16FE0}-\u{18DFF}\u{1AFF0}-\u{1B2FF}\u{1D300}-\u{1D356}\u{1D360}-\u{1D376}`,
    String.raw`\u{1F200}-\u{1F265}\u{20000}-\u{2FFFD}\u{30000}-\u{3FFFD}`,
  ].join('')}]`,
  'u',
);

/**
 * Emoji take two cells however many code points they join. Everything else is counted by code point as terminals
 * do, because a grapheme of an Indic script may hold several consonants that each take a cell.
 */
function graphemeWidth(grapheme: string): number {
  if (EMOJI.test(grapheme)) return 2;
  let cells = 0;
  for (const character of grapheme) cells += characterWidth(character);
  return cells;
}

function characterWidth(character: string): number {
  if (ZERO_WIDTH.test(character) || HANGUL_JOINED.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

function takeCells(graphemes: readonly string[], cells: number): { taken: string[]; cells: number } {
  const taken: string[] = [];
  let used = 0;
  for (const grapheme of graphemes) {
    const width = graphemeWidth(grapheme);
    if (used + width > cells) break;
    taken.push(grapheme);
    used += width;
  }
  return { taken, cells: used };
}
