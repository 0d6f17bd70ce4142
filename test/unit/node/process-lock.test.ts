import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type ProcessLock, takeLock } from '../../../src/node/process-lock.ts';

function lockPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-lock-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'lock');
}

function take(path: string): ProcessLock {
  const lock = takeLock(path);
  if (lock === null) throw new Error('the lock is held');
  return lock;
}

test('one holder at a time, this process included', () => {
  const path = lockPath();
  const lock = take(path);
  expect(takeLock(path)).toBeNull();
  lock.release();
  take(path).release();
});

test('a lock of another boot, of a reused number, of nobody is taken over', () => {
  const path = lockPath();
  take(path);
  const [pid, boot, start] = readFileSync(path, 'utf8').trim().split(' ');
  for (const holder of [`${pid} another-boot ${start}`, `${pid} ${boot} 1`, '4194305 - -', 'nonsense']) {
    writeFileSync(path, `${holder}\n`);
    take(path);
  }
});

test.runIf(process.platform === 'linux')(
  'a holder that was killed and never waited for is dead',
  async () => {
    const path = lockPath();
    take(path);
    const boot = readFileSync(path, 'utf8').trim().split(' ')[1];
    // The shell becomes a program that does not know it has a child, so the child stays a zombie.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const child = Number(line.toString());
    const start = statOf(child)[19];
    writeFileSync(path, `${child} ${boot} ${start}\n`);
    expect(takeLock(path)).toBeNull();
    // It must be the parent that does not wait, so it must not be the shell any more.
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'utf8').trim()).toBe('sleep');
    process.kill(child, 'SIGKILL');
    await expect.poll(() => statOf(child)[0]).toBe('Z');
    take(path);
  },
);

/** Fields of /proc/<pid>/stat behind the name: state first. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
