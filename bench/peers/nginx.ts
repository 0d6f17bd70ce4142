/**
 * Peer curl with nginx: PUT through the dav module and GET with sendfile, from a configuration in the temporary folder.
 * Nothing is verified: HTTP leaves that to TCP.
 */
import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../harness/child.ts';
import type { Run } from '../harness/contest.ts';
import { findProgram } from '../harness/find-program.ts';
import { measureProgram } from '../harness/measure.ts';
import { freePort, HOST, untilListening } from '../harness/network.ts';
import type { Roster } from '../harness/roster.ts';
import type { Workspace } from '../harness/workspace.ts';

export class NginxPeer {
  readonly #curl: string;
  readonly #nginx: Child;
  readonly #port: number;
  readonly #root: string;
  readonly #timeoutMs: number;

  private constructor(curl: string, nginx: Child, port: number, root: string, timeoutMs: number) {
    this.#curl = curl;
    this.#nginx = nginx;
    this.#port = port;
    this.#root = root;
    this.#timeoutMs = timeoutMs;
  }

  /** Starts nginx for this roster; null, and skipped there, when it cannot take part. */
  static async start(roster: Roster, workspace: Workspace, timeoutMs: number): Promise<NginxPeer | null> {
    const skip = (reason: string): null => {
      roster.skip('curl with nginx', reason);
      return null;
    };
    const nginx = findProgram('nginx');
    const curl = findProgram('curl');
    if (nginx === null || curl === null) return skip(`${nginx === null ? 'nginx' : 'curl'} is not installed`);
    const folder = workspace.folder('nginx');
    const root = join(folder, 'root');
    mkdirSync(root);
    const port = await freePort();
    const config = join(folder, 'nginx.conf');
    writeFileSync(config, configOf(folder, root, port));
    const args = ['-p', folder, '-c', config, '-e', join(folder, 'error.log')];
    const check = new Child(nginx, ['-t', ...args], { timeoutMs });
    try {
      await check.succeeded();
    } catch (error) {
      return skip(`nginx does not take the configuration: ${error instanceof Error ? error.message : error}`);
    }
    const child = roster.use(new Child(nginx, args));
    await untilListening(port);
    return new NginxPeer(curl, child, port, root, timeoutMs);
  }

  async upload(source: string, bytes: number): Promise<Run> {
    const args = ['--silent', '--show-error', '--fail', '--upload-file', source, this.#url('upload.bin')];
    try {
      return await this.#run(args, bytes);
    } finally {
      rmSync(join(this.#root, 'upload.bin'), { force: true });
    }
  }

  /** Gets the file to `target`, which may be /dev/null. */
  async download(source: string, target: string, bytes: number): Promise<Run> {
    const name = 'download.bin';
    linkSync(source, join(this.#root, name));
    try {
      return await this.#run(
        ['--silent', '--show-error', '--fail', '--output', target, this.#url(name)],
        bytes,
      );
    } finally {
      rmSync(join(this.#root, name), { force: true });
      if (target !== '/dev/null') rmSync(target, { force: true });
    }
  }

  #run(args: readonly string[], bytes: number): Promise<Run> {
    return measureProgram({ server: this.#nginx }, this.#curl, args, this.#timeoutMs, { bytes });
  }

  #url(name: string): string {
    return `http://${HOST}:${this.#port}/${name}`;
  }
}

function configOf(folder: string, root: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return [
    // A master that runs as root gives its workers to nobody, who may not write here.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'daemon off;',
    'worker_processes 1;',
    `pid ${join(folder, 'nginx.pid')};`,
    `error_log ${join(folder, 'error.log')};`,
    'events {}',
    'http {',
    ...temporary.map((name) => `  ${name}_temp_path ${join(folder, name)};`),
    '  access_log off;',
    '  sendfile on;',
    '  tcp_nopush on;',
    '  client_max_body_size 0;',
    '  server {',
    `    listen ${HOST}:${port};`,
    `    root ${root};`,
    '    location / { dav_methods PUT; }',
    '  }',
    '}',
    '',
  ].join('\n');
}
