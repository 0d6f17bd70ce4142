// The display against a model of a terminal and a fake clock: what is on screen, where the cursor is, how often it is
// drawn, and what is left behind.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ProgressState } from '../../../src/cli/progress-lines.ts';
import { cellWidth } from '../../../src/cli/terminal-width.ts';
import { base, ESC, inState, sent, setUp } from './display-rig.ts';
import type { ResizeStyle, TerminalScreen } from './terminal-screen.ts';

describe('on a terminal', () => {
  test('draws two lines at once and rests at the start of the first', () => {
    const { display, screen } = setUp();
    display.update(base);
    expect(screen.lines).toEqual([
      '$ sluice send holiday',
      '  ▕██████▒▒▒        ▏  54%  1.73/3.20 GB  safe 1.20 GB  38.2 MB/s  ETA 0:39',
      '  sending  receivers: 3 live, 1 done  IMG_2041.MOV',
    ]);
    expect([screen.row, screen.column, screen.wrapping]).toEqual([1, 0, true]);
  });

  test('draws nothing before the first update and leaves nothing of itself after close', () => {
    const { display, screen, clock, writes } = setUp();
    clock.advance(5000);
    expect(writes).toEqual([]);
    display.update(base);
    clock.advance(5000);
    display.close();
    expect(screen.lines).toEqual(['$ sluice send holiday']);
    expect([screen.row, screen.column, screen.wrapping]).toEqual([1, 0, true]);
    expect(clock.pending).toBe(0);
  });

  test('is silent after close, twice too, but still prints notes', () => {
    const { display, screen, writes, clock } = setUp();
    display.update(base);
    display.close();
    const before = writes.length;
    display.close();
    display.update(sent(2e9));
    display.redraw();
    clock.advance(20_000);
    expect(writes).toHaveLength(before);
    display.note('safe: 1.20 GB');
    expect(screen.lines).toEqual(['$ sluice send holiday', 'safe: 1.20 GB']);
    expect(clock.pending).toBe(0);
  });

  test('closes without a trace when nothing was drawn', () => {
    const { display, writes } = setUp();
    display.close();
    expect(writes).toEqual([]);
  });

  test('draws at most ten times a second, and the last update always', () => {
    const { display, screen, clock, writes } = setUp();
    for (let step = 0; step < 10_000; step += 1) {
      display.update(sent(step * 1e5));
      if (step % 100 === 0) display.redraw();
      clock.advance(1);
    }
    display.update(sent(3e9));
    clock.advance(100);
    expect(screen.lines[1]).toContain('3.00/3.20 GB');
    expect(writes.length).toBeGreaterThan(95);
    expect(writes.length).toBeLessThanOrEqual(102);
    for (let index = 1; index < writes.length; index += 1) {
      expect(writes[index]!.atMs - writes[index - 1]!.atMs).toBeGreaterThanOrEqual(100);
    }
  });

  test('writes nothing while nothing changes', () => {
    const { display, clock, writes } = setUp();
    display.update(base);
    for (let second = 0; second < 60; second += 1) {
      clock.advance(1000);
      display.update({ ...base });
    }
    expect(writes).toHaveLength(1);
  });

  test('counts the age of a waiting state by itself', () => {
    const { display, clock, screen } = setUp();
    display.update(inState('waiting-for-sender'));
    clock.advance(65_000);
    expect(screen.lines[2]).toMatch(/^ {2}waiting for sender 1:05 {2}/);
  });

  test('notes stay above the display, in order, once', () => {
    const { display, clock, screen } = setUp();
    display.note('before');
    display.update(base);
    display.note('one');
    display.note('two');
    clock.advance(100);
    expect(screen.lines.slice(0, 4)).toEqual(['$ sluice send holiday', 'before', 'one', 'two']);
    expect(screen.lines).toHaveLength(6);
    expect([screen.row, screen.column]).toEqual([4, 0]);
    display.close();
    expect(screen.lines).toEqual(['$ sluice send holiday', 'before', 'one', 'two']);
  });

  test('a long note wraps and disturbs nothing', () => {
    const { display, clock, screen } = setUp({ columns: 40 });
    display.update(base);
    display.note('长'.repeat(50));
    clock.advance(100);
    expect(screen.lines).toHaveLength(1 + 3 + 2);
    display.close();
    expect(screen.lines.slice(1).join('')).toBe('长'.repeat(50));
  });

  test('a storm of notes redraws no more often', () => {
    const { display, clock, writes, screen } = setUp();
    display.update(base);
    for (let index = 0; index < 1000; index += 1) {
      display.note(`note ${index}`);
      clock.advance(1);
    }
    clock.advance(100);
    expect(writes.filter(({ text }) => text.includes('▕')).length).toBeLessThanOrEqual(12);
    expect(screen.lines).toHaveLength(1 + 1000 + 2);
  });

  test('stays two lines on a terminal that draws joined emoji one by one', () => {
    const widthOf = (grapheme: string) =>
      Array.from(grapheme).reduce((sum, character) => sum + cellWidth(character), 0);
    const { display, screen, clock } = setUp({ columns: 60, widthOf });
    for (let family = 0; family < 30; family += 1) {
      display.update({ ...base, currentFile: '👨‍👩‍👧‍👦'.repeat(family) });
      clock.advance(100);
      expect([screen.lines.length, screen.row, screen.column]).toEqual([3, 1, 0]);
    }
    expect(screen.overflows).toBeGreaterThan(0);
    display.close();
    expect(screen.lines).toEqual(['$ sluice send holiday']);
  });

  test('nothing from a peer acts on the terminal', () => {
    const { display, writes } = setUp();
    display.note('from \x1b]52;c;AAAA\x07 evil\r\nforged');
    display.update({ ...base, name: '\x1b[2J', currentFile: 'x\x1b[1;1H\u202e' });
    const text = writes.map((write) => write.text).join('');
    // What remains is the display's own: erase, wrap, up.
    expect(
      text
        .split(ESC)
        .slice(1)
        .filter((rest) => !/^\[(?:J|K|A|\?7[lh])/.test(rest)),
    ).toEqual([]);
    expect(writes[0]!.text).toBe('from \uFFFD]52;c;AAAA\uFFFD evil\uFFFDforged\r\n');
  });
});

describe('states', () => {
  const shown = (screen: TerminalScreen) => screen.lines[2]?.trim().split('  ')[0];

  test('trouble is named when it has lasted a second, and its end at once', () => {
    const { display, clock, screen } = setUp();
    display.update(base);
    clock.advance(500);
    display.update({ ...inState('reconnecting'), attempt: 1 });
    clock.advance(999);
    expect(shown(screen)).toBe('sending');
    clock.advance(1);
    expect(shown(screen)).toBe('reconnecting (1)');
    display.update({ ...inState('reconnecting'), attempt: 3 });
    clock.advance(4100);
    expect(shown(screen)).toBe('reconnecting (3) 0:05');
    display.update(base);
    clock.advance(100);
    expect(shown(screen)).toBe('sending');
  });

  test('a short interruption changes no word', () => {
    const { display, clock, writes } = setUp();
    display.update(base);
    for (let round = 0; round < 20; round += 1) {
      display.update(inState('reconnecting'));
      clock.advance(600);
      display.update(base);
      clock.advance(600);
    }
    expect(writes.map((write) => write.text).join('')).not.toContain('reconnecting');
  });

  test('the first state is shown at once', () => {
    const { display, screen } = setUp();
    display.update(inState('connecting'));
    expect(shown(screen)).toBe('connecting');
  });

  test.each<ProgressState>([
    'waiting-for-sender',
    'waiting-for-space',
    'paused',
    'verifying',
    'finishing',
    'checking',
  ])('%s has its name on screen after a second without an update', (state) => {
    const { display, clock, screen } = setUp();
    display.update(base);
    display.update(inState(state));
    clock.advance(1000);
    expect(shown(screen)).toContain(state.split('-')[0]);
  });
});

describe('resizing', () => {
  test.each<ResizeStyle>(['reflow', 'truncate'])('narrower and wider leaves no remains (%s)', (style) => {
    const { display, clock, screen, resize } = setUp({ columns: 120 });
    display.update(base);
    for (const columns of [60, 40, 300, 41, 80, 10, 80]) {
      resize(columns, style);
      display.redraw();
      clock.advance(100);
      // The command line itself may be broken or cut by the terminal; below it there are the two lines only.
      const own = screen.lines.slice(screen.row);
      expect(own).toHaveLength(2);
      expect([screen.column, screen.overflows]).toEqual([0, 0]);
    }
    display.close();
    expect(screen.lines.join('')).not.toMatch(/[▕█▒▏]|sending/);
  });

  test('is noticed within a second without being told', () => {
    const { display, clock, screen, resize } = setUp({ columns: 120 });
    display.update(base);
    resize(60, 'reflow');
    clock.advance(1000);
    expect(screen.lines).toHaveLength(3);
  });

  test.each([undefined, 0, -1, Number.NaN])('%s columns count as 80', (columns) => {
    const { display, screen, surroundings } = setUp();
    surroundings.columns = columns;
    display.update(base);
    expect(screen.lines[1]).toContain('1.73/3.20 GB  safe 1.20 GB  38.2 MB/s  ETA 0:39');
  });

  test('whatever happens, lines fit, the cursor rests at the start, and the end is clean', () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant('update' as const),
        name: fc
          .array(fc.constantFrom('文件', 'a', '한', '👩‍🚀', 'e\u0301', '\x1b[A', '\n', '\u202e'))
          .map((parts) => parts.join('')),
        sentBytes: fc.nat({ max: 4e9 }),
        state: fc.constantFrom<ProgressState>('sending', 'reconnecting', 'waiting-for-space', 'paused'),
      }),
      fc.record({ do: fc.constant('note' as const), text: fc.string({ unit: 'binary', maxLength: 20 }) }),
      fc.record({ do: fc.constant('resize' as const), columns: fc.integer({ min: 30, max: 300 }) }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3000 }) }),
    );
    fc.assert(
      fc.property(
        fc.constantFrom<ResizeStyle>('reflow', 'truncate'),
        fc.array(step, { maxLength: 40 }),
        (style, steps) => {
          const { display, clock, screen, resize } = setUp();
          let notes = 0;
          for (const each of steps) {
            if (each.do === 'update') display.update({ ...base, ...each, currentFile: each.name });
            if (each.do === 'note') {
              display.note(`N${each.text}`);
              notes += 1;
            }
            if (each.do === 'resize') resize(each.columns, style);
            if (each.do === 'wait') clock.advance(each.ms);
            expect([screen.column, screen.overflows, screen.wrapping]).toEqual([0, 0, true]);
          }
          clock.advance(1000);
          expect(
            screen.lines.slice(screen.row).length === 2 || !steps.some((each) => each.do === 'update'),
          ).toBe(true);
          display.close();
          expect(screen.lines.join('')).not.toMatch(/[▕▏]/);
          expect(screen.lines.filter((line) => line.startsWith('N')).length).toBeGreaterThanOrEqual(notes);
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('colour', () => {
  test.each<[Record<string, string>, boolean]>([
    [{ NO_COLOR: '' }, true],
    [{ NO_COLOR: '1' }, false],
    [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true],
    [{ NO_COLOR: '1', FORCE_COLOR: '' }, true],
    [{ NO_COLOR: '', FORCE_COLOR: '0' }, false],
    [{ NO_COLOR: '', FORCE_COLOR: 'false' }, false],
  ])('%j', (environment, coloured) => {
    const { display, writes, screen } = setUp({ environment });
    display.update(base);
    expect(writes[0]!.text.includes('\x1b[32m█')).toBe(coloured);
    expect(writes[0]!.text.split(ESC).some((rest) => /^\[[0-9;]*m/.test(rest))).toBe(coloured);
    expect(screen.lines[1]).toMatch(/^ {2}▕█+▒+ +▏ {2}54%/);
  });
});
