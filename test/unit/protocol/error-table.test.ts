import { describe, expect, test } from 'vitest';
import {
  closeCodeOf,
  ERROR_TABLE,
  errorCodeOfClose,
  isWireErrorCode,
  SluiceError,
  type SluiceErrorCode,
} from '../../../src/protocol/index.ts';

const rows = Object.entries(ERROR_TABLE) as [SluiceErrorCode, (typeof ERROR_TABLE)[SluiceErrorCode]][];

test('numbers are unique', () => {
  expect(new Set(rows.map(([, { number }]) => number)).size).toBe(rows.length);
});

describe.each(rows)('%s', (code, row) => {
  test('has a number in the range of its scope', () => {
    expect(row.number).toBeGreaterThanOrEqual(row.scope === 'local' ? 100 : 1);
    expect(row.number).toBeLessThanOrEqual(row.scope === 'local' ? 999 : 99);
  });

  test('says what happened and what to do, each as one sentence', () => {
    expect(row.sentence).toMatch(/^[A-Z].*\.$/);
    expect(row.hint).toMatch(/^[A-Z].*[.)]$/);
  });

  test('never ends a command as a success', () => {
    expect(row.exitCode).toBeGreaterThan(0);
    expect(row.exitCode).toBeLessThan(256);
  });

  test('its close code leads back to it', () => {
    expect(closeCodeOf(code)).toBe(4000 + row.number);
    expect(errorCodeOfClose(4000 + row.number)).toBe(code);
  });

  test('goes over the wire unless it is local', () => {
    expect(isWireErrorCode(code)).toBe(row.scope !== 'local');
  });
});

test.each([1000, 1006, 1012, 3999, 4000, 4099, 4999])('close code %d is not ours', (code) => {
  expect(errorCodeOfClose(code)).toBeNull();
});

test.each(['', 'nonsense', 'toString', '__proto__'])('%j is no code', (code) => {
  expect(isWireErrorCode(code)).toBe(false);
});

describe('SluiceError', () => {
  test('takes everything from its row', () => {
    const error = new SluiceError('storageFull');
    expect(error).toMatchObject({
      name: 'SluiceError',
      code: 'storageFull',
      scope: 'transfer',
      retryable: true,
      exitCode: 9,
      detail: '',
      retryAfterMs: null,
      message: ERROR_TABLE.storageFull.sentence,
      hint: ERROR_TABLE.storageFull.hint,
    });
    expect('cause' in error).toBe(false);
  });

  test('adds detail, cause, hint and waiting time', () => {
    const cause = new Error('x');
    const error = new SluiceError('limit', 'At most 3.', { cause, hint: 'Wait.', retryAfterMs: 5 });
    expect(error).toMatchObject({ detail: 'At most 3.', cause, hint: 'Wait.', retryAfterMs: 5 });
    expect(error.message).toBe(`${ERROR_TABLE.limit.sentence} At most 3.`);
  });

  test('an unknown error is internal and keeps its cause', () => {
    const known = new SluiceError('expired');
    expect(SluiceError.from(known)).toBe(known);
    const cause = new TypeError('oh');
    expect(SluiceError.from(cause)).toMatchObject({ code: 'internal', cause, detail: 'oh' });
    expect(SluiceError.from('text')).toMatchObject({ code: 'internal', detail: 'text' });
  });
});
