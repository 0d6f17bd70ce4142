import { describe, expect, test } from 'vitest';
import {
  decodeEntry,
  decodeManifest,
  encodeEntry,
  encodeManifest,
  type ManifestEntry,
} from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { emptyManifest } from '../../support/log-fixtures.ts';

const entry: ManifestEntry = {
  file: 1,
  path: ['folder', 'naïve 文件.txt'],
  type: 'file',
  sizeBytes: 2 ** 40,
  mtime: { seconds: -1, nanoseconds: 999_999_999 },
  mode: 0o644,
  replaces: 7,
};
const bare: ManifestEntry = {
  file: 2,
  path: ['x'],
  type: 'dir',
  sizeBytes: null,
  mtime: null,
  mode: null,
  replaces: null,
};
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('round trip with everything', () => {
  const manifest = { name: 'n', message: 'm', totalFiles: 2, totalBytes: 3, entries: [entry, bare] };
  expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest);
});

test('what is not known is not written', () => {
  expect(JSON.parse(Buffer.from(encodeManifest(emptyManifest)).toString())).toEqual({ entries: [] });
  expect(encodeEntry(bare)).toEqual({ file: 2, path: ['x'], type: 'dir' });
  expect(decodeManifest(encodeManifest({ ...emptyManifest, entries: [bare] })).entries).toEqual([bare]);
});

test('null is the same as missing, unknown keys are ignored', () => {
  const decoded = decodeManifest(
    bytes({ name: null, files: null, entries: [{ ...encodeEntry(bare), size: null, x: 1 }], y: 2 }),
  );
  expect(decoded).toEqual({ ...emptyManifest, entries: [bare] });
});

test('a mode keeps only its permission bits', () => {
  expect(decodeEntry({ ...encodeEntry(bare), mode: 0o104755 }).mode).toBe(0o755);
});

test('a must of known keys is met, an unknown one is not', () => {
  expect(decodeEntry({ ...encodeEntry(bare), must: ['mode', 'path'] })).toEqual(bare);
  expect(codeOf(() => decodeEntry({ ...encodeEntry(bare), must: ['mode', 'sparse'] }))).toBe('unsupported');
  expect(codeOf(() => decodeEntry({ ...encodeEntry(bare), must: [{ toString: 1, valueOf: 1 }] }))).toBe(
    'unsupported',
  );
});

describe('refused', () => {
  test.each([
    ['no JSON', Buffer.from('nope')],
    ['a list', bytes([])],
    ['no entries', bytes({ name: 'x' })],
    ['entries that are no list', bytes({ entries: {} })],
    ['an entry that is no object', bytes({ entries: [1] })],
    ['too long a name', bytes({ name: 'x'.repeat(1_025), entries: [] })],
    ['too long a message', bytes({ message: 'x'.repeat(4_097), entries: [] })],
    ['a name that is no text', bytes({ name: 1, entries: [] })],
    ['a fraction of files', bytes({ files: 1.5, entries: [] })],
    ['negative bytes', bytes({ bytes: -1, entries: [] })],
  ])('%s', (_, plain) => {
    expect(codeOf(() => decodeManifest(plain))).toBe('protocol');
  });

  test.each([
    ['file 0', { file: 0 }],
    ['a file above the limit', { file: 1_000_001 }],
    ['no file', { file: undefined }],
    ['an empty path', { path: [] }],
    ['a path that is a text', { path: 'a/b' }],
    ['a component that is no text', { path: ['a', 1] }],
    ['too long a component', { path: ['x'.repeat(1_025)] }],
    ['too many components', { path: Array(256).fill('x') }],
    ['an unknown type', { type: 'socket' }],
    ['a negative size', { size: -1 }],
    ['a time that is a number', { mtime: 5 }],
    ['a time with a fraction', { mtime: { s: 0.5, ns: 0 } }],
    ['a time with too many nanoseconds', { mtime: { s: 0, ns: 1_000_000_000 } }],
    ['a time without nanoseconds', { mtime: { s: 0 } }],
    ['a negative mode', { mode: -1 }],
    ['replaces above the limit', { replaces: 1_000_001 }],
    ['a must that is no list', { must: 'mode' }],
    ['too long a must', { must: Array(17).fill('mode') }],
  ])('%s', (_, change) => {
    expect(codeOf(() => decodeEntry({ ...encodeEntry(bare), ...change }))).toBe('protocol');
  });
});
