/**
 * Peer rsync: a daemon with its own configuration in the temporary folder, and a client that sends whole files to it
 * or gets them. rsync reads and hashes everything that it moves, so it verifies as we do.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Child } from '../harness/child.ts';
import type { Run } from '../harness/contest.ts';
import { findProgram } from '../harness/find-program.ts';
import { type Measured, measureProgram } from '../harness/measure.ts';
import { freePort, HOST, untilListening } from '../harness/network.ts';
import type { Roster } from '../harness/roster.ts';
import type { Workspace } from '../harness/workspace.ts';

export class RsyncPeer {
  readonly #program: string;
  readonly #daemon: Child;
  readonly #port: number;
  readonly #folder: string;
  readonly #timeoutMs: number;

  private constructor(program: string, daemon: Child, port: number, folder: string, timeoutMs: number) {
    this.#program = program;
    this.#daemon = daemon;
    this.#port = port;
    this.#folder = folder;
    this.#timeoutMs = timeoutMs;
  }

  /** Starts the daemon for this roster; null, and skipped there, when rsync is not installed. */
  static async start(roster: Roster, workspace: Workspace, timeoutMs: number): Promise<RsyncPeer | null> {
    const program = findProgram('rsync');
    if (program === null) {
      roster.skip('rsync', 'rsync is not installed');
      return null;
    }
    const folder = workspace.folder('rsync');
    const port = await freePort();
    const config = join(folder, 'rsyncd.conf');
    writeFileSync(config, configOf(folder));
    const args = ['--daemon', '--no-detach', `--config=${config}`, `--address=${HOST}`, `--port=${port}`];
    const daemon = roster.use(new Child(program, args));
    await untilListening(port);
    return new RsyncPeer(program, daemon, port, folder, timeoutMs);
  }

  /** Sends a file or a folder to the daemon. */
  async upload(source: string, measured: Measured): Promise<Run> {
    try {
      return await this.#run([source, this.#url('')], measured);
    } finally {
      rmSync(join(this.#folder, basename(source)), { recursive: true, force: true });
    }
  }

  /** Gets a file or a folder that was sent there with `keep`. */
  async download(name: string, measured: Measured): Promise<Run> {
    const target = join(this.#folder, 'received');
    try {
      return await this.#run([this.#url(name), target], measured);
    } finally {
      rmSync(target, { recursive: true, force: true });
    }
  }

  /** Puts something into the folder of the daemon, not measured. Returns its name there. */
  async keep(source: string): Promise<string> {
    await this.#run([source, this.#url('kept/')], { bytes: 0 });
    return `kept/${basename(source)}`;
  }

  #run(paths: readonly string[], measured: Measured): Promise<Run> {
    const args = ['--archive', '--whole-file', ...paths];
    return measureProgram({ server: this.#daemon }, this.#program, args, this.#timeoutMs, measured);
  }

  #url(name: string): string {
    return `rsync://${HOST}:${this.#port}/bench/${name}`;
  }
}

function configOf(folder: string): string {
  // A daemon that runs as root gives its work to nobody, who may not write here.
  const identity = process.getuid?.() === 0 ? ['uid = root', 'gid = root'] : [];
  return [
    `log file = ${join(folder, 'rsyncd.log')}`,
    `lock file = ${join(folder, 'rsyncd.lock')}`,
    'use chroot = no',
    ...identity,
    '[bench]',
    `  path = ${folder}`,
    '  read only = no',
    '',
  ].join('\n');
}
