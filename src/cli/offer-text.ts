/**
 * What a receiver is shown before being asked: names, sizes, and what should make them think.
 * Not responsible for asking.
 */
import type { Offer, OfferedFile } from '../client/events.ts';
import { displayName, displayPath } from '../protocol/display-name.ts';
import { formatBytes } from './quantities.ts';
import { fileCount } from './summary-text.ts';
import { cellWidth, fitCells, padCells } from './terminal-width.ts';

const MAX_NAMES = 10;
/** Room for the widest size, `38.2 MB`, and two gaps. */
const SIZE_CELLS = 11;

/** Lines for a terminal of that many columns, escaped. `freeBytes` is null when it is unknown or does not matter. */
export function offerLines(offer: Offer, freeBytes: number | null, columns: number): string[] {
  const { name, message, totalFiles, totalBytes, files, state } = offer;
  const facts = [
    totalFiles === null ? '' : fileCount(totalFiles),
    totalBytes === null ? 'size not known yet' : formatBytes(totalBytes),
    state === 'live' ? 'still being sent' : '',
  ];
  const title = name === null || name === '' ? '' : `${displayName(name)}: `;
  const lines = [title + facts.filter((fact) => fact !== '').join(', ')];
  // A message of several lines stays readable, but cannot pass for lines of ours.
  for (const line of (message ?? '').split('\n', 10)) if (line !== '') lines.push(`  | ${displayName(line)}`);
  lines.push(...nameLines(files, totalFiles, columns));
  if (!offer.isEncrypted) lines.push('Not end-to-end encrypted yet: the server can read it.');
  if (freeBytes !== null && totalBytes !== null && totalBytes > freeBytes) {
    lines.push(`Warning: it needs ${formatBytes(totalBytes)}, and only ${formatBytes(freeBytes)} are free.`);
  }
  return lines;
}

/** What a transfer is called on the screen: its name, or what its first file or folder is called. */
export function nameOf({ name, files }: Offer): string {
  return name || (files[0]?.path[0] ?? 'transfer');
}

function nameLines(files: readonly OfferedFile[], totalFiles: number | null, columns: number): string[] {
  // Folders say little; they are named only where there is nothing else.
  const named = files.filter(({ type }) => type === 'file');
  const shown = (named.length === 0 ? files : named).slice(0, MAX_NAMES);
  const room = Math.max(10, columns - 1 - SIZE_CELLS);
  const names = shown.map(({ path, type }) =>
    fitCells(displayPath(path) + (type === 'dir' ? '/' : ''), room),
  );
  const width = Math.max(0, ...names.map(cellWidth));
  const lines = shown.map(({ sizeBytes, type }, position) => {
    const size = type !== 'file' || sizeBytes === null ? '' : `  ${formatBytes(sizeBytes).padStart(7)}`;
    return `  ${padCells(names[position] ?? '', width)}${size}`.trimEnd();
  });
  const more = Math.max(totalFiles ?? 0, named.length) - shown.length;
  if (more > 0) lines.push(`  … ${more} more${totalFiles === null ? ' so far' : ''}`);
  return lines;
}
