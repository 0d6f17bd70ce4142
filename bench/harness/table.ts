/** A bench report as Markdown that reads well in a terminal, too. */
import { formatBytes } from '../../src/cli/quantities.ts';
import { type ContestantResult, median, rateOf, type ScenarioResult } from './contest.ts';
import type { BenchReport } from './report-file.ts';

/** The whole report: the machine, and a table per scenario. */
export function formatReport({ machine, options, commit, measuredAt, scenarios }: BenchReport): string {
  const { cores, processor, system, node, isInMemory, loadBefore } = machine;
  const lines = [
    `${cores} cores of ${processor}, ${formatBytes(machine.memoryBytes)} memory, ${system}, Node ${node},`,
    `files in ${isInMemory ? 'memory (tmpfs)' : 'the temporary folder on disk'}, load before ${loadBefore}.`,
    `One file of ${formatBytes(options.sizeBytes)}; ${options.smallFiles} files of ${formatBytes(options.smallFileBytes)};`,
    `medians of ${options.runs}, interleaved. ${measuredAt.slice(0, 10)}${commit === null ? '' : `, commit ${commit}`}.`,
    'MB = 10^6 bytes. * = timed inside the program, without its start.',
  ];
  return `${lines.join('\n')}\n${scenarios.map((scenario) => `\n${formatScenario(scenario)}`).join('')}`;
}

export function formatScenario(scenario: ScenarioResult): string {
  if (scenario.failure !== null) return `### ${scenario.title}\n\nFailed: ${scenario.failure}\n`;
  const rows = scenario.results.map((result) => rowOf(result, scenario));
  const skipped = scenario.skipped.map(({ name, reason }) => [
    name,
    '-',
    '',
    '',
    '',
    '',
    `skipped: ${reason}`,
  ]);
  const cpu = scenario.unit === 'MB/s' ? 'CPU s/GB' : 'CPU s/10,000 files';
  const headings = ['', scenario.unit, 'all runs', 'x reference', cpu, 'peak MB', ''];
  return `### ${scenario.title}\n\n${formatTable(headings, [...rows, ...skipped])}`;
}

function rowOf(result: ContestantResult, scenario: ScenarioResult): string[] {
  const { name, clock, runs, failure } = result;
  const { unit, reference } = scenario;
  const rates = runs.map((run) => rateOf(run, unit));
  const rate = median(rates);
  const other = scenario.results.find((each) => each.name === reference);
  const otherRate = median((other?.runs ?? []).map((run) => rateOf(run, unit)));
  const hasRate = rate !== null && runs.every(({ extra }) => extra?.firstByteMs === undefined);
  return [
    clock === 'inside' ? `${name} *` : name,
    hasRate ? formatRate(rate) : '-',
    hasRate ? rates.map(formatRate).join(' ') : '',
    !hasRate || otherRate === null ? '' : name === reference ? 'reference' : (rate / otherRate).toFixed(2),
    hasRate ? perRole(result, (run, role) => cpuPerWork(run, role, unit)?.toFixed(2)) : '',
    perRole(result, (run, role) => megabytes(run.usage[role]?.peakRssBytes)),
    failure === null ? extras(result) : `failed: ${failure.slice(0, 100)}`,
  ];
}

type RunOf = ContestantResult['runs'][number];

/** The median over the runs, for each role. */
function perRole(
  { runs }: ContestantResult,
  format: (run: RunOf, role: string) => string | undefined,
): string {
  const roles = [...new Set(runs.flatMap(({ usage }) => Object.keys(usage)))];
  return roles
    .map((role) => {
      const values = runs.map((run) => Number(format(run, role))).filter((value) => !Number.isNaN(value));
      const middle = median(values);
      return middle === null ? '' : `${role} ${Math.round(middle * 100) / 100}`;
    })
    .filter(Boolean)
    .join(', ');
}

/** CPU seconds a GB (10^9), or 10,000 files. */
function cpuPerWork({ usage, bytes, files }: RunOf, role: string, unit: string): number | undefined {
  const seconds = usage[role]?.cpuSeconds;
  const work = unit === 'files/s' ? (files ?? 0) / 10_000 : bytes / 1e9;
  return seconds === undefined ? undefined : seconds / work;
}

function megabytes(bytes: number | undefined): string | undefined {
  return bytes === undefined ? undefined : (bytes / 1e6).toFixed(0);
}

function extras({ runs }: ContestantResult): string {
  const names = [...new Set(runs.flatMap(({ extra }) => Object.keys(extra ?? {})))];
  return names
    .map((name) => `${name} ${(median(runs.map(({ extra }) => extra?.[name] ?? 0)) ?? 0).toFixed(1)}`)
    .join(', ');
}

function formatRate(rate: number): string {
  return rate < 10 ? rate.toFixed(1) : Math.round(rate).toString();
}

function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const isUsed = headings.map((heading, i) => heading !== '' || i === 0 || rows.some((row) => row[i] !== ''));
  const all = [headings, ...rows].map((row) => row.filter((_, i) => isUsed[i]));
  const widths = (all[0] ?? []).map((_, i) => Math.max(3, ...all.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |\n`;
  const [first = [], ...rest] = all;
  return line(first) + line(widths.map((width) => '-'.repeat(width))) + rest.map(line).join('');
}
