/**
 * A terminal small enough to trust: a grid of cells, a cursor, and the few control sequences the display uses. An
 * unknown sequence throws, so that nothing new slips into the display without a model of it.
 */
import { cellWidth } from '../../../src/cli/terminal-width.ts';

interface Row {
  /** One entry per cell; the second cell of a wide character is ''. */
  cells: string[];
  /** Whether the text goes on in the next row because it was wrapped. */
  wrapped: boolean;
}

/** How a terminal treats its text when it is resized. */
export type ResizeStyle = 'reflow' | 'truncate';

const ESC = '\x1b';
const TOKENS = new RegExp(`${ESC}\\[(?<parameters>[?0-9;]*)(?<final>[A-Za-z])|[\r\n]|[^${ESC}\r\n]+`, 'gu');
const GRAPHEMES = new Intl.Segmenter('en', { granularity: 'grapheme' });
const emptyRow = (): Row => ({ cells: [], wrapped: false });

export class TerminalScreen {
  rows: Row[] = [emptyRow()];
  row = 0;
  column = 0;
  /** Times text met the right edge: wrapped when wrapping was on, lost when it was off. */
  overflows = 0;
  wrapping = true;
  columns: number;
  readonly #widthOf: (grapheme: string) => number;

  /** @param widthOf how wide this terminal draws a grapheme; not all agree about emoji */
  constructor(columns: number, widthOf: (grapheme: string) => number = cellWidth) {
    this.columns = columns;
    this.#widthOf = widthOf;
  }

  write(text: string): void {
    let read = 0;
    for (const match of text.matchAll(TOKENS)) {
      read += match[0].length;
      const { parameters = '', final } = match.groups ?? {};
      if (final !== undefined) this.#control(parameters + final);
      else if (match[0] === '\r') this.column = 0;
      else if (match[0] === '\n') this.#down();
      else for (const { segment } of GRAPHEMES.segment(match[0])) this.#put(segment);
    }
    if (read !== text.length) throw new Error(`unknown control in ${JSON.stringify(text)}`);
  }

  /** The text of all rows without blank ends, rows below the last text left out. */
  get lines(): string[] {
    const lines = this.rows.map((row) => row.cells.join('').trimEnd());
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }

  resize(columns: number, style: ResizeStyle): void {
    this.columns = columns;
    if (style === 'truncate') {
      for (const row of this.rows) row.cells.length = Math.min(row.cells.length, columns);
      this.column = Math.min(this.column, columns - 1);
      return;
    }
    const rows: Row[] = [];
    let cursor = { row: 0, column: 0 };
    let line: string[] = [];
    let cursorAt: number | undefined;
    for (const [index, row] of this.rows.entries()) {
      if (index === this.row) cursorAt = line.length + this.column;
      line.push(...row.cells);
      if (row.wrapped) continue;
      const first = rows.length;
      for (let from = 0; from === 0 || from < line.length; from += columns) {
        rows.push({ cells: line.slice(from, from + columns), wrapped: from + columns < line.length });
      }
      if (cursorAt !== undefined) {
        cursor = { row: first + Math.floor(cursorAt / columns), column: cursorAt % columns };
      }
      line = [];
      cursorAt = undefined;
    }
    this.rows = rows;
    this.row = cursor.row;
    this.column = cursor.column;
  }

  #control(sequence: string): void {
    if (/^[0-9;]*m$/.test(sequence)) return;
    const row = this.#present();
    switch (sequence) {
      case 'A':
        this.row = Math.max(0, this.row - 1);
        return;
      case 'J':
      case 'K':
        if (sequence === 'J') this.rows.length = this.row + 1;
        row.cells.length = Math.min(row.cells.length, this.column);
        // Some terminals keep the mark of a broken line until all below it is erased.
        if (sequence === 'J') row.wrapped = false;
        return;
      case '?7l':
      case '?7h':
        this.wrapping = sequence === '?7h';
        return;
      default:
        throw new Error(`unknown control sequence ${sequence}`);
    }
  }

  #put(grapheme: string): void {
    const width = this.#widthOf(grapheme);
    if (this.column + width > this.columns) {
      this.overflows += 1;
      if (!this.wrapping) return;
      this.#present().wrapped = true;
      this.column = 0;
      this.#down();
    }
    const { cells } = this.#present();
    while (cells.length < this.column) cells.push(' ');
    cells.splice(this.column, width, grapheme, ...Array<string>(Math.max(0, width - 1)).fill(''));
    this.column += width;
  }

  #down(): void {
    this.row += 1;
    while (this.rows.length <= this.row) this.rows.push(emptyRow());
  }

  #present(): Row {
    const row = this.rows[this.row];
    if (row === undefined) throw new Error('the cursor left the screen');
    return row;
  }
}
