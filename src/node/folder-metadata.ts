/**
 * The last step of receiving folders: makes those that nothing was in, then gives the ones we made their
 * times and modes, the deepest first, because a time changes with every name below and a mode may lock us
 * out.
 */
import { chmodSync, utimesSync } from 'node:fs';
import { type ManifestEntry, SluiceError } from '../protocol/index.ts';
import type { FilePlacer } from './file-placer.ts';
import type { Path } from './sink-journal.ts';
import { modeOfFolder, timeOf } from './small-file.ts';
import type { TargetFolder } from './target-folder.ts';

/**
 * @param created paths of the folders that we made in this or a former run; others keep what they have.
 * @throws the system's error.
 */
export function settleFolders(
  folders: readonly ManifestEntry[],
  created: readonly Path[],
  target: TargetFolder,
  placer: FilePlacer,
  onRefused: (entry: ManifestEntry, error: SluiceError) => void,
): void {
  const placed: { entry: ManifestEntry; path: Path }[] = [];
  for (const entry of folders) {
    try {
      const path = placer.placeOf(entry.path, true);
      target.at(path);
      placed.push({ entry, path });
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      onRefused(entry, error);
    }
  }
  const ours = new Set(created.map((path) => path.join('/')));
  const deepestFirst = placed.sort((a, b) => b.path.length - a.path.length);
  for (const { entry, path } of deepestFirst) {
    if (!ours.has(path.join('/'))) continue;
    const { base } = target.at(path);
    if (entry.mtime !== null) utimesSync(`${base}/.`, new Date(), timeOf(entry.mtime));
    if (entry.mode !== null) chmodSync(`${base}/.`, modeOfFolder(entry.mode));
  }
}
