/** How much room a folder has. Not responsible for whether it may be written to. */
import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** Bytes an ordinary user may still write at the path, which need not exist yet; null when nobody can tell. */
export async function freeBytesAt(path: string): Promise<number | null> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || folder === dirname(folder)) return null;
    }
  }
}
