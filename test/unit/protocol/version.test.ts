import { describe, expect, test } from 'vitest';
import {
  agreeOnVersion,
  commonExtensions,
  commonVersion,
  PROTOCOL_VERSION,
  parseSemVer,
  SluiceError,
} from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';

describe('parseSemVer', () => {
  test.each([
    ['1.2.3', { major: 1, minor: 2, patch: 3 }],
    ['0.0.0', { major: 0, minor: 0, patch: 0 }],
    ['1.2.3-beta.1', { major: 1, minor: 2, patch: 3 }],
    ['1.2.3+build', { major: 1, minor: 2, patch: 3 }],
  ])('%s', (text, version) => {
    expect(parseSemVer(text)).toEqual(version);
  });

  test.each([
    '',
    '1',
    '1.2',
    '1.2.3.4',
    'v1.2.3',
    '1.2.x',
    ' 1.2.3',
    '1.2.3\n',
    '1234567890.0.0',
    '1.2.3-',
    '-1.2.3',
  ])('%j is none', (text) => {
    expect(parseSemVer(text)).toBeNull();
  });
});

describe('commonVersion', () => {
  test.each([
    ['1.0.0', '1.0.0', '1.0.0'],
    ['1.2.0', '1.1.9', '1.1.9'],
    ['1.1.9', '1.2.0', '1.1.9'],
    ['1.1.3', '1.1.4', '1.1.3'],
    ['1.1.4', '1.1.3', '1.1.3'],
    ['1.10.0', '1.9.0', '1.9.0'],
    ['1.0.0', '2.0.0', null],
    ['1.0.0', 'x', null],
    ['x', '1.0.0', null],
  ])('%s and %s speak %s', (ours, theirs, agreed) => {
    expect(commonVersion(ours, theirs)).toBe(agreed);
  });
});

test('extensions: same major, lower minor, unknown ones ignored', () => {
  const ours = { both: '1.2.0', older: '1.0.0', other: '2.0.0', mine: '1.0.0', toString: '1.0.0' };
  const theirs = { both: '1.3.0', older: '1.0.0', other: '1.0.0', theirs: '1.0.0' };
  expect(commonExtensions(ours, theirs)).toEqual({ both: '1.2.0', older: '1.0.0' });
});

describe('agreeOnVersion', () => {
  test('takes a compatible one', () => {
    expect(agreeOnVersion('1.99.0')).toBe(PROTOCOL_VERSION);
  });

  test('names both sides when there is none', () => {
    expect(codeOf(() => agreeOnVersion('2.0.0'))).toBe('versionMismatch');
    expect(() => agreeOnVersion('2.0.0')).toThrow(new RegExp(`${PROTOCOL_VERSION}.*2\\.0\\.0`));
  });

  test('never repeats what is not a version', () => {
    try {
      agreeOnVersion('<b>hi</b>');
      expect.unreachable();
    } catch (error) {
      expect((error as SluiceError).message).not.toContain('<b>');
      expect(error).toBeInstanceOf(SluiceError);
    }
  });
});
