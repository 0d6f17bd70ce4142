import { describe, expect, test } from 'vitest';
import { EXIT_CODES, errorText, exitCodesHelp, toSluiceError } from '../../../src/cli/exit.ts';
import { ERROR_TABLE, SluiceError } from '../../../src/protocol/index.ts';

describe('exit codes', () => {
  test('the help explains each code of the error table and no other', () => {
    const used = new Set([0, ...Object.values(ERROR_TABLE).map(({ exitCode }) => exitCode)]);
    expect([...EXIT_CODES.keys()].sort()).toEqual([...used].sort());
    for (const code of used) expect(exitCodesHelp()).toMatch(new RegExp(`^ +${code}  \\w`, 'm'));
  });
});

describe('an error on the screen', () => {
  test('says what happened, what to do, and the code', () => {
    expect(errorText(new SluiceError('unreachable', 'Connection refused at 127.0.0.1:7420.'))).toBe(
      'sluice: The server cannot be reached. Connection refused at 127.0.0.1:7420.\n' +
        '  Check the address and that the server is running (sluice serve). [unreachable]\n',
    );
  });

  test('is two lines whatever is in it, and nothing that acts on a terminal', () => {
    for (const code of Object.keys(ERROR_TABLE) as (keyof typeof ERROR_TABLE)[]) {
      const text = errorText(new SluiceError(code, 'open \x1b[2J"a\nb\u202e"'));
      expect(text.split('\n').length).toBe(3);
      expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
  });

  test('of wrong usage does not scold before it explains', () => {
    expect(errorText(new SluiceError('usage', 'The link is missing.'))).toMatch(
      /^sluice: The link is missing\.\n/,
    );
  });
});

describe('foreign errors', () => {
  const systemError = (code: string) => Object.assign(new Error(`${code}: no, open 'x'`), { code });

  test.each([
    ['EPIPE', 'brokenPipe', 1],
    ['ENOSPC', 'localDisk', 8],
    ['EACCES', 'localDisk', 8],
  ])('%s becomes %s', (system, code, exitCode) => {
    expect(toSluiceError(systemError(system))).toMatchObject({ code, exitCode });
  });

  test('anything else is internal and keeps its cause', () => {
    const cause = new TypeError('x is not a function');
    expect(toSluiceError(cause)).toMatchObject({ code: 'internal', exitCode: 1, cause });
    expect(toSluiceError('text')).toMatchObject({ code: 'internal' });
  });
});
