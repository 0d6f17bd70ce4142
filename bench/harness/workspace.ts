/**
 * The temporary folder of one bench run, in memory where there is room, and the random content that all contestants
 * move. Removed at the end.
 */
import { randomFillSync } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MEMORY_FOLDER = '/dev/shm';
const MIB = 1024 * 1024;
const TMPFS_MAGIC = 0x0102_1994;
const FILES_PER_FOLDER = 100;

export class Workspace implements Disposable {
  readonly path: string;
  /** False when the disk takes part in what is measured. */
  readonly isInMemory: boolean;
  #counter = 0;

  /** Takes memory when it has `neededBytes` free, else the temporary folder of the system. */
  constructor(neededBytes: number) {
    const base = hasRoom(MEMORY_FOLDER, neededBytes) ? MEMORY_FOLDER : tmpdir();
    if (!hasRoom(base, neededBytes)) {
      throw new Error(
        `the bench needs ${Math.ceil(neededBytes / 1e9)} GB free in ${base}; try a smaller --size`,
      );
    }
    this.isInMemory = statfsSync(base).type === TMPFS_MAGIC;
    this.path = mkdtempSync(join(base, 'sluice-bench-'));
  }

  /** A new empty folder. */
  folder(name: string): string {
    this.#counter += 1;
    const path = join(this.path, `${this.#counter}-${name}`);
    mkdirSync(path);
    return path;
  }

  /** A file of random bytes. The same file when asked again. */
  randomFile(sizeBytes: number): string {
    const path = join(this.path, `random-${sizeBytes}.bin`);
    if (existsSync(path)) return path;
    const file = openSync(path, 'wx');
    const buffer = new Uint8Array(MIB);
    try {
      for (let left = sizeBytes; left > 0; left -= buffer.length) {
        writeSync(file, randomFillSync(buffer), 0, Math.min(left, buffer.length));
      }
    } finally {
      closeSync(file);
    }
    return path;
  }

  /** A folder of small random files, a hundred to a subfolder. The same folder when asked again. */
  smallFiles(count: number, sizeBytes: number): string {
    const path = join(this.path, `small-${count}-${sizeBytes}`);
    if (existsSync(path)) return path;
    const content = new Uint8Array(sizeBytes);
    for (let i = 0; i < count; i++) {
      const folder = join(path, `folder-${Math.floor(i / FILES_PER_FOLDER)}`);
      if (i % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `file-${i}.bin`), randomFillSync(content));
    }
    return path;
  }

  /** Removes what a run has written. */
  remove(path: string): void {
    rmSync(path, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function hasRoom(path: string, neededBytes: number): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize > neededBytes;
  } catch {
    return false;
  }
}
