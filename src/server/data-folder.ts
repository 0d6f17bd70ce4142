/**
 * The folder a server keeps everything in: finds it, creates it, makes sure it is ours, of a known format, writable
 * and used by nobody else, and opens the two stores in it. Not here: what the stores do.
 *
 * ```
 * <data>/format.json   {"format":1}
 * <data>/sluice.db     metadata; its lock is the lock of the folder
 * <data>/t/<id>/       the log of one transfer
 * ```
 */
import { access, constants, mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../protocol/index.ts';
import type { LogStore } from './log/log-store.ts';
import { SegmentLogStore, type SegmentLogStoreOptions } from './log/segment-log-store.ts';
import type { MetadataStore } from './metadata/metadata-store.ts';
import { SqliteMetadataStore } from './metadata/sqlite-metadata-store.ts';
import { syncFolder } from './sync-folder.ts';

const FORMAT = 1;
const FORMAT_FILE = 'format.json';
const DATABASE_FILE = 'sluice.db';
const LOG_FOLDER = 't';
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** What may lie in a folder that we did not finish creating. */
const OUR_NAMES = /^(format\.json(\.new)?|sluice\.db(-\w+)?|t)$/;

export interface DataFolder<T> {
  readonly path: string;
  readonly logs: LogStore;
  readonly metadata: MetadataStore<T>;
  /** Closes both stores and gives the lock back. Close the logs of transfers before. */
  close(): Promise<void>;
}

/** Where data goes when nobody says: `$XDG_DATA_HOME/sluice`, else `<home>/.local/share/sluice`. */
export function defaultDataFolder(
  environment: Readonly<Record<string, string | undefined>>,
  home: string,
): string {
  const base = environment.XDG_DATA_HOME;
  // The XDG base directory specification: relative paths are invalid and to be ignored.
  return base?.startsWith('/') ? join(base, 'sluice') : join(home, '.local', 'share', 'sluice');
}

/**
 * Opens a data folder, created with mode 0700 if there is none.
 * @throws SluiceError `dataFolder` with a sentence: another server uses it, its format is unknown, it holds other
 * things, it cannot be created or written.
 */
export async function openDataFolder<T>(
  path: string,
  options: SegmentLogStoreOptions = {},
): Promise<DataFolder<T>> {
  try {
    const created = await mkdir(path, { recursive: true, mode: FOLDER_MODE });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    const isNew = await checkFormat(path);
    const metadata = SqliteMetadataStore.open<T>(join(path, DATABASE_FILE));
    try {
      if (isNew) await writeFormat(path);
      if (created !== undefined) await syncFolder(dirname(created));
    } catch (error) {
      await metadata.close();
      throw error;
    }
    const logs = new SegmentLogStore(join(path, LOG_FOLDER), options);
    return {
      path,
      logs,
      metadata,
      close: async () => {
        await logs.close();
        await metadata.close();
      },
    };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new SluiceError('dataFolder', `${path} cannot be used: ${reason}.`, { cause: error });
  }
}

/** True when there is no format yet. */
async function checkFormat(path: string): Promise<boolean> {
  const text = await readFile(join(path, FORMAT_FILE), 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) {
    const other = (await readdir(path)).find((name) => !OUR_NAMES.test(name));
    if (other === undefined) return true;
    throw new SluiceError('dataFolder', `${path} holds other things (such as ${JSON.stringify(other)}).`, {
      hint: 'Choose an empty or new folder with --data.',
    });
  }
  const format = formatIn(text);
  if (format === FORMAT) return false;
  throw new SluiceError('dataFolder', `${path} has format ${format}; this version knows ${FORMAT}.`, {
    hint: 'Use the version of Sluice that wrote it, or another folder with --data.',
  });
}

function formatIn(text: string): string | number {
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content === 'object' && content !== null && 'format' in content) {
      if (typeof content.format === 'number') return content.format;
    }
  } catch {}
  return 'unknown';
}

async function writeFormat(path: string): Promise<void> {
  const file = join(path, FORMAT_FILE);
  const handle = await open(`${file}.new`, 'w', FILE_MODE);
  try {
    await handle.writeFile(`${JSON.stringify({ format: FORMAT })}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  await syncFolder(path);
}
