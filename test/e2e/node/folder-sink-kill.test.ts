import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentOf, entries } from './folder-sink-transfer.ts';

const child = fileURLToPath(new URL('folder-sink-child.ts', import.meta.url));
const KILLS = 12;
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-kill-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Runs the receiver; kills it `afterMs` after it has begun. Tells whether it came to its end before. */
async function receive(fsync: boolean, afterMs: number | null): Promise<boolean> {
  const receiver: ChildProcess = spawn(process.execPath, [child, root, fsync ? 'fsync' : 'nosync'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  let timer: NodeJS.Timeout | undefined;
  receiver.stdout?.on('data', (text: Buffer) => {
    output += text.toString();
    if (afterMs !== null) timer ??= setTimeout(() => receiver.kill('SIGKILL'), afterMs);
  });
  const code = await new Promise<number | null>((resolve) => receiver.once('close', resolve));
  clearTimeout(timer);
  if (code !== null && code !== 0) throw new Error(`the receiver failed: ${code}`);
  return output.includes('finished');
}

function filesBelow(folder: string, prefix: string[] = []): string[][] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((found) =>
    found.isDirectory()
      ? filesBelow(join(folder, found.name), [...prefix, found.name])
      : [[...prefix, found.name]],
  );
}

describe('a receiver that is killed again and again', () => {
  it.each([false, true])('ends with every file once, whole, and no litter (fsync %s)', async (fsync) => {
    const seed = Date.now() % 1_000_000;
    const random = seeded(seed);
    let isFinished = false;
    for (let kill = 0; kill < KILLS && !isFinished; kill++) {
      isFinished = await receive(fsync, Math.floor(random() * (fsync ? 300 : 120)));
    }
    isFinished ||= await receive(fsync, null);
    expect(isFinished, `seed ${seed}`).toBe(true);
    const expected = entries.filter(({ type }) => type === 'file');
    const found = filesBelow(root).map((path) => path.join('/'));
    expect(found.sort(), `seed ${seed}`).toEqual(expected.map(({ path }) => path.join('/')).sort());
    for (const { file, path, mtime } of expected) {
      const location = join(root, ...path);
      expect(readFileSync(location).equals(contentOf(file)), `${path.join('/')}, seed ${seed}`).toBe(true);
      expect(statSync(location).mtimeMs).toBe((mtime?.seconds ?? 0) * 1000);
      expect(statSync(location).mode & 0o7777).toBe(0o444);
    }
    expect(statSync(join(root, 't')).mode & 0o7777).toBe(0o750);
    expect(statSync(join(root, 't')).mtimeMs).toBe(1_600_000_001_000);
  });
});

/** Mulberry32: the same numbers for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
