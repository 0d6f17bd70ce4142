// From chunks to the sink: order, acceptance, checkpoints, what waits for durability, going back, damage and credit.
import { describe, expect, test } from 'vitest';
import { RecordIntake, type RecordIntakeOptions } from '../../../src/client/record-intake.ts';
import {
  type FileEnd,
  type LogBuilder,
  type LogPoint,
  type LogSnapshot,
  MAX_REPAIRS,
  type ManifestEntry,
  type PackedFile,
  SluiceError,
} from '../../../src/protocol/index.ts';
import type { SinkDone, TransferSink } from '../../../src/runtime/index.ts';
import { digester } from '../../support/digester.ts';
import { codeOf } from '../../support/errors.ts';
import {
  contentOf,
  dataRecord,
  emptyManifest,
  endOf,
  joined,
  newBuilder,
  packed,
  RECORD_SIZE,
  startOfLog,
} from '../../support/log-fixtures.ts';

/** Writes down what it is told; finishes a write when the test says so. */
class RecordingSink implements TransferSink {
  readonly resume = null;
  readonly calls: string[] = [];
  readonly checkpoints: number[] = [];
  readonly rewinds: number[] = [];
  /** What has not been finished, oldest first. */
  readonly pending: SinkDone[] = [];
  isInstant = true;

  addEntries(entries: readonly ManifestEntry[]): void {
    this.calls.push(`entries ${entries.length}`);
  }
  write(file: number, offset: number, content: Uint8Array, done: SinkDone): void {
    this.#begin(`write ${file}@${offset}+${content.length}`, done);
  }
  hole(file: number, offset: number, span: number, done: SinkDone): void {
    this.#begin(`hole ${file}@${offset}+${span}`, done);
  }
  endFile(file: number, { status }: FileEnd, done: SinkDone): void {
    this.#begin(`end ${file} ${status}`, done);
  }
  writePacked(firstFile: number, files: readonly PackedFile[], done: SinkDone): void {
    this.#begin(`pack ${firstFile}+${files.length}`, done);
  }
  checkpoint(point: LogPoint, snapshot: LogSnapshot): void {
    expect([point.index, point.chain]).toEqual([snapshot.index, snapshot.chain]);
    this.checkpoints.push(point.index);
  }
  rewindTo({ index }: LogPoint): void {
    this.rewinds.push(index);
  }
  finish(): Promise<{ files: number; sizeBytes: number }> {
    return Promise.resolve({ files: 0, sizeBytes: 0 });
  }
  async keep(): Promise<void> {}

  #begin(call: string, done: SinkDone): void {
    this.calls.push(call);
    if (this.isInstant) done(null);
    else this.pending.push(done);
  }
}

const STREAM = 1;

class IntakeRig {
  readonly builder: LogBuilder = newBuilder();
  readonly sink = new RecordingSink();
  /** Bytes given back, by stream. */
  readonly consumed = new Map<number, number>();
  readonly damaged: number[] = [];
  readonly errors: SluiceError[] = [];
  readonly manifests: number[] = [];
  contentBytes = 0;
  advances = 0;
  readonly intake: RecordIntake;

  constructor(options: Partial<RecordIntakeOptions> = {}) {
    this.intake = new RecordIntake({
      headerHash: startOfLog().chain,
      recordSizeBytes: RECORD_SIZE,
      digester,
      inflate: () => {
        throw new Error('nothing is compressed here');
      },
      sink: this.sink,
      from: null,
      isAccepted: true,
      onManifest: ({ entries }) => this.manifests.push(entries.length),
      onBegin: () => {},
      onContent: (bytes) => {
        this.contentBytes += bytes;
      },
      onConsumed: (stream, bytes) => this.consumed.set(stream, (this.consumed.get(stream) ?? 0) + bytes),
      onDamage: (index) => this.damaged.push(index),
      onAdvance: () => {
        this.advances += 1;
      },
      onError: (error) => this.errors.push(error),
      ...options,
    });
  }

  manifest(): Uint8Array {
    return this.builder.manifest(emptyManifest);
  }

  data(file: number, length: number, end = false): Uint8Array {
    const content = contentOf(length, file);
    return dataRecord(
      this.builder,
      file,
      content,
      end ? { ...endOf(content), sizeBytes: this.#sizeOf(file) + length } : null,
    );
  }

  read(...records: Uint8Array[]): void {
    this.intake.read(joined(records), STREAM);
  }

  get credit(): number {
    return this.consumed.get(STREAM) ?? 0;
  }

  #sizeOf(file: number): number {
    return this.builder.state.nextOffsetOf(file) ?? 0;
  }
}

describe('order', () => {
  test('what a log holds reaches the sink in the order of the log', () => {
    const rig = new IntakeRig();
    rig.intake.handleDurable(100);
    const content = contentOf(10);
    rig.read(
      rig.manifest(),
      rig.data(1, 10),
      rig.builder.hole(2, 500, null),
      rig.data(1, 20, true),
      rig.builder.hole(2, 5, { blake3: new Uint8Array(32), sizeBytes: 505, status: 'ok' }),
      rig.builder.pack(3, [packed(content), packed(content)]),
      rig.builder.seal(),
    );
    expect(rig.sink.calls).toEqual([
      'entries 0',
      'write 1@0+10',
      'hole 2@0+500',
      'write 1@10+20',
      'end 1 ok',
      'hole 2@500+5',
      'end 2 ok',
      'pack 3+2',
    ]);
    expect(rig.contentBytes).toBe(10 + 500 + 20 + 5 + 20);
    expect([rig.intake.isSealed, rig.intake.isSettled, rig.intake.index]).toEqual([true, true, 7]);
    expect(rig.intake.point).toEqual({ index: 7, chain: rig.builder.state.chain });
  });

  test('nothing was read: no point', () => {
    expect(new IntakeRig().intake.point).toBeNull();
  });
});

describe('before the offer is accepted', () => {
  test('manifests are told and nothing at all reaches the sink', () => {
    const rig = new IntakeRig({ isAccepted: false });
    rig.intake.handleDurable(100);
    rig.read(
      rig.manifest(),
      rig.data(1, 10),
      rig.data(1, 10, true),
      rig.builder.pack(2, [packed(contentOf(3))]),
    );
    expect(rig.manifests).toEqual([0]);
    expect([rig.sink.calls, rig.sink.checkpoints, rig.credit]).toEqual([[], [], 0]);
    expect(rig.intake.isIdle).toBe(false);
  });

  test('accepting hands everything over in order, and its credit with it', () => {
    const rig = new IntakeRig({ isAccepted: false });
    const chunks = [rig.manifest(), rig.data(1, 10), rig.data(1, 5, true)];
    for (const chunk of chunks) rig.read(chunk);
    rig.intake.accept();
    expect(rig.sink.calls).toEqual(['entries 0', 'write 1@0+10', 'write 1@10+5']);
    rig.intake.handleDurable(3);
    expect(rig.sink.calls.at(-1)).toBe('end 1 ok');
    expect(rig.credit).toBe(joined(chunks).length);
    rig.read(rig.builder.seal());
    expect(rig.intake.isSealed).toBe(true);
  });

  test('going back throws away what was held', () => {
    const rig = new IntakeRig({ isAccepted: false });
    const [manifest, data] = [rig.manifest(), rig.data(1, 10)];
    rig.read(manifest, data);
    rig.intake.rewind();
    rig.read(manifest);
    rig.intake.accept();
    expect(rig.sink.calls).toEqual(['entries 0']);
  });
});

describe('a checkpoint', () => {
  test('comes after all writes of its chunk, and of those before it', () => {
    const rig = new IntakeRig();
    rig.sink.isInstant = false;
    rig.read(rig.manifest(), rig.data(1, 10), rig.data(1, 10));
    rig.read(rig.data(1, 10));
    expect(rig.sink.pending).toHaveLength(3);
    rig.sink.pending[2]?.(null);
    expect(rig.sink.checkpoints).toEqual([]);
    rig.sink.pending[0]?.(null);
    expect(rig.sink.checkpoints).toEqual([]);
    rig.sink.pending[1]?.(null);
    expect(rig.sink.checkpoints).toEqual([4]);
    expect(rig.intake.isIdle).toBe(true);
  });

  test('of a chunk without content comes at once', () => {
    const rig = new IntakeRig();
    rig.sink.isInstant = false;
    rig.read(rig.manifest());
    expect(rig.sink.checkpoints).toEqual([1]);
  });

  test('does not come after a write that failed', () => {
    const rig = new IntakeRig();
    rig.sink.isInstant = false;
    rig.read(rig.manifest(), rig.data(1, 10));
    rig.sink.pending[0]?.(new SluiceError('localDisk'));
    expect(rig.errors.map(({ code }) => code)).toEqual(['localDisk']);
    expect([rig.sink.checkpoints, rig.credit]).toEqual([[], 0]);
  });
});

describe('until it is durable', () => {
  test('a file is not put in its place, and a pack is not written', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.data(1, 10, true));
    rig.read(rig.builder.pack(2, [packed(contentOf(3))]));
    expect(rig.sink.calls).toEqual(['entries 0', 'write 1@0+10']);
    rig.intake.handleDurable(1);
    expect(rig.sink.calls).toHaveLength(2);
    rig.intake.handleDurable(2);
    expect(rig.sink.calls.at(-1)).toBe('end 1 ok');
    expect(rig.sink.checkpoints).toEqual([2]);
    expect(rig.intake.isSettled).toBe(false);
    rig.intake.handleDurable(3);
    expect(rig.sink.calls.at(-1)).toBe('pack 2+1');
    expect(rig.sink.checkpoints).toEqual([2, 3]);
    expect(rig.intake.isSettled).toBe(true);
  });

  test('news that is older changes nothing', () => {
    const rig = new IntakeRig();
    rig.intake.handleDurable(5);
    const { advances } = rig;
    rig.intake.handleDurable(5);
    rig.intake.handleDurable(4);
    expect(rig.advances).toBe(advances);
  });

  test('a sealed log is not settled', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.builder.seal());
    expect([rig.intake.isSealed, rig.intake.isSettled]).toEqual([true, false]);
    rig.intake.handleDurable(2);
    expect(rig.intake.isSettled).toBe(true);
  });

  test('content bytes count as durable only up to a point that is', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.data(1, 10));
    rig.read(rig.data(1, 7));
    expect(rig.intake.durableContentBytes).toBe(0);
    rig.intake.handleDurable(2);
    expect(rig.intake.durableContentBytes).toBe(10);
    rig.intake.handleDurable(3);
    expect(rig.intake.durableContentBytes).toBe(17);
  });
});

describe('going back', () => {
  test('goes to the newest point that was durable, and takes another log from there', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.data(1, 10));
    const snapshot = rig.builder.state.snapshot();
    rig.intake.handleDurable(2);
    rig.read(rig.data(1, 20));
    rig.read(rig.data(1, 30));
    expect(rig.intake.rewind()).toBe(10);
    expect(rig.sink.rewinds).toEqual([2]);
    expect(rig.intake.point).toEqual({ index: 2, chain: snapshot.chain });
    const other = new IntakeRig();
    other.manifest();
    other.data(1, 10);
    rig.read(other.data(1, 25), other.data(1, 1, true), other.builder.seal());
    expect(rig.intake.isSealed).toBe(true);
    expect(rig.sink.calls.slice(-2)).toEqual(['write 1@10+25', 'write 1@35+1']);
  });

  test('goes to the start the second time, and gives up the third', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.data(1, 10));
    rig.intake.handleDurable(2);
    expect(rig.intake.rewind()).toBe(10);
    expect(rig.intake.rewind()).toBe(0);
    expect(rig.sink.rewinds).toEqual([2, 0]);
    expect(rig.intake.point).toBeNull();
    expect(codeOf(() => rig.intake.rewind())).toBe('conflict');
  });

  test('may go back again later, once the server has called something durable', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.data(1, 10));
    rig.intake.handleDurable(2);
    rig.intake.rewind();
    rig.read(rig.data(1, 5));
    rig.intake.handleDurable(3);
    expect(rig.intake.rewind()).toBe(15);
  });

  test('counts nothing of what it threw away, however late that was written', () => {
    const rig = new IntakeRig();
    rig.sink.isInstant = false;
    const records = [rig.manifest(), rig.data(1, 10)];
    rig.read(...records);
    rig.intake.rewind();
    rig.read(...records);
    expect(rig.sink.pending).toHaveLength(2);
    rig.sink.pending[0]?.(null);
    expect([rig.contentBytes, rig.sink.checkpoints]).toEqual([0, []]);
    rig.sink.pending[1]?.(null);
    expect([rig.contentBytes, rig.sink.checkpoints]).toEqual([10, [2]]);
  });

  test('puts no file in its place that ended in what it threw away', () => {
    const rig = new IntakeRig();
    rig.read(rig.manifest(), rig.data(1, 10, true));
    rig.intake.rewind();
    rig.intake.handleDurable(2);
    expect(rig.sink.calls).not.toContain('end 1 ok');
  });

  test('from the point of a former run', () => {
    const former = new IntakeRig();
    former.manifest();
    former.data(1, 10);
    const from = former.builder.state.snapshot();
    const rig = new IntakeRig({ from });
    expect(rig.intake.point).toEqual({ index: 2, chain: from.chain });
    rig.read(former.data(1, 20));
    expect(rig.sink.calls).toEqual(['write 1@10+20']);
    expect(rig.intake.rewind()).toBe(10);
    expect(rig.intake.rewind()).toBe(0);
  });
});

describe('a damaged record', () => {
  test('is asked for again, and what came behind it is dropped', () => {
    const rig = new IntakeRig();
    const [manifest, first, second] = [rig.manifest(), rig.data(1, 10), rig.data(1, 20)];
    const broken = new Uint8Array(first);
    broken[80] = (broken[80] as number) ^ 1;
    rig.read(manifest, broken, second);
    expect(rig.damaged).toEqual([1]);
    expect(rig.sink.calls).toEqual(['entries 0']);
    rig.read(second);
    rig.read(first, second);
    expect(rig.damaged).toEqual([1]);
    expect(rig.sink.calls.slice(1)).toEqual(['write 1@0+10', 'write 1@10+20']);
    expect(rig.credit).toBe(manifest.length + 2 * first.length + 3 * second.length);
  });

  test('that stays damaged is an error in the end', () => {
    const rig = new IntakeRig();
    const [manifest, data] = [rig.manifest(), rig.data(1, 10)];
    rig.read(manifest);
    data[80] = (data[80] as number) ^ 1;
    for (let i = 0; i < MAX_REPAIRS; i++) rig.read(data);
    expect(codeOf(() => rig.read(data))).toBe('digestMismatch');
  });

  test('a seal that does not match is an error', () => {
    const rig = new IntakeRig();
    const other = new IntakeRig();
    rig.read(rig.manifest());
    other.manifest();
    other.data(1, 10, true);
    // Another log of the same length up to here would be needed to get that far; so the rule breaks first.
    expect(codeOf(() => rig.read(other.builder.seal()))).toBe('protocol');
  });
});

describe('credit', () => {
  test('of every byte is returned exactly once, whatever order writes end in', () => {
    const rig = new IntakeRig();
    rig.sink.isInstant = false;
    let sent = 0;
    const read = (...records: Uint8Array[]): void => {
      sent += joined(records).length;
      rig.read(...records);
    };
    read(rig.manifest());
    for (let i = 0; i < 20; i++) read(rig.data(1, i * 10), rig.data(1, 5));
    const broken = new Uint8Array(rig.data(1, 40));
    broken[100] = (broken[100] as number) ^ 1;
    read(broken);
    for (let at = 0; rig.sink.pending.length > 0; at += 7) {
      const [done] = rig.sink.pending.splice(at % rig.sink.pending.length, 1);
      expect(rig.credit).toBeLessThan(sent);
      done?.(null);
    }
    expect(rig.credit).toBe(sent);
    rig.intake.handleDurable(100);
    expect(rig.credit).toBe(sent);
  });

  test('goes to the stream that brought the bytes', () => {
    const rig = new IntakeRig();
    rig.sink.isInstant = false;
    const [manifest, first, second] = [rig.manifest(), rig.data(1, 10), rig.data(1, 10)];
    rig.intake.read(manifest, 1);
    rig.intake.read(first, 1);
    rig.intake.read(second, 3);
    for (const done of rig.sink.pending.splice(0)) done(null);
    expect(Object.fromEntries(rig.consumed)).toEqual({ 1: manifest.length + first.length, 3: second.length });
  });

  test('of a pack is kept back until it is durable and written', () => {
    const rig = new IntakeRig();
    const [manifest, pack] = [rig.manifest(), rig.builder.pack(1, [packed(contentOf(1_000))])];
    rig.read(manifest);
    rig.read(pack);
    expect(rig.credit).toBe(manifest.length);
    rig.intake.handleDurable(2);
    expect(rig.credit).toBe(manifest.length + pack.length);
  });
});
