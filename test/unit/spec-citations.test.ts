// Comments cite the specification by section; a number that leads nowhere is worse than none.
import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const spec = readFileSync('docs/spec/v1.md', 'utf8');
const sections = new Set([...spec.matchAll(/^#{2,3} (\d+(?:\.\d+)?)[. ]/gm)].map(([, number]) => number));

test('every section that the code cites exists', () => {
  const citations = globSync('{src,test}/**/*.ts').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/SPEC (\d+(?:\.\d+)?)/g)].map(
      ([, number]) => `${number} in ${file}`,
    ),
  );
  expect(citations).not.toEqual([]);
  expect(citations.filter((citation) => !sections.has(citation.split(' ')[0]!))).toEqual([]);
});

test('sections that the specification cites exist', () => {
  const cited = [...spec.matchAll(/(?:section |\()(\d+\.\d+)\)?/g)].map(([, number]) => number!);
  expect(cited.length).toBeGreaterThan(10);
  expect(cited.filter((number) => !sections.has(number) && number !== '0.25')).toEqual([]);
});
