// A server on a real socket and clients of it, all of which are gone when the test is over.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import {
  createServer,
  type Listening,
  type ServerOptions,
  type SluiceServer,
} from '../../src/server/index.ts';
import { TestClient, TestSender, TestTransfer } from './test-client.ts';

export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-server-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Durability `os` unless the test asks for more: these tests do not pull the plug. */
export async function startServer(
  options: ServerOptions = {},
): Promise<Listening & { server: SluiceServer }> {
  const place = options.stores === undefined && options.dataDirectory === undefined;
  const dataDirectory = place ? { dataDirectory: await newFolder() } : {};
  const server = await createServer({ durability: 'os', ...dataDirectory, ...options });
  onTestFinished(() => server.close());
  return { server, ...(await server.listen()) };
}

export async function connect(
  url: string,
  options: { streamWindowBytes?: number } = {},
): Promise<TestClient> {
  const client = await TestClient.connect(url, options);
  onTestFinished(() => client.close());
  return client;
}

/** A client of its own that has created a transfer and opened it. */
export async function startSending(url: string, transfer = new TestTransfer()): Promise<TestSender> {
  const client = await connect(url);
  expect(await client.create(transfer)).toMatchObject({ type: 'created' });
  return TestSender.open(client, transfer);
}
