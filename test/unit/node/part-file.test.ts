import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadDigester } from '../../../src/node/blake3.ts';
import { PartFile } from '../../../src/node/part-file.ts';

const digester = await loadDigester();
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-part-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** What the file must hold in the end: the slow and obvious way. */
class Model {
  bytes = new Uint8Array(0);
  put(offset: number, content: Uint8Array): void {
    const next = new Uint8Array(offset + content.length);
    next.set(this.bytes.subarray(0, offset));
    next.set(content, offset);
    this.bytes = next;
  }
}

const operation = fc.record({
  kind: fc.constantFrom('write', 'write', 'write', 'hole', 'back', 'wait'),
  length: fc.integer({ min: 0, max: 120_000 }),
  fraction: fc.double({ min: 0, max: 1, noNaN: true }),
});

it('holds and hashes what was written last, in whatever order things become ready', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 20 }),
      fc.integer({ min: 0, max: 300_000 }),
      async (operations, startOffset) => {
        const location = join(root, `${run++}.part`);
        const model = new Model();
        model.put(0, new Uint8Array(startOffset).fill(7));
        writeFileSync(location, new Uint8Array(startOffset + 1000).fill(7));
        const part = new PartFile(location, startOffset, digester);
        const dones: Promise<unknown>[] = [];
        let at = startOffset;
        for (const [i, { kind, length, fraction }] of operations.entries()) {
          if (kind === 'wait') await dones.at(-1);
          else if (kind === 'back') at = Math.floor(at * fraction);
          else {
            const content = new Uint8Array(length).fill(kind === 'hole' ? 0 : i + 1);
            const offset = at;
            dones.push(
              new Promise((resolve) => {
                if (kind === 'hole') part.hole(offset, length, resolve);
                else part.write(offset, content, resolve);
              }),
            );
            // A step back is only known by what follows it.
            model.put(at, content);
            at += length;
          }
        }
        dones.push(new Promise((resolve) => part.write(at, Uint8Array.of(9), resolve)));
        model.put(at, Uint8Array.of(9));
        expect(await Promise.all(dones)).toEqual(dones.map(() => null));
        const { blake3, sizeBytes } = await part.end();
        part.close();
        expect(sizeBytes).toBe(model.bytes.length);
        expect(readFileSync(location).equals(model.bytes)).toBe(true);
        expect(blake3).toEqual(digester.digest(model.bytes));
      },
    ),
    { numRuns: 40 },
  );
});

it('refuses to go on behind the end of what is there', () => {
  writeFileSync(join(root, 'x'), 'abc');
  expect(() => new PartFile(join(root, 'x'), 4, digester)).toThrow(
    expect.objectContaining({ code: 'integrity' }),
  );
});
