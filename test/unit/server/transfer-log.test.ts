// TransferLog on the model disk: what is acknowledged when, what happens on every kind of failure, what is read back.
import { beforeEach, describe, expect, test } from 'vitest';
import { type LogSnapshot, nextChain, recordsIn, type SluiceError } from '../../../src/protocol/index.ts';
import { INDEX_ENTRY_BYTES } from '../../../src/server/log/record-index.ts';
import { TransferLog, type TransferLogOptions } from '../../../src/server/log/transfer-log.ts';
import { digester } from '../../support/digester.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { joined, logOfAllKinds, RECORD_SIZE, startOfLog } from '../../support/log-fixtures.ts';
import { RecordMaker } from '../../support/record-maker.ts';
import { SimulatedDisk } from '../../support/simulated-disk.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAAA0';

let clock: FakeClock;
let disk: SimulatedDisk;
let log: TransferLog;
let maker: RecordMaker;
/** What the listener was told, in order, with the calls of the disk. */
let events: string[];
let failures: SluiceError[];

async function open(options: Partial<TransferLogOptions> = {}): Promise<TransferLog> {
  const headerHash = startOfLog().chain;
  const storage = await disk.open(ID);
  const opened = await clock.until(
    TransferLog.open(storage, {
      headerHash,
      recordSizeBytes: RECORD_SIZE,
      digester,
      clock,
      durability: 'disk',
      ...options,
    }),
  );
  opened.setListener({
    onWritten: (chunk, first, next) => {
      expect(next.position - first.position).toBe(chunk.length);
      disk.trace.push(`onWritten ${first.index}..${next.index}`);
    },
    onDurable: ({ index }) => disk.trace.push(`onDurable ${index}`),
    onFailed: (error) => {
      failures.push(error);
      disk.trace.push(`onFailed ${error.code}`);
    },
  });
  return opened;
}

async function readAll(from: TransferLog, maxBytes = 1_000): Promise<Uint8Array[]> {
  const records: Uint8Array[] = [];
  let position = 0;
  while (position < from.written.position) {
    const { chunk, records: count } = await clock.until(from.read(position, maxBytes));
    const found = recordsIn(chunk);
    expect(found).toHaveLength(count);
    expect(count).toBeGreaterThan(0);
    records.push(...found.map(({ bytes }) => new Uint8Array(bytes)));
    position += chunk.length;
  }
  return records;
}

beforeEach(async () => {
  clock = new FakeClock();
  disk = new SimulatedDisk({ clock });
  failures = [];
  events = disk.trace;
  log = await open();
  maker = new RecordMaker();
});

describe('append', () => {
  test('a record is accepted at once, written, and durable after sync and mark, in this order', async () => {
    log.append(joined(maker.many(2)));
    expect(log.received.index).toBe(2);
    expect(log.written.index).toBe(0);
    await clock.advance(100);
    const end = log.written.position;
    expect(events.filter((event) => event !== 'writeIndex')).toEqual([
      `append 0..${end}`,
      'onWritten 0..2',
      'sync',
      'writeMark',
      'onDurable 2',
    ]);
    expect(log.durable).toEqual(log.written);
  });

  test('hands the very chunk on', async () => {
    const chunk = joined(maker.many(3));
    const seen: Uint8Array[] = [];
    log.setListener({ onWritten: (written) => seen.push(written), onDurable: () => {}, onFailed: () => {} });
    log.append(chunk);
    await clock.advance(100);
    expect(seen[0]).toBe(chunk);
  });

  test('a damaged record is refused with its index, those before it are kept, those behind it dropped', async () => {
    const [first, second, third] = maker.many(3) as [Uint8Array, Uint8Array, Uint8Array];
    const damaged = second.slice();
    damaged[80] = (damaged[80] as number) ^ 1;
    expect(() => log.append(joined([first, damaged, third]))).toThrow(
      expect.objectContaining({ code: 'digestMismatch', detail: 'Record 1.' }),
    );
    expect(log.received.index).toBe(1);
    await clock.advance(100);
    expect(log.durable.index).toBe(1);
    log.append(joined([second, third]));
    await clock.until(log.commit());
    expect(await readAll(log)).toEqual([first, second, third]);
  });

  test('a record in the wrong place, a cut one, and one behind the seal are refused; nothing is written', async () => {
    const records = logOfAllKinds();
    expect(() => log.append(records[1] as Uint8Array)).toThrow(expect.objectContaining({ code: 'protocol' }));
    log.append(joined(records.slice(0, 2)));
    expect(() => log.append((records[2] as Uint8Array).subarray(0, 80))).toThrow(
      expect.objectContaining({ code: 'protocol' }),
    );
    log.append(joined(records.slice(2)));
    expect(() => log.append(records[6] as Uint8Array)).toThrow(expect.objectContaining({ code: 'sealed' }));
    await clock.until(log.commit());
    expect(await readAll(log)).toEqual(records);
  });

  test('an empty chunk does nothing', async () => {
    log.append(new Uint8Array(0));
    await clock.advance(100);
    expect(events).toEqual([]);
  });
});

describe('commit', () => {
  const syncs = (): number => events.filter((event) => event === 'sync').length;

  test('waits 20 ms for more, then is one sync for all of it', async () => {
    disk.maxDelayMs = 0;
    for (const record of maker.many(10)) log.append(record);
    await clock.advance(19);
    expect(log.written.index).toBe(10);
    expect(syncs()).toBe(0);
    await clock.advance(1);
    expect(syncs()).toBe(1);
    expect(log.durable.index).toBe(10);
  });

  test('starts at once when 8 MiB were written', async () => {
    disk.maxDelayMs = 0;
    const record = maker.next();
    log.append(record);
    let bytes = record.length;
    while (bytes < 8 * 1024 * 1024) {
      const next = maker.next(60_000);
      log.append(next);
      bytes += next.length;
    }
    await clock.advance(1);
    expect(syncs()).toBe(1);
    expect(log.durable.position).toBe(bytes);
  });

  test('is not made when nothing is new', async () => {
    log.append(maker.next());
    await clock.advance(1_000);
    expect(syncs()).toBe(1);
    expect(clock.nextTimerAt).toBe(null);
    expect(await log.commit()).toBe(log.durable);
  });

  test('never two at once; what came meanwhile is in the next', async () => {
    disk.maxDelayMs = 0;
    log = await reopened({ commitBytes: 1 });
    disk.maxDelayMs = 50;
    for (let i = 0; i < 40; i++) {
      log.append(maker.next());
      await clock.advance(7);
    }
    await clock.advance(1_000);
    expect(log.durable.index).toBe(40);
    const commits = events.filter((event) => /^(sync|writeMark|onDurable)/.test(event));
    commits.forEach((event, i) => {
      expect(event).toMatch([/^sync/, /^writeMark/, /^onDurable/][i % 3] as RegExp);
    });
    expect(commits.length / 3).toBeLessThan(40);
  });

  test('what was too late for a commit does not wait for another record', async () => {
    log = await reopened({ commitBytes: 1_000 });
    disk.maxDelayMs = 0;
    log.append(joined(maker.many(10)));
    log.append(maker.next());
    log.setListener({
      onWritten: (_chunk, _first, next) => {
        if (next.index === 10) disk.maxDelayMs = 30;
      },
      onDurable: () => {},
      onFailed: () => {},
    });
    await clock.advance(1_000);
    expect(log.durable.index).toBe(11);
  });

  test('a seal is committed without waiting', async () => {
    disk.maxDelayMs = 0;
    log.append(joined([...maker.many(2), ...maker.seal()]));
    await clock.advance(1);
    expect(log.durable.isSealed).toBe(true);
  });

  test('commit() waits for everything received, in one sync, and tells the durable point', async () => {
    for (const record of maker.many(5)) log.append(record);
    const [first, second] = await Promise.all([clock.until(log.commit()), log.commit()]);
    expect(first.index).toBe(5);
    expect(second).toBe(first);
    expect(syncs()).toBe(1);
  });

  test("with durability 'os' the same happens without a sync", async () => {
    log = await reopened({ durability: 'os' });
    log.append(joined(maker.many(2)));
    await clock.advance(100);
    expect(events.filter((event) => event !== 'writeIndex').slice(-3)).toEqual([
      'onWritten 0..2',
      'writeMark',
      'onDurable 2',
    ]);
    await clock.until(log.close());
    expect(syncs()).toBe(0);
  });

  test('close commits what is left, and refuses more', async () => {
    const records = maker.many(3);
    log.append(joined(records));
    await clock.until(log.close());
    expect(() => log.append(maker.next())).toThrow(expect.objectContaining({ code: 'internal' }));
    log = await open();
    expect(log.durable.index).toBe(3);
    expect(await readAll(log)).toEqual(records);
  });
});

/** Closes the log and opens it again with other options. */
async function reopened(options: Partial<TransferLogOptions> = {}): Promise<TransferLog> {
  await clock.until(log.close());
  disk.trace.length = 0;
  return open(options);
}

describe('a failed sync', () => {
  test('is final: nothing is acknowledged after it, and reading goes on', async () => {
    const records = maker.many(4);
    log.append(joined(records.slice(0, 2)));
    await clock.until(log.commit());
    disk.failNext('sync', 'EIO');
    log.append(records[2] as Uint8Array);
    const commit = log.commit();
    await expect(clock.until(commit)).rejects.toMatchObject({ code: 'internal' });
    expect(failures).toHaveLength(1);
    expect(log.failure).toBe(failures[0]);
    expect(() => log.append(records[3] as Uint8Array)).toThrow(log.failure as SluiceError);
    await expect(log.commit()).rejects.toBe(log.failure);
    await clock.advance(1_000);
    expect(events.filter((event) => event.startsWith('onDurable'))).toEqual(['onDurable 2']);
    expect(log.durable.index).toBe(2);
    expect(await readAll(log)).toEqual(records.slice(0, 3));
    await clock.until(log.close());
  });

  test('and a new log is only durable because it writes again what the failed sync may have dropped', async () => {
    const records = maker.many(200);
    log.append(joined(records.slice(0, 100)));
    await clock.until(log.commit());
    disk.failNext('sync', 'EIO');
    log.append(joined(records.slice(100)));
    await clock.advance(100);
    expect(log.failure).not.toBe(null);
    await clock.until(log.close());
    log = await open();
    expect(log.durable.index).toBe(200);
    disk.crash();
    log = await open();
    expect(log.durable.index).toBe(200);
    expect(await readAll(log, 100_000)).toEqual(records);
  });

  test('the same goes for a mark that cannot be written', async () => {
    disk.failNext('writeMark', 'EIO');
    log.append(maker.next());
    await clock.advance(100);
    expect(log.failure).toMatchObject({ code: 'internal' });
    expect(log.durable.index).toBe(0);
  });
});

describe('a full disk', () => {
  test('drops what was not written, keeps what was, and goes on when there is room', async () => {
    const records = maker.many(10);
    log.append(joined(records.slice(0, 3)));
    await clock.advance(5);
    disk.capacityBytes = log.written.position + 150;
    for (const record of records.slice(3)) log.append(record);
    expect(log.received.index).toBe(10);
    await clock.advance(100);
    expect(failures.map(({ code, retryable }) => ({ code, retryable }))).toEqual([
      { code: 'storageFull', retryable: true },
    ]);
    expect(log.failure).toBe(null);
    expect(log.received).toEqual(pointOf(log.written));
    expect(log.written.index).toBe(3);
    expect(log.durable.index).toBe(3);
    expect(disk.recordsOf(ID).length).toBe(log.written.position);

    log.append(records[3] as Uint8Array);
    await clock.advance(100);
    expect(failures).toHaveLength(2);

    disk.capacityBytes = Number.POSITIVE_INFINITY;
    log.append(joined(records.slice(3)));
    expect((await clock.until(log.commit())).index).toBe(10);
    expect(await readAll(log)).toEqual(records);
    expect(await allDigests(log)).toEqual(digestsOf(records));
  });

  test('other contents may come after it', async () => {
    const kept = maker.many(3);
    log.append(joined(kept));
    await clock.until(log.commit());
    disk.failNext('append', 'ENOSPC');
    log.append(joined(maker.many(5)));
    await clock.advance(100);
    const others = new RecordMaker(log.durable, 2).many(5);
    log.append(joined(others));
    await clock.until(log.commit());
    expect(await allDigests(log)).toEqual(digestsOf([...kept, ...others]));
    expect((await clock.until(log.seek(8))).chain).toEqual(log.durable.chain);
  });

  test('refuses appends until it was cut back, and rejects the commits that are lost', async () => {
    log.append(maker.next());
    await clock.until(log.commit());
    disk.failNext('append', 'ENOSPC');
    disk.maxDelayMs = 10;
    const next = maker.next();
    log.append(next);
    const commit = log.commit();
    let refusals = 0;
    const rejected = expect(commit).rejects.toMatchObject({ code: 'storageFull' });
    while (failures.length === 0) {
      await clock.advance(1);
      if (failures.length > 0 || !events.includes('append failed')) continue;
      expect(() => log.append(next)).toThrow(expect.objectContaining({ code: 'storageFull' }));
      refusals += 1;
    }
    await rejected;
    expect(refusals).toBeGreaterThan(0);
    log.append(next);
    await clock.until(log.commit());
    expect(log.durable.index).toBe(2);
  });

  test('another write error is retryable too, and says what it was', async () => {
    disk.failNext('append', 'EIO');
    log.append(maker.next());
    await clock.advance(100);
    expect(failures[0]).toMatchObject({ code: 'internal', retryable: true });
    expect(failures[0]?.message).toContain('EIO');
    expect(log.failure).toBe(null);
    log.append(new RecordMaker().next());
    expect((await clock.until(log.commit())).index).toBe(1);
  });

  test('an index that cannot be written costs nothing but its rebuilding', async () => {
    const records = maker.many(20);
    disk.failNext('writeIndex', 'ENOSPC');
    log.append(joined(records));
    await clock.until(log.commit());
    expect(log.durable.index).toBe(20);
    expect(await allDigests(log)).toEqual(digestsOf(records));
    expect(failures).toEqual([]);
  });

  test('a cut that fails is final', async () => {
    disk.failNext('append', 'ENOSPC');
    disk.failNext('truncate', 'EIO');
    log.append(maker.next());
    await clock.advance(100);
    expect(log.failure).toMatchObject({ code: 'internal' });
    await clock.until(log.close());
  });
});

describe('seek and digestAt', () => {
  test('find every record, committed or not, and the chain before it', async () => {
    const records = maker.many(50, 30);
    log.append(joined(records.slice(0, 30)));
    await clock.until(log.commit());
    log.append(joined(records.slice(30, 40)));
    await clock.advance(5);
    log.append(joined(records.slice(40)));
    expect([log.durable.index, log.written.index, log.received.index]).toEqual([30, 40, 50]);
    let position = 0;
    let chain: Uint8Array = startOfLog().chain;
    for (let i = 0; i <= 40; i++) {
      const point = await clock.until(log.seek(i));
      expect([point.index, point.position]).toEqual([i, position]);
      expect(point.chain).toEqual(chain);
      chain = nextChain(digester, chain, digestsOf(records)[i] as Uint8Array);
      position += (records[i] as Uint8Array).length;
    }
    expect(await allDigests(log)).toEqual(digestsOf(records));
    await expect(log.seek(51)).rejects.toThrow(RangeError);
    await expect(log.seek(-1)).rejects.toThrow(RangeError);
    await expect(log.digestAt(50)).rejects.toThrow(RangeError);
  });

  test.each(['zeros', 'noise', 'shifted', 'cut', 'one entry'])(
    'an index of %s is rebuilt',
    async (damage) => {
      const records = maker.many(100, 30);
      log.append(joined(records));
      await clock.until(log.close());
      const index = disk.indexOf(ID);
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
      log = await open();
      const seeks = [99, 51, 1, 70].map((i) => log.seek(i));
      const points = await clock.until(Promise.all(seeks));
      expect(points.map(({ index: at }) => at)).toEqual([99, 51, 1, 70]);
      expect(await allDigests(log)).toEqual(digestsOf(records));
      expect(index.read(0, index.length)).toEqual(good);
    },
  );
});

test('an index of other contents is found out, though each entry is whole', async () => {
  const others = new RecordMaker(startOfLog(), 2);
  log.append(joined(others.many(20, 30)));
  await clock.until(log.commit());
  const stale = disk.indexOf(ID).read(0, 20 * INDEX_ENTRY_BYTES);
  await clock.until(log.close());
  await disk.remove(ID);
  log = await open();
  const records = maker.many(20, 30);
  log.append(joined(records));
  await clock.until(log.commit());
  disk.indexOf(ID).write(0, stale);
  expect(await allDigests(log)).toEqual(digestsOf(records));
  const point = await clock.until(log.seek(19));
  expect(nextChain(digester, point.chain, (records[19] as Uint8Array).slice(-32))).toEqual(log.durable.chain);
});

describe('read', () => {
  test('gives whole records, at least one, none beyond what is written', async () => {
    const records = [maker.next(), ...maker.many(10, 100), maker.next(50_000), ...maker.many(3, 100)];
    log.append(joined(records.slice(0, 14)));
    await clock.until(log.commit());
    log.append(records[14] as Uint8Array);
    const first = log.read(0, 1_000_000);
    await clock.advance(100);
    expect((await first).records).toBe(14);
    log = await reopened();
    for (const maxBytes of [1, 200, 450, 60_000, 1_000_000]) {
      expect(await readAll(log, maxBytes)).toEqual(records);
    }
    const { chunk } = await clock.until(log.read(0, 450));
    expect(chunk.length).toBeLessThanOrEqual(450);
    expect(await clock.until(log.read(log.written.position, 100))).toEqual({
      chunk: new Uint8Array(0),
      records: 0,
    });
    await expect(log.read(log.written.position + 1, 100)).rejects.toThrow(RangeError);
  });

  test('a flipped bit anywhere is found and never given out; what lies before it is', async () => {
    const records = maker.many(8, 40);
    log.append(joined(records));
    await clock.until(log.commit());
    const bad = 5;
    const start = joined(records.slice(0, bad)).length;
    const length = (records[bad] as Uint8Array).length;
    for (let at = 0; at < length; at++) {
      const bit = at % 8;
      disk.flipBit(ID, start + at, bit);
      const { chunk, records: count } = await clock.until(log.read(0, 100_000));
      expect(count).toBe(bad);
      expect(new Uint8Array(chunk)).toEqual(joined(records.slice(0, bad)));
      await expect(clock.until(log.read(start, 100_000))).rejects.toMatchObject({
        code: 'corrupted',
        detail: expect.stringContaining(`Record ${bad} at byte ${start}`),
      });
      disk.flipBit(ID, start + at, bit);
    }
    expect(await readAll(log)).toEqual(records);
  });

  test('a disk that refuses to read is corruption, other errors may pass', async () => {
    log.append(joined(maker.many(2)));
    await clock.until(log.commit());
    disk.failNext('read', 'EIO');
    await expect(clock.until(log.read(0, 100))).rejects.toMatchObject({ code: 'corrupted' });
    disk.failNext('read', 'EMFILE');
    await expect(clock.until(log.read(0, 100))).rejects.toMatchObject({ code: 'internal', retryable: true });
    expect(await readAll(log)).toHaveLength(2);
  });
});

describe('recovery', () => {
  /** Writes `committed` records durably and `written` more without a commit, then the process dies. */
  async function dieWith(committed: number, written: number): Promise<Uint8Array[]> {
    const records = maker.many(committed + written, 50);
    if (committed > 0) log.append(joined(records.slice(0, committed)));
    await clock.until(log.commit());
    for (const record of records.slice(committed)) log.append(record);
    await clock.advance(15);
    disk.kill();
    return records;
  }

  test('keeps every record that verifies, synced before it counts as durable', async () => {
    const records = await dieWith(3, 4);
    disk.trace.length = 0;
    log = await open();
    expect(log.durable.index).toBe(7);
    expect(events.filter((event) => /rewrite|sync|writeMark/.test(event))).toEqual([
      'rewrite',
      'sync',
      'writeMark',
    ]);
    disk.crash();
    log = await open();
    expect(await readAll(log)).toEqual(records);
    expect(await allDigests(log)).toEqual(digestsOf(records));
  });

  test('with nothing above the mark reads no record and syncs nothing', async () => {
    await dieWith(5, 0);
    disk.trace.length = 0;
    log = await open();
    expect(log.durable.index).toBe(5);
    expect(events).toEqual([]);
  });

  test.each([1, 63, 64, 100, 145])('cuts off a record of which %d bytes were written', async (bytes) => {
    const records = await dieWith(3, 2);
    const end = joined(records).length;
    disk.recordsOf(ID).write(end, maker.next(50).subarray(0, bytes));
    log = await open();
    expect(log.durable.index).toBe(5);
    expect(disk.recordsOf(ID).length).toBe(end);
    log.append(new RecordMaker(log.durable, 2).next());
    expect((await clock.until(log.commit())).index).toBe(6);
    expect((await readAll(log)).slice(0, 5)).toEqual(records);
  });

  test('cuts off what does not verify above the mark, with all that follows', async () => {
    const records = await dieWith(3, 6);
    disk.flipBit(ID, joined(records.slice(0, 5)).length + 70, 3);
    log = await open();
    expect(log.durable.index).toBe(5);
    expect(disk.recordsOf(ID).length).toBe(log.durable.position);
    expect(disk.indexOf(ID).length).toBe(5 * INDEX_ENTRY_BYTES);
  });

  test('cuts off entries of the index that stand for no record, so that none is ever taken for a new one', async () => {
    await dieWith(5, 0);
    disk.indexOf(ID).write(5 * INDEX_ENTRY_BYTES, disk.indexOf(ID).read(0, 3 * INDEX_ENTRY_BYTES));
    log = await open();
    expect(disk.indexOf(ID).length).toBe(5 * INDEX_ENTRY_BYTES);
  });

  test('missing bytes below the mark are corruption, and nothing is cut', async () => {
    const records = await dieWith(5, 0);
    const kept = joined(records).length - 1;
    disk.recordsOf(ID).truncate(kept);
    await expect(open()).rejects.toMatchObject({ code: 'corrupted' });
    expect(disk.recordsOf(ID).length).toBe(kept);
    await expect(open()).rejects.toMatchObject({ code: 'corrupted' });
  });

  test('a bad record below the mark does not keep the log from opening, but is never given out', async () => {
    const records = await dieWith(5, 2);
    disk.flipBit(ID, joined(records.slice(0, 2)).length + 70, 3);
    log = await open();
    expect(log.durable.index).toBe(7);
    await expect(readAll(log)).rejects.toMatchObject({ code: 'corrupted' });
    expect(disk.recordsOf(ID).length).toBe(log.durable.position);
  });

  test('without a mark everything is read and kept', async () => {
    const records = await dieWith(30, 3);
    disk.loseMark(ID);
    disk.indexOf(ID).truncate(0);
    log = await open();
    expect(log.durable.index).toBe(33);
    expect(await readAll(log)).toEqual(records);
    expect(await allDigests(log)).toEqual(digestsOf(records));
  });

  test('a mark of another transfer is no mark', async () => {
    const records = await dieWith(5, 0);
    const storage = await disk.open(ID);
    const options = { recordSizeBytes: RECORD_SIZE, digester, clock, durability: 'disk' } as const;
    const other = await clock.until(
      TransferLog.open(storage, { ...options, headerHash: new Uint8Array(32).fill(9) }),
    );
    expect(other.durable.index).toBe(records.length);
    expect(other.durable.chain).not.toEqual(log.durable.chain);
  });

  test('a disk that cannot be read at open is an error, and nothing is cut', async () => {
    await dieWith(3, 4);
    const { length } = disk.recordsOf(ID);
    disk.failNext('read', 'EIO');
    await expect(open()).rejects.toMatchObject({ code: 'corrupted' });
    expect(disk.recordsOf(ID).length).toBe(length);
    log = await open();
    expect(log.durable.index).toBe(7);
  });

  test('goes on with the rules of the log where they were: open files, seal', async () => {
    const records = logOfAllKinds();
    log.append(joined(records.slice(0, 3)));
    await clock.until(log.close());
    log = await open();
    expect(log.durable.openFiles).toEqual([
      { file: 1, nextOffset: 1_000 },
      { file: 2, nextOffset: 5_000 },
    ]);
    log.append(joined(records.slice(3)));
    await clock.until(log.close());
    log = await open();
    expect(log.durable).toMatchObject({ isSealed: true, endedFiles: 4, nextFile: 5, openFiles: [] });
    expect(() => log.append(records[6] as Uint8Array)).toThrow(expect.objectContaining({ code: 'sealed' }));
  });
});

function digestsOf(records: readonly Uint8Array[]): Uint8Array[] {
  return records.map((record) => record.slice(-32));
}

async function allDigests(of: TransferLog): Promise<Uint8Array[]> {
  const digests: Uint8Array[] = [];
  for (let i = 0; i < of.received.index; i++) {
    digests.push(new Uint8Array(await clock.until(of.digestAt(i))));
  }
  return digests;
}

function pointOf({ index, position, chain }: LogSnapshot): object {
  return { index, position, chain };
}
