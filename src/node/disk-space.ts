/** How much room a folder has. Not responsible for what to do when it is too little. */
import { statfs } from 'node:fs/promises';
import { localDiskError } from './system-error.ts';

/**
 * Bytes that may still be written into the file system of this folder (without the reserve of the superuser).
 * @throws SluiceError `localDisk` when the folder is not there or cannot be asked.
 */
export async function freeBytesOf(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch (error) {
    throw localDiskError(error, 'Asking for free space');
  }
}
