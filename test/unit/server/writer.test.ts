// What becomes of the records a sender hands over.
import { describe, expect, test } from 'vitest';
import { settle } from '../../support/fake-clock.ts';
import { HubRig, RigTransfer } from '../../support/hub-rig.ts';
import { joined } from '../../support/log-fixtures.ts';

describe('writing', () => {
  test('records are acknowledged when written and again when durable', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const records = [transfer.manifest(), transfer.data()];
    writer.append(...records);
    await settle();
    expect(writer).toMatchObject({ writtenIndex: 2, writtenBytes: joined(records).length, durable: null });
    await rig.clock.advance(100);
    expect(writer.durable?.index).toBe(2);
    expect(writer.durable?.chain).toEqual(transfer.builder.state.chain);
  });

  test('a damaged record is asked for once, and what follows is dropped until it comes', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const records = [transfer.manifest(), transfer.data(), transfer.data(), transfer.data(), transfer.data()];
    const [manifest, one, two, three, four] = records as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const broken = two.slice();
    broken[100] = 1;
    writer.append(manifest, one);
    writer.append(broken, three);
    writer.append(four);
    expect(writer.damaged).toEqual([2]);
    writer.append(two, three, four);
    await settle();
    expect(writer.writtenIndex).toBe(5);
    expect(writer.damaged).toEqual([2]);
    expect(writer.droppedBytes).toBe(two.length + three.length + four.length);
    expect(writer.writtenBytes).toBe(joined(records).length);
  });

  test.each([
    ['kind', 1],
    ['index', 15],
    ['body length', 35],
    ['format', 0],
  ])('a header damaged at its %s is damage as well', async (_, at) => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const record = transfer.manifest();
    const broken = record.slice();
    broken[at] = (broken[at] ?? 0) ^ 0x40;
    writer.append(broken);
    expect(writer.damaged).toEqual([0]);
    writer.append(record);
    await settle();
    expect(writer.writtenIndex).toBe(1);
  });

  test('a record that comes damaged again and again ends the writer', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    for (let i = 0; i < 20; i++) writer.append(new Uint8Array(300).fill(9));
    expect(writer.damaged).toEqual(new Array(8).fill(0));
    expect(writer.ended?.code).toBe('digestMismatch');
  });

  test('a repeated record is dropped; the same index with other content is a conflict', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const manifest = transfer.manifest();
    const other = new RigTransfer();
    other.manifest();
    const different = other.data(1_000, 8);
    const one = transfer.data();
    writer.append(manifest, one);
    await settle();
    writer.append(one, transfer.data());
    await rig.clock.advance(100);
    expect(writer).toMatchObject({ writtenIndex: 3, droppedBytes: one.length, ended: null });
    writer.append(different);
    await rig.clock.advance(100);
    expect(writer.ended?.code).toBe('conflict');
  });

  test('a record that breaks a rule ends the writer; those before it are kept', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    const manifest = transfer.manifest();
    transfer.data();
    writer.append(manifest, transfer.data());
    await rig.clock.advance(100);
    expect(writer.ended?.code).toBe('protocol');
    const again = await rig.write(transfer, 'again');
    expect(again.lease?.transfer.durable.index).toBe(1);
  });

  test('after the seal nothing is taken', async () => {
    const rig = await HubRig.start();
    const transfer = await rig.create(new RigTransfer());
    const writer = await rig.write(transfer);
    writer.append(transfer.manifest(), transfer.seal());
    await rig.clock.advance(100);
    const other = new RigTransfer();
    other.manifest();
    other.data();
    writer.append(other.data());
    expect(writer.ended?.code).toBe('sealed');
  });
});
