// Runs every task of this repository: `node scripts/run.js <task> [arguments]`, behind `npm start` and `npm test`.
// It needs git, npm and any Node since 18: it installs, finds the pinned runtime, builds, and runs the task with it.
// Plain JavaScript without dependencies, because it runs before anything is installed.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitLike, findPinnedRuntime, isSupported, runForeground, tooOldMessage } from '../bin/runtime.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const fastProjects = ['unit', 'types', 'simulation', 'conformance', 'fuzz', 'e2e'];

/** Each task is a list of steps; a step is a tool and its arguments. The first step that fails ends the task. */
const build = ['tsc', '-b'];
const types = ['tsc', '-b', 'tsconfig.json', 'test', 'bench'];
const lint = ['biome', 'check', '--error-on-warnings'];
const packageChecks = [['publint', '--strict'], ['attw', '--pack', '.', '--profile', 'esm-only'], ['knip']];
const tasks = {
  start: (args) => [build, ['bin/sluice.js', 'serve', ...args]],
  build: () => [build],
  test: (args) => [types, vitest(fastProjects, args)],
  'test:long': (args) => [types, vitest(['long'], args)],
  bench: (args) => [build, ['bench/main.ts', ...args]],
  lint: (args) => [[...lint, ...args]],
  format: (args) => [['biome', 'check', '--write', ...args]],
  'package-check': () => [build, lint, ...packageChecks],
  check: () => [lint, types, vitest(['unit', 'types', 'simulation', 'conformance'], []), ...packageChecks],
};

/** The npm package of each tool. Anything else in a step is a script of ours. */
const toolPackages = {
  attw: '@arethetypeswrong/cli',
  biome: '@biomejs/biome',
  knip: 'knip',
  publint: 'publint',
  tsc: 'typescript',
  vitest: 'vitest',
};

void main(process.argv[2], process.argv.slice(3));

async function main(task, args) {
  if (Number(process.versions.node.split('.')[0]) < 18) return fail(tooOldMessage());
  if (!Object.hasOwn(tasks, task)) {
    return fail(`sluice: no task "${task}"; there are: ${Object.keys(tasks).join(', ')}\n`);
  }
  process.chdir(root);
  const installed = await installIfNeeded();
  if (installed.code !== 0) return exitLike(installed);

  const runtime = findPinnedRuntime(root) || (isSupported() ? process.execPath : undefined);
  if (runtime === undefined) return fail(tooOldMessage());
  for (const [name, ...rest] of tasks[task](args)) {
    const result = await runForeground(runtime, [scriptOf(name), ...rest], { env: environment(runtime) });
    if (result.code !== 0) return exitLike(result);
  }
}

/** Installs if node_modules is missing, was left half done, or belongs to another lockfile. */
async function installIfNeeded() {
  const stamp = join('node_modules', '.sluice-lock-hash');
  const hash = createHash('sha256').update(readFileSync('package-lock.json')).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return { code: 0, signal: null };

  process.stderr.write('sluice: installing dependencies\n');
  // Standard output stays free for the task, so npm writes to standard error (2). The engines warning would only
  // repeat what this script takes care of. `include` and `workspaces` undo settings that would leave tools out.
  const args = [
    'ci',
    '--loglevel=error',
    '--include=dev',
    '--include=optional',
    '--workspaces',
    '--include-workspace-root',
  ];
  const [command, ...before] = npmCommand();
  const result = await runForeground(command, [...before, ...args], {
    stdio: ['ignore', 2, 2],
    // Windows starts npm.cmd only through a shell; the arguments are constants, so nothing needs quoting.
    shell: process.platform === 'win32' && command === 'npm',
  });
  if (result.code === 0) writeFileSync(stamp, hash);
  return result;
}

/** The npm that started us, with the Node that started it; or the one on the PATH if we were started by hand. */
function npmCommand() {
  const { npm_execpath: npm = '', npm_node_execpath: node } = process.env;
  // The Node in node_modules must not run the install, because the install replaces it.
  return npm.endsWith('npm-cli.js') && node ? [node, npm] : ['npm'];
}

/** The file that a step runs: the tool's own bin script, so that the pinned runtime starts it and not the PATH. */
function scriptOf(name) {
  const packageName = toolPackages[name];
  if (packageName === undefined) return name;
  const folder = join('node_modules', packageName);
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return join(folder, typeof bin === 'string' ? bin : bin[name]);
}

/** Puts the runtime first on the PATH, because some tools start `node` and `npm` by name. */
function environment(runtime) {
  const key = Object.keys(process.env).find((name) => name.toUpperCase() === 'PATH') || 'PATH';
  return { ...process.env, [key]: dirname(runtime) + delimiter + (process.env[key] || '') };
}

function vitest(projects, args) {
  return ['vitest', 'run', ...projects.flatMap((project) => ['--project', project]), ...args];
}

function fail(line) {
  process.stderr.write(line);
  process.exitCode = 1;
}
