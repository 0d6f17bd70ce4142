// The display where there is no terminal worth the name: which surroundings those are, and when a line is printed.
import { describe, expect, test } from 'vitest';
import { base, ESC, inState, sent, setUp } from './display-rig.ts';

describe('without a capable terminal', () => {
  test.each<[string, { isTty: boolean; environment: Record<string, string> }, boolean]>([
    ['no terminal', { isTty: false, environment: {} }, true],
    ['no terminal, colour forced', { isTty: false, environment: { FORCE_COLOR: '1' } }, true],
    ['CI', { isTty: true, environment: { CI: 'true' } }, true],
    ['a dumb terminal', { isTty: true, environment: { TERM: 'dumb' } }, true],
    ['CI=false', { isTty: true, environment: { CI: 'false' } }, false],
    ['CI empty', { isTty: true, environment: { CI: '' } }, false],
    ['an ordinary terminal', { isTty: true, environment: { TERM: 'xterm-256color' } }, false],
  ])('%s', (_what, options, plain) => {
    const { display, clock, writes } = setUp(options);
    display.update(base);
    display.note('a note');
    clock.advance(60_000);
    display.close();
    const text = writes.map((write) => write.text).join('');
    for (const sign of [ESC, '\r', '▕']) expect(text.includes(sign)).toBe(!plain);
  });

  const plain = () => setUp({ isTty: false });

  test('prints a line when the first state has lasted a second, then every ten', () => {
    const { display, clock, writes } = plain();
    for (let tick = 0; tick < 310; tick += 1) {
      display.update(sent(1e9 + tick * 1e6));
      clock.advance(100);
    }
    expect(writes.map((write) => write.atMs - 1000)).toEqual([1000, 11_000, 21_000, 31_000]);
    expect(writes[1]!.text).toBe(
      'sending holiday: 34%, 1.11/3.20 GB, safe 1.20 GB, 38.2 MB/s, ETA 0:39, receivers: 3 live, 1 done\n',
    );
  });

  test('goes on without updates', () => {
    const { display, clock, writes } = plain();
    display.update(inState('waiting-for-sender'));
    clock.advance(25_000);
    expect(writes.map((write) => write.text.split(' holiday')[0])).toEqual([
      'waiting for sender',
      'waiting for sender 0:11',
      'waiting for sender 0:21',
    ]);
  });

  test('prints a change of state that lasts a second, and none that does not', () => {
    const { display, clock, writes } = plain();
    display.update(inState('connecting'));
    clock.advance(500);
    display.update(base);
    clock.advance(3000);
    display.update(inState('reconnecting'));
    clock.advance(900);
    display.update(base);
    clock.advance(3000);
    display.update(inState('verifying'));
    clock.advance(1000);
    expect(writes.map((write) => write.text.split(' holiday')[0])).toEqual(['sending', 'verifying']);
  });

  test('prints every ten seconds also when no state lasts', () => {
    const { display, clock, writes } = plain();
    for (let round = 0; round < 30; round += 1) {
      display.update(inState(round % 2 === 0 ? 'sending' : 'reconnecting'));
      clock.advance(700);
    }
    expect(writes).toHaveLength(2);
  });

  test('a short transfer prints nothing, and close nothing more', () => {
    const { display, clock, writes } = plain();
    display.update(base);
    clock.advance(900);
    display.redraw();
    display.close();
    display.update(base);
    clock.advance(60_000);
    expect(writes).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test('notes are lines of their own, made safe', () => {
    const { display, writes } = plain();
    display.note('a\x1b[31m\nb');
    expect(writes.map((write) => write.text)).toEqual(['a\uFFFD[31m\uFFFDb\n']);
  });
});
