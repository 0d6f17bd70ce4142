import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CreditGrant, CreditLimit, CreditPool } from '../../../src/protocol/index.ts';

describe('CreditLimit: the sending side', () => {
  test('what may be sent is the limit less what was', () => {
    const limit = new CreditLimit(100);
    limit.spend(70);
    expect(limit.availableBytes).toBe(30);
    expect(limit.raise(150)).toBe(true);
    expect(limit.availableBytes).toBe(80);
  });

  test.each([100, 99, 0])('a limit of %d after 100 is ignored', (again) => {
    const limit = new CreditLimit(100);
    expect(limit.raise(again)).toBe(false);
    expect(limit.availableBytes).toBe(100);
  });
});

describe('CreditPool', () => {
  test('gives what it has and takes it back', () => {
    const pool = new CreditPool(100);
    expect([pool.take(60), pool.take(60), pool.take(1)]).toEqual([60, 40, 0]);
    pool.give(30);
    expect([pool.takenBytes, pool.take(100)]).toEqual([70, 30]);
  });

  test('a negative wish gets nothing', () => {
    const pool = new CreditPool(100);
    expect(pool.take(-5)).toBe(0);
    expect(pool.takenBytes).toBe(0);
  });

  test('gives no more than its parent has', () => {
    const parent = new CreditPool(50);
    const [a, b] = [new CreditPool(40, parent), new CreditPool(40, parent)];
    expect([a.take(100), b.take(100)]).toEqual([40, 10]);
    expect([a.takenBytes, b.takenBytes, parent.takenBytes]).toEqual([40, 10, 50]);
    a.give(15);
    expect([b.take(100), parent.takenBytes]).toEqual([15, 50]);
  });
});

describe('CreditGrant: the receiving side', () => {
  const grantOf = (pool = 1_000, floor = 200, window = 800) => {
    const from = new CreditPool(pool);
    return { pool: from, grant: new CreditGrant(from, floor, window) };
  };

  test('begins with its window, taken from the pool beyond the floor', () => {
    const { pool, grant } = grantOf();
    expect(grant.limit()).toBe(800);
    expect(pool.takenBytes).toBe(600);
  });

  test('has its floor even when the pool is empty', () => {
    const { pool, grant } = grantOf(0);
    expect(grant.limit()).toBe(200);
    expect(pool.takenBytes).toBe(0);
    grant.receive(200);
    grant.consume(200);
    expect(grant.limit()).toBe(400);
  });

  test('a window below the floor is the floor', () => {
    const { pool, grant } = grantOf(1_000, 200, 50);
    expect(grant.limit()).toBe(200);
    expect(pool.takenBytes).toBe(0);
  });

  test('only what was announced may come', () => {
    const { grant } = grantOf();
    expect(grant.receive(1)).toBe(false);
    const other = grantOf().grant;
    other.limit();
    expect([other.receive(800), other.receive(1)]).toEqual([true, false]);
  });

  test('what came and was not consumed is held', () => {
    const { grant } = grantOf();
    grant.limit();
    grant.receive(500);
    grant.consume(200);
    expect([grant.heldBytes, grant.consumedBytes]).toEqual([300, 200]);
  });

  test('a new limit is told from a quarter of the window on', () => {
    const { grant } = grantOf();
    grant.limit();
    grant.receive(800);
    grant.consume(199);
    expect([grant.isDue, grant.pollLimit()]).toEqual([false, null]);
    grant.consume(1);
    expect([grant.isDue, grant.pollLimit(), grant.pollLimit()]).toEqual([true, 1_000, null]);
  });

  test('grows when the pool has room again', () => {
    const { pool, grant } = grantOf(600);
    const second = new CreditGrant(pool, 200, 800);
    expect([grant.limit(), second.limit()]).toEqual([800, 200]);
    grant.close();
    expect(pool.takenBytes).toBe(0);
    second.receive(10);
    second.consume(10);
    expect(second.limit()).toBe(810);
  });

  test('closing gives back once', () => {
    const { pool, grant } = grantOf();
    grant.close();
    grant.close();
    expect(pool.takenBytes).toBe(0);
  });

  describe('shrink', () => {
    test('takes nothing back that the other side may still send or this side still holds', () => {
      const { pool, grant } = grantOf();
      grant.limit();
      grant.shrink();
      expect(pool.takenBytes).toBe(600);
      grant.receive(800);
      grant.shrink();
      expect(pool.takenBytes).toBe(600);
    });

    test('gives back to the pool as it consumes, down to the floor, then grows again', () => {
      const { pool, grant } = grantOf();
      grant.limit();
      grant.receive(800);
      grant.shrink();
      grant.consume(100);
      expect([pool.takenBytes, grant.limit()]).toEqual([500, 800]);
      grant.consume(500);
      expect([pool.takenBytes, grant.limit()]).toEqual([0, 800]);
      grant.consume(100);
      expect([pool.takenBytes, grant.limit()]).toEqual([600, 1_500]);
    });

    test('what it gave back is for others', () => {
      const { pool, grant } = grantOf(600);
      const other = new CreditGrant(pool, 200, 800);
      grant.limit();
      other.limit();
      grant.receive(800);
      grant.shrink();
      grant.consume(700);
      other.receive(1);
      other.consume(1);
      expect(other.limit()).toBe(801);
      grant.consume(1);
      expect(grant.limit()).toBe(901);
    });

    test('at the floor there is nothing to give', () => {
      const { grant } = grantOf(0);
      grant.limit();
      grant.shrink();
      grant.receive(200);
      grant.consume(200);
      expect(grant.limit()).toBe(400);
    });
  });

  test('whatever happens, limits rise and what is out never exceeds pool and floors', () => {
    const FLOOR = 200;
    const POOL = 600;
    const step = fc.record({
      stream: fc.nat(1),
      act: fc.constantFrom('receive', 'consume', 'shrink', 'reopen', 'tell'),
      share: fc.constantFrom(0.1, 0.5, 1),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 200 }), (steps) => {
        const pool = new CreditPool(POOL);
        const open = () => ({ grant: new CreditGrant(pool, FLOOR, 800), limit: 0, received: 0 });
        const streams = [open(), open()];
        for (const { stream, act, share } of steps) {
          const one = streams[stream]!;
          if (act === 'receive') {
            const bytes = Math.floor((one.limit - one.received) * share);
            one.received += bytes;
            expect(one.grant.receive(bytes)).toBe(true);
          } else if (act === 'consume') {
            one.grant.consume(Math.floor(one.grant.heldBytes * share));
          } else if (act === 'shrink') {
            one.grant.shrink();
          } else if (act === 'reopen') {
            one.grant.close();
            streams[stream] = open();
          } else {
            const limit = one.grant.limit();
            expect(limit).toBeGreaterThanOrEqual(one.limit);
            expect(limit).toBeGreaterThanOrEqual(one.grant.consumedBytes + FLOOR);
            one.limit = limit;
          }
          const out = streams.reduce(
            (sum, { grant, limit }) => sum + Math.max(0, limit - grant.consumedBytes),
            0,
          );
          expect(out).toBeLessThanOrEqual(POOL + streams.length * FLOOR);
          expect(pool.takenBytes).toBeLessThanOrEqual(POOL);
        }
        for (const { grant } of streams) grant.close();
        expect(pool.takenBytes).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
