/** Measures one run: time, CPU and memory of the programs that are started for it and of the servers they talk to. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.ts';
import type { Run } from './contest.ts';
import { UsageMeter } from './process-usage.ts';

/** A server may still be finishing what its client has no part in: closing, reaping, logging. */
const SETTLE_MS = 50;

export interface Measured {
  /** Content bytes that arrived. */
  readonly bytes: number;
  readonly files?: number;
  /** When the programs tell the time themselves, because theirs does not count from their start. */
  readonly seconds?: number;
  readonly extra?: Readonly<Record<string, number>>;
}

/** Runs `work` while the servers, by role, and every child made with the meter are watched. */
export async function measure(
  servers: Readonly<Record<string, Child>>,
  work: (meter: UsageMeter) => Promise<Measured>,
): Promise<Run> {
  const meter = new UsageMeter();
  try {
    for (const [role, server] of Object.entries(servers)) meter.watch(role, server.pid);
    const startedAt = performance.now();
    const { seconds, ...measured } = await work(meter);
    const elapsed = (performance.now() - startedAt) / 1000;
    await sleep(SETTLE_MS);
    return { seconds: seconds ?? elapsed, ...measured, usage: meter.stop() };
  } finally {
    meter.stop();
  }
}

/** Measures one program from its start to its end. */
export function measureProgram(
  servers: Readonly<Record<string, Child>>,
  command: string,
  args: readonly string[],
  timeoutMs: number,
  measured: Measured,
  stdout: 'ignore' | number = 'ignore',
): Promise<Run> {
  return measure(servers, async (meter) => {
    await using child = new Child(command, args, { meter, timeoutMs, stdout });
    await child.succeeded();
    return measured;
  });
}
