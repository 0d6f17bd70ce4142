/** Peer `cp`: what the file system alone takes. */
import { join } from 'node:path';
import { findProgram } from '../harness/find-program.ts';
import { type Measured, measureProgram } from '../harness/measure.ts';
import type { Roster } from '../harness/roster.ts';
import type { Workspace } from '../harness/workspace.ts';

/** Copies a file or a folder. */
export function addCopy(
  roster: Roster,
  workspace: Workspace,
  source: string,
  timeoutMs: number,
  measured: Measured,
): void {
  const program = findProgram('cp');
  if (program === null) return roster.skip('cp', 'cp is not installed');
  roster.peer('cp', 'process', async () => {
    const target = join(workspace.path, 'copy');
    try {
      return await measureProgram({}, program, ['-r', source, target], timeoutMs, measured);
    } finally {
      workspace.remove(target);
    }
  });
}
