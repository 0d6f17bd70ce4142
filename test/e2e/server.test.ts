// The server on real sockets, with peers that are made of the protocol's own parts.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { createServer, type ServerOptions, type SluiceServer } from '../../src/server/index.ts';
import { contentOf } from '../support/log-fixtures.ts';
import { TestClient, TestReceiver, TestSender, TestTransfer } from '../support/test-client.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-server-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function start(options: ServerOptions = {}): Promise<{ server: SluiceServer; url: string }> {
  const dataDirectory = options.dataDirectory ?? (await newFolder());
  const server = await createServer({ ...options, dataDirectory, durability: options.durability ?? 'os' });
  cleanups.push(() => server.close());
  const { url } = await server.listen();
  return { server, url };
}

async function connect(url: string, options = {}): Promise<TestClient> {
  const client = await TestClient.connect(url, options);
  cleanups.push(() => client.close());
  return client;
}

async function startSending(url: string, transfer = new TestTransfer()): Promise<TestSender> {
  const client = await connect(url);
  expect(await client.create(transfer)).toMatchObject({ type: 'created' });
  return TestSender.open(client, transfer);
}

describe('sending and receiving', () => {
  test('a receiver gets the bytes while they are being sent, and the whole when it is sealed', async () => {
    const { url } = await start();
    const sender = await startSending(url);
    expect(sender.opened).toMatchObject({ epoch: 1, durable: { index: 0 }, isSealed: false });
    const receiver = await TestReceiver.open(await connect(url), sender.transfer);
    const content = contentOf(3_000_000);
    sender.manifest();
    sender.file(1, content.subarray(0, 1_000_000));
    await receiver.client.until(() => receiver.contentOf(1).length === 1_000_000, 'the first file');
    sender.file(2, content);
    sender.seal();
    await receiver.untilSealed();
    await sender.untilDurable();
    expect(receiver.contentOf(2)).toEqual(Buffer.from(content));
    receiver.complete();
    await sender.client.until(() => sender.receivers.some(({ event }) => event === 'done'), 'the summary');
  });
});
