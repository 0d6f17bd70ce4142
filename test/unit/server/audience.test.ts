// What receivers get and are told, and what the sender is told about them.
import { describe, expect, test } from 'vitest';
import { codeWhen } from '../../support/errors.ts';
import { settle } from '../../support/fake-clock.ts';
import { HubRig, RigTransfer } from '../../support/hub-rig.ts';
import { joined } from '../../support/log-fixtures.ts';

describe('receivers', () => {
  test('get what was written, live and late, from the same bytes', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const live = await rig.read(transfer);
    const records = [transfer.manifest(), transfer.data(), transfer.data()];
    writer.append(...records);
    await settle();
    const late = await rig.read(transfer);
    await rig.clock.advance(100);
    expect(joined(live.pieces)).toEqual(joined(records));
    expect(joined(late.pieces)).toEqual(joined(records));
  });

  test('go on where they were, or are told that their past is not this one', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const manifest = transfer.manifest();
    const { chain } = transfer.builder.state;
    const rest = transfer.data();
    writer.append(manifest, rest);
    await rig.clock.advance(100);
    const receiver = await rig.read(transfer, { index: 1, chain });
    await rig.clock.advance(100);
    expect(joined(receiver.pieces)).toEqual(rest);
    expect(await codeWhen(rig.read(transfer, { index: 2, chain }))).toBe('chainMismatch');
    expect(await codeWhen(rig.read(transfer, { index: 3, chain }))).toBe('chainMismatch');
  });

  test('are told at most twenty times a second what is durable', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const receiver = await rig.read(transfer);
    writer.append(transfer.manifest());
    for (let i = 0; i < 200; i++) {
      await rig.clock.advance(10);
      writer.append(transfer.data());
    }
    await rig.clock.advance(1_000);
    expect(receiver.durables.at(-1)).toBe(201);
    expect(receiver.durables.length).toBeLessThanOrEqual(43);
    expect(receiver.durables.length).toBeGreaterThan(20);
  });

  test('are told when the sender comes and goes', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const receiver = await rig.read(transfer);
    const writer = await rig.write(transfer);
    writer.leave();
    expect(receiver.states.map(({ isSenderConnected }) => isSenderConnected)).toEqual([true, false]);
  });

  test('are summed up for the sender at most twice a second, and again for the next sender', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const [first, second] = [await rig.read(transfer), await rig.read(transfer)];
    writer.append(transfer.manifest(), transfer.data());
    await rig.clock.advance(2_000);
    const next = await rig.write(transfer, 'next');
    second.leave();
    await rig.clock.advance(2_000);
    expect(writer.receivers.length).toBeLessThanOrEqual(4);
    expect(writer.receivers.flat().filter(({ event }) => event === 'joined')).toHaveLength(2);
    expect(writer.receivers.flat().at(-1)?.receivedBytes).toBe(first.bytes);
    expect(
      next.receivers
        .flat()
        .map(({ event }) => event)
        .sort(),
    ).toEqual(['joined', 'left']);
  });

  test('are done only when they were given everything of a sealed transfer', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const [early, whole] = [await rig.read(transfer), await rig.read(transfer)];
    writer.append(transfer.manifest());
    await rig.clock.advance(100);
    early.leave(true);
    writer.append(transfer.seal());
    await rig.clock.advance(100);
    whole.leave(true);
    await rig.clock.advance(1_000);
    const last = new Map(writer.receivers.flat().map(({ receiverId, event }) => [receiverId, event]));
    expect(last.get(early.follower?.id ?? '')).toBe('left');
    expect(last.get(whole.follower?.id ?? '')).toBe('done');
  });

  test('that left keep no record in memory', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const receiver = await rig.read(transfer);
    writer.append(transfer.manifest(), transfer.data(50_000));
    await settle();
    expect(rig.hub.stats().hotBytes).toBeGreaterThan(50_000);
    receiver.leave();
    expect(rig.hub.stats()).toMatchObject({ hotBytes: 0, readAheadBytes: 0, receivers: 0 });
    expect(rig.hub.stats().givenBytes).toBe(receiver.bytes);
  });
});
