/**
 * The folders below a receive folder, as they are needed: finds and creates them one component at a time and
 * never goes through a symbolic link, whoever swaps one in and when. Names have been checked before
 * (safe-path.ts); which name a file gets is for file-placer.ts.
 *
 * Linux: each folder is held open and its children are named `/proc/self/fd/<n>/<child>`, so a folder that is
 * swapped for a link afterwards changes nothing (Node has no `openat`). Elsewhere each component is checked
 * before each use, which leaves a gap of microseconds between check and use.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  type Stats,
} from 'node:fs';
import { promisify } from 'node:util';
import { SluiceError } from '../protocol/index.ts';
import { isMissing, systemCode } from './system-error.ts';

export interface Folder {
  /** Children are named `<base>/<name>`. Good until the next call of `at`: do not keep it over an `await`. */
  readonly base: string;
}

const DIRECTORY_FLAGS = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0);
/** Folders held open at most. */
const MAX_OPEN = 64;

/** Whether children of an open folder can be named through it. */
const HAS_DESCRIPTOR_PATHS = existsSync('/proc/self/fd');

class HeldFolder implements Folder {
  readonly base: string;
  /** Null where folders are not held open. */
  readonly fd: number | null;
  /** Names in it changed and were not synced. */
  isDirty = false;

  constructor(path: string) {
    this.fd = HAS_DESCRIPTOR_PATHS ? openSync(path, DIRECTORY_FLAGS) : null;
    this.base = this.fd === null ? path : `/proc/self/fd/${this.fd}`;
  }

  close(): void {
    if (this.fd === null) return;
    if (this.isDirty) fsyncSync(this.fd);
    closeSync(this.fd);
  }
}

export class TargetFolder {
  readonly root: Folder;
  readonly #root: HeldFolder;
  readonly #mustSync: boolean;
  readonly #onCreate: (path: readonly string[]) => void;
  /** Keyed by path; the one used last is last. */
  readonly #held = new Map<string, HeldFolder>();

  /**
   * @throws the system's error when `directory` is no folder. It may itself be a link: it was named by the
   * user.
   */
  constructor(directory: string, mustSync: boolean, onCreate: (path: readonly string[]) => void) {
    this.#root = new HeldFolder(HAS_DESCRIPTOR_PATHS ? `${directory}/.` : directory);
    this.root = this.#root;
    this.#mustSync = mustSync;
    this.#onCreate = onCreate;
  }

  /**
   * The folder at this path, created with its parents where it is missing.
   * @throws SluiceError `unsafeName` when a link or a file is in the way; the system's error otherwise.
   */
  at(path: readonly string[]): Folder {
    let folder = this.#root;
    let key = '';
    for (const [depth, name] of path.entries()) {
      key += `/${name}`;
      folder = this.#held.get(key) ?? this.#enter(folder, name, path.slice(0, depth + 1));
      this.#held.delete(key);
      this.#held.set(key, folder);
    }
    this.#closeOldest(path.length);
    return folder;
  }

  /** Must be called after names in the folder changed: they are synced by `sync`. */
  noteChanged(folder: Folder): void {
    if (this.#mustSync && folder instanceof HeldFolder) folder.isDirty = true;
  }

  /** Makes all changes of names durable. Nothing else may be called meanwhile. */
  async sync(): Promise<void> {
    const dirty = [this.#root, ...this.#held.values()].filter(({ isDirty }) => isDirty);
    await Promise.all(
      dirty.map(async (folder) => {
        folder.isDirty = false;
        if (folder.fd !== null) await promisify(fsync)(folder.fd);
      }),
    );
  }

  close(): void {
    for (const folder of this.#held.values()) folder.close();
    this.#held.clear();
    this.#root.close();
  }

  #enter(parent: HeldFolder, name: string, path: readonly string[]): HeldFolder {
    const location = `${parent.base}/${name}`;
    for (;;) {
      try {
        return openFolder(location);
      } catch (error) {
        if (!isMissing(error) || lstatOrNull(location) !== null) throw inTheWay(location, error);
      }
      try {
        // Told first: on a full disk a folder may still be made when nothing can be remembered any more.
        this.#onCreate(path);
        mkdirSync(location);
        this.noteChanged(parent);
      } catch (error) {
        // Another process was faster; whatever it made is looked at again.
        if (systemCode(error) !== 'EEXIST') throw error;
      }
    }
  }

  #closeOldest(inUse: number): void {
    if (!HAS_DESCRIPTOR_PATHS) return this.#held.clear();
    for (const [key, folder] of this.#held) {
      if (this.#held.size <= Math.max(MAX_OPEN, inUse)) return;
      this.#held.delete(key);
      folder.close();
    }
  }
}

/** Of the thing itself, never of what it links to; null when there is none. */
export function lstatOrNull(location: string): Stats | null {
  return lstatSync(location, { throwIfNoEntry: false }) ?? null;
}

/**
 * Opens or creates a private folder of ours (mode 0700).
 * @throws SluiceError `localDisk` when something else is there.
 */
export function openPrivateFolder(parent: Folder, name: string): HeldFolder {
  const location = `${parent.base}/${name}`;
  try {
    mkdirSync(location, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  let folder: HeldFolder;
  try {
    folder = openFolder(location);
  } catch (cause) {
    throw new SluiceError('localDisk', `${name} is not a folder.`, { cause });
  }
  const stats = folder.fd === null ? lstatSync(location) : fstatSync(folder.fd);
  // Somebody else's folder could be changed by them while we write.
  if (process.getuid !== undefined && stats.uid !== process.getuid()) {
    folder.close();
    throw new SluiceError('localDisk', `${name} belongs to another user.`);
  }
  return folder;
}

export type PrivateFolder = HeldFolder;

function openFolder(location: string): HeldFolder {
  if (!HAS_DESCRIPTOR_PATHS && lstatOrNull(location)?.isDirectory() === false) {
    throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
  }
  if (!HAS_DESCRIPTOR_PATHS && lstatOrNull(location) === null) {
    throw Object.assign(new Error('not there'), { code: 'ENOENT' });
  }
  return new HeldFolder(location);
}

function inTheWay(location: string, cause: unknown): unknown {
  const stats = lstatOrNull(location);
  if (stats === null || stats.isDirectory()) return cause;
  return new SluiceError(
    'unsafeName',
    stats.isSymbolicLink() ? 'A symbolic link is in the way.' : 'A file is where a folder should be.',
    { hint: 'Move it away, or receive into another folder.', cause },
  );
}
