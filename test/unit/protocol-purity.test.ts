// The protocol layer has no I/O, no clock, no randomness and no async. The compiler keeps timers and sockets out;
// this test catches what is part of the language itself and therefore always resolves.
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const forbidden = [
  /\bMath\s*\.\s*random\b/,
  /\bDate\b/,
  /\basync\b/,
  /\bawait\b/,
  /\bPromise\b/,
  /\bglobalThis\b/,
];
const files = globSync('src/protocol/**/*.ts');

test('there are protocol sources to look at', () => {
  expect(files).not.toEqual([]);
});

describe.each(files)('%s', (file) => {
  const source = readFileSync(file, 'utf8');

  test('uses no clock, randomness or async', () => {
    const code = withoutCommentsAndStrings(source);
    expect(forbidden.map((pattern) => code.match(pattern)?.[0]).filter(Boolean)).toEqual([]);
  });

  test('imports only from its own layer', () => {
    const specifiers = [...source.matchAll(/^(?:import\b|export\b|\}).*?(?:\bfrom|import) *'([^']+)'/gm)].map(
      (match) => match[1],
    );
    // The layer is one flat folder, so anything that starts otherwise leaves it.
    expect(specifiers.filter((specifier) => !specifier?.startsWith('./'))).toEqual([]);
  });
});

/** Prose may say "Date"; only code counts. Crude, but the style forbids what would confuse it. */
function withoutCommentsAndStrings(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, ' ');
}
