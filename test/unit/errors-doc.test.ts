import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { makeErrorsDoc } from '../../scripts/make-errors-doc.ts';
import { ERROR_TABLE } from '../../src/protocol/index.ts';

const doc = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

test('docs/errors.md is what scripts/make-errors-doc.ts writes', () => {
  expect(doc).toBe(makeErrorsDoc());
});

test('it has one row for each code', () => {
  const codes = [...doc.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code);
  expect(codes.sort()).toEqual(Object.keys(ERROR_TABLE).sort());
});
