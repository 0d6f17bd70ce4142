/**
 * What processes cost: CPU time and peak memory, read from /proc with all their descendants. Linux only; elsewhere
 * nothing is measured and the columns stay empty.
 */
import { readFileSync, writeFileSync } from 'node:fs';

export interface Usage {
  /** User and system time of the process and its descendants, seconds. Ticks of 10 ms. */
  readonly cpuSeconds: number;
  /** Highest resident memory, bytes; the sum over processes that lived at the same time. */
  readonly peakRssBytes: number;
}

export type UsageByRole = Readonly<Record<string, Usage>>;

/** The kernel reports times to user space in this unit on every platform that Node runs on. */
const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 20;

/** Usage of one process tree now, or null when it is gone or this is no Linux. */
export function readTreeUsage(pid: number): Usage | null {
  const own = readOwnUsage(pid);
  if (own === null) return null;
  let { cpuSeconds, peakRssBytes } = own;
  for (const child of childrenOf(pid)) {
    const usage = readTreeUsage(child);
    if (usage === null) continue;
    cpuSeconds += usage.cpuSeconds;
    peakRssBytes += usage.peakRssBytes;
  }
  return { cpuSeconds, peakRssBytes };
}

/**
 * Watches the processes of one run. A process that lived before is counted from `watch` on. One that is started for
 * the run is counted whole: what it used after the last sample is taken from what the kernel adds to our own account
 * when a child ends.
 */
export class UsageMeter {
  readonly #roles: Watched[] = [];
  readonly #timer: NodeJS.Timeout;
  #reapedSeconds = readReapedSeconds();

  constructor() {
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** Counts a process that lives longer than the run. */
  watch(role: string, pid: number): void {
    resetPeak(pid);
    const usage = readTreeUsage(pid);
    this.#roles.push({ role, pid, isChild: false, before: usage?.cpuSeconds ?? 0, last: usage });
  }

  /** Counts a process that was just started by us and ends with the run. */
  add(role: string, pid: number): void {
    this.#roles.push({ role, pid, isChild: true, before: 0, last: readTreeUsage(pid) });
  }

  /** To be called when a process given to `add` has ended. */
  handleExit(pid: number): void {
    const reaped = readReapedSeconds();
    const usedSeconds = reaped - this.#reapedSeconds;
    this.#reapedSeconds = reaped;
    const watched = this.#roles.find((each) => each.pid === pid && each.isChild);
    if (watched === undefined) return;
    watched.isChild = false;
    // When two end at the same moment the first is told the time of both: the samples are better then.
    const isAlone = !this.#roles.some((each) => each.isChild && readTreeUsage(each.pid) === null);
    const sampled = watched.last ?? { cpuSeconds: 0, peakRssBytes: 0 };
    if (isAlone) watched.last = { ...sampled, cpuSeconds: Math.max(usedSeconds, sampled.cpuSeconds) };
  }

  /** Ends the watch. Processes of one role are added up. */
  stop(): UsageByRole {
    this.#sample();
    clearInterval(this.#timer);
    const usage: Record<string, Usage> = {};
    for (const { role, last, before } of this.#roles) {
      if (last === null) continue;
      const sum = usage[role] ?? { cpuSeconds: 0, peakRssBytes: 0 };
      usage[role] = {
        cpuSeconds: sum.cpuSeconds + last.cpuSeconds - before,
        peakRssBytes: sum.peakRssBytes + last.peakRssBytes,
      };
    }
    return usage;
  }

  #sample(): void {
    for (const watched of this.#roles) {
      const usage = readTreeUsage(watched.pid);
      if (usage === null) continue;
      watched.last = {
        cpuSeconds: usage.cpuSeconds,
        peakRssBytes: Math.max(usage.peakRssBytes, watched.last?.peakRssBytes ?? 0),
      };
    }
  }
}

interface Watched {
  readonly role: string;
  readonly pid: number;
  readonly before: number;
  isChild: boolean;
  last: Usage | null;
}

function readOwnUsage(pid: number): Usage | null {
  const stat = readText(`/proc/${pid}/stat`);
  const status = readText(`/proc/${pid}/status`);
  if (stat === null || status === null) return null;
  // The name in parentheses may contain anything; the fields behind it start with the third.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  return { cpuSeconds: ticks / TICKS_PER_SECOND, peakRssBytes: Number(peak ?? 0) * 1024 };
}

/** CPU time of our own children that have ended, with their descendants. */
function readReapedSeconds(): number {
  const stat = readText('/proc/self/stat');
  if (stat === null) return 0;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

function childrenOf(pid: number): number[] {
  // Threads may have children of their own; the processes measured here start theirs from the main thread.
  const text = readText(`/proc/${pid}/task/${pid}/children`);
  return text === null ? [] : text.split(' ').filter(Boolean).map(Number);
}

/** Lets the peak start again from what is in use now. */
function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Then the peak is the one since the process started.
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
