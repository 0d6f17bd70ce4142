// The transfer that folder-sink-child.ts receives: two large files that interleave, many small ones, folders.
import type { ManifestEntry } from '../../../src/protocol/index.ts';

export type Step =
  | { readonly type: 'entries'; readonly from: number; readonly to: number }
  | { readonly type: 'write'; readonly file: number; readonly offset: number; readonly length: number }
  | { readonly type: 'end'; readonly file: number }
  | { readonly type: 'pack'; readonly first: number; readonly count: number };

const LARGE = [2, 3];
const LARGE_BYTES = 1_500_000;
const RECORD_BYTES = 50_000;
const FILES = 400;
const PACK = 20;

export const entries: readonly ManifestEntry[] = Array.from({ length: FILES }, (_, i) => {
  const file = i + 1;
  return {
    file,
    path: file === 1 ? ['t'] : ['t', ...(file % 3 === 0 ? ['sub', `${file % 7}`] : []), `f${file}`],
    type: file === 1 ? 'dir' : 'file',
    sizeBytes: null,
    mtime: { seconds: 1_600_000_000 + file, nanoseconds: 0 },
    mode: file === 1 ? 0o750 : 0o444,
    replaces: null,
  };
});

export const steps: readonly Step[] = makeSteps();

export function contentOf(file: number): Uint8Array {
  const length = LARGE.includes(file) ? LARGE_BYTES : (file * 37) % 3000;
  return Uint8Array.from({ length }, (_, i) => (i * 31 + file) % 251);
}

function makeSteps(): Step[] {
  const made: Step[] = [{ type: 'entries', from: 0, to: 100 }];
  let next = LARGE.length + 2;
  for (let offset = 0; offset < LARGE_BYTES; offset += RECORD_BYTES) {
    for (const file of LARGE) made.push({ type: 'write', file, offset, length: RECORD_BYTES });
    if (offset === 4 * RECORD_BYTES) made.push({ type: 'entries', from: 100, to: FILES });
    const count = Math.min(PACK, FILES + 1 - next);
    if (count > 0) made.push({ type: 'pack', first: next, count });
    next += count;
  }
  for (const file of LARGE) made.push({ type: 'end', file });
  return made;
}
