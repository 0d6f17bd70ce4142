import { describe, expect, test } from 'vitest';
import { decodeTransferHeader, encodeTransferHeader, missingFeatures } from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';
import { contentOf, header } from '../../support/log-fixtures.ts';

const json = {
  format: 1,
  id: Buffer.alloc(16, 7).toString('base64url'),
  suite: 'none',
  codecs: ['raw'],
  recordSize: 65_536,
  requires: [],
  kdf: null,
};

/** A header with this JSON, whatever it is. */
function withJson(value: unknown, commitment = new Uint8Array(32)): Uint8Array {
  const text = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, text, commitment]);
}

test('round trip', () => {
  const full = {
    ...header,
    suite: 'aes-256-gcm' as const,
    codecs: ['raw', 'deflate-raw', 'zstd'] as const,
    recordSizeBytes: 1024 * 1024,
    requires: ['a', 'b'],
    commitment: contentOf(32),
  };
  expect(decodeTransferHeader(encodeTransferHeader(full))).toEqual(full);
});

test('the layout is length, JSON, commitment', () => {
  const bytes = encodeTransferHeader({ ...header, commitment: contentOf(32) });
  expect(Buffer.from(bytes)).toEqual(Buffer.from(withJson(json, contentOf(32))));
});

test('the commitment is a copy, also of a Node Buffer', () => {
  const bytes = Buffer.from(encodeTransferHeader({ ...header, commitment: contentOf(32) }));
  const { commitment } = decodeTransferHeader(bytes);
  bytes.fill(0);
  expect(commitment).toEqual(contentOf(32));
});

test('unknown keys are ignored, and kdf may be left out', () => {
  const { kdf: _, ...rest } = json;
  expect(decodeTransferHeader(withJson({ ...rest, later: 1 }))).toEqual(header);
});

describe('refused', () => {
  test.each([
    ['no bytes', 'protocol', new Uint8Array(0)],
    ['33 bytes', 'protocol', new Uint8Array(33)],
    ['34 bytes of nothing', 'protocol', new Uint8Array(34)],
    ['one byte too many', 'protocol', Buffer.concat([withJson(json), Buffer.alloc(1)])],
    ['one byte too few', 'protocol', withJson(json).subarray(0, -1)],
    ['more than 16 KiB', 'tooLarge', withJson({ ...json, x: 'x'.repeat(16 * 1024) })],
    ['no JSON', 'protocol', withJson('{"format":1')],
    ['another format', 'unsupported', withJson({ ...json, format: 2 })],
    ['a passphrase', 'unsupported', withJson({ ...json, kdf: { name: 'x' } })],
    ['a short id', 'protocol', withJson({ ...json, id: 'AAAA' })],
    ['an unknown suite', 'unsupported', withJson({ ...json, suite: 'rot13' })],
    ['a suite that is an inherited name', 'unsupported', withJson({ ...json, suite: 'toString' })],
    ['no suite', 'unsupported', withJson({ ...json, suite: undefined })],
    ['an unknown codec', 'unsupported', withJson({ ...json, codecs: ['lzma'] })],
    ['a codec that is no text', 'unsupported', withJson({ ...json, codecs: [1] })],
    ['codecs that are no list', 'protocol', withJson({ ...json, codecs: 'raw' })],
    ['too small a record size', 'protocol', withJson({ ...json, recordSize: 65_535 })],
    ['too large a record size', 'protocol', withJson({ ...json, recordSize: 1_048_577 })],
    ['too many requirements', 'protocol', withJson({ ...json, requires: Array(33).fill('x') })],
    [
      'a requirement that is no text',
      'protocol',
      withJson({ ...json, requires: [{ toString: 1, valueOf: 1 }] }),
    ],
    [
      'a suite that cannot become a text',
      'unsupported',
      withJson({ ...json, suite: { toString: 1, valueOf: 1 } }),
    ],
    ['a suite in a list', 'unsupported', withJson({ ...json, suite: ['none'] })],
  ] as const)('%s', (_, code, bytes) => {
    expect(codeOf(() => decodeTransferHeader(bytes))).toBe(code);
  });
});

test('missingFeatures names what is not known', () => {
  const needy = { ...header, requires: ['a', 'b', 'c'] };
  expect(missingFeatures(needy, ['b', 'x'])).toEqual(['a', 'c']);
  expect(missingFeatures(header, [])).toEqual([]);
});
