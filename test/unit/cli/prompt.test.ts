import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { confirm } from '../../../src/cli/prompt.ts';
import { fakeSurroundings } from '../../support/cli-fakes.ts';

async function ask(input: string) {
  const { stderr, err } = fakeSurroundings();
  const answer = await confirm('Save?', Readable.from([Buffer.from(input)]), stderr);
  return { answer, shown: err() };
}

test.each([
  ['\n', true],
  ['y\n', true],
  [' YES \n', true],
  ['n\n', false],
  ['No\n', false],
])('%j means %s', async (input, answer) => {
  expect(await ask(input)).toEqual({ answer, shown: 'Save? [Y/n] ' });
});

test('anything else is asked again', async () => {
  const { answer, shown } = await ask('maybe\ny\n');
  expect(answer).toBe(true);
  expect(shown).toBe('Save? [Y/n] Please answer y or n. [Y/n] ');
});

test('an end of input is a no', async () => {
  expect(await ask('')).toEqual({ answer: false, shown: 'Save? [Y/n] \n' });
});

test('what never answers is refused', async () => {
  expect((await ask('what\n'.repeat(100))).answer).toBe(false);
});
