// A LogStore on a model disk: calls take time on the clock of the test and end in any order the port allows, power may
// go at any moment, the n-th call of a kind may fail. Same seed and same calls, same run.

import type { Clock, Timer } from '../../src/runtime/index.ts';
import {
  type AppendDone,
  assertLogId,
  type LogStorage,
  type LogStore,
} from '../../src/server/log/log-store.ts';
import { type Random, seededRandom } from './random.ts';
import { SimulatedFile } from './simulated-file.ts';

export type DiskCall = 'append' | 'sync' | 'read' | 'rewrite' | 'truncate' | 'writeIndex' | 'writeMark';

export interface SimulatedDiskOptions {
  readonly clock: Clock;
  readonly seed?: number;
  /** Each call takes up to this long, ms. */
  readonly maxDelayMs?: number;
}

interface SimulatedLog {
  readonly records: SimulatedFile;
  readonly index: SimulatedFile;
  /** The mark on the platter. */
  stableMark: Uint8Array | null;
  /** Marks written since the last sync, the latest last. */
  newMarks: Uint8Array[];
  storage: SimulatedStorage | null;
}

interface Injection {
  readonly call: DiskCall;
  left: number;
  readonly code: string;
}

export class SimulatedDisk implements LogStore {
  readonly clock: Clock;
  readonly random: Random;
  /** What was finished, in order: `append 0..100`, `sync`, `writeMark`, ... */
  readonly trace: string[] = [];
  /** Room for records, bytes. The append that does not fit is written in part and fails with ENOSPC. */
  capacityBytes: number = Number.POSITIVE_INFINITY;
  maxDelayMs: number;
  readonly #logs = new Map<string, SimulatedLog>();
  #injections: Injection[] = [];

  constructor({ clock, seed = 1, maxDelayMs = 3 }: SimulatedDiskOptions) {
    this.clock = clock;
    this.random = seededRandom(seed);
    this.maxDelayMs = maxDelayMs;
  }

  async open(id: string): Promise<LogStorage> {
    assertLogId(id);
    const log = this.#log(id);
    if (log.storage !== null) throw new Error(`the storage of ${id} is already open`);
    log.storage = new SimulatedStorage(this, log);
    return log.storage;
  }

  async remove(id: string): Promise<void> {
    assertLogId(id);
    const storage = this.#logs.get(id)?.storage ?? null;
    if (storage !== null) throw new Error(`the storage of ${id} is open`);
    this.#logs.delete(id);
  }

  async ids(): Promise<string[]> {
    return [...this.#logs.keys()];
  }

  async freeBytes(): Promise<number | null> {
    return Number.isFinite(this.capacityBytes) ? this.capacityBytes - this.#usedBytes() : null;
  }

  async close(): Promise<void> {}

  /** Makes the n-th call of this kind from now on fail; 1 is the next one. */
  failNext(call: DiskCall, code: string, nth = 1): void {
    this.#injections.push({ call, left: nth, code });
  }

  /** Forgets failures that have not happened yet. */
  forgetFailures(): void {
    this.#injections = [];
  }

  /** Power loss: what was not synced is lost, in part, or not. Calls under way never end. */
  crash(): void {
    for (const log of this.#logs.values()) {
      log.storage?.die();
      log.storage = null;
      log.records.crash(this.random);
      log.index.crash(this.random);
      // Two slots take turns: one write that was not synced leaves the mark before it, two may tear both.
      const candidates = [log.stableMark, ...log.newMarks, ...(log.newMarks.length > 1 ? [null] : [])];
      log.stableMark = candidates[this.random.below(candidates.length)] ?? null;
      log.newMarks = [];
    }
  }

  /** The process dies, the operating system does not: what was written is still there. */
  kill(): void {
    for (const log of this.#logs.values()) {
      log.storage?.die();
      log.storage = null;
    }
  }

  /** What rots on the disk. */
  flipBit(id: string, position: number, bit: number): void {
    this.#log(id).records.flipBit(position, bit);
  }

  indexOf(id: string): SimulatedFile {
    return this.#log(id).index;
  }

  recordsOf(id: string): SimulatedFile {
    return this.#log(id).records;
  }

  loseMark(id: string): void {
    this.#log(id).stableMark = null;
    this.#log(id).newMarks = [];
  }

  /** For storages: the error this call is to fail with, if any. */
  failureOf(call: DiskCall): Error | null {
    let failure: Error | null = null;
    for (const injection of this.#injections) {
      if (injection.call !== call) continue;
      injection.left -= 1;
      if (injection.left === 0) failure = errorOf(injection.code);
    }
    this.#injections = this.#injections.filter(({ left }) => left > 0);
    return failure;
  }

  /** For storages: bytes of records that still fit. */
  roomBytes(): number {
    return Math.max(0, this.capacityBytes - this.#usedBytes());
  }

  #usedBytes(): number {
    return [...this.#logs.values()].reduce((sum, { records }) => sum + records.length, 0);
  }

  #log(id: string): SimulatedLog {
    let log = this.#logs.get(id);
    if (log === undefined) {
      const records = new SimulatedFile();
      log = { records, index: new SimulatedFile(), stableMark: null, newMarks: [], storage: null };
      this.#logs.set(id, log);
    }
    return log;
  }
}

interface QueuedAppend {
  readonly bytes: Uint8Array;
  readonly done: AppendDone;
}

class SimulatedStorage implements LogStorage {
  readonly #disk: SimulatedDisk;
  readonly #log: SimulatedLog;
  readonly #timers = new Set<Timer>();
  readonly #appends: QueuedAppend[] = [];
  /** Bytes whose `done` was called; the file may hold a torn write behind them. */
  #length: number;
  #isAppending = false;
  #appendFailure: Error | null = null;
  #syncFailure: Error | null = null;
  #calls = 0;
  #isClosed = false;
  #isDead = false;
  #onIdle: (() => void) | null = null;

  constructor(disk: SimulatedDisk, log: SimulatedLog) {
    this.#disk = disk;
    this.#log = log;
    this.#length = log.records.length;
  }

  get length(): number {
    return this.#length;
  }
  get indexLength(): number {
    return this.#log.index.length;
  }

  append(parts: readonly Uint8Array[], done: AppendDone): void {
    const refusal = this.#isClosed ? new Error('closed') : (this.#syncFailure ?? this.#appendFailure);
    if (refusal !== null) return queueMicrotask(() => !this.#isDead && done(refusal));
    this.#appends.push({ bytes: new Uint8Array(Buffer.concat(parts)), done });
    if (!this.#isAppending) this.#appendNext();
  }

  async sync(): Promise<void> {
    if (this.#syncFailure !== null) throw this.#syncFailure;
    // The objects of a dead process live on in the test: they must not touch the disk of the next one.
    if (this.#isDead) return new Promise(() => {});
    const endRecords = this.#log.records.beginSync(this.#disk.random);
    const marks = this.#log.newMarks.length;
    return this.#call(
      'sync',
      () => {
        endRecords(true);
        this.#log.stableMark = this.#log.newMarks[marks - 1] ?? this.#log.stableMark;
        this.#log.newMarks.splice(0, marks);
      },
      (error) => {
        endRecords(false);
        this.#syncFailure = error;
      },
    );
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#call('read', () =>
      this.#log.records.read(position, Math.min(length, this.#length - position)),
    );
  }

  rewrite(position: number, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    return this.#call('rewrite', () => this.#log.records.write(position, copy));
  }

  async truncate(position: number, indexLength: number): Promise<void> {
    if (this.#syncFailure !== null) throw this.#syncFailure;
    if (this.#isAppending) throw new Error('an append is in flight');
    return this.#call('truncate', () => {
      this.#log.records.truncate(position);
      this.#log.index.truncate(indexLength);
      this.#length = Math.min(this.#length, position);
      this.#appendFailure = null;
    });
  }

  writeIndex(position: number, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    return this.#call('writeIndex', () => this.#log.index.write(position, copy));
  }

  async readIndex(position: number, length: number): Promise<Uint8Array> {
    return this.#log.index.read(position, length);
  }

  writeMark(bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    return this.#call('writeMark', () => void this.#log.newMarks.push(copy));
  }

  async readMark(): Promise<Uint8Array | null> {
    return (this.#log.newMarks.at(-1) ?? this.#log.stableMark)?.slice() ?? null;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#calls > 0 || this.#isAppending) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    this.#log.storage = null;
  }

  /** Nothing under way ever ends; of the append under way some may have been written. */
  die(): void {
    this.#isDead = true;
    for (const timer of this.#timers) timer.cancel();
    const [current] = this.#appends;
    if (this.#isAppending && current !== undefined) {
      const written = this.#disk.random.below(current.bytes.length + 1);
      this.#log.records.write(this.#length, current.bytes.subarray(0, written));
    }
  }

  #appendNext(): void {
    const append = this.#appends[0];
    this.#isAppending = append !== undefined;
    if (append === undefined) return this.#tellIdle();
    this.#later(() => {
      const { bytes, done } = append;
      const room = this.#disk.roomBytes();
      const failure = this.#disk.failureOf('append') ?? (bytes.length > room ? errorOf('ENOSPC') : null);
      const written = failure === null ? bytes.length : Math.min(room, this.#disk.random.below(bytes.length));
      this.#log.records.write(this.#length, bytes.subarray(0, written));
      if (failure !== null) return this.#failAppends(failure);
      this.#disk.trace.push(`append ${this.#length}..${this.#length + bytes.length}`);
      this.#length += bytes.length;
      this.#appends.shift();
      done(null);
      this.#appendNext();
    });
  }

  #failAppends(failure: Error): void {
    this.#disk.trace.push('append failed');
    this.#appendFailure = failure;
    this.#isAppending = false;
    for (const { done } of this.#appends.splice(0)) done(failure);
    this.#tellIdle();
  }

  #call<T>(call: DiskCall, finish: () => T, fail: (error: Error) => void = () => {}): Promise<T> {
    if (this.#isClosed) return Promise.reject(new Error('closed'));
    this.#calls += 1;
    return new Promise((resolve, reject) => {
      this.#later(() => {
        this.#calls -= 1;
        const failure = this.#disk.failureOf(call);
        this.#disk.trace.push(failure === null ? call : `${call} failed`);
        if (failure === null) resolve(finish());
        else {
          fail(failure);
          reject(failure);
        }
        this.#tellIdle();
      });
    });
  }

  #later(run: () => void): void {
    if (this.#isDead) return;
    const timer = this.#disk.clock.setTimer(() => {
      this.#timers.delete(timer);
      run();
    }, this.#disk.random.fraction() * this.#disk.maxDelayMs);
    this.#timers.add(timer);
  }

  #tellIdle(): void {
    if (this.#calls === 0 && !this.#isAppending) this.#onIdle?.();
  }
}

function errorOf(code: string): Error {
  return Object.assign(new Error(`simulated ${code}`), { code });
}
