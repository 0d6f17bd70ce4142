/**
 * A lock file that belongs to a process: taken over when its holder is gone, also after `kill -9` or a power
 * cut. It keeps processes of one machine apart; processes of several machines on a network disk are not.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { isMissing, systemCode } from './system-error.ts';

export interface ProcessLock {
  /** Gives the lock back. Never throws. */
  release(): void;
}

/** Names that `takeLock` uses for a moment beside a lock called `lock`; a process that dies in it leaves one. */
export const LOCK_ATTEMPT: RegExp = /^lock\.[0-9a-f]{12}$/;

/**
 * Takes the lock, or returns null when a living process holds it, this one included.
 * @throws the system's error when the folder cannot be written.
 */
export function takeLock(path: string): ProcessLock | null {
  const own = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(own, `${thisProcess()}\n`, { flag: 'wx', mode: 0o600 });
    // A link appears with its content, or fails when there is one: nobody ever reads a half-written lock.
    while (!tryLink(own, path)) {
      const holder = readHolder(path);
      if (holder === null) continue;
      if (isAlive(holder)) return null;
      removeStale(path, holder);
    }
  } finally {
    removeQuietly(own);
  }
  return { release: () => removeQuietly(path) };
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    if (!isWithoutLinks(error)) throw error;
  }
  // File systems without links (FAT): a reader may see an empty lock for a moment, and takes it for a living
  // one.
  try {
    writeFileSync(to, readFileSync(from), { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** What a file system says that has no hard links. */
export function isWithoutLinks(error: unknown): boolean {
  return ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(systemCode(error) ?? '');
}

/**
 * Two processes may find the same stale lock; the one that comes second must not remove the lock of the
 * first.
 */
function removeStale(path: string, holder: string): void {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (readHolder(aside) !== holder) tryLink(aside, path);
  removeQuietly(aside);
}

function readHolder(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/**
 * `pid`, then where the system tells them: its boot and when the process started, because numbers come again.
 */
function thisProcess(): string {
  return `${process.pid} ${bootId()} ${startTimeOf(process.pid)}`;
}

function isAlive(holder: string): boolean {
  const [pidText = '', boot = '', startTime = ''] = holder.split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0) return holder === '';
  if (boot !== bootId()) return false;
  if (startTime !== UNKNOWN) return startTimeOf(pid) === startTime;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

const UNKNOWN = '-';

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return UNKNOWN;
  }
}

/**
 * In clock ticks since boot: field 22 of /proc/<pid>/stat, counted behind the name, which may hold anything.
 * Field 3 is the state: a zombie has ended, though its parent may never ask about it (in containers often).
 */
function startTimeOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ['Z', 'X'].includes(fields[0] ?? '') ? UNKNOWN : (fields[19] ?? UNKNOWN);
  } catch {
    return UNKNOWN;
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already, or the folder is: nothing is locked then.
  }
}
