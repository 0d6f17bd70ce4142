// Every TypeScript block of the README and the guides compiles against the package as its users see it, and so do the
// examples. Both READMEs show the same code.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const DOCUMENTS = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs/guides')).map((name) => `docs/guides/${name}`),
];
const EXAMPLES = readdirSync(join(ROOT, 'examples')).filter((name) => name.endsWith('.ts'));

/** Blocks with the line each begins in. */
function blocksOf(document: string): { line: number; code: string }[] {
  const text = readFileSync(join(ROOT, document), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(({ 1: code = '', index }) => ({
    line: text.slice(0, index).split('\n').length + 1,
    code,
  }));
}

test('code in documents and examples compiles', async () => {
  // Inside of the package, because only there its own name resolves to it.
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'dist', 'docs-code-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));

  const blocks = DOCUMENTS.flatMap((document) => blocksOf(document).map((block) => ({ document, ...block })));
  for (const { document, line, code } of blocks) {
    writeFileSync(join(folder, `${document.replaceAll(/\W/g, '-')}-line-${line}.ts`), code);
  }
  for (const name of EXAMPLES) writeFileSync(join(folder, name), readFileSync(join(ROOT, 'examples', name)));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.base.json',
      compilerOptions: {
        composite: false,
        declaration: false,
        isolatedDeclarations: false,
        noEmit: true,
        types: ['node'],
      },
      include: ['*.ts'],
    }),
  );
  expect(blocks.length).toBeGreaterThan(8);
  expect(EXAMPLES.length).toBeGreaterThan(1);
  expect(await compile(folder)).toBe('');
  // The compiler is a process of its own, and other tests may have the processors.
}, 60_000);

test('the READMEs show the same code', () => {
  // Comments are translated.
  const codeOf = (name: string): string[] =>
    blocksOf(name).map(({ code }) => code.replaceAll(/ *\/\/ .*$/gm, ''));
  expect(codeOf('README.zh-CN.md')).toEqual(codeOf('README.md'));
});

/** What the compiler says; empty when all is well. */
async function compile(folder: string): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8')) as { bin: { tsc: string } };
  try {
    await promisify(execFile)(process.execPath, [join(dirname(manifest), bin.tsc), '-p', folder]);
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error);
  }
}
