// The command line's entry: bin/sluice.js imports this file after it has checked the runtime.
import { readFileSync } from 'node:fs';

if (process.argv.includes('--version')) {
  const manifest = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  process.stdout.write(`${version}\n`);
} else {
  process.stderr.write('sluice: no commands yet; try --version\n');
  process.exitCode = 2;
}
