/** Makes names durable: a new, renamed or removed file survives a power loss only once its folder was synced. */
import { open } from 'node:fs/promises';

/** Syncs a folder. Does nothing on Windows, where folders cannot be opened. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
