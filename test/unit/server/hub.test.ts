// The rules of the hub: who may make, open and write a transfer, and what is stored about it.
import { describe, expect, test } from 'vitest';
import type { TransferDocument } from '../../../src/server/hub/transfer-document.ts';
import { codeWhen } from '../../support/errors.ts';
import { settle } from '../../support/fake-clock.ts';
import { HoldingMetadataStore } from '../../support/holding-metadata-store.ts';
import { HubRig, RigTransfer } from '../../support/hub-rig.ts';
import { joined } from '../../support/log-fixtures.ts';

describe('create', () => {
  test('the same again changes nothing; another token, header or read token is a conflict', async () => {
    const { hub } = await HubRig.start();
    const { request } = new RigTransfer();
    const first = await hub.create(request);
    expect(await hub.create(request)).toEqual(first);
    for (const change of [{ writeToken: new Uint8Array(32) }, { readTokenHash: new Uint8Array(32) }]) {
      expect(await codeWhen(hub.create({ ...request, ...change }))).toBe('conflict');
    }
    expect(hub.stats().transfers).toBe(1);
  });

  test('two at once for one id: one token gets it', async () => {
    const { hub } = await HubRig.start();
    const { request } = new RigTransfer();
    const other = { ...request, writeToken: new Uint8Array(32) };
    const codes = await Promise.all(
      [hub.create(request), hub.create(other), hub.create(request)].map((act) => codeWhen(act)),
    );
    expect(codes).toEqual([null, 'conflict', null]);
  });

  test('the header must be that of the id', async () => {
    const { hub } = await HubRig.start();
    const request = { ...new RigTransfer().request, id: new Uint8Array(16) };
    expect(await codeWhen(hub.create(request))).toBe('protocol');
  });

  test('is refused when there are too many, or no space is left', async () => {
    const rig = await HubRig.start({ limits: { maxTransfers: 1 } });
    await rig.create(new RigTransfer(1));
    expect(await codeWhen(rig.create(new RigTransfer(2)))).toBe('limit');
    const full = await HubRig.start({ limits: { minFreeBytes: Number.MAX_SAFE_INTEGER } });
    expect(await codeWhen(full.create(new RigTransfer(1)))).toBe('storageFull');
  });

  test('what is stored holds no token', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const stored = JSON.stringify(await rig.document(transfer));
    for (const token of [transfer.writeToken, transfer.readToken]) {
      expect(stored).not.toContain(Buffer.from(token).toString('base64url'));
    }
  });
});

describe('access', () => {
  test('an id gives nothing, and one token does not do what the other does', async () => {
    const { hub, ...rig } = await HubRig.start();
    const { id, readToken, writeToken, request } = new RigTransfer();
    expect(rig.metadata).toBeDefined();
    await hub.create(request);
    const unknown = new Uint8Array(16).fill(99);
    expect(await codeWhen(hub.openToRead(unknown, readToken))).toBe('notFound');
    expect(await codeWhen(hub.openToWrite(unknown, writeToken))).toBe('notFound');
    expect(await codeWhen(hub.openToRead(id, writeToken))).toBe('notAllowed');
    expect(await codeWhen(hub.openToWrite(id, readToken))).toBe('notAllowed');
    expect(await codeWhen(hub.inspect(id, readToken))).toBe('notAllowed');
    expect(await codeWhen(hub.cancel(id, readToken))).toBe('notAllowed');
    expect(await codeWhen(hub.openToRead(id, new Uint8Array(0)))).toBe('notAllowed');
  });
});

describe('epochs', () => {
  test('another session takes over at once, and the first may not come back, not even after a restart', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const first = await rig.write(transfer, 'first');
    expect(first.writer?.epoch).toBe(1);
    const second = await rig.write(transfer, 'second');
    expect(first.ended?.code).toBe('fenced');
    expect(second.writer?.epoch).toBe(2);
    expect(await codeWhen(rig.write(transfer, 'first', 2))).toBe('fenced');
    expect(second.ended).toBeNull();
    const restarted = await rig.restart();
    expect(await codeWhen(restarted.write(transfer, 'first', 3))).toBe('fenced');
    expect((await restarted.write(transfer, 'second', 2)).writer?.epoch).toBe(2);
    expect((await restarted.write(transfer, 'third')).writer?.epoch).toBe(3);
  });

  test('a later attempt of the same session replaces the earlier one; an earlier one loses', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const first = await rig.write(transfer, 'session', 1);
    const third = await rig.write(transfer, 'session', 3);
    expect(first.ended?.code).toBe('fenced');
    expect(third.writer?.epoch).toBe(1);
    expect(await codeWhen(rig.write(transfer, 'session', 2))).toBe('fenced');
    expect(third.ended).toBeNull();
  });

  test('what a fenced writer appends is dropped, what it appended before is kept and durable', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const first = await rig.write(transfer, 'first');
    const records = [transfer.manifest(), transfer.data(), transfer.data()];
    first.append(...records);
    const second = await rig.write(transfer, 'second');
    expect(second.lease?.transfer.durable).toMatchObject({ index: 3, position: joined(records).length });
    first.append(transfer.data());
    await rig.clock.advance(1_000);
    expect(second.lease?.transfer.durable.index).toBe(3);
  });

  test('several claims at once are served one after another, and the last one writes', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writers = await Promise.all(['a', 'b', 'c', 'd'].map((session) => rig.write(transfer, session)));
    expect(writers.map(({ writer }) => writer?.epoch).sort()).toEqual([1, 2, 3, 4]);
    expect(writers.filter(({ ended }) => ended === null).map(({ writer }) => writer?.epoch)).toEqual([4]);
  });
});

describe('the seal', () => {
  test('is acknowledged only when the document says so', async () => {
    const metadata = new HoldingMetadataStore<TransferDocument>();
    const rig = await HubRig.start({ metadata });
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const receiver = await rig.read(transfer);
    metadata.hold();
    writer.append(transfer.manifest(), transfer.seal());
    await rig.clock.advance(1_000);
    expect(writer.writtenIndex).toBe(2);
    expect(writer.durable).toBeNull();
    expect(receiver.durables).toEqual([]);
    metadata.release();
    await settle();
    expect(writer.durable?.index).toBe(2);
    expect((await rig.document(transfer))?.state).toBe('sealed');
    expect(receiver.durables).toEqual([2]);
    expect(receiver.states.at(-1)?.state).toBe('sealed');
  });

  test('that was durable when the server died before the document was written is found again', async () => {
    const metadata = new HoldingMetadataStore<TransferDocument>();
    const rig = await HubRig.start({ metadata });
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    metadata.fail();
    writer.append(transfer.manifest(), transfer.seal());
    await rig.clock.advance(1_000);
    expect(writer.ended).not.toBeNull();
    metadata.release();
    expect((await rig.document(transfer))?.state).toBe('live');
    const again = await rig.write(transfer, 'again');
    expect(again.lease?.transfer.durable.isSealed).toBe(true);
    expect((await rig.document(transfer))?.state).toBe('sealed');
  });
});

describe('being idle', () => {
  test('a transfer that nobody uses is closed after a while, and opens again', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    writer.append(transfer.manifest(), transfer.data());
    writer.leave();
    expect(rig.hub.stats().openTransfers).toBe(1);
    await rig.clock.advance(11_000);
    expect(rig.hub.stats().openTransfers).toBe(0);
    const receiver = await rig.read(transfer);
    await rig.clock.advance(100);
    expect(receiver.follower?.cursor.index).toBe(2);
  });

  test('everything received is durable when the hub has closed', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    writer.append(transfer.manifest(), transfer.data());
    const restarted = await rig.restart();
    expect(writer.ended?.code).toBe('goingAway');
    expect(await restarted.hub.inspect(transfer.id, transfer.writeToken)).toMatchObject({ state: 'live' });
    expect((await restarted.write(transfer, 'next')).lease?.transfer.durable.index).toBe(2);
  });
});
