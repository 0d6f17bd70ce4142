/**
 * A disk that is really full: a small tmpfs in a mount namespace of its own, which nobody else sees and which is gone
 * with the process that holds it. Needs the right to make namespaces (Linux, root); `smallDiskProblem` says why not.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './cli.ts';

const MIB = 1024 * 1024;

/** Null when small disks can be had here, otherwise why not. */
export function smallDiskProblem(): string | null {
  const script = 'mount -t tmpfs -o size=1m tmpfs /mnt && exec nsenter --version';
  const { status, stderr, error } = spawnSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8' });
  if (status === 0) return null;
  return `no disk of our own can be mounted: ${error?.message ?? stderr.trim()}`;
}

export class SmallDisk {
  /** Where it is, for commands started with `wrapper`. */
  readonly path: string;
  /** Runs a command that sees it. The working folder becomes `/`. */
  readonly wrapper: readonly string[];
  readonly #holder: number;

  /** Unmounted when the test is over. */
  static async mount(sizeMib: number): Promise<SmallDisk> {
    const path = await temporaryFolder();
    const script = `mount -t tmpfs -o size=${sizeMib}m tmpfs "$0" && echo mounted && exec cat`;
    const holder = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script, path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(holder, 'exit');
    onTestFinished(async () => {
      holder.kill('SIGKILL');
      await ended;
    });
    await Promise.race([
      once(holder.stdout, 'data'),
      ended.then(() => Promise.reject(new Error('the disk was not mounted'))),
    ]);
    return new SmallDisk(path, holder.pid ?? 0);
  }

  private constructor(path: string, holder: number) {
    this.path = path;
    this.#holder = holder;
    this.wrapper = ['nsenter', `--mount=/proc/${holder}/ns/mnt`];
  }

  /** The same place as this process sees it. */
  outside(...names: string[]): string {
    return join(`/proc/${this.#holder}/root`, this.path, ...names);
  }

  /** Takes so much of its space. */
  async takeSpace(mib: number): Promise<void> {
    await writeFile(this.outside('ballast'), new Uint8Array(mib * MIB));
  }

  async freeSpace(): Promise<void> {
    await rm(this.outside('ballast'));
  }
}
