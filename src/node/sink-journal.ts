/**
 * What a receiver remembers of a transfer across crashes: an append-only file of JSON lines in the staging
 * folder. It keeps the order of events, and a line that was written survives the death of the process; what
 * happened to the files themselves is for folder-sink.ts.
 *
 * ```
 * {"v":1,"transfer":"..."}           first line
 * {"h":{...}}                        name, message and totals of the transfer; the last one counts
 * {"e":{...}}                        a manifest entry
 * {"t":["photos","photos (2)"]}      a top-level folder has another name here
 * {"m":["photos","a"]}               a folder is made by us: written before it is
 * {"i":[[7,["photos","a","x"]]]}     files are about to get these names: written before they get them
 * {"d":[[7,4096]]}                   files are in their place, with their sizes
 * {"n":[7]}                          a former run did not come to give them those names
 * {"p":[8]}                          files that will never be: refused, failed, unwanted
 * {"c":{...}} or {"c":null}          everything below this point is in the files; null = nothing is
 * ```
 */
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import {
  decodeBase64Url,
  decodeEntry,
  decodeHead,
  encodeBase64Url,
  encodeEntry,
  encodeHead,
  type LogSnapshot,
  type ManifestEntry,
  type ManifestHead,
} from '../protocol/index.ts';
import { FileSet } from './file-set.ts';

export type Path = readonly string[];

/** What a former run of the same transfer had got to. */
export interface JournalState {
  /** Announced and neither placed nor given up. */
  readonly entries: Map<number, ManifestEntry>;
  /** All folders that were announced. */
  readonly folders: Map<number, ManifestEntry>;
  readonly placed: FileSet;
  readonly dropped: FileSet;
  readonly topLevel: Map<string, string>;
  readonly created: Path[];
  /**
   * Names that files were about to get, and it is not known whether they did. The last one of a file counts.
   */
  readonly intents: Map<number, Path>;
  head: ManifestHead | null;
  checkpoint: LogSnapshot | null;
  placedFiles: number;
  placedBytes: number;
}

/** A line as it was read; each has one of these keys. */
interface Line {
  readonly v?: unknown;
  readonly transfer?: unknown;
  readonly h?: unknown;
  readonly e?: unknown;
  readonly t?: unknown;
  readonly m?: unknown;
  readonly i?: unknown;
  readonly n?: unknown;
  readonly d?: unknown;
  readonly p?: unknown;
  readonly c?: unknown;
}

const VERSION = 1;
/** Lines wait in memory up to this, characters. */
const BUFFER_CHARS = 64 * 1024;
const READ_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

export class SinkJournal {
  readonly #fd: number;
  readonly #transferId: string;
  #buffered: string[] = [];
  #bufferedChars = 0;
  #sizeBytes = 0;

  /** @throws the system's error when the file cannot be opened. */
  constructor(location: string, transferId: string) {
    const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW = 0 } = constants;
    this.#fd = openSync(location, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
    this.#transferId = transferId;
  }

  /**
   * Reads what a former run wrote, and cuts off a line it could not finish. A foreign or newer file counts as
   * none.
   */
  recover(): JournalState {
    let state = emptyState();
    let isOurs = false;
    const goodBytes = this.#eachLine((line) => {
      if (!isOurs) {
        isOurs = line.v === VERSION && line.transfer === this.#transferId;
        return isOurs;
      }
      return apply(state, line);
    });
    if (!isOurs) state = emptyState();
    this.#sizeBytes = isOurs ? goodBytes : 0;
    ftruncateSync(this.#fd, this.#sizeBytes);
    if (!isOurs) this.#append({ v: VERSION, transfer: this.#transferId });
    return state;
  }

  head(head: ManifestHead): void {
    this.#append({ h: encodeHead(head) });
  }

  entry(entry: ManifestEntry): void {
    this.#append({ e: encodeEntry(entry) });
  }

  topLevel(from: string, to: string): void {
    this.#append({ t: [from, to] });
    this.flush();
  }

  /** Is with the operating system when this returns. */
  created(path: Path): void {
    this.#append({ m: path });
    this.flush();
  }

  /** Is with the operating system when this returns. */
  intents(names: readonly (readonly [file: number, path: Path])[]): void {
    this.#append({ i: names });
    this.flush();
  }

  placed(files: readonly (readonly [file: number, sizeBytes: number])[]): void {
    if (files.length > 0) this.#append({ d: files });
  }

  /** Is with the operating system when this returns. */
  voidIntents(files: readonly number[]): void {
    if (files.length > 0) this.#append({ n: files });
    this.flush();
  }

  dropped(file: number): void {
    this.#append({ p: [file] });
  }

  /** Is with the operating system when this returns. */
  checkpoint(snapshot: LogSnapshot | null): void {
    this.#append({ c: snapshot === null ? null : { ...snapshot, chain: encodeBase64Url(snapshot.chain) } });
    this.flush();
  }

  /** The name a placed file got, looked up in the file: rarely needed. */
  placeOf(file: number): Path | null {
    this.flush();
    let path: Path | null = null;
    this.#eachLine((line) => {
      for (const [number, name] of pairs(line.i)) if (number === file && isPath(name)) path = name;
      if (Array.isArray(line.n) && line.n.includes(file)) path = null;
      return true;
    });
    return path;
  }

  /** The names of all placed files, looked up in the file, in the order of the intents. */
  eachPlaced(placed: FileSet, visit: (path: Path) => void): void {
    this.#eachLine((line) => {
      for (const [number, name] of pairs(line.i)) if (placed.has(Number(number)) && isPath(name)) visit(name);
      return true;
    });
  }

  /** @throws the system's error, e.g. when the disk is full. */
  flush(): void {
    if (this.#buffered.length === 0) return;
    const bytes = Buffer.from(this.#buffered.join(''));
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      // A torn line in the middle would hide all lines behind it.
      ftruncateSync(this.#fd, this.#sizeBytes);
      throw error;
    }
    this.#sizeBytes += bytes.length;
    this.#buffered = [];
    this.#bufferedChars = 0;
  }

  /** Makes what was flushed survive a power cut. */
  async sync(): Promise<void> {
    await promisify(fdatasync)(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #append(line: object): void {
    const text = `${JSON.stringify(line)}\n`;
    this.#buffered.push(text);
    this.#bufferedChars += text.length;
    if (this.#bufferedChars > BUFFER_CHARS) this.flush();
  }

  /**
   * Gives all whole lines to `visit` until it returns false or one is no JSON object; returns where it
   * stopped, bytes.
   */
  #eachLine(visit: (line: Line) => boolean): number {
    const size = fstatSync(this.#fd).size;
    const buffer = Buffer.alloc(READ_BYTES);
    let rest: Buffer = Buffer.alloc(0);
    let goodBytes = 0;
    for (let at = 0; at < size; ) {
      const count = readSync(this.#fd, buffer, 0, buffer.length, at);
      if (count === 0) break;
      at += count;
      const bytes = Buffer.concat([rest, buffer.subarray(0, count)]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        const line = parseLine(bytes.toString('utf8', start, end));
        if (line === null || !visit(line)) return goodBytes;
        goodBytes += end + 1 - start;
        start = end + 1;
      }
      rest = bytes.subarray(start);
    }
    return goodBytes;
  }
}

function emptyState(): JournalState {
  return {
    entries: new Map(),
    folders: new Map(),
    placed: new FileSet(),
    dropped: new FileSet(),
    topLevel: new Map(),
    created: [],
    intents: new Map(),
    head: null,
    checkpoint: null,
    placedFiles: 0,
    placedBytes: 0,
  };
}

/** False for a line that is none of ours: what comes behind it cannot be trusted either. */
function apply(state: JournalState, line: Line): boolean {
  try {
    applyLine(state, line);
    return true;
  } catch {
    return false;
  }
}

function applyLine(state: JournalState, line: Line): void {
  if ('e' in line) {
    const entry = decodeEntry(line.e);
    (entry.type === 'dir' ? state.folders : state.entries).set(entry.file, entry);
  }
  if ('h' in line) state.head = decodeHead(line.h);
  const top = line.t;
  if (isPath(top) && top.length === 2) state.topLevel.set(top[0] ?? '', top[1] ?? '');
  if (isPath(line.m)) state.created.push(line.m);
  for (const [file, path] of pairs(line.i)) if (isPath(path)) state.intents.set(Number(file), path);
  if (Array.isArray(line.n)) for (const file of line.n) state.intents.delete(Number(file));
  for (const [file, sizeBytes] of pairs(line.d)) {
    markPlaced(state, Number(file), Number(sizeBytes));
  }
  if (Array.isArray(line.p)) {
    for (const file of line.p) {
      state.dropped.add(Number(file));
      state.entries.delete(Number(file));
    }
  }
  if ('c' in line) state.checkpoint = decodeCheckpoint(line.c);
}

/** The file is in its place: nothing but its number needs to be known any more. */
export function markPlaced(state: JournalState, file: number, sizeBytes: number): void {
  state.placed.add(file);
  state.entries.delete(file);
  state.intents.delete(file);
  state.placedFiles += 1;
  state.placedBytes += sizeBytes;
}

function decodeCheckpoint(value: unknown): LogSnapshot | null {
  if (typeof value !== 'object' || value === null) return null;
  const { chain, ...rest } = value as Omit<LogSnapshot, 'chain'> & { chain: string };
  const bytes = decodeBase64Url(chain);
  return bytes === null ? null : { ...rest, chain: bytes };
}

function parseLine(text: string): Line | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}

function pairs(value: unknown): readonly (readonly unknown[])[] {
  return Array.isArray(value) ? value.filter((pair) => Array.isArray(pair)) : [];
}

function isPath(value: unknown): value is Path {
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string');
}
