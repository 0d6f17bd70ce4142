// What a full disk, a failed sync and a flipped bit do to a transfer, and that they do nothing to another one.
import { describe, expect, test } from 'vitest';
import { codeWhen } from '../../support/errors.ts';
import { FaultyLogStore } from '../../support/faulty-log-store.ts';
import { HubRig, RigTransfer } from '../../support/hub-rig.ts';
import { joined } from '../../support/log-fixtures.ts';

const KIB = 1024;

function keyOf(transfer: RigTransfer): string {
  return Buffer.from(transfer.id).toString('base64url');
}

describe('a full disk', () => {
  test('ends the writer, keeps what was written, and does not touch receivers', async () => {
    const rig = await HubRig.start({ logs: new FaultyLogStore({ maxBytes: 10 * KIB }) });
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const receiver = await rig.read(transfer);
    const [first, second] = [joined([transfer.manifest(), transfer.data(5_000)]), transfer.data(8_000)];
    writer.append(first);
    writer.append(second);
    await rig.clock.advance(1_000);
    expect(writer.ended).toMatchObject({ code: 'storageFull', retryAfterMs: 2_000 });
    expect(receiver.ended).toBeNull();
    const again = await rig.write(transfer, 'session', 2);
    expect(again.lease?.transfer.durable.index).toBe(2);
    again.append(second);
    await rig.clock.advance(1_000);
    expect(again.ended?.code).toBe('storageFull');
    expect(joined(receiver.pieces)).toEqual(first);
  });

  test('goes on when there is space again', async () => {
    const rig = await HubRig.start({ logs: new FaultyLogStore({ maxBytes: 10 * KIB }) });
    const [big, small] = [await rig.create(new RigTransfer(1)), await rig.create(new RigTransfer(2))];
    (await rig.write(big)).append(big.manifest(), big.data(7_000));
    await rig.clock.advance(100);
    const writer = await rig.write(small);
    const receiver = await rig.read(small);
    const records = joined([small.manifest(), small.data(5_000)]);
    writer.append(records);
    await rig.clock.advance(100);
    expect(writer.ended?.code).toBe('storageFull');
    await rig.clock.until(rig.hub.cancel(big.id, big.writeToken));
    const again = await rig.write(small, 'session', 2);
    again.append(records.subarray(receiver.bytes));
    await rig.clock.advance(100);
    expect(again.durable?.index).toBe(2);
    expect(joined(receiver.pieces)).toEqual(records);
  });
});

describe('a failed sync', () => {
  test('is final for the open log: everybody goes, and comes back to a log that was opened anew', async () => {
    const logs = new FaultyLogStore();
    const rig = await HubRig.start({ logs });
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const receiver = await rig.read(transfer);
    const records = [transfer.manifest(), transfer.data()];
    logs.failSync = true;
    writer.append(...records);
    await rig.clock.advance(1_000);
    expect(writer.durable).toBeNull();
    expect(writer.ended).toMatchObject({ code: 'internal', retryAfterMs: 2_000 });
    expect(receiver.ended?.retryable).toBe(true);
    const again = await rig.write(transfer, 'session', 2);
    again.append(joined(records).subarray(again.lease?.transfer.durable.position));
    await rig.clock.advance(1_000);
    expect(again.lease?.transfer.durable.index).toBe(2);
    const later = await rig.read(transfer);
    await rig.clock.advance(100);
    expect(joined(later.pieces)).toEqual(joined(records));
  });
});

describe('a bit that changed on the disk', () => {
  test('is not delivered; the transfer is marked, and only that one', async () => {
    const logs = new FaultyLogStore();
    const rig = await HubRig.start({ logs });
    const [bad, good] = [await rig.create(new RigTransfer(1)), await rig.create(new RigTransfer(2))];
    const pieces: Uint8Array[] = [];
    for (const transfer of [bad, good]) {
      const writer = await rig.write(transfer);
      pieces.push(joined([transfer.manifest(), transfer.data(), transfer.data()]));
      writer.append(pieces.at(-1) as Uint8Array);
      await rig.clock.advance(100);
      writer.leave();
    }
    logs.flipped.set(keyOf(bad), 1_500);
    const [badReceiver, goodReceiver] = [await rig.read(bad), await rig.read(good)];
    await rig.clock.advance(1_000);
    expect(badReceiver.ended?.code).toBe('corrupted');
    // What comes before the bad record verifies and may be given.
    expect(badReceiver.bytes).toBeLessThan(1_500);
    expect(joined(goodReceiver.pieces)).toEqual(pieces[1]);
    expect(goodReceiver.ended).toBeNull();
    expect((await rig.document(bad))?.isCorrupted).toBe(true);
    expect(await codeWhen(rig.hub.openToRead(bad.id, bad.readToken))).toBe('corrupted');
    expect(await codeWhen(rig.hub.openToWrite(bad.id, bad.writeToken))).toBe('corrupted');
    expect(await codeWhen(rig.hub.openToRead(good.id, good.readToken))).toBeNull();
    expect((await rig.hub.cancel(bad.id, bad.writeToken)).state).toBe('cancelled');
  });

  test('ends a live sender, because the transfer can never be complete', async () => {
    const logs = new FaultyLogStore();
    const rig = await HubRig.start({ logs });
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    writer.append(transfer.manifest(), transfer.data());
    await rig.clock.advance(100);
    logs.flipped.set(keyOf(transfer), 200);
    await rig.read(transfer);
    await rig.clock.advance(100);
    expect(writer.ended?.code).toBe('corrupted');
  });
});
