/**
 * What a sender sends in which order: gives every source its file number and groups them into batches. After a restart
 * it matches the sources with what a former process had announced, so that nothing is sent twice. It reads no content.
 *
 * Order inside a batch: folders, small files (consecutive, so that they share packs), then large files; so a small file
 * never waits behind a large one. Files begin in ascending order of numbers, as the rules of the log ask.
 */
import { type LogSnapshot, MAX_FILES, type ManifestEntry, SluiceError } from '../protocol/index.ts';
import type { Clock, JournaledFile, SendJournal, SourceEntry } from '../runtime/index.ts';

/** A file of this size or less goes into a pack, bytes. */
export const SMALL_FILE_BYTES: number = 64 * 1024;
const BATCH_FILES = 1_000;
/** How far the walk runs ahead of the first batch, so that totals are known early: entries, and ms. */
const LOOKAHEAD_FILES = 50_000;
const LOOKAHEAD_MS = 500;

export interface PlannedFile {
  readonly entry: ManifestEntry;
  /** Null when the file was announced by a former process and is gone now. */
  readonly source: SourceEntry | null;
  /** Where sending goes on, bytes. More than 0 only for a file that was half sent. */
  readonly startOffset: number;
}

export interface PlannedBatch {
  readonly files: readonly PlannedFile[];
  /** Totals, once the walk is over. */
  readonly totalFiles: number | null;
  readonly totalBytes: number | null;
}

/**
 * Plans all sources. `from` is what the server holds.
 * @throws SluiceError `sourceChanged` when a file that was sent at least in part is not the one on disk any more,
 * `limit` for too many files.
 */
export async function* planBatches(
  sources: AsyncIterable<SourceEntry>,
  journal: SendJournal | null,
  from: LogSnapshot,
  clock: Clock,
): AsyncGenerator<PlannedBatch> {
  const isResumed = journal !== null && journal.files.length > 0;
  const plan = new Plan(isResumed ? journal.files : [], from);
  const startedAt = clock.now();
  const walk = sources[Symbol.asyncIterator]();
  let isAhead = true;
  try {
    for (;;) {
      const next = await walk.next();
      if (next.done) break;
      plan.add(next.value);
      isAhead &&= plan.waitingCount < LOOKAHEAD_FILES && clock.now() - startedAt < LOOKAHEAD_MS;
      // Former files must all be found before the first new one gets a number.
      if (!isResumed && !isAhead && plan.waitingCount >= BATCH_FILES) yield* batches(plan, null);
    }
  } finally {
    await walk.return?.();
  }
  yield* batches(plan, { totalFiles: plan.totalFiles, totalBytes: plan.totalBytes });
}

type Totals = Pick<PlannedBatch, 'totalFiles' | 'totalBytes'>;

function* batches(plan: Plan, totals: Totals | null): Generator<PlannedBatch> {
  const { totalFiles, totalBytes } = totals ?? { totalFiles: null, totalBytes: null };
  const files = plan.takeAll();
  // An empty transfer still has its one batch: it carries name and totals.
  if (files.length === 0) yield { files, totalFiles, totalBytes };
  for (let at = 0; at < files.length; at += BATCH_FILES) {
    yield { files: files.slice(at, at + BATCH_FILES), totalFiles, totalBytes };
  }
}

class Plan {
  readonly #from: LogSnapshot;
  readonly #former: ReadonlyMap<string, JournaledFile>;
  readonly #lost: Map<string, JournaledFile>;
  readonly #openOffsets: ReadonlyMap<number, number>;
  #continued: PlannedFile[] = [];
  #fresh: SourceEntry[] = [];
  #nextNumber: number;
  totalFiles = 0;
  totalBytes: number | null = 0;

  constructor(former: readonly JournaledFile[], from: LogSnapshot) {
    this.#from = from;
    // The last line for a location counts: a changed file is announced again under a new number.
    this.#former = new Map(former.map((file) => [locationOf(file), file]));
    this.#lost = new Map([...this.#former].filter(([, { entry }]) => entry.type === 'file'));
    this.#openOffsets = new Map(from.openFiles.map(({ file, nextOffset }) => [file, nextOffset]));
    this.#nextNumber = former.reduce((next, { entry }) => Math.max(next, entry.file + 1), from.nextFile);
  }

  get waitingCount(): number {
    return this.#fresh.length;
  }

  add(source: SourceEntry): void {
    if (source.type === 'file') this.totalFiles += 1;
    if (source.type === 'file' && this.totalBytes !== null) {
      this.totalBytes = source.sizeBytes === null ? null : this.totalBytes + source.sizeBytes;
    }
    const location = source.origin?.location;
    const former = location === undefined ? undefined : this.#former.get(location);
    if (location === undefined || former === undefined || former.entry.type !== source.type) {
      this.#fresh.push(source);
      return;
    }
    this.#lost.delete(location);
    this.#continue(former, source);
  }

  /** Everything that waits, numbered and in the order in which it is to be sent. */
  takeAll(): PlannedFile[] {
    for (const former of this.#lost.values()) this.#continue(former, null);
    this.#lost.clear();
    // Half-sent files go on first; the rest begins in the order of the numbers it was announced with.
    const continued = this.#continued.sort(
      (a, b) =>
        Number(this.#isOpen(b.entry.file)) - Number(this.#isOpen(a.entry.file)) ||
        a.entry.file - b.entry.file,
    );
    this.#continued = [];
    const fresh = this.#fresh.sort((a, b) => rankOf(a) - rankOf(b));
    this.#fresh = [];
    if (this.#nextNumber + fresh.length > MAX_FILES) {
      throw new SluiceError('limit', `A transfer holds at most ${MAX_FILES} files.`);
    }
    const numbered = fresh.map((source) => ({
      entry: entryOf(source, this.#nextNumber++),
      source,
      startOffset: 0,
    }));
    return [...continued, ...numbered];
  }

  #isOpen(file: number): boolean {
    return this.#openOffsets.has(file);
  }

  #continue({ entry, origin }: JournaledFile, source: SourceEntry | null): void {
    const hasBegun = entry.type === 'file' && entry.file < this.#from.nextFile;
    const startOffset = this.#openOffsets.get(entry.file) ?? 0;
    if (hasBegun && source !== null && source.origin?.identity !== origin?.identity) {
      throw new SluiceError('sourceChanged', `It is "${entry.path.join('/')}".`);
    }
    // What has begun and is not open has ended, and its entry is in the log.
    if (hasBegun && !this.#isOpen(entry.file)) return;
    this.#continued.push({
      entry: source === null ? entry : { ...entryOf(source, entry.file), path: entry.path },
      source,
      startOffset,
    });
  }
}

function locationOf({ entry, origin }: JournaledFile): string {
  return origin?.location ?? `\0${entry.file}`;
}

export function isSmall(source: Pick<SourceEntry, 'sizeBytes'>): boolean {
  return source.sizeBytes !== null && source.sizeBytes <= SMALL_FILE_BYTES;
}

function rankOf(source: SourceEntry): number {
  if (source.type !== 'file') return 0;
  return isSmall(source) ? 1 : 2;
}

function entryOf(source: SourceEntry, file: number): ManifestEntry {
  const { path, type, sizeBytes, mtime, mode } = source;
  return { file, path, type, sizeBytes, mtime, mode, replaces: null };
}
