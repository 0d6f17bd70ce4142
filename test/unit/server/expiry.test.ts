// How transfers end: cancelled, expired, forgotten.
import { describe, expect, test } from 'vitest';
import type { TransferDocument } from '../../../src/server/hub/transfer-document.ts';
import { MemoryLogStore } from '../../../src/server/log/memory-log-store.ts';
import { codeWhen } from '../../support/errors.ts';
import { HoldingMetadataStore } from '../../support/holding-metadata-store.ts';
import { DAY_MS, HOUR_MS, HubRig, RigTransfer } from '../../support/hub-rig.ts';

describe('the end of a transfer', () => {
  test('cancel tells everybody, removes the bytes and is remembered', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const receiver = await rig.read(transfer);
    writer.append(transfer.manifest());
    await rig.clock.advance(100);
    const { id, writeToken, readToken } = transfer;
    const status = await rig.clock.until(rig.hub.cancel(id, writeToken));
    expect(status.state).toBe('cancelled');
    expect(receiver.states.at(-1)?.state).toBe('cancelled');
    expect(receiver.ended?.code).toBe('cancelled');
    expect(writer.ended?.code).toBe('cancelled');
    expect(await rig.logs.ids()).toEqual([]);
    expect(await rig.hub.cancel(id, writeToken)).toEqual(status);
    expect(await codeWhen(rig.hub.openToRead(id, readToken))).toBe('cancelled');
    expect(await codeWhen(rig.hub.openToRead(id, writeToken))).toBe('notAllowed');
    expect(await codeWhen(rig.hub.create(transfer.request))).toBe('cancelled');
    expect(await rig.hub.inspect(id, writeToken)).toMatchObject({ state: 'cancelled', durableBytes: 0 });
  });

  test('expires a day after the last record, is remembered for a week, and then unknown', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    await rig.clock.advance(10 * HOUR_MS);
    writer.append(transfer.manifest());
    await rig.clock.advance(100);
    writer.leave();
    await rig.clock.advance(23 * HOUR_MS);
    const receiver = await rig.read(transfer);
    await rig.clock.advance(2 * HOUR_MS);
    expect(receiver.states.at(-1)?.state).toBe('expired');
    expect(receiver.ended?.code).toBe('expired');
    expect(await rig.logs.ids()).toEqual([]);
    expect(await codeWhen(rig.hub.openToRead(transfer.id, transfer.readToken))).toBe('expired');
    await rig.clock.advance(6 * DAY_MS);
    expect(await codeWhen(rig.hub.openToRead(transfer.id, transfer.readToken))).toBe('expired');
    await rig.clock.advance(2 * DAY_MS);
    expect(await codeWhen(rig.hub.openToRead(transfer.id, transfer.readToken))).toBe('notFound');
  });

  test('a connected sender keeps it alive, and a crash does not forget that', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    await rig.clock.advance(5 * DAY_MS);
    expect(writer.ended).toBeNull();
    const { clock, metadata, logs } = rig;
    expect(((await rig.document(transfer))?.expiresAtMs ?? 0) - clock.wallNow()).toBeGreaterThan(
      DAY_MS - 200_000,
    );
    // Another hub on the same documents, as after a crash; the first one still has the storage open.
    const other = await HubRig.start({ clock, metadata, logs: new MemoryLogStore() });
    expect(await codeWhen(other.read(transfer))).toBeNull();
    expect(await logs.ids()).toHaveLength(1);
  });

  test('a use is refused in the moment of expiry, without waiting for the next look', async () => {
    const rig = await HubRig.start({ limits: { sweepMs: 100 * DAY_MS } });
    const transfer = await rig.create(new RigTransfer(), 5_000);
    await rig.clock.advance(4_999);
    expect(await codeWhen(rig.read(transfer))).toBeNull();
    await rig.clock.advance(1);
    expect(await codeWhen(rig.hub.openToRead(transfer.id, transfer.readToken))).toBe('expired');
  });

  test('a sender may ask for a longer life, up to a limit', async () => {
    const rig = await HubRig.start();
    const { expiresAtMs } = await rig.hub.create({ ...new RigTransfer().request, expiresMs: 30 * DAY_MS });
    expect(expiresAtMs - rig.clock.wallNow()).toBe(7 * DAY_MS);
  });

  test('the time of expiry is stored at most once a minute', async () => {
    const metadata = new HoldingMetadataStore<TransferDocument>();
    const rig = await HubRig.start({ metadata });
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    writer.append(transfer.manifest());
    const before = metadata.puts;
    for (let i = 0; i < 600; i++) {
      writer.append(transfer.data(10));
      await rig.clock.advance(500);
    }
    expect(metadata.puts - before).toBeLessThanOrEqual(6);
    expect(metadata.puts - before).toBeGreaterThanOrEqual(4);
  });

  test('bytes that no document claims are removed at the start', async () => {
    const logs = new MemoryLogStore();
    const rig = await HubRig.start({ logs });
    const transfer = await rig.create(new RigTransfer());
    (await rig.write(transfer)).append(transfer.manifest());
    const orphan = await logs.open(Buffer.alloc(16).toString('base64url'));
    await orphan.close();
    const restarted = await rig.restart();
    expect(await restarted.logs.ids()).toEqual([Buffer.from(transfer.id).toString('base64url')]);
  });
});
