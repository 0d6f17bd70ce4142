/**
 * What a sender remembers on its machine: who may write the transfer, what it was made of, and which file
 * number stands for which file. One folder per transfer below the state folder, readable by its owner only:
 *
 * ```
 * <state>/transfers/<id>/transfer.json   credentials, sources, link, state; replaced as a whole
 * <state>/transfers/<id>/files.jsonl     one announced file per line, appended and synced before its manifest goes out
 * <state>/transfers/<id>/lock            held by the process that sends it
 * ```
 * It knows nothing of connections. The secret and the write token stand in transfer.json and nowhere else.
 */
import { createHash } from 'node:crypto';
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  decodeBase64Url,
  decodeEntry,
  encodeBase64Url,
  encodeEntry,
  MAX_FILES,
  SluiceError,
} from '../protocol/index.ts';
import type { JournaledFile, SendJournal } from '../runtime/index.ts';
import { type ProcessLock, takeLock } from './process-lock.ts';
import { isMissing, localDiskError } from './system-error.ts';

export interface JournalPlace {
  /** Address of the server without a trailing slash. */
  readonly server: string;
  /** Absolute paths; none for a stream. */
  readonly paths: readonly string[];
  readonly name: string | null;
  /** Default `$XDG_STATE_HOME/sluice`. */
  readonly stateDirectory?: string;
}

export interface JournalCredentials {
  readonly id: Uint8Array<ArrayBuffer>;
  readonly secret: Uint8Array<ArrayBuffer>;
  readonly writeToken: Uint8Array<ArrayBuffer>;
}

/**
 * - `open`: not finished, as far as this machine knows.
 * - `done`: everything is on the server.
 * - `ended`: cancelled or expired.
 */
export type JournalState = 'open' | 'done' | 'ended';

/** A transfer as `transfer.json` describes it. */
export interface JournaledTransfer {
  readonly server: string;
  readonly paths: readonly string[];
  readonly name: string | null;
  readonly id: string;
  readonly writeToken: Uint8Array<ArrayBuffer>;
  readonly link: string | null;
  readonly state: JournalState;
  readonly sizeBytes: number | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

/** Remembered this long after the server has forgotten a transfer, ms. */
const KEEP_AFTER_EXPIRY_MS = 7 * 24 * 3_600_000;
/** A transfer that never got an expiry was never accepted by a server; it is remembered this long, ms. */
const KEEP_UNACCEPTED_MS = 24 * 3_600_000;

/** `$XDG_STATE_HOME/sluice`, or `~/.local/state/sluice`. */
export function defaultStateDirectory(): string {
  const base = process.env.XDG_STATE_HOME;
  return join(base?.startsWith('/') ? base : join(homedir(), '.local', 'state'), 'sluice');
}

/** All transfers this machine remembers, newest first. What has long expired is removed on the way. */
export async function listJournaledTransfers(
  stateDirectory: string = defaultStateDirectory(),
): Promise<JournaledTransfer[]> {
  const transfers: JournaledTransfer[] = [];
  const folder = join(stateDirectory, 'transfers');
  for (const id of await foldersIn(folder)) {
    const stored = await readStored(join(folder, id));
    if (stored === null) await removeUnfinished(join(folder, id));
    if (stored === null || stored.id !== id) continue;
    const expiresAtMs = stored.expiresAtMs ?? stored.createdAtMs + KEEP_UNACCEPTED_MS;
    if (Date.now() > expiresAtMs + KEEP_AFTER_EXPIRY_MS)
      await rm(join(folder, id), { recursive: true, force: true });
    else transfers.push(transferOf(stored));
  }
  return transfers.sort((a, b) => b.createdAtMs - a.createdAtMs);
}

export class SenderJournal implements SendJournal {
  readonly #folder: string;
  readonly #lock: ProcessLock;
  readonly #files: JournaledFile[];
  #stored: StoredTransfer;
  #handle: FileHandle | null = null;
  /** Writes of transfer.json one after another. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(folder: string, lock: ProcessLock, stored: StoredTransfer, files: JournaledFile[]) {
    this.#folder = folder;
    this.#lock = lock;
    this.#stored = stored;
    this.#files = files;
  }

  /** A new transfer. Resolves when its credentials are safe on disk. @throws SluiceError `localDisk`. */
  static async create(
    place: JournalPlace & { readonly credentials: JournalCredentials },
  ): Promise<SenderJournal> {
    const { credentials } = place;
    const id = encodeBase64Url(credentials.id);
    const folder = join(place.stateDirectory ?? defaultStateDirectory(), 'transfers', id);
    const stored: StoredTransfer = {
      v: 1,
      key: keyOf(place),
      server: place.server,
      paths: place.paths,
      name: place.name,
      id,
      secret: encodeBase64Url(credentials.secret),
      writeToken: encodeBase64Url(credentials.writeToken),
      link: null,
      state: 'open',
      sizeBytes: null,
      createdAtMs: Date.now(),
      expiresAtMs: null,
    };
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const lock = takeLock(join(folder, 'lock'));
      if (lock === null) throw new SluiceError('localDisk', 'The journal of a new transfer is in use.');
      await writeStored(folder, stored);
      await syncFolder(dirname(folder));
      return new SenderJournal(folder, lock, stored, []);
    } catch (error) {
      throw localDiskError(error, `Writing the journal ${folder}`);
    }
  }

  /**
   * The newest transfer of the same sources to the same server that is not finished and that no living
   * process sends; null if there is none. @throws SluiceError `localDisk`.
   */
  static async findUnfinished(place: JournalPlace): Promise<SenderJournal | null> {
    const parent = join(place.stateDirectory ?? defaultStateDirectory(), 'transfers');
    const key = keyOf(place);
    const candidates: StoredTransfer[] = [];
    for (const id of await foldersIn(parent)) {
      const stored = await readStored(join(parent, id));
      if (stored?.key === key && stored.id === id && stored.state === 'open') candidates.push(stored);
    }
    for (const { id } of candidates.sort((a, b) => b.createdAtMs - a.createdAtMs)) {
      const folder = join(parent, id);
      const lock = takeLock(join(folder, 'lock'));
      if (lock === null) continue;
      // Read again under the lock: its last holder may just have finished it.
      const stored = await readStored(folder);
      if (stored?.state === 'open') return new SenderJournal(folder, lock, stored, await readFiles(folder));
      lock.release();
    }
    return null;
  }

  get credentials(): JournalCredentials {
    const { id, secret, writeToken } = this.#stored;
    return { id: bytesOf(id), secret: bytesOf(secret), writeToken: bytesOf(writeToken) };
  }

  /** The transfer's id as text. */
  get id(): string {
    return this.#stored.id;
  }

  get files(): readonly JournaledFile[] {
    return this.#files;
  }

  /** Resolves when the lines are synced. @throws SluiceError `localDisk`. */
  async append(files: readonly JournaledFile[]): Promise<void> {
    try {
      if (this.#handle === null) {
        this.#handle = await open(join(this.#folder, 'files.jsonl'), 'a', 0o600);
        await syncFolder(this.#folder);
      }
      const lines = files.map(
        ({ entry, origin }) => `${JSON.stringify({ entry: encodeEntry(entry), origin })}\n`,
      );
      await this.#handle.appendFile(lines.join(''));
      await this.#handle.datasync();
    } catch (error) {
      throw localDiskError(error, `Writing the journal ${this.#folder}`);
    }
    this.#files.push(...files);
  }

  /** The server has accepted the transfer. */
  setLink(link: string, expiresAtMs: number): Promise<void> {
    return this.#change({ link, expiresAtMs });
  }

  /** The transfer is over; the journal stays for `sluice ls` until it has expired. Gives the lock back. */
  async finish(state: Exclude<JournalState, 'open'>, sizeBytes: number | null = null): Promise<void> {
    // First, so that a crash in between leaves no list behind: the server has ended the transfer and will say so again.
    await rm(join(this.#folder, 'files.jsonl'), { force: true });
    await this.#change({ state, ...(sizeBytes === null ? {} : { sizeBytes }) });
    await this.release();
  }

  /** Leaves the transfer as it is, to be continued by another process. */
  async release(): Promise<void> {
    await this.#writing;
    await this.#handle?.close();
    this.#handle = null;
    this.#lock.release();
  }

  #change(changes: Partial<StoredTransfer>): Promise<void> {
    this.#stored = { ...this.#stored, ...changes };
    const stored = this.#stored;
    this.#writing = this.#writing.then(
      () => writeStored(this.#folder, stored),
      () => {},
    );
    return this.#writing;
  }
}

interface StoredTransfer {
  readonly v: 1;
  /** Names server, sources and name: the same command again finds it. */
  readonly key: string;
  readonly server: string;
  readonly paths: readonly string[];
  readonly name: string | null;
  readonly id: string;
  readonly secret: string;
  readonly writeToken: string;
  readonly link: string | null;
  readonly state: JournalState;
  readonly sizeBytes: number | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

function keyOf({ server, paths, name }: JournalPlace): string {
  return createHash('sha256')
    .update(JSON.stringify([server, [...paths].sort(), name]))
    .digest('hex');
}

function transferOf(stored: StoredTransfer): JournaledTransfer {
  const { key: _key, secret: _secret, v: _v, writeToken, ...rest } = stored;
  return { ...rest, writeToken: bytesOf(writeToken) };
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64Url(text);
  if (bytes === null) throw new SluiceError('localDisk', 'A journal is damaged.');
  return bytes;
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw localDiskError(error, `Reading ${folder}`);
  }
}

/** What a process left that died before it had written a transfer.json. A living one needs milliseconds for that. */
async function removeUnfinished(folder: string): Promise<void> {
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
  if (Date.now() > mtimeMs + KEEP_UNACCEPTED_MS) await rm(folder, { recursive: true, force: true });
}

/** Null for a folder without a whole transfer.json: the process died before it was accepted anywhere. */
async function readStored(folder: string): Promise<StoredTransfer | null> {
  try {
    const stored = JSON.parse(await readFile(join(folder, 'transfer.json'), 'utf8')) as StoredTransfer;
    return stored.v === 1 && typeof stored.id === 'string' && typeof stored.secret === 'string'
      ? stored
      : null;
  } catch {
    return null;
  }
}

/** Written beside, synced, and put in place: there is always one whole version. */
async function writeStored(folder: string, stored: StoredTransfer): Promise<void> {
  const path = join(folder, 'transfer.json');
  const handle = await open(`${path}.new`, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(stored, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  await syncFolder(folder);
}

/** Makes the names in a folder survive a power cut. Windows cannot open folders, and need not. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Reads what was announced and cuts off a line that was not finished: it was never announced to a server, and
 * what is appended behind it would be lost with it.
 */
async function readFiles(folder: string): Promise<JournaledFile[]> {
  const path = join(folder, 'files.jsonl');
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw localDiskError(error, `Reading the journal ${folder}`);
  }
  const files: JournaledFile[] = [];
  let goodBytes = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0 && files.length < MAX_FILES; ) {
    const file = parseFile(bytes.toString('utf8', goodBytes, end));
    if (file === null) break;
    files.push(file);
    goodBytes = end + 1;
    end = bytes.indexOf(NEWLINE, goodBytes);
  }
  if (goodBytes < bytes.length) await truncate(path, goodBytes);
  return files;
}

const NEWLINE = 0x0a;

function parseFile(line: string): JournaledFile | null {
  try {
    const { entry, origin } = JSON.parse(line) as { entry: unknown; origin: JournaledFile['origin'] };
    return { entry: decodeEntry(entry), origin };
  } catch {
    return null;
  }
}
