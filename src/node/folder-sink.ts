/**
 * Writes a transfer into a folder. Everything is first written to a staging folder beside its final place
 * (`.sluice-<transfer>`, only for us to read); a file gets its name when its content is complete and its
 * BLAKE3 right. The staging folder also holds a journal, so that the same transfer into the same folder goes
 * on where a former run stopped, however it ended.
 *
 * This file knows which file number is in which state. Content is written by part-file.ts and small-file.ts,
 * names are given by file-placer.ts, folders are entered by target-folder.ts, and sink-journal.ts remembers.
 *
 * Memory: about 300 bytes for each file that is announced and not in its place, one bit for each that is;
 * names of files only with `overwrite` or `skip`, or where the platform folds case (40 bytes each). At most
 * 16 files are open.
 */
import { mkdirSync } from 'node:fs';
import { equalBytes } from '../protocol/byte-order.ts';
import { displayPath } from '../protocol/display-name.ts';
import {
  type Digester,
  type FileEnd,
  type LogPoint,
  type LogSnapshot,
  type ManifestEntry,
  type ManifestHead,
  type PackedFile,
  SluiceError,
} from '../protocol/index.ts';
import { type SafePathPlatform, safePathOn } from '../protocol/safe-path.ts';
import type { SinkDone, SinkResume, TransferSink } from '../runtime/index.ts';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { DiskPace } from './disk-pace.ts';
import { type ConflictRule, FilePlacer, type Placement } from './file-placer.ts';
import { settleFolders } from './folder-metadata.ts';
import { PartFile } from './part-file.ts';
import { type SinkFile, statusError } from './sink-file.ts';
import { type JournalState, markPlaced, type Path } from './sink-journal.ts';
import { applyMetadata, writeSmallFile } from './small-file.ts';
import { isStagingName, type Renamed, StagingFolder } from './staging-folder.ts';
import { localDiskError } from './system-error.ts';
import { TargetFolder } from './target-folder.ts';

export interface FolderSinkOptions {
  /** Created with its parents when missing. */
  readonly directory: string;
  /** base64url. */
  readonly transferId: string;
  readonly onConflict: ConflictRule;
  readonly digester: Digester;
  /** Whether a file is on the disk, and not only in its cache, before it counts as received. */
  readonly fsync: boolean;
  /** Which names are allowed, and which are one file. Default: by the system. */
  readonly platform?: SafePathPlatform;
  /** Told of every file once: in its place, skipped, or given up. */
  onFile(file: SinkFile): void;
}

export interface SinkSummary {
  /** Files in their place, of this run and former ones. */
  readonly files: number;
  readonly sizeBytes: number;
  /** What got another name in this run. A folder counts once. */
  readonly renamed: readonly Renamed[];
  /** Files given up in this run. */
  readonly problems: number;
}

/** Small files that are written before their names are given, and open files with `fsync`. */
const PACK_BATCH = 64;
/** Writing small files gives way to everything else after this time, ms. */
const PACK_SLICE_MS = 10;

export class FolderSink implements TransferSink {
  readonly resume: SinkResume | null;
  readonly #options: FolderSinkOptions;
  readonly #platform: SafePathPlatform;
  readonly #target: TargetFolder;
  readonly #staging: StagingFolder;
  readonly #state: JournalState;
  readonly #placer: FilePlacer;
  readonly #checkpoints: CheckpointWriter;
  readonly #pace = new DiskPace();
  readonly #parts = new Map<number, PartFile>();
  readonly #renamed: Renamed[] = [];
  #problems = 0;
  #packs: Promise<void> = Promise.resolve();
  #hasContent: boolean;
  #failure: SluiceError | null = null;
  #isOver = false;

  /**
   * Opens the staging folder, or takes over the one that a former run left.
   * @throws SluiceError `localDisk` when the folder cannot be used or another process receives the transfer
   * into it.
   */
  static async open(options: FolderSinkOptions): Promise<FolderSink> {
    try {
      mkdirSync(options.directory, { recursive: true });
      return new FolderSink(options);
    } catch (error) {
      throw localDiskError(error, 'Opening the receive folder');
    }
  }

  private constructor(options: FolderSinkOptions) {
    const { directory, transferId, onConflict, fsync, platform = systemPlatform() } = options;
    this.#options = options;
    this.#platform = platform;
    const target = new TargetFolder(directory, fsync, (path) => this.#noteCreated(path));
    this.#target = target;
    try {
      this.#staging = new StagingFolder(target, transferId);
    } catch (error) {
      target.close();
      throw error;
    }
    const { journal, state } = this.#staging;
    this.#state = state;
    this.#placer = new FilePlacer({
      target,
      journal,
      onConflict,
      platform,
      fsync,
      topLevel: state.topLevel,
      onRenamed: (from, to) => this.#renamed.push({ from, to }),
    });
    if (this.#placer.remembersNames) journal.eachPlaced(state.placed, (path) => this.#placer.noteTaken(path));
    this.#checkpoints = new CheckpointWriter(
      journal,
      () => (fsync ? [...this.#parts.values()].map(({ fd }) => fd) : null),
      (error) => this.#fail(error),
    );
    const { checkpoint } = state;
    this.resume =
      checkpoint === null
        ? null
        : {
            point: { index: checkpoint.index, chain: checkpoint.chain },
            snapshot: checkpoint,
            head: state.head,
          };
    this.#hasContent = checkpoint !== null || state.placedFiles > 0 || state.created.length > 0;
  }

  setHead(head: ManifestHead): void {
    this.#guard(() => this.#staging.journal.head(head));
  }

  addEntries(entries: readonly ManifestEntry[]): void {
    this.#guard(() => {
      for (const entry of entries) {
        const { file, type, replaces } = entry;
        if (this.#isSettled(file)) continue;
        this.#staging.journal.entry(entry);
        (type === 'dir' ? this.#state.folders : this.#state.entries).set(file, entry);
        const problem = this.#problemOf(entry);
        if (problem !== null) {
          this.#state.folders.delete(file);
          this.#drop(entry, problem, 'skipped');
        } else if (replaces !== null) this.#dropReplaced(replaces);
      }
    });
  }

  write(file: number, offset: number, content: Uint8Array, done: SinkDone): void {
    this.#onPart(file, offset, done, (part) => {
      part.write(offset, content, (error) => {
        this.#checkpoints.noteWritten(content.length);
        done(error);
      });
    });
  }

  hole(file: number, offset: number, span: number, done: SinkDone): void {
    this.#onPart(file, offset, done, (part) => part.hole(offset, span, done));
  }

  /**
   * Must be called only when the end of the file is durable on the server: afterwards the file cannot go
   * back.
   */
  endFile(file: number, end: FileEnd, done: SinkDone): void {
    const startOffset = this.#parts.has(file) ? 0 : end.sizeBytes;
    this.#onPart(file, startOffset, done, (part) => {
      void this.#endPart(this.#entryOf(file), part, end, done);
    });
  }

  /** As `endFile`, the files must be durable on the server. */
  writePacked(firstFile: number, files: readonly PackedFile[], done: SinkDone): void {
    this.#packs = this.#packs
      .then(() => this.#writePack(firstFile, files))
      .then(
        () => done(this.#failure),
        (error: unknown) => done(localDiskError(error, 'Writing small files')),
      );
  }

  checkpoint(_point: LogPoint, snapshot: LogSnapshot): void {
    if (!this.#isOver) this.#checkpoints.set(snapshot);
  }

  /** Files step back by themselves when they are written at a lower offset; what was remembered is void. */
  rewindTo(_point: LogPoint): void {
    this.#guard(() => this.#checkpoints.reset());
  }

  /** What was done so far; final after `finish`. */
  get summary(): SinkSummary {
    const { placedFiles, placedBytes } = this.#state;
    return { files: placedFiles, sizeBytes: placedBytes, renamed: this.#renamed, problems: this.#problems };
  }

  async finish(): Promise<SinkSummary> {
    await this.#packs;
    await this.#placer.settled();
    if (this.#failure !== null) throw this.#failure;
    this.#checkAllCame();
    try {
      const { folders, created } = this.#state;
      settleFolders([...folders.values()], created, this.#target, this.#placer, (entry, error) =>
        this.#drop(entry, error, 'skipped'),
      );
      if (this.#options.fsync) await this.#target.sync();
      await this.#checkpoints.stop();
      await this.#closeParts();
      this.#staging.remove();
      this.#isOver = true;
      this.#target.close();
      return this.summary;
    } catch (error) {
      throw localDiskError(error, 'Settling the receive folder');
    }
  }

  async keep(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      await this.#packs;
      await this.#closeParts();
      await this.#placer.settled();
      await this.#checkpoints.stop();
      if (!this.#hasContent) this.#staging.remove();
      else this.#staging.journal.flush();
    } catch {
      // What could not be remembered is received again.
    }
    try {
      if (this.#hasContent) this.#staging.close();
      this.#target.close();
    } catch {
      // The process ends with its descriptors.
    }
  }

  // --- large files
  // -------------------------------------------------------------------------------------------------

  #onPart(file: number, offset: number, done: SinkDone, run: (part: PartFile) => void): void {
    if (this.#failure !== null) return done(this.#failure);
    if (this.#isSettled(file)) return done(null);
    let part = this.#parts.get(file);
    try {
      if (part === undefined) {
        this.#entryOf(file);
        this.#hasContent = true;
        part = new PartFile(this.#staging.locationOf(file), offset, this.#options.digester);
        this.#parts.set(file, part);
      }
    } catch (error) {
      if (error instanceof SluiceError && error.code === 'integrity') this.#checkpoints.forget();
      return done(localDiskError(error, 'Opening a file'));
    }
    run(part);
  }

  async #endPart(entry: ManifestEntry, part: PartFile, end: FileEnd, done: SinkDone): Promise<void> {
    const { file, path } = entry;
    try {
      const { blake3, sizeBytes } = await part.end();
      // A checkpoint may be syncing this very file.
      await this.#checkpoints.idle();
      if (end.status !== 'ok') {
        await this.#dropPart(file);
        this.#drop(entry, statusError(end.status), end.status);
        return done(null);
      }
      if (sizeBytes !== end.sizeBytes || !equalBytes(blake3, end.blake3)) {
        // Perhaps what a former run left was damaged: the next run begins again, and only with files that are
        // not in place.
        this.#checkpoints.forget();
        throw new SluiceError('integrity', `It is ${displayPath(path)}.`);
      }
      applyMetadata(part.fd, entry);
      this.#parts.delete(file);
      this.#placer.add({
        entry,
        sizeBytes,
        location: this.#staging.locationOf(file),
        fd: part.fd,
        settle: (placement) => done(this.#settle(entry, end, placement)),
      });
    } catch (error) {
      done(localDiskError(error, `Finishing ${displayPath(path)}`));
    }
  }

  /**
   * Of a file that is not wanted any more. Its number stays known, so that what still comes for it is
   * dropped.
   */
  async #dropPart(file: number): Promise<void> {
    const part = this.#parts.get(file);
    if (part === undefined) return;
    this.#parts.delete(file);
    await part.settled();
    await this.#checkpoints.idle();
    part.close();
    this.#staging.removePart(file);
  }

  /** A newer content of the same file is announced before the old one has ended. */
  #dropReplaced(file: number): void {
    if (!this.#state.entries.delete(file)) return;
    this.#state.dropped.add(file);
    this.#staging.journal.dropped(file);
    this.#dropPart(file).catch((error: unknown) => this.#fail(error));
  }

  // --- small files
  // -------------------------------------------------------------------------------------------------

  async #writePack(firstFile: number, files: readonly PackedFile[]): Promise<void> {
    let sliceStart = performance.now();
    for (let at = 0; at < files.length; at += PACK_BATCH) {
      if (this.#failure !== null) return;
      const batch = files.slice(at, at + PACK_BATCH);
      const writes = batch.map((packed, i) => this.#writePacked(firstFile + at + i, packed));
      // All of them have ended before anybody hears of a failure: afterwards the staging folder may be closed.
      await Promise.allSettled(writes);
      await Promise.all(writes);
      if (performance.now() - sliceStart < PACK_SLICE_MS) continue;
      await new Promise(setImmediate);
      sliceStart = performance.now();
    }
  }

  async #writePacked(file: number, { content, blake3, status }: PackedFile): Promise<void> {
    if (this.#isSettled(file)) return;
    const entry = this.#entryOf(file);
    if (status !== 'ok') return this.#drop(entry, statusError(status), status);
    const { digester, fsync } = this.#options;
    if (!equalBytes(digester.digest(content), blake3)) {
      return this.#drop(entry, new SluiceError('integrity'), 'failed');
    }
    this.#hasContent = true;
    const location = this.#staging.locationOf(file);
    const fd = await writeSmallFile(location, content, entry, fsync, this.#pace);
    const end: FileEnd = { blake3: blake3.slice(), sizeBytes: content.length, status };
    await new Promise<void>((resolve, reject) => {
      const settle = (placement: Placement): void => {
        const error = this.#settle(entry, end, placement);
        if (error === null) resolve();
        else reject(error);
      };
      this.#placer.add({ entry, sizeBytes: content.length, location, fd, settle });
    });
  }

  // --- the state of files
  // ------------------------------------------------------------------------------------------

  #isSettled(file: number): boolean {
    return this.#state.placed.has(file) || this.#state.dropped.has(file);
  }

  #entryOf(file: number): ManifestEntry {
    const entry = this.#state.entries.get(file);
    if (entry === undefined) throw new SluiceError('protocol', 'A file has content and no name.');
    return entry;
  }

  #problemOf({ path, type }: ManifestEntry): SluiceError | null {
    const check = safePathOn(this.#platform, path);
    if (!check.ok) return new SluiceError('unsafeName', `It breaks a rule: ${check.reason}.`);
    if (type === 'symlink') return new SluiceError('unsafeName', 'Symbolic links are not created.');
    if (isStagingName(this.#platform, path[0] ?? '')) {
      return new SluiceError('unsafeName', 'The name is reserved for unfinished transfers.');
    }
    return null;
  }

  /** Returns the error that ends the transfer, or null. */
  #settle(entry: ManifestEntry, end: FileEnd, placement: Placement): SluiceError | null {
    const { file, path } = entry;
    switch (placement.type) {
      case 'failed':
        return placement.error;
      case 'refused':
        this.#drop(entry, placement.error, 'failed');
        return null;
      case 'skipped':
        this.#drop(entry, null, 'skipped');
        return null;
      case 'placed':
        markPlaced(this.#state, file, end.sizeBytes);
        this.#options.onFile({ ...end, path, savedAs: placement.path, error: null });
        return null;
    }
  }

  /** The file will not be there, and whatever comes for it is thrown away. */
  #drop(entry: ManifestEntry, error: SluiceError | null, status: SinkFile['status']): void {
    const { file, path } = entry;
    if (this.#state.dropped.has(file)) return;
    this.#state.dropped.add(file);
    this.#state.entries.delete(file);
    this.#staging.journal.dropped(file);
    if (error !== null) this.#problems += 1;
    this.#options.onFile({
      path,
      savedAs: null,
      sizeBytes: entry.sizeBytes ?? 0,
      blake3: null,
      status,
      error,
    });
  }

  /** The seal has matched, so a file that is neither here nor given up means that we lost track of it. */
  #checkAllCame(): void {
    const [lost] = this.#state.entries.values();
    if (lost === undefined) return;
    this.#checkpoints.forget();
    throw new SluiceError('integrity', `${displayPath(lost.path)} is missing.`);
  }

  #noteCreated(path: Path): void {
    this.#staging.journal.created(path);
    this.#state.created.push(path);
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** For failures outside of a call that has a `done`: the next one that has gets it. */
  #fail(error: unknown): void {
    this.#failure ??= localDiskError(error, 'Writing the journal of the transfer');
  }

  async #closeParts(): Promise<void> {
    for (const part of this.#parts.values()) part.abandon();
    for (const part of this.#parts.values()) await part.settled();
    await this.#checkpoints.idle();
    for (const part of this.#parts.values()) part.close();
    this.#parts.clear();
  }
}

function systemPlatform(): SafePathPlatform {
  if (process.platform === 'win32') return 'windows';
  return process.platform === 'darwin' ? 'macos' : 'posix';
}
