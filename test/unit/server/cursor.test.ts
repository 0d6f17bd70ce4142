import { describe, expect, test } from 'vitest';
import { LogReader, SluiceError } from '../../../src/protocol/index.ts';
import { Cursor, type CursorSource } from '../../../src/server/hub/cursor.ts';
import { HotBudget, HotRecords, type LogPlace } from '../../../src/server/hub/hot-records.ts';
import { ReadAhead } from '../../../src/server/hub/read-ahead.ts';
import { digester } from '../../support/digester.ts';
import { settle } from '../../support/fake-clock.ts';
import {
  contentOf,
  dataRecord,
  emptyManifest,
  joined,
  newBuilder,
  RECORD_SIZE,
  startOfLog,
} from '../../support/log-fixtures.ts';
import { seededRandom } from '../../support/random.ts';

const MIB = 1024 * 1024;

/** A log whose reads are answered when the test says so. */
class FakeLog implements CursorSource {
  readonly spanBytes: number;
  freshReads = 0;
  readonly hot: HotRecords;
  readonly places: LogPlace[] = [{ index: 0, position: 0 }];
  readonly records: Uint8Array[] = [];
  written: LogPlace = { index: 0, position: 0 };
  readonly reads: { position: number; maxBytes: number; answer: () => void; fail: (error: Error) => void }[] =
    [];

  constructor({ spanBytes = MIB, hotBytes = 16 * MIB } = {}) {
    this.spanBytes = spanBytes;
    this.hot = new HotRecords(new HotBudget(256 * MIB), hotBytes);
  }

  /** Writes `count` records of `bytes` content each as one chunk. */
  write(records: readonly Uint8Array[], isHot = true): void {
    const first = this.written;
    for (const record of records) {
      this.records.push(record);
      const { index, position } = this.places.at(-1) as LogPlace;
      this.places.push({ index: index + 1, position: position + record.length });
    }
    this.written = this.places.at(-1) as LogPlace;
    if (isHot) this.hot.push({ chunk: joined(records), first, next: this.written });
  }

  read(position: number, maxBytes: number): Promise<{ chunk: Uint8Array; records: number }> {
    return new Promise((resolve, reject) => {
      const answer = (): void => {
        const from = this.places.findIndex((place) => place.position === position);
        if (from < 0) throw new Error(`no record begins at ${position}`);
        let to = from;
        let bytes = 0;
        while (to < this.written.index) {
          bytes += (this.records[to] as Uint8Array).length;
          if (to > from && bytes > maxBytes) break;
          to += 1;
        }
        resolve({ chunk: joined(this.records.slice(from, to)), records: to - from });
      };
      this.reads.push({ position, maxBytes, answer, fail: reject });
    });
  }

  readFresh(position: number, maxBytes: number): Promise<{ chunk: Uint8Array; records: number }> {
    this.freshReads += 1;
    return this.read(position, maxBytes);
  }

  async seek(index: number): Promise<LogPlace> {
    return this.places[index] as LogPlace;
  }

  async answerAll(): Promise<void> {
    for (const { answer } of this.reads.splice(0)) answer();
    await settle();
  }
}

function recordsOf(count: number, bytes = 1_000): Uint8Array[] {
  const builder = newBuilder();
  const records = [builder.manifest({ ...emptyManifest, name: 'cursor' })];
  for (let i = 1; i < count; i++) records.push(dataRecord(builder, 1, contentOf(bytes, i)));
  return records;
}

function follow(log: FakeLog, options: { from?: LogPlace; credit?: number; readAhead?: ReadAhead } = {}) {
  const state = { credit: options.credit ?? 64 * MIB, readies: 0, failure: null as SluiceError | null };
  const cursor = new Cursor(
    log,
    options.from ?? { index: 0, position: 0 },
    options.readAhead ?? new ReadAhead(64 * MIB),
    {
      creditBytes: () => state.credit,
      onReady: () => {
        state.readies += 1;
      },
      onFailed: (error) => {
        state.failure = error;
      },
    },
  );
  return { cursor, state };
}

/** Takes what there is now, in pieces of at most `maxBytes`. */
function takeAll(cursor: Cursor, maxBytes = MIB): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let length = cursor.nextLength(maxBytes); length > 0; length = cursor.nextLength(maxBytes)) {
    const piece = cursor.take();
    expect(piece.length).toBe(length);
    pieces.push(piece);
  }
  return pieces;
}

function indexAfter(pieces: readonly Uint8Array[]): number {
  const reader = new LogReader(startOfLog(), RECORD_SIZE, digester, () => new Uint8Array());
  for (const piece of pieces) expect(reader.read(piece).damagedIndex).toBeNull();
  return reader.state.index;
}

describe('near the end', () => {
  test('gives what was written by reference, once', () => {
    const log = new FakeLog();
    const { cursor } = follow(log);
    expect(cursor.nextLength(MIB)).toBe(0);
    log.write(recordsOf(3));
    const [piece, ...more] = takeAll(cursor);
    expect(piece).toBe(log.hot.find(0)?.chunk);
    expect(more).toEqual([]);
    expect(cursor.index).toBe(3);
    expect(cursor.position).toBe(log.written.position);
    expect(log.reads).toEqual([]);
  });

  test('cuts a chunk into whole records when less may go out', () => {
    const log = new FakeLog();
    log.write(recordsOf(10));
    const { cursor } = follow(log);
    const pieces = takeAll(cursor, 2_500);
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(2_500);
    expect(indexAfter(pieces)).toBe(10);
  });

  test('gives one record that is longer than what may go out', () => {
    const log = new FakeLog();
    log.write(recordsOf(3));
    const { cursor } = follow(log);
    expect(takeAll(cursor, 1)).toHaveLength(3);
  });

  test('begins in the middle of a chunk', () => {
    const log = new FakeLog();
    const records = recordsOf(6);
    log.write(records);
    const { cursor } = follow(log, { from: log.places[4] as LogPlace });
    expect(joined(takeAll(cursor))).toEqual(joined(records.slice(4)));
    expect(cursor.index).toBe(6);
  });
});

describe('further back', () => {
  test('reads from disk and goes over to memory and to the end without a gap', async () => {
    const log = new FakeLog({ hotBytes: 6_000 });
    const records = recordsOf(20);
    for (const record of records.slice(0, 15)) log.write([record]);
    const { cursor, state } = follow(log);
    const pieces = takeAll(cursor);
    expect(pieces).toEqual([]);
    expect(log.reads).toHaveLength(1);
    await log.answerAll();
    expect(state.readies).toBeGreaterThan(0);
    pieces.push(...takeAll(cursor));
    for (const record of records.slice(15)) {
      log.write([record]);
      pieces.push(...takeAll(cursor));
      await log.answerAll();
    }
    pieces.push(...takeAll(cursor));
    expect(indexAfter(pieces)).toBe(20);
  });

  test('holds at most two spans, and no more than there is credit for', async () => {
    const log = new FakeLog({ spanBytes: 4_000 });
    log.write(recordsOf(30), false);
    const { cursor } = follow(log, { credit: 6_000 });
    expect(cursor.nextLength(MIB)).toBe(0);
    await log.answerAll();
    cursor.nextLength(MIB);
    expect(log.reads.map(({ maxBytes }) => maxBytes)).toEqual([6_000 - cursor.heldBytes]);
    await log.answerAll();
    cursor.nextLength(MIB);
    expect(log.reads).toEqual([]);
    expect(cursor.heldBytes).toBeLessThanOrEqual(6_000);
  });

  test('reads nothing without credit', () => {
    const log = new FakeLog();
    log.write(recordsOf(5), false);
    const { cursor, state } = follow(log, { credit: 0 });
    cursor.nextLength(0);
    expect(log.reads).toEqual([]);
    state.credit = 10_000;
    cursor.nextLength(10_000);
    expect(log.reads).toHaveLength(1);
  });

  test('does not read what memory has', async () => {
    const log = new FakeLog({ spanBytes: 3_000 });
    const records = recordsOf(8);
    log.write(records.slice(0, 3), false);
    log.write(records.slice(3));
    const { cursor } = follow(log);
    cursor.nextLength(MIB);
    await log.answerAll();
    const pieces = takeAll(cursor);
    expect(indexAfter(pieces)).toBe(8);
    expect(log.reads).toEqual([]);
  });

  test('gives all cursors at least one read when the budget is used up', async () => {
    const log = new FakeLog({ spanBytes: 4_000 });
    log.write(recordsOf(30), false);
    const readAhead = new ReadAhead(5_000);
    const cursors = Array.from({ length: 4 }, () => follow(log, { readAhead }).cursor);
    for (const cursor of cursors) cursor.nextLength(MIB);
    await log.answerAll();
    for (const cursor of cursors) expect(cursor.nextLength(MIB)).toBeGreaterThan(0);
    for (const cursor of cursors) cursor.close();
    await log.answerAll();
    expect(readAhead.takenBytes).toBe(0);
  });

  test('tells why it cannot go on, and gives nothing any more', async () => {
    const log = new FakeLog();
    log.write(recordsOf(5), false);
    const { cursor, state } = follow(log);
    cursor.nextLength(MIB);
    log.reads[0]?.fail(new SluiceError('corrupted'));
    await settle();
    expect(state.failure?.code).toBe('corrupted');
    expect(cursor.nextLength(MIB)).toBe(0);
  });

  test('gives back its budget when it is closed during a read', async () => {
    const log = new FakeLog();
    log.write(recordsOf(5), false);
    const readAhead = new ReadAhead(MIB);
    const { cursor, state } = follow(log, { readAhead });
    cursor.nextLength(MIB);
    cursor.close();
    await log.answerAll();
    expect(readAhead.takenBytes).toBe(0);
    expect(state.readies).toBe(0);
  });
});

describe('going back', () => {
  test('reads the rejected records from disk, not from memory', async () => {
    const log = new FakeLog();
    const records = recordsOf(6);
    log.write(records);
    const { cursor } = follow(log);
    takeAll(cursor);
    cursor.rewindTo(2);
    expect(cursor.nextLength(MIB)).toBe(0);
    await settle();
    expect(cursor.nextLength(MIB)).toBe(0);
    expect(log.reads.map(({ position }) => position)).toEqual([log.places[2]?.position]);
    expect(log.freshReads).toBe(1);
    await log.answerAll();
    expect(joined(takeAll(cursor))).toEqual(joined(records.slice(2)));
  });

  test('throws away a read that was under way', async () => {
    const log = new FakeLog({ spanBytes: 2_500 });
    const records = recordsOf(10);
    log.write(records, false);
    const { cursor } = follow(log);
    cursor.nextLength(MIB);
    await log.answerAll();
    const pieces = takeAll(cursor);
    expect(log.reads).toHaveLength(1);
    cursor.rewindTo(0);
    await log.answerAll();
    pieces.length = 0;
    for (let i = 0; i < 20; i++) {
      pieces.push(...takeAll(cursor));
      await log.answerAll();
    }
    expect(joined(pieces)).toEqual(joined(records));
  });

  test('refuses what was never given', () => {
    const log = new FakeLog();
    log.write(recordsOf(3));
    const { cursor } = follow(log);
    expect(() => cursor.rewindTo(1)).toThrow(SluiceError);
  });
});

test('gives every record once and in order, whatever the order of writes, reads, takes and losses', async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const log = new FakeLog({
      spanBytes: 1_000 + random.below(6_000),
      hotBytes: 2_000 + random.below(8_000),
    });
    const records = recordsOf(40, 200 + random.below(1_000));
    const { cursor, state } = follow(log);
    const pieces: Uint8Array[] = [];
    for (let step = 0; cursor.index < records.length; step++) {
      expect(step, `seed ${seed}`).toBeLessThan(3_000);
      state.credit = random.chance(0.2) ? random.below(500) : 100_000;
      if (random.chance(0.4) && log.written.index < records.length) {
        log.write(
          records.slice(log.written.index, log.written.index + 1 + random.below(4)),
          random.chance(0.9),
        );
      }
      if (random.chance(0.1)) log.hot.clear();
      const length = cursor.nextLength(random.below(5_000));
      if (length > 0 && random.chance(0.7)) pieces.push(cursor.take());
      if (random.chance(0.5)) await log.answerAll();
      if (random.chance(0.03) && cursor.index > 0) {
        // The receiver found a record damaged: it drops that one and what follows.
        const index = random.below(cursor.index);
        const kept = (log.places[index] as LogPlace).position;
        pieces.splice(0, pieces.length, joined(pieces).subarray(0, kept));
        cursor.rewindTo(index);
        await settle();
      }
    }
    expect(joined(pieces), `seed ${seed}`).toEqual(joined(records));
  }
});
