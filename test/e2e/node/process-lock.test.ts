import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { takeLock } from '../../../src/node/process-lock.ts';

const child = fileURLToPath(new URL('lock-child.ts', import.meta.url));
let root = '';
const cleanups: (() => void)[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-lock-'));
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
  rmSync(root, { recursive: true, force: true });
});

/** A process that waits for the word to take the lock. */
async function startRival(lock: string): Promise<{ go: () => Promise<string>; kill: () => Promise<void> }> {
  const rival = spawn(process.execPath, [child, lock], { stdio: ['pipe', 'pipe', 'inherit'] });
  cleanups.push(() => rival.kill('SIGKILL'));
  const exited = new Promise<void>((resolve) => rival.once('exit', () => resolve()));
  const next = () =>
    new Promise<string>((resolve) => rival.stdout.once('data', (text) => resolve(`${text}`.trim())));
  await next();
  return {
    go: () => {
      const answer = next();
      rival.stdin.write('go\n');
      return answer;
    },
    kill: () => {
      rival.kill('SIGKILL');
      return exited;
    },
  };
}

it('goes to one of several processes, also when a dead one had it', async () => {
  const lock = join(root, 'lock');
  for (const stale of [null, '999999 - 12345\n']) {
    if (stale !== null) writeFileSync(lock, stale);
    const rivals = await Promise.all(Array.from({ length: 4 }, () => startRival(lock)));
    const answers = await Promise.all(rivals.map(({ go }) => go()));
    expect(answers.sort()).toEqual(['refused', 'refused', 'refused', 'taken']);
    expect(takeLock(lock)).toBeNull();
    await Promise.all(rivals.map(({ kill }) => kill()));
    // Its holder was killed: it is free, without anybody having removed it.
    expect(readdirSync(root)).toEqual(['lock']);
    const own = takeLock(lock);
    expect(own).not.toBeNull();
    expect(takeLock(lock)).toBeNull();
    own?.release();
    expect(readdirSync(root)).toEqual([]);
  }
});
