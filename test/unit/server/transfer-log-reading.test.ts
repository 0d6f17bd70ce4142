// What TransferLog gives back: seeking, reading, recovery. On the model disk.
import { beforeEach, describe, expect, test } from 'vitest';
import { nextChain } from '../../../src/protocol/index.ts';
import { INDEX_ENTRY_BYTES } from '../../../src/server/log/record-index.ts';
import { TransferLog } from '../../../src/server/log/transfer-log.ts';
import { digester } from '../../support/digester.ts';
import { joined, logOfAllKinds, RECORD_SIZE, startOfLog } from '../../support/log-fixtures.ts';
import { RecordMaker } from '../../support/record-maker.ts';
import { digestsOf, LOG_ID as ID, SimulatedLog } from '../../support/simulated-log.ts';

let world: SimulatedLog;

beforeEach(async () => {
  world = new SimulatedLog();
  await world.open();
});

describe('seek and digestAt', () => {
  test('find every record, committed or not, and the chain before it', async () => {
    const records = world.maker.many(50, 30);
    world.log.append(joined(records.slice(0, 30)));
    await world.clock.until(world.log.commit());
    world.log.append(joined(records.slice(30, 40)));
    await world.clock.advance(5);
    world.log.append(joined(records.slice(40)));
    expect([world.log.durable.index, world.log.written.index, world.log.received.index]).toEqual([
      30, 40, 50,
    ]);
    let position = 0;
    let chain: Uint8Array = startOfLog().chain;
    for (let i = 0; i <= 40; i++) {
      const point = await world.clock.until(world.log.seek(i));
      expect([point.index, point.position]).toEqual([i, position]);
      expect(point.chain).toEqual(chain);
      chain = nextChain(digester, chain, digestsOf(records)[i] as Uint8Array);
      position += (records[i] as Uint8Array).length;
    }
    expect(await world.allDigests()).toEqual(digestsOf(records));
    await expect(world.log.seek(51)).rejects.toThrow(RangeError);
    await expect(world.log.seek(-1)).rejects.toThrow(RangeError);
    await expect(world.log.digestAt(50)).rejects.toThrow(RangeError);
  });

  test.each(['zeros', 'noise', 'shifted', 'cut', 'one entry'])(
    'an index of %s is rebuilt',
    async (damage) => {
      const records = world.maker.many(100, 30);
      world.log.append(joined(records));
      await world.clock.until(world.log.close());
      const index = world.disk.indexOf(ID);
      const good = index.read(0, index.length);
      expect(good).toHaveLength(100 * INDEX_ENTRY_BYTES);
      if (damage === 'zeros') index.write(0, new Uint8Array(good.length));
      else if (damage === 'noise')
        index.write(
          0,
          good.map((byte, i) => byte ^ (i * 7 + 1)),
        );
      else if (damage === 'shifted') index.write(INDEX_ENTRY_BYTES, good.subarray(0, 99 * INDEX_ENTRY_BYTES));
      else if (damage === 'cut') index.truncate(10 * INDEX_ENTRY_BYTES + 5);
      else index.write(50 * INDEX_ENTRY_BYTES + 20, new Uint8Array(3));
      await world.open();
      const seeks = [99, 51, 1, 70].map((i) => world.log.seek(i));
      const points = await world.clock.until(Promise.all(seeks));
      expect(points.map(({ index: at }) => at)).toEqual([99, 51, 1, 70]);
      expect(await world.allDigests()).toEqual(digestsOf(records));
      expect(index.read(0, index.length)).toEqual(good);
    },
  );
});

test('an index of other contents is found out, though each entry is whole', async () => {
  const others = new RecordMaker(startOfLog(), 2);
  world.log.append(joined(others.many(20, 30)));
  await world.clock.until(world.log.commit());
  const stale = world.disk.indexOf(ID).read(0, 20 * INDEX_ENTRY_BYTES);
  await world.clock.until(world.log.close());
  await world.disk.remove(ID);
  await world.open();
  const records = world.maker.many(20, 30);
  world.log.append(joined(records));
  await world.clock.until(world.log.commit());
  world.disk.indexOf(ID).write(0, stale);
  expect(await world.allDigests()).toEqual(digestsOf(records));
  const point = await world.clock.until(world.log.seek(19));
  expect(nextChain(digester, point.chain, (records[19] as Uint8Array).slice(-32))).toEqual(
    world.log.durable.chain,
  );
});

describe('read', () => {
  test('gives whole records, at least one, none beyond what is written', async () => {
    const records = [
      world.maker.next(),
      ...world.maker.many(10, 100),
      world.maker.next(50_000),
      ...world.maker.many(3, 100),
    ];
    world.log.append(joined(records.slice(0, 14)));
    await world.clock.until(world.log.commit());
    world.log.append(records[14] as Uint8Array);
    const first = world.log.read(0, 1_000_000);
    await world.clock.advance(100);
    expect((await first).records).toBe(14);
    await world.reopen();
    for (const maxBytes of [1, 200, 450, 60_000, 1_000_000]) {
      expect(await world.readAll(maxBytes)).toEqual(records);
    }
    const { chunk } = await world.clock.until(world.log.read(0, 450));
    expect(chunk.length).toBeLessThanOrEqual(450);
    expect(await world.clock.until(world.log.read(world.log.written.position, 100))).toEqual({
      chunk: new Uint8Array(0),
      records: 0,
    });
    await expect(world.log.read(world.log.written.position + 1, 100)).rejects.toThrow(RangeError);
  });

  test('a flipped bit anywhere is found and never given out; what lies before it is', async () => {
    const records = world.maker.many(8, 40);
    world.log.append(joined(records));
    await world.clock.until(world.log.commit());
    const bad = 5;
    const start = joined(records.slice(0, bad)).length;
    const length = (records[bad] as Uint8Array).length;
    for (let at = 0; at < length; at++) {
      const bit = at % 8;
      world.disk.flipBit(ID, start + at, bit);
      const { chunk, records: count } = await world.clock.until(world.log.read(0, 100_000));
      expect(count).toBe(bad);
      expect(new Uint8Array(chunk)).toEqual(joined(records.slice(0, bad)));
      await expect(world.clock.until(world.log.read(start, 100_000))).rejects.toMatchObject({
        code: 'corrupted',
        detail: expect.stringContaining(`Record ${bad} at byte ${start}`),
      });
      world.disk.flipBit(ID, start + at, bit);
    }
    expect(await world.readAll()).toEqual(records);
  });

  test('a disk that refuses to read is corruption, other errors may pass', async () => {
    world.log.append(joined(world.maker.many(2)));
    await world.clock.until(world.log.commit());
    world.disk.failNext('read', 'EIO');
    await expect(world.clock.until(world.log.read(0, 100))).rejects.toMatchObject({ code: 'corrupted' });
    world.disk.failNext('read', 'EMFILE');
    await expect(world.clock.until(world.log.read(0, 100))).rejects.toMatchObject({
      code: 'internal',
      retryable: true,
    });
    expect(await world.readAll()).toHaveLength(2);
  });
});

describe('recovery', () => {
  test('keeps every record that verifies, synced before it counts as durable', async () => {
    const records = await world.dieWith(3, 4);
    world.disk.trace.length = 0;
    await world.open();
    expect(world.log.durable.index).toBe(7);
    expect(world.events.filter((event) => /rewrite|sync|writeMark/.test(event))).toEqual([
      'rewrite',
      'sync',
      'writeMark',
    ]);
    world.disk.crash();
    await world.open();
    expect(await world.readAll()).toEqual(records);
    expect(await world.allDigests()).toEqual(digestsOf(records));
  });

  test('with nothing above the mark reads no record and syncs nothing', async () => {
    await world.dieWith(5, 0);
    world.disk.trace.length = 0;
    await world.open();
    expect(world.log.durable.index).toBe(5);
    expect(world.events).toEqual([]);
  });

  test.each([1, 63, 64, 100, 145])('cuts off a record of which %d bytes were written', async (bytes) => {
    const records = await world.dieWith(3, 2);
    const end = joined(records).length;
    world.disk.recordsOf(ID).write(end, world.maker.next(50).subarray(0, bytes));
    await world.open();
    expect(world.log.durable.index).toBe(5);
    expect(world.disk.recordsOf(ID).length).toBe(end);
    world.log.append(new RecordMaker(world.log.durable, 2).next());
    expect((await world.clock.until(world.log.commit())).index).toBe(6);
    expect((await world.readAll()).slice(0, 5)).toEqual(records);
  });

  test('cuts off what does not verify above the mark, with all that follows', async () => {
    const records = await world.dieWith(3, 6);
    world.disk.flipBit(ID, joined(records.slice(0, 5)).length + 70, 3);
    await world.open();
    expect(world.log.durable.index).toBe(5);
    expect(world.disk.recordsOf(ID).length).toBe(world.log.durable.position);
    expect(world.disk.indexOf(ID).length).toBe(5 * INDEX_ENTRY_BYTES);
  });

  test('cuts off entries of the index that stand for no record, so that none is ever taken for a new one', async () => {
    await world.dieWith(5, 0);
    world.disk
      .indexOf(ID)
      .write(5 * INDEX_ENTRY_BYTES, world.disk.indexOf(ID).read(0, 3 * INDEX_ENTRY_BYTES));
    await world.open();
    expect(world.disk.indexOf(ID).length).toBe(5 * INDEX_ENTRY_BYTES);
  });

  test('missing bytes below the mark are corruption, and nothing is cut', async () => {
    const records = await world.dieWith(5, 0);
    const kept = joined(records).length - 1;
    world.disk.recordsOf(ID).truncate(kept);
    await expect(world.open()).rejects.toMatchObject({ code: 'corrupted' });
    expect(world.disk.recordsOf(ID).length).toBe(kept);
    await expect(world.open()).rejects.toMatchObject({ code: 'corrupted' });
  });

  test('a bad record below the mark does not keep the log from opening, but is never given out', async () => {
    const records = await world.dieWith(5, 2);
    world.disk.flipBit(ID, joined(records.slice(0, 2)).length + 70, 3);
    await world.open();
    expect(world.log.durable.index).toBe(7);
    await expect(world.readAll()).rejects.toMatchObject({ code: 'corrupted' });
    expect(world.disk.recordsOf(ID).length).toBe(world.log.durable.position);
  });

  test('without a mark everything is read and kept', async () => {
    const records = await world.dieWith(30, 3);
    world.disk.loseMark(ID);
    world.disk.indexOf(ID).truncate(0);
    await world.open();
    expect(world.log.durable.index).toBe(33);
    expect(await world.readAll()).toEqual(records);
    expect(await world.allDigests()).toEqual(digestsOf(records));
  });

  test('a mark of another transfer is no mark', async () => {
    const records = await world.dieWith(5, 0);
    const storage = await world.disk.open(ID);
    const options = {
      recordSizeBytes: RECORD_SIZE,
      digester,
      clock: world.clock,
      durability: 'disk',
    } as const;
    const other = await world.clock.until(
      TransferLog.open(storage, { ...options, headerHash: new Uint8Array(32).fill(9) }),
    );
    expect(other.durable.index).toBe(records.length);
    expect(other.durable.chain).not.toEqual(world.log.durable.chain);
  });

  test('a disk that cannot be read at open is an error, and nothing is cut', async () => {
    await world.dieWith(3, 4);
    const { length } = world.disk.recordsOf(ID);
    world.disk.failNext('read', 'EIO');
    await expect(world.open()).rejects.toMatchObject({ code: 'corrupted' });
    expect(world.disk.recordsOf(ID).length).toBe(length);
    await world.open();
    expect(world.log.durable.index).toBe(7);
  });

  test('goes on with the rules of the log where they were: open files, seal', async () => {
    const records = logOfAllKinds();
    world.log.append(joined(records.slice(0, 3)));
    await world.clock.until(world.log.close());
    await world.open();
    expect(world.log.durable.openFiles).toEqual([
      { file: 1, nextOffset: 1_000 },
      { file: 2, nextOffset: 5_000 },
    ]);
    world.log.append(joined(records.slice(3)));
    await world.clock.until(world.log.close());
    await world.open();
    expect(world.log.durable).toMatchObject({ isSealed: true, endedFiles: 4, nextFile: 5, openFiles: [] });
    expect(() => world.log.append(records[6] as Uint8Array)).toThrow(
      expect.objectContaining({ code: 'sealed' }),
    );
  });
});
