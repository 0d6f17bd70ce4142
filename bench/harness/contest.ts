/**
 * A scenario and who takes part in it. Rounds are interleaved (A B C, A B C, ...), so that a machine that gets slower
 * or faster meanwhile hits all alike; what counts is the median of the rounds.
 */
import type { UsageByRole } from './process-usage.ts';
import type { Workspace } from './workspace.ts';

export interface BenchOptions {
  /** Size of the large file. */
  readonly sizeBytes: number;
  readonly runs: number;
  /** Small files, each of `smallFileBytes`. */
  readonly smallFiles: number;
  readonly smallFileBytes: number;
  readonly receivers: number;
  /** A run that takes longer has failed. */
  readonly timeoutMs: number;
}

/** One run of one contestant. */
export interface Run {
  readonly seconds: number;
  /** Content bytes that arrived, all receivers together. */
  readonly bytes: number;
  readonly files?: number;
  readonly usage: UsageByRole;
  /** Other measures, with the unit in the name: `firstByteMs`. */
  readonly extra?: Readonly<Record<string, number>>;
}

export interface Contestant {
  readonly name: string;
  readonly kind: 'sluice' | 'peer';
  /** `process`: from the start of the programs to their end. `inside`: without the time they take to start. */
  readonly clock: 'process' | 'inside';
  run(): Promise<Run>;
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** A scenario that is set up. Disposing ends its servers. */
export interface Contest extends AsyncDisposable {
  readonly unit: 'MB/s' | 'files/s';
  /** Name of the peer that the others are compared with; null when it is not installed. */
  readonly reference: string | null;
  readonly contestants: readonly Contestant[];
  readonly skipped: readonly Skipped[];
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Bytes of temporary space it needs at the worst moment. */
  neededBytes(options: BenchOptions): number;
  open(options: BenchOptions, workspace: Workspace): Promise<Contest>;
}

export interface ContestantResult extends Omit<Contestant, 'run'> {
  readonly runs: readonly Run[];
  /** Why a run failed, if one did. */
  readonly failure: string | null;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly title: string;
  readonly unit: Contest['unit'];
  readonly reference: string | null;
  /** Why the scenario could not be set up; then there are no results. */
  readonly failure: string | null;
  readonly results: readonly ContestantResult[];
  readonly skipped: readonly Skipped[];
}

/** What stands in the report for a scenario that could not be set up. */
export function failedScenario({ name, title }: Scenario, failure: string): ScenarioResult {
  return { scenario: name, title, unit: 'MB/s', reference: null, failure, results: [], skipped: [] };
}

/** Runs all rounds. A contestant that fails is left out of the rounds that follow; the others go on. */
export async function runScenario(
  scenario: Scenario,
  options: BenchOptions,
  workspace: Workspace,
  say: (line: string) => void,
): Promise<ScenarioResult> {
  await using contest = await scenario.open(options, workspace);
  for (const { name, reason } of contest.skipped) say(`  ${name}: skipped, ${reason}`);
  const runs = new Map<Contestant, Run[]>(contest.contestants.map((contestant) => [contestant, []]));
  const failures = new Map<Contestant, string>();
  for (let round = 1; round <= options.runs; round++) {
    for (const contestant of contest.contestants) {
      if (failures.has(contestant)) continue;
      try {
        const run = await contestant.run();
        runs.get(contestant)?.push(run);
        say(
          `  ${round}/${options.runs}  ${contestant.name}: ${Math.round(rateOf(run, contest.unit))} ${contest.unit}`,
        );
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        failures.set(contestant, reason);
        say(`  ${round}/${options.runs}  ${contestant.name}: failed, ${reason}`);
      }
    }
  }
  return {
    scenario: scenario.name,
    title: scenario.title,
    unit: contest.unit,
    reference: contest.reference,
    failure: null,
    results: contest.contestants.map((contestant) => {
      const { name, kind, clock } = contestant;
      return {
        name,
        kind,
        clock,
        runs: runs.get(contestant) ?? [],
        failure: failures.get(contestant) ?? null,
      };
    }),
    skipped: contest.skipped,
  };
}

/** Megabytes (10^6) or files a second. */
export function rateOf({ bytes, files, seconds }: Run, unit: Contest['unit']): number {
  return unit === 'files/s' ? (files ?? 0) / seconds : bytes / 1e6 / seconds;
}

export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
