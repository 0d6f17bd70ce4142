/**
 * `npm run bench [-- --size 1GiB --runs 3 --only upload,download --quick --label NAME]`: runs the scenarios, each beside
 * programs that people use for the same job, prints the table and writes the raw results.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseSize } from '../src/cli/quantities.ts';
import { killChildren } from './harness/child.ts';
import {
  type BenchOptions,
  failedScenario,
  runScenario,
  type Scenario,
  type ScenarioResult,
} from './harness/contest.ts';
import { currentCommit, describeMachine, writeReport } from './harness/report-file.ts';
import { formatReport } from './harness/table.ts';
import { Workspace } from './harness/workspace.ts';
import { download } from './scenarios/download.ts';
import { fanOut } from './scenarios/fan-out.ts';
import { live } from './scenarios/live.ts';
import { smallFiles } from './scenarios/small-files.ts';
import { upload } from './scenarios/upload.ts';

const SCENARIOS: readonly Scenario[] = [upload, download, live, fanOut, smallFiles];
const USAGE = `npm run bench [-- OPTIONS]
  --size SIZE       size of the large file (1GiB)
  --files N         number of small files (10000), of 4 KiB each
  --receivers N     receivers of the fan-out, an even number (16)
  --runs N          rounds; the median counts (3)
  --only NAMES      some of ${SCENARIOS.map(({ name }) => name).join(',')}
  --quick           64MiB, 1000 files, one round: does everything work?
  --timeout S       a run that takes longer has failed (300)
  --label NAME      of the file in bench/results (local)
`;
const OPTIONS = {
  size: { type: 'string' },
  files: { type: 'string' },
  receivers: { type: 'string' },
  runs: { type: 'string' },
  only: { type: 'string' },
  quick: { type: 'boolean' },
  timeout: { type: 'string' },
  label: { type: 'string' },
  help: { type: 'boolean' },
} as const;
/** Left free in memory, whatever the scenarios need. */
const SPARE_BYTES = 512 * 1024 * 1024;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const parsed = readOptions(args);
  if (typeof parsed === 'string') {
    process.stderr.write(parsed);
    return args.includes('--help') ? 0 : 2;
  }
  const { options, scenarios, label } = parsed;
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const neededBytes = SPARE_BYTES + Math.max(...scenarios.map((scenario) => scenario.neededBytes(options)));
  using workspace = new Workspace(neededBytes);
  endOnSignal(workspace);
  const machine = describeMachine(workspace.isInMemory);
  say(
    `Files in ${workspace.path}${workspace.isInMemory ? '' : ', on disk: it takes part in what is measured'}`,
  );
  const measuredAt = new Date().toISOString();
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    say(scenario.name);
    try {
      results.push(await runScenario(scenario, options, workspace, say));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      say(`  failed, ${reason}`);
      results.push(failedScenario(scenario, reason));
    }
  }
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const commit = currentCommit(root);
  const report = { formatVersion: 1, measuredAt, commit, machine, options, scenarios: results } as const;
  const path = writeReport(join(root, 'bench', 'results'), label, report);
  process.stdout.write(`\n${formatReport(report)}`);
  say(`\nRaw results: ${path}`);
  return results.every(hasSucceeded) ? 0 : 1;
}

function hasSucceeded({ failure, results }: ScenarioResult): boolean {
  return failure === null && results.every((result) => result.failure === null);
}

interface Parsed {
  readonly options: BenchOptions;
  readonly scenarios: readonly Scenario[];
  readonly label: string;
}

/** A string is what to say instead of running. */
function readOptions(args: string[]): Parsed | string {
  try {
    const { values } = parseArgs({ args, options: OPTIONS });
    if (values.help === true) return USAGE;
    const isQuick = values.quick === true;
    const names = values.only?.split(',') ?? SCENARIOS.map(({ name }) => name);
    const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
    if (unknown.length > 0) return `bench: no scenario ${unknown.join(', ')}\n${USAGE}`;
    const receivers = count(values.receivers, 16);
    if (receivers % 2 !== 0) return 'bench: --receivers must be even\n';
    const options = {
      sizeBytes: parseSize(values.size ?? (isQuick ? '64MiB' : '1GiB')),
      runs: count(values.runs, isQuick ? 1 : 3),
      smallFiles: count(values.files, isQuick ? 1_000 : 10_000),
      smallFileBytes: 4_096,
      receivers,
      timeoutMs: 1_000 * count(values.timeout, 300),
    };
    const scenarios = SCENARIOS.filter(({ name }) => names.includes(name));
    return { options, scenarios, label: values.label ?? 'local' };
  } catch (error) {
    return `bench: ${error instanceof Error ? error.message : error}\n${USAGE}`;
  }
}

function count(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`not a whole number above 0: ${text}`);
  return value;
}

function endOnSignal(workspace: Workspace): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      killChildren();
      workspace[Symbol.dispose]();
      process.exit(130);
    });
  }
}
