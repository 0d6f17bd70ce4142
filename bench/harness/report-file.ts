/** The raw results of one bench run, as they are kept in a file, and the machine they were measured on. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { BenchOptions, ScenarioResult } from './contest.ts';

export interface BenchReport {
  readonly formatVersion: 1;
  /** ISO 8601, UTC. */
  readonly measuredAt: string;
  readonly commit: string | null;
  readonly machine: Machine;
  readonly options: BenchOptions;
  readonly scenarios: readonly ScenarioResult[];
}

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  readonly isInMemory: boolean;
  /** Processes that wanted a core when the bench began: more than 0.5 says that others were at work. */
  readonly loadBefore: number;
}

export function describeMachine(isInMemory: boolean): Machine {
  return {
    cores: cpus().length,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    system: `${platform()} ${arch()} ${release().split('-')[0]}`,
    node: process.version,
    isInMemory,
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** The short hash of the commit that is checked out, with `+` when files were changed; null without git. */
export function currentCommit(root: string): string | null {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return (
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'src') === '' ? '' : '+')
    );
  } catch {
    return null;
  }
}

/** Writes a report to `<folder>/<date>-<label>.json`; returns its path. */
export function writeReport(folder: string, label: string, report: BenchReport): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${report.measuredAt.slice(0, 10)}-${label}.json`);
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
  return path;
}

export function readReport(path: string): BenchReport {
  return JSON.parse(readFileSync(path, 'utf8'));
}
