import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { shellCommand, shellWord, withOptions, withoutFlag } from '../../../src/cli/shell-words.ts';

describe('shellWord', () => {
  test('leaves ordinary words alone', () => {
    for (const word of ['send', '-', './a/b.txt', '--name=x', 'http://127.0.0.1:7420']) {
      expect(shellWord(word)).toBe(word);
    }
  });

  test('quotes a link, whose # would begin a comment', () => {
    expect(shellWord('http://h/t/A#S')).toBe("'http://h/t/A#S'");
  });

  test.each(["it's", 'a b', '$HOME', '', '照片 1', 'a\nb', "\x1b[2J'\\", 'x\u202ey1', '`id`', '!!'])(
    'a shell reads %j back as it was',
    (word) => {
      const output = execFileSync('bash', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' });
      expect(output).toBe(word);
      expect(shellWord(word)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    },
  );
});

test('a command to continue leaves out what must not be repeated, and adds before --', () => {
  const words = ['send', '--new', '--', '--new'];
  expect(withoutFlag(words, '--new')).toEqual(['send', '--', '--new']);
  expect(shellCommand(withOptions(withoutFlag(words, '--new'), ['--server', 'http://a']))).toBe(
    'send --server http://a -- --new',
  );
  expect(withOptions(['send', 'x'], ['--y'])).toEqual(['send', 'x', '--y']);
});
