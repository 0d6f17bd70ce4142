/** A source that was left out, told like a file with a problem. Not responsible for leaving it out (src/node). */
import { basename, resolve, sep } from 'node:path';
import type { FileEvent } from '../client/events.ts';
import type { SkippedSource } from '../node-client/index.ts';
import { SluiceError } from '../protocol/index.ts';

/** `paths` as they were named on the command line: what is below one of them is called as receivers would see it. */
export function skippedFile({ location, reason, code }: SkippedSource, paths: readonly string[]): FileEvent {
  return {
    type: 'file',
    path: pathOf(location, paths),
    savedAs: null,
    sizeBytes: 0,
    blake3: null,
    status: reason === 'removed' ? 'removed' : 'skipped',
    error: errorOf(reason, code),
  };
}

function pathOf(location: string, paths: readonly string[]): string[] {
  for (const path of paths) {
    const root = resolve(path);
    if (location === root) return [basename(root)];
    const below = root.endsWith(sep) ? root : root + sep;
    if (location.startsWith(below)) return [basename(root), ...location.slice(below.length).split(sep)];
  }
  return [basename(location)];
}

function errorOf(reason: SkippedSource['reason'], code: string | null): SluiceError {
  const because = code === null ? '' : ` (${code})`;
  switch (reason) {
    case 'symlink':
      return new SluiceError('incomplete', 'It is a symbolic link.');
    case 'special':
      return new SluiceError('incomplete', 'It is a pipe, socket or device.');
    case 'unreadable':
      return new SluiceError('localDisk', `It cannot be read${because}.`);
    case 'removed':
      return new SluiceError('localDisk', `It is gone${because}.`);
    case 'name':
      return new SluiceError('unsafeName', `No receiver could create this name${because}.`);
  }
}
