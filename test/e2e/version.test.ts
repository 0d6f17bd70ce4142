// The built command starts as a user starts it.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('sluice --version prints the version of the package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const output = execFileSync(process.execPath, ['bin/sluice.js', '--version'], { encoding: 'utf8' });
  expect(output).toBe(`${version}\n`);
});
