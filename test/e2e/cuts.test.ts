/** Real client, real server, a network that cuts connections at random places: everything arrives, once, whole. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from '../../src/client/index.ts';
import { createNodeEnvironment } from '../../src/node-client/node-environment.ts';
import type { ByteSource, SourceEntry } from '../../src/runtime/index.ts';
import { createServer, type SluiceServer } from '../../src/server/index.ts';
import { createCuttingProxy } from '../support/cutting-proxy.ts';
import { seededRandom } from '../support/random.ts';

const LARGE_BYTES = 24 * 1024 * 1024 + 17;
const SMALL_FILES = 200;

let directory: string;
let server: SluiceServer;
let port: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-cuts-'));
  server = await createServer({ dataDirectory: directory });
  ({ port } = await server.listen());
});

afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

describe('a network that cuts connections', () => {
  test.each([1, 2, 3])('costs nothing but time (seed %i)', async (seed) => {
    const random = seededRandom(seed);
    const content = contentOf(LARGE_BYTES, seed);
    const proxy = await createCuttingProxy(port, () => 100_000 + random.fraction() * 8_000_000);
    const url = `http://127.0.0.1:${proxy.port}`;
    const clients = Array.from(
      { length: 3 },
      () => new Client({ ...createNodeEnvironment(), random: hasty }),
    );
    const [sending, early, late] = clients as [Client, Client, Client];
    try {
      const transfer = sending.send(() => sourcesOf(content), { server: url, name: 'cuts' });
      const link = await transfer.link;
      const received = receiveAll(early, link);
      const summary = await transfer.done;
      const results = [await received, await receiveAll(late, link)];

      expect(summary).toMatchObject({ files: SMALL_FILES + 1, problems: 0 });
      for (const hashes of results) {
        expect(hashes.size).toBe(SMALL_FILES + 1);
        expect(hashes.get('large')).toBe(sha256(content));
        for (let i = 0; i < SMALL_FILES; i++) {
          expect(hashes.get(`small/${i}`)).toBe(sha256(smallOf(content, i)));
        }
      }
      // Otherwise this test would prove nothing.
      expect(proxy.cuts).toBeGreaterThan(5);
    } finally {
      for (const client of clients) await client[Symbol.asyncDispose]();
      await proxy.close();
    }
  });
});

/** Retries at once: the waits of the backoff have their own test. */
const hasty = {
  bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)),
  fraction: () => 0.02,
};

async function receiveAll(client: Client, link: string): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for await (const file of client.receive(link)) {
    const hash = createHash('sha256');
    for await (const piece of file.stream()) hash.update(piece);
    hashes.set(file.path.join('/'), hash.digest('hex'));
  }
  return hashes;
}

async function* sourcesOf(content: Uint8Array): AsyncGenerator<SourceEntry> {
  for (let i = 0; i < SMALL_FILES; i++) yield entryOf(['small', String(i)], smallOf(content, i));
  yield entryOf(['large'], content);
}

function entryOf(path: readonly string[], content: Uint8Array): SourceEntry {
  const source: ByteSource = {
    read: (parts, offset) => {
      let at = offset;
      for (const part of parts) {
        const piece = content.subarray(at, at + part.length);
        part.set(piece);
        at += piece.length;
      }
      return Promise.resolve(at - offset);
    },
    check: () => Promise.resolve('ok'),
    close: () => Promise.resolve(),
  };
  const open = (): Promise<ByteSource> => Promise.resolve(source);
  return { path, type: 'file', sizeBytes: content.length, mtime: null, mode: null, origin: null, open };
}

function smallOf(content: Uint8Array, i: number): Uint8Array {
  return content.subarray(i * 100, i * 100 + ((i * 37) % 5_000));
}

function contentOf(length: number, seed: number): Uint8Array {
  const content = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < content.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    content[i] = state;
  }
  return new Uint8Array(content.buffer, 0, length);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
