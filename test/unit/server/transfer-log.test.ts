// What TransferLog acknowledges and when, and what happens on every kind of failure. On the model disk.
import { beforeEach, describe, expect, test } from 'vitest';
import type { LogSnapshot, SluiceError } from '../../../src/protocol/index.ts';
import { joined, logOfAllKinds } from '../../support/log-fixtures.ts';
import { RecordMaker } from '../../support/record-maker.ts';
import { digestsOf, LOG_ID as ID, SimulatedLog } from '../../support/simulated-log.ts';

let world: SimulatedLog;

beforeEach(async () => {
  world = new SimulatedLog();
  await world.open();
});

describe('append', () => {
  test('a record is accepted at once, written, and durable after sync and mark, in this order', async () => {
    world.log.append(joined(world.maker.many(2)));
    expect(world.log.received.index).toBe(2);
    expect(world.log.written.index).toBe(0);
    await world.clock.advance(100);
    const end = world.log.written.position;
    expect(world.events.filter((event) => event !== 'writeIndex')).toEqual([
      `append 0..${end}`,
      'onWritten 0..2',
      'sync',
      'writeMark',
      'onDurable 2',
    ]);
    expect(world.log.durable).toEqual(world.log.written);
  });

  test('hands the very chunk on', async () => {
    const chunk = joined(world.maker.many(3));
    const seen: Uint8Array[] = [];
    world.log.setListener({
      onWritten: (written) => seen.push(written),
      onDurable: () => {},
      onFailed: () => {},
    });
    world.log.append(chunk);
    await world.clock.advance(100);
    expect(seen[0]).toBe(chunk);
  });

  test('a damaged record is refused with its index, those before it are kept, those behind it dropped', async () => {
    const [first, second, third] = world.maker.many(3) as [Uint8Array, Uint8Array, Uint8Array];
    const damaged = second.slice();
    damaged[80] = (damaged[80] as number) ^ 1;
    expect(() => world.log.append(joined([first, damaged, third]))).toThrow(
      expect.objectContaining({ code: 'digestMismatch', detail: 'Record 1.' }),
    );
    expect(world.log.received.index).toBe(1);
    await world.clock.advance(100);
    expect(world.log.durable.index).toBe(1);
    world.log.append(joined([second, third]));
    await world.clock.until(world.log.commit());
    expect(await world.readAll()).toEqual([first, second, third]);
  });

  test('a record in the wrong place, a cut one, and one behind the seal are refused; nothing is written', async () => {
    const records = logOfAllKinds();
    expect(() => world.log.append(records[1] as Uint8Array)).toThrow(
      expect.objectContaining({ code: 'protocol' }),
    );
    world.log.append(joined(records.slice(0, 2)));
    expect(() => world.log.append((records[2] as Uint8Array).subarray(0, 80))).toThrow(
      expect.objectContaining({ code: 'protocol' }),
    );
    world.log.append(joined(records.slice(2)));
    expect(() => world.log.append(records[6] as Uint8Array)).toThrow(
      expect.objectContaining({ code: 'sealed' }),
    );
    await world.clock.until(world.log.commit());
    expect(await world.readAll()).toEqual(records);
  });

  test('an empty chunk does nothing', async () => {
    world.log.append(new Uint8Array(0));
    await world.clock.advance(100);
    expect(world.events).toEqual([]);
  });
});

describe('commit', () => {
  const syncs = (): number => world.events.filter((event) => event === 'sync').length;

  test('waits 20 ms for more, then is one sync for all of it', async () => {
    world.disk.maxDelayMs = 0;
    for (const record of world.maker.many(10)) world.log.append(record);
    await world.clock.advance(19);
    expect(world.log.written.index).toBe(10);
    expect(syncs()).toBe(0);
    await world.clock.advance(1);
    expect(syncs()).toBe(1);
    expect(world.log.durable.index).toBe(10);
  });

  test('starts at once when 8 MiB were written', async () => {
    world.disk.maxDelayMs = 0;
    const record = world.maker.next();
    world.log.append(record);
    let bytes = record.length;
    while (bytes < 8 * 1024 * 1024) {
      const next = world.maker.next(60_000);
      world.log.append(next);
      bytes += next.length;
    }
    await world.clock.advance(1);
    expect(syncs()).toBe(1);
    expect(world.log.durable.position).toBe(bytes);
  });

  test('is not made when nothing is new', async () => {
    world.log.append(world.maker.next());
    await world.clock.advance(1_000);
    expect(syncs()).toBe(1);
    expect(world.clock.nextTimerAt).toBe(null);
    expect(await world.log.commit()).toBe(world.log.durable);
  });

  test('never two at once; what came meanwhile is in the next', async () => {
    world.disk.maxDelayMs = 0;
    await world.reopen({ commitBytes: 1 });
    world.disk.maxDelayMs = 50;
    for (let i = 0; i < 40; i++) {
      world.log.append(world.maker.next());
      await world.clock.advance(7);
    }
    await world.clock.advance(1_000);
    expect(world.log.durable.index).toBe(40);
    const commits = world.events.filter((event) => /^(sync|writeMark|onDurable)/.test(event));
    commits.forEach((event, i) => {
      expect(event).toMatch([/^sync/, /^writeMark/, /^onDurable/][i % 3] as RegExp);
    });
    expect(commits.length / 3).toBeLessThan(40);
  });

  test('what was too late for a commit does not wait for another record', async () => {
    await world.reopen({ commitBytes: 1_000 });
    world.disk.maxDelayMs = 0;
    world.log.append(joined(world.maker.many(10)));
    world.log.append(world.maker.next());
    world.log.setListener({
      onWritten: (_chunk, _first, next) => {
        if (next.index === 10) world.disk.maxDelayMs = 30;
      },
      onDurable: () => {},
      onFailed: () => {},
    });
    await world.clock.advance(1_000);
    expect(world.log.durable.index).toBe(11);
  });

  test('a seal is committed without waiting', async () => {
    world.disk.maxDelayMs = 0;
    world.log.append(joined([...world.maker.many(2), ...world.maker.seal()]));
    await world.clock.advance(1);
    expect(world.log.durable.isSealed).toBe(true);
  });

  test('commit() waits for everything received, in one sync, and tells the durable point', async () => {
    for (const record of world.maker.many(5)) world.log.append(record);
    const [first, second] = await Promise.all([world.clock.until(world.log.commit()), world.log.commit()]);
    expect(first.index).toBe(5);
    expect(second).toBe(first);
    expect(syncs()).toBe(1);
  });

  test("with durability 'os' the same happens without a sync", async () => {
    await world.reopen({ durability: 'os' });
    world.log.append(joined(world.maker.many(2)));
    await world.clock.advance(100);
    expect(world.events.filter((event) => event !== 'writeIndex').slice(-3)).toEqual([
      'onWritten 0..2',
      'writeMark',
      'onDurable 2',
    ]);
    await world.clock.until(world.log.close());
    expect(syncs()).toBe(0);
  });

  test('close commits what is left, and refuses more', async () => {
    const records = world.maker.many(3);
    world.log.append(joined(records));
    await world.clock.until(world.log.close());
    expect(() => world.log.append(world.maker.next())).toThrow(expect.objectContaining({ code: 'internal' }));
    await world.open();
    expect(world.log.durable.index).toBe(3);
    expect(await world.readAll()).toEqual(records);
  });
});

describe('a failed sync', () => {
  test('is final: nothing is acknowledged after it, and reading goes on', async () => {
    const records = world.maker.many(4);
    world.log.append(joined(records.slice(0, 2)));
    await world.clock.until(world.log.commit());
    world.disk.failNext('sync', 'EIO');
    world.log.append(records[2] as Uint8Array);
    const commit = world.log.commit();
    await expect(world.clock.until(commit)).rejects.toMatchObject({ code: 'internal' });
    expect(world.failures).toHaveLength(1);
    expect(world.log.failure).toBe(world.failures[0]);
    expect(() => world.log.append(records[3] as Uint8Array)).toThrow(world.log.failure as SluiceError);
    await expect(world.log.commit()).rejects.toBe(world.log.failure);
    await world.clock.advance(1_000);
    expect(world.events.filter((event) => event.startsWith('onDurable'))).toEqual(['onDurable 2']);
    expect(world.log.durable.index).toBe(2);
    expect(await world.readAll()).toEqual(records.slice(0, 3));
    await world.clock.until(world.log.close());
  });

  test('and a new log is only durable because it writes again what the failed sync may have dropped', async () => {
    const records = world.maker.many(200);
    world.log.append(joined(records.slice(0, 100)));
    await world.clock.until(world.log.commit());
    world.disk.failNext('sync', 'EIO');
    world.log.append(joined(records.slice(100)));
    await world.clock.advance(100);
    expect(world.log.failure).not.toBe(null);
    await world.clock.until(world.log.close());
    await world.open();
    expect(world.log.durable.index).toBe(200);
    world.disk.crash();
    await world.open();
    expect(world.log.durable.index).toBe(200);
    expect(await world.readAll(100_000)).toEqual(records);
  });

  test('the same goes for a mark that cannot be written', async () => {
    world.disk.failNext('writeMark', 'EIO');
    world.log.append(world.maker.next());
    await world.clock.advance(100);
    expect(world.log.failure).toMatchObject({ code: 'internal' });
    expect(world.log.durable.index).toBe(0);
  });
});

describe('a full disk', () => {
  test('drops what was not written, keeps what was, and goes on when there is room', async () => {
    const records = world.maker.many(10);
    world.log.append(joined(records.slice(0, 3)));
    await world.clock.advance(5);
    world.disk.capacityBytes = world.log.written.position + 150;
    for (const record of records.slice(3)) world.log.append(record);
    expect(world.log.received.index).toBe(10);
    await world.clock.advance(100);
    expect(world.failures.map(({ code, retryable }) => ({ code, retryable }))).toEqual([
      { code: 'storageFull', retryable: true },
    ]);
    expect(world.log.failure).toBe(null);
    expect(world.log.received).toEqual(pointOf(world.log.written));
    expect(world.log.written.index).toBe(3);
    expect(world.log.durable.index).toBe(3);
    expect(world.disk.recordsOf(ID).length).toBe(world.log.written.position);

    world.log.append(records[3] as Uint8Array);
    await world.clock.advance(100);
    expect(world.failures).toHaveLength(2);

    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    world.log.append(joined(records.slice(3)));
    expect((await world.clock.until(world.log.commit())).index).toBe(10);
    expect(await world.readAll()).toEqual(records);
    expect(await world.allDigests()).toEqual(digestsOf(records));
  });

  test('other contents may come after it', async () => {
    const kept = world.maker.many(3);
    world.log.append(joined(kept));
    await world.clock.until(world.log.commit());
    world.disk.failNext('append', 'ENOSPC');
    world.log.append(joined(world.maker.many(5)));
    await world.clock.advance(100);
    const others = new RecordMaker(world.log.durable, 2).many(5);
    world.log.append(joined(others));
    await world.clock.until(world.log.commit());
    expect(await world.allDigests()).toEqual(digestsOf([...kept, ...others]));
    expect((await world.clock.until(world.log.seek(8))).chain).toEqual(world.log.durable.chain);
  });

  test('refuses appends until it was cut back, and rejects the commits that are lost', async () => {
    world.log.append(world.maker.next());
    await world.clock.until(world.log.commit());
    world.disk.failNext('append', 'ENOSPC');
    world.disk.maxDelayMs = 10;
    const next = world.maker.next();
    world.log.append(next);
    const commit = world.log.commit();
    let refusals = 0;
    const rejected = expect(commit).rejects.toMatchObject({ code: 'storageFull' });
    while (world.failures.length === 0) {
      await world.clock.advance(1);
      if (world.failures.length > 0 || !world.events.includes('append failed')) continue;
      expect(() => world.log.append(next)).toThrow(expect.objectContaining({ code: 'storageFull' }));
      refusals += 1;
    }
    await rejected;
    expect(refusals).toBeGreaterThan(0);
    world.log.append(next);
    await world.clock.until(world.log.commit());
    expect(world.log.durable.index).toBe(2);
  });

  test('another write error is retryable too, and says what it was', async () => {
    world.disk.failNext('append', 'EIO');
    world.log.append(world.maker.next());
    await world.clock.advance(100);
    expect(world.failures[0]).toMatchObject({ code: 'internal', retryable: true });
    expect(world.failures[0]?.message).toContain('EIO');
    expect(world.log.failure).toBe(null);
    world.log.append(new RecordMaker().next());
    expect((await world.clock.until(world.log.commit())).index).toBe(1);
  });

  test('an index that cannot be written costs nothing but its rebuilding', async () => {
    const records = world.maker.many(20);
    world.disk.failNext('writeIndex', 'ENOSPC');
    world.log.append(joined(records));
    await world.clock.until(world.log.commit());
    expect(world.log.durable.index).toBe(20);
    expect(await world.allDigests()).toEqual(digestsOf(records));
    expect(world.failures).toEqual([]);
  });

  test('a cut that fails is final', async () => {
    world.disk.failNext('append', 'ENOSPC');
    world.disk.failNext('truncate', 'EIO');
    world.log.append(world.maker.next());
    await world.clock.advance(100);
    expect(world.log.failure).toMatchObject({ code: 'internal' });
    await world.clock.until(world.log.close());
  });
});

function pointOf({ index, position, chain }: LogSnapshot): object {
  return { index, position, chain };
}
