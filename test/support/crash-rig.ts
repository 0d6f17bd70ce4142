/**
 * What tests need that kill processes: a server that can be killed and started again on the same folder and port,
 * sources of every interesting size, and checks that what arrived is what was sent and that nothing else is left.
 */
import { chmod, lstat, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { expect } from 'vitest';
import { loadDigester } from '../../src/node/index.ts';
import { DEFAULT_RECORD_SIZE_BYTES } from '../../src/protocol/index.ts';
import { type SluiceOptions, SluiceProcess, temporaryFolder } from './cli.ts';
import { ObservingProxy } from './observing-proxy.ts';
import { type Random, seededRandom } from './random.ts';

/** A random that can be had again: the seed is printed, and CRASH_SEED sets it. */
export function printedRandom(what: string): Random {
  const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${what}: CRASH_SEED=${seed}`);
  return seededRandom(seed);
}

/** A server that lives more than once. */
export class MortalServer {
  dataDirectory: string;
  readonly #options: SluiceOptions;
  readonly #args: readonly string[];
  #process: SluiceProcess | null = null;
  #port = 0;

  static async start(
    dataDirectory: string,
    args: readonly string[] = [],
    options: SluiceOptions = {},
  ): Promise<MortalServer> {
    const server = new MortalServer(dataDirectory, args, options);
    await server.start();
    return server;
  }

  private constructor(dataDirectory: string, args: readonly string[], options: SluiceOptions) {
    this.dataDirectory = dataDirectory;
    this.#args = args;
    this.#options = options;
  }

  get port(): number {
    return this.#port;
  }

  get process(): SluiceProcess {
    if (this.#process === null) throw new Error('the server was never started');
    return this.#process;
  }

  /** On the port it had before, if it lived before; on the same folder, unless another one is given. */
  async start(
    options: SluiceOptions = this.#options,
    dataDirectory: string = this.dataDirectory,
  ): Promise<void> {
    this.dataDirectory = dataDirectory;
    const words = ['serve', '--json', '--data', dataDirectory, '--port', String(this.#port), ...this.#args];
    this.#process = new SluiceProcess(words, options);
    this.#port = Number(new URL(String((await this.#process.event('ready')).url)).port);
  }

  async kill(): Promise<void> {
    const { process } = this;
    await killHard(process);
  }
}

/** Ends a process without a chance to tidy up, and waits until it has gone. */
export async function killHard(process: SluiceProcess): Promise<void> {
  process.child.kill('SIGKILL');
  await process.finished();
}

/** A folder with a server and the place of one user: sources, state, and what was received. */
export class CrashRig {
  readonly folder: string;
  readonly server: MortalServer;
  readonly random: Random;

  static async start(random: Random): Promise<CrashRig> {
    const folder = await temporaryFolder();
    return new CrashRig(folder, await MortalServer.start(join(folder, 'server')), random);
  }

  private constructor(folder: string, server: MortalServer, random: Random) {
    this.folder = folder;
    this.server = server;
    this.random = random;
  }

  /** A source of that kind in a folder of its own, with a proxy of its own. */
  async prepare(kind: SourceKind, name: string = kind.replaceAll(' ', '-')): Promise<Transfer> {
    const folder = join(this.folder, name);
    await mkdir(folder);
    await writeSource(folder, kind, this.random);
    const proxy = await ObservingProxy.start(() => this.server.port);
    return new Transfer(kind, folder, proxy, await describeFolder(join(folder, 'from')));
  }
}

const SOURCE = join('from', 'source');

/** One source, its user's files, and the network between the user and the server. */
export class Transfer {
  readonly kind: SourceKind;
  readonly folder: string;
  readonly proxy: ObservingProxy;
  readonly content: FolderContent;

  constructor(kind: SourceKind, folder: string, proxy: ObservingProxy, content: FolderContent) {
    this.kind = kind;
    this.folder = folder;
    this.proxy = proxy;
    this.content = content;
  }

  send(options: SluiceOptions = {}): SluiceProcess {
    return this.run(['send', SOURCE, '--json'], options);
  }

  receive(link: string, into: string, options: SluiceOptions = {}): SluiceProcess {
    return this.run(['receive', link, '--yes', '--json', '-o', into], options);
  }

  run(args: readonly string[], options: SluiceOptions = {}): SluiceProcess {
    const env = { SLUICE_SERVER: this.proxy.url, XDG_STATE_HOME: join(this.folder, 'state') };
    return new SluiceProcess(args, { cwd: this.folder, ...options, env: { ...env, ...options.env } });
  }

  /** What `into` holds is the source, whole and alone, and the checksums that were printed are right. */
  async expectArrived(into: string, ...runs: readonly SluiceProcess[]): Promise<void> {
    const arrived = await describeFolder(resolve(this.folder, into));
    expect([...arrived.keys()]).toEqual([...this.content.keys()]);
    expect(arrived).toEqual(this.content);
    for (const run of runs) this.expectChecksums(run);
  }

  expectChecksums(run: SluiceProcess): void {
    for (const { type, path, blake3, status } of run.jsonLines()) {
      if (type !== 'file') continue;
      const content = this.content.get(String(path).replaceAll('/', sep));
      expect({ path, status, blake3 }).toEqual({ path, status: 'ok', blake3: content?.blake3 });
    }
  }

  /**
   * Nothing big or half-written is left in the sender's memory of what it sent. A lock of a dead process may be, and
   * the beginning of a journal that it could not finish: both are small, and go when the journal goes.
   */
  async expectTidyState(): Promise<void> {
    const folder = join(this.folder, 'state', 'sluice', 'transfers');
    for (const id of await readdir(folder)) {
      const names = await readdir(join(folder, id));
      if (!names.includes('transfer.json')) continue;
      expect(names.filter((name) => name !== 'transfer.json' && name !== 'lock')).toEqual([]);
    }
  }
}

/** A file of that many bytes in a folder; `folder` = a bit of everything. */
export const SOURCE_KINDS = {
  empty: 0,
  'one byte': 1,
  'record less one': DEFAULT_RECORD_SIZE_BYTES - 1,
  record: DEFAULT_RECORD_SIZE_BYTES,
  'record and one': DEFAULT_RECORD_SIZE_BYTES + 1,
  'several MiB': 5 * 1024 * 1024 + 3,
  folder: null,
} as const;
export type SourceKind = keyof typeof SOURCE_KINDS;
export const ALL_KINDS: readonly SourceKind[] = Object.keys(SOURCE_KINDS) as SourceKind[];

async function writeSource(folder: string, kind: SourceKind, random: Random): Promise<void> {
  const root = join(folder, SOURCE);
  await mkdir(root, { recursive: true });
  const sizeBytes = SOURCE_KINDS[kind];
  if (sizeBytes !== null) return writeFile(join(root, 'file.bin'), randomBytes(sizeBytes, random));
  await mkdir(join(root, 'empty folder'));
  await mkdir(join(root, 'deep', 'er'), { recursive: true });
  for (let i = 0; i < 80; i++) {
    await writeFile(join(root, 'deep', `small-${i}`), randomBytes((i * 1_237) % 40_000, random));
  }
  await writeFile(join(root, 'nothing'), '');
  for (const [name, bytes] of Object.entries({ one: 1_500_000, 'deep/er/two': 900_001, three: 262_145 })) {
    await writeFile(join(root, name), randomBytes(bytes, random));
  }
  await chmod(join(root, 'one'), 0o755);
  await chmod(join(root, 'nothing'), 0o444);
  await chmod(join(root, 'deep', 'small-7'), 0o400);
  for (const name of ['one', 'deep/small-3', 'empty folder']) await utimes(join(root, name), 1e9, 1e9);
}

export function randomBytes(length: number, random: Random): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = random.below(2 ** 32) | 1;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** By path; folders have no content. */
export type FolderContent = ReadonlyMap<string, { mode: number; mtimeMs: number; blake3: string | null }>;

export async function describeFolder(folder: string): Promise<FolderContent> {
  const digester = await loadDigester();
  const content = new Map<string, { mode: number; mtimeMs: number; blake3: string | null }>();
  for (const path of (await readdir(folder, { recursive: true })).sort()) {
    const { mode, mtimeMs } = await lstat(join(folder, path));
    const isFolder = (mode & 0o170000) === 0o040000;
    const blake3 = isFolder
      ? null
      : Buffer.from(digester.digest(await readFile(join(folder, path)))).toString('hex');
    content.set(path, { mode, mtimeMs: Math.floor(mtimeMs), blake3 });
  }
  return content;
}

/** True when the receiver had settled everything before it was killed: another run would be another copy. */
export async function hasSettled(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => []);
  return names.length > 0 && !names.some((name) => name.startsWith('.sluice-'));
}

/** Resolves when the one or the other has come; true for `moment`. */
export async function cameBefore(moment: Promise<void>, process: SluiceProcess): Promise<boolean> {
  return Promise.race([moment.then(() => true), process.finished().then(() => false)]);
}

/** The link that a sender printed, or null if it died before. */
export function linkOf(sender: SluiceProcess): string | null {
  const event = sender.jsonLines().find(({ type }) => type === 'link');
  return event === undefined ? null : String(event.link);
}
