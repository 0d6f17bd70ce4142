/** The memory of another process, as Linux counts it. */
import { existsSync, readFileSync } from 'node:fs';

const MIB = 1024 * 1024;

export const canReadMemory: boolean = existsSync('/proc/self/status');

/** The most memory that the process ever had in use (VmHWM), MiB. */
export function peakMemoryMib(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [, kib = ''] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
  return Math.round((Number(kib) * 1024) / MIB);
}
