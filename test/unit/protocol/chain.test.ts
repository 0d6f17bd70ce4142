import { expect, test } from 'vitest';
import { nextChain } from '../../../src/protocol/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { contentOf } from '../../support/log-fixtures.ts';

test('the next chain is the hash of chain and digest', () => {
  const [chain, digest] = [contentOf(32, 1), contentOf(32, 2)];
  expect(nextChain(digester, chain, digest)).toEqual(blake3(chain, digest));
  expect(nextChain(digester, digest, chain)).not.toEqual(nextChain(digester, chain, digest));
});
