// The server on real sockets, with peers that are made of the protocol's own parts.
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemRandom } from '../../src/node/index.ts';
import { recordAt } from '../../src/protocol/index.ts';
import { contentOf } from '../support/log-fixtures.ts';
import { connect, newFolder, startSending, startServer } from '../support/server-rig.ts';
import { TestReceiver, TestSender, TestTransfer } from '../support/test-client.ts';

const MIB = 1024 * 1024;

describe('sending and receiving', () => {
  test('a receiver gets the bytes while they are being sent, and the whole when it is sealed', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    expect(sender.opened).toMatchObject({ epoch: 1, durable: { index: 0 }, isSealed: false });
    const receiver = await TestReceiver.open(await connect(url), sender.transfer);
    expect(receiver.opened).toMatchObject({ state: 'live', isSenderConnected: true, from: { index: 0 } });
    const content = contentOf(3_000_000);
    sender.manifest();
    sender.file(1, content.subarray(0, 1_000_000));
    await receiver.client.until(() => receiver.lengthOf(1) === 1_000_000, 'the first file');
    sender.file(2, content);
    sender.seal();
    await receiver.untilSealed();
    await sender.untilDurable();
    expect(receiver.hasContent(2, content)).toBe(true);
    const sealedAt = sender.builder.state.index;
    await receiver.client.until(() => receiver.durable?.index === sealedAt, 'the durable seal');
    expect(receiver.states.at(-1)?.state).toBe('sealed');
    receiver.complete();
    await sender.client.until(() => sender.receivers.some(({ event }) => event === 'done'), 'the summary');
  });

  test('a late receiver gets everything, while the transfer goes on', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    const content = contentOf(5_000_000);
    sender.manifest();
    sender.file(1, content);
    await sender.untilDurable();
    const receiver = await TestReceiver.open(await connect(url), sender.transfer);
    sender.file(2, content);
    sender.seal();
    await receiver.untilSealed();
    expect(receiver.hasContent(1, content)).toBe(true);
    expect(receiver.hasContent(2, content)).toBe(true);
  });

  test('a receiver goes on where it was', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    sender.manifest();
    const first = await TestReceiver.open(await connect(url), sender.transfer);
    await first.client.until(() => first.reader.state.index === 1, 'the manifest');
    const { index, chain } = first.reader.state;
    first.client.close();
    sender.file(1, contentOf(200_000));
    sender.seal();
    await sender.untilDurable();
    const from = { index, chain };
    const second = await TestReceiver.open(await connect(url), sender.transfer, {
      from,
      reader: first.reader,
    });
    await second.untilSealed();
    expect(second.hasContent(1, contentOf(200_000))).toBe(true);
    const wrong = { index, chain: new Uint8Array(32) };
    const third = await TestReceiver.open(await connect(url), sender.transfer, { from: wrong });
    expect(third.reset?.code).toBe('chainMismatch');
  });

  test('twenty receivers, on connections of their own and together on one', async () => {
    const { url, server } = await startServer();
    const sender = await startSending(url);
    const together = await connect(url);
    const clients = await Promise.all(Array.from({ length: 10 }, () => connect(url)));
    const receivers = await Promise.all(
      [...clients, ...new Array(10).fill(together)].map((client) =>
        TestReceiver.open(client, sender.transfer),
      ),
    );
    expect(server.stats()).toMatchObject({ receivers: 20, connections: 12, senders: 1 });
    const content = contentOf(2_000_000);
    sender.manifest();
    sender.file(1, content);
    sender.seal();
    await Promise.all(receivers.map((receiver) => receiver.untilSealed()));
    for (const receiver of receivers) expect(receiver.hasContent(1, content)).toBe(true);
  });

  test('create and the open behind it need no answer in between', async () => {
    const { url } = await startServer();
    const client = await connect(url);
    const transfer = new TestTransfer();
    const sender = await TestSender.open(client, transfer, { isCreating: true });
    expect(sender.opened?.epoch).toBe(1);
  });

  test('inspect and cancel answer and close their stream', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    const receiver = await TestReceiver.open(await connect(url), sender.transfer);
    sender.manifest();
    await sender.untilDurable();
    const { id, writeToken } = sender.transfer;
    const { client } = sender;
    const before = client.connection.streamCount;
    expect(await client.ask((stream) => ({ type: 'inspect', stream, id, writeToken }))).toMatchObject({
      type: 'inspected',
      state: 'live',
      isSenderConnected: true,
      durableBytes: sender.builder.state.position,
    });
    expect(await client.ask((stream) => ({ type: 'cancel', stream, id, writeToken }))).toMatchObject({
      type: 'state',
      state: 'cancelled',
    });
    await receiver.client.until(() => receiver.reset !== null, 'the reset');
    expect(receiver.reset?.code).toBe('cancelled');
    expect(receiver.states.at(-1)?.state).toBe('cancelled');
    await client.until(() => sender.reset !== null, 'the reset of the sender');
    await client.until(() => client.connection.streamCount < before, 'closed streams');
  });
});

describe('slow receivers', () => {
  test('one that stopped costs a bounded amount of memory and nobody else any time', async () => {
    const { url, server } = await startServer({ hotBytesPerTransfer: 4 * MIB });
    const sender = await startSending(url, new TestTransfer(256 * 1024));
    const stopped = await TestReceiver.open(await connect(url, { streamWindowBytes: MIB }), sender.transfer, {
      isStopped: true,
    });
    const fast = await TestReceiver.open(await connect(url), sender.transfer);
    const content = contentOf(2 * MIB);
    sender.manifest();
    for (let file = 1; file <= 20; file++) {
      sender.file(file, content);
      await fast.client.until(() => fast.lengthOf(file) === content.length, `file ${file}`);
      expect(server.stats().hotBytes).toBeLessThanOrEqual(5 * MIB);
      expect(server.stats().readAheadBytes).toBeLessThanOrEqual(3 * MIB);
    }
    sender.seal();
    await fast.untilSealed();
    expect(stopped.receivedBytes).toBeLessThanOrEqual(MIB);
    expect(stopped.reset).toBeNull();
  });

  test('one that stopped and goes on gets everything, from disk and then live', async () => {
    const { url } = await startServer({ hotBytesPerTransfer: MIB });
    const sender = await startSending(url);
    const slow = await TestReceiver.open(await connect(url, { streamWindowBytes: MIB }), sender.transfer, {
      isStopped: true,
    });
    const content = contentOf(8 * MIB);
    sender.manifest();
    sender.file(1, content);
    await sender.untilDurable();
    slow.resume();
    sender.file(2, content);
    sender.seal();
    await slow.untilSealed();
    expect(slow.hasContent(1, content)).toBe(true);
    expect(slow.hasContent(2, content)).toBe(true);
  });
});

describe('damage', () => {
  test('on the way to a receiver is repaired from disk', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    let chunks = 0;
    const receiver = await TestReceiver.open(await connect(url), sender.transfer, {
      onChunk: (chunk) => {
        chunks += 1;
        if (chunks !== 2 && chunks !== 12) return chunk;
        const broken = chunk.slice();
        broken[broken.length - 40] = (broken[broken.length - 40] ?? 0) ^ 4;
        return broken;
      },
    });
    const content = contentOf(4 * MIB);
    sender.manifest();
    sender.file(1, content);
    sender.seal();
    await receiver.untilSealed();
    expect(receiver.nacks).toBeGreaterThan(0);
    expect(receiver.hasContent(1, content)).toBe(true);
  });

  test('on the way from a sender is repaired by sending again', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    const receiver = await TestReceiver.open(await connect(url), sender.transfer);
    sender.manifest();
    sender.damageNext(2);
    sender.file(1, contentOf(MIB));
    sender.seal();
    await receiver.untilSealed();
    await sender.untilDurable();
    expect(sender.nacks.length).toBeGreaterThan(0);
    expect(receiver.hasContent(1, contentOf(MIB))).toBe(true);
  });

  test('on the disk of the server is reported and not delivered', async () => {
    const dataDirectory = await newFolder();
    const first = await startServer({ dataDirectory });
    const [bad, good] = [await startSending(first.url), await startSending(first.url)];
    for (const sender of [bad, good]) {
      sender.manifest();
      sender.file(1, contentOf(500_000));
      sender.seal();
      await sender.untilDurable();
    }
    await first.server.close();
    const folder = join(dataDirectory, 't', Buffer.from(bad.transfer.id).toString('base64url'));
    const [segment] = (await readdir(folder)).filter((name) => name.endsWith('.log'));
    const file = await open(join(folder, segment as string), 'r+');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 200_000);
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ 16]), 0, 1, 200_000);
    await file.close();

    const { url } = await startServer({ dataDirectory });
    const badReceiver = await TestReceiver.open(await connect(url), bad.transfer);
    await badReceiver.client.until(() => badReceiver.reset !== null, 'the reset');
    expect(badReceiver.reset?.code).toBe('corrupted');
    expect(badReceiver.receivedBytes).toBeLessThan(200_000);
    const again = await TestReceiver.open(await connect(url), bad.transfer);
    expect(again.reset?.code).toBe('corrupted');
    const goodReceiver = await TestReceiver.open(await connect(url), good.transfer);
    await goodReceiver.untilSealed();
    expect(goodReceiver.hasContent(1, contentOf(500_000))).toBe(true);
  });
});

describe('restarts and takeovers', () => {
  test('everything received is there after the server was closed and started again', async () => {
    const dataDirectory = await newFolder();
    const first = await startServer({ dataDirectory, durability: 'disk' });
    const sender = await startSending(first.url);
    const content = contentOf(3_000_000);
    sender.manifest();
    sender.file(1, content);
    await sender.client.until(() => sender.received === sender.builder.state.index, 'all received');
    await first.server.close();
    await sender.client.until(() => sender.client.ended !== null, 'the end');
    expect(sender.client.isGoingAway).toBe(true);
    expect(sender.client.ended?.error?.code).toBe('goingAway');

    const second = await startServer({ dataDirectory, durability: 'disk' });
    const client = await connect(second.url);
    const resumed = await TestSender.open(client, sender.transfer, { from: sender, attempt: 2 });
    expect(resumed.opened?.durable.index).toBe(sender.builder.state.index);
    resumed.file(2, content);
    resumed.seal();
    await resumed.untilDurable();
    const receiver = await TestReceiver.open(await connect(second.url), sender.transfer);
    await receiver.untilSealed();
    expect(receiver.hasContent(1, content)).toBe(true);
    expect(receiver.hasContent(2, content)).toBe(true);
  });

  test('another sender session takes over and the first is fenced', async () => {
    const { url } = await startServer();
    const first = await startSending(url);
    first.manifest();
    await first.untilDurable();
    const session = systemRandom.bytes(16);
    const second = await TestSender.open(await connect(url), first.transfer, { session, from: first });
    expect(second.opened).toMatchObject({ epoch: 2, durable: { index: 1 } });
    await first.client.until(() => first.reset !== null, 'the fence');
    expect(first.reset?.code).toBe('fenced');
    second.seal();
    await second.untilDurable();
    const late = await TestSender.open(await connect(url), first.transfer, { from: second, attempt: 2 });
    expect(late.opened).toMatchObject({ epoch: 2, isSealed: true });
  });
});

describe('peers that do wrong', () => {
  test('tokens that are not right open nothing', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    const client = await connect(url);
    const stranger = new TestTransfer();
    expect((await TestReceiver.open(client, stranger)).reset?.code).toBe('notFound');
    expect((await TestSender.open(client, stranger)).reset?.code).toBe('notFound');
    const guess = Object.assign(Object.create(sender.transfer) as TestTransfer, {
      readToken: sender.transfer.writeToken,
      writeToken: sender.transfer.readToken,
    });
    expect((await TestReceiver.open(client, guess)).reset?.code).toBe('notAllowed');
    expect((await TestSender.open(client, guess)).reset?.code).toBe('notAllowed');
    expect(client.ended).toBeNull();
    expect(sender.reset).toBeNull();
  });

  test('garbage ends the connection it comes on, and no other', async () => {
    const { url, server } = await startServer();
    const sender = await startSending(url);
    const receiver = await TestReceiver.open(await connect(url), sender.transfer);
    sender.manifest();
    for (const garbage of [
      'no json',
      '{"type":"open"}',
      [new Uint8Array(5)],
      [new Uint8Array([9, 0, 0, 0, 0, 0, 0, 1, 2, 3])],
      [new Uint8Array([1, 0, 0, 0, 0, 0, 0])],
    ]) {
      const vandal = await connect(url);
      vandal.sendRaw(garbage);
      await vandal.until(() => vandal.ended !== null, 'the end');
      expect(vandal.ended?.error?.code).toBe('protocol');
    }
    sender.file(1, contentOf(100_000));
    sender.seal();
    await receiver.untilSealed();
    expect(server.stats().connections).toBe(2);
  });

  test('data without credit ends the connection', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    const client = await connect(url);
    const { stream } = await TestReceiver.open(client, sender.transfer);
    client.sendRaw([new Uint8Array([1, 0, 0, 0, 0, 0, 0, stream]), new Uint8Array(100)]);
    await client.until(() => client.ended !== null, 'the end');
    expect(client.ended?.error?.code).toBe('flowControl');
    sender.manifest();
    await sender.untilDurable();
  });

  test('nonsense instead of records is asked for again and then ends the stream', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    const { client, stream } = sender;
    for (let i = 0; i < 9; i++)
      client.sendRaw([new Uint8Array([1, 0, 0, 0, 0, 0, 0, stream]), new Uint8Array(500)]);
    await client.until(() => sender.reset !== null, 'the reset');
    expect(sender.reset?.code).toBe('digestMismatch');
    expect(client.ended).toBeNull();
  });

  test('a record that breaks a rule ends its stream, not the connection', async () => {
    const { url } = await startServer();
    const client = await connect(url);
    const [wrong, right] = [new TestTransfer(), new TestTransfer()];
    await client.create(wrong);
    await client.create(right);
    const [bad, good] = [await TestSender.open(client, wrong), await TestSender.open(client, right)];
    bad.manifest();
    bad.skipRecord();
    bad.file(1, contentOf(10));
    await client.until(() => bad.reset !== null, 'the reset');
    expect(bad.reset?.code).toBe('protocol');
    good.manifest();
    good.seal();
    await good.untilDurable();
  });

  test('a receiver that rejects the same record for ever is reset', async () => {
    const { url } = await startServer();
    const sender = await startSending(url);
    sender.manifest();
    const receiver = await TestReceiver.open(await connect(url), sender.transfer, {
      onChunk: (chunk) => {
        expect(recordAt(chunk, 0).header.index).toBe(0);
        return new Uint8Array(chunk.length);
      },
    });
    receiver.isStubborn = true;
    await receiver.client.until(() => receiver.reset !== null, 'the reset');
    expect(receiver.reset?.code).toBe('digestMismatch');
  });

  test('a connection on which nothing is opened is closed', async () => {
    const { url } = await startServer({ unauthenticatedMs: 100 });
    const client = await connect(url);
    await client.until(() => client.ended !== null, 'the end');
    expect(client.ended?.error?.code).toBe('peerTimeout');
  });

  test('streams beyond the limit are refused', async () => {
    const { url } = await startServer({ maxStreams: 3 });
    const sender = await startSending(url);
    const client = await connect(url);
    const receivers = [];
    for (let i = 0; i < 4; i++) receivers.push(await TestReceiver.open(client, sender.transfer));
    expect(receivers.map(({ reset }) => reset?.code ?? null)).toEqual([null, null, null, 'limit']);
  });
});

test('a full disk stops the sender until there is space', async () => {
  const { MemoryLogStore, MemoryMetadataStore } = await import('../../src/server/index.ts');
  const stores = { metadata: new MemoryMetadataStore<never>(), logs: new MemoryLogStore({ maxBytes: MIB }) };
  const { url } = await startServer({ stores, minFreeBytes: 0 });
  const sender = await startSending(url);
  const receiver = await TestReceiver.open(await connect(url), sender.transfer);
  sender.manifest();
  sender.file(1, contentOf(3 * MIB));
  await sender.client.until(() => sender.reset !== null, 'the reset');
  expect(sender.reset).toMatchObject({ code: 'storageFull', retryAfterMs: 2_000 });
  expect(receiver.reset).toBeNull();
  const again = await TestSender.open(sender.client, sender.transfer, { from: sender, attempt: 2 });
  expect(again.opened?.durable.index).toBeGreaterThan(1);
});
