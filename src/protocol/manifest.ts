/**
 * The body of a manifest record: what the transfer is called and which files it holds. Entries come before the data
 * of their file; a later entry for the same number overrides an earlier one. Paths are data from a peer: their shape
 * is checked here, their safety by the receiver (safe-path.ts).
 */
import {
  asObject,
  encodeJson,
  type JsonObject,
  parseObject,
  readArray,
  readCount,
  readOneOf,
  readOptional,
  readString,
} from './json-shape.ts';
import { MAX_FILES } from './limits.ts';
import { SluiceError } from './sluice-error.ts';

export type EntryType = 'file' | 'dir' | 'symlink';

/** A moment with nanoseconds, as file systems keep it. `seconds` may be negative. */
export interface FileTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface ManifestEntry {
  /** From 1, unique in the transfer. */
  readonly file: number;
  /** Path components, never joined on the wire. */
  readonly path: readonly string[];
  readonly type: EntryType;
  /** Bytes, or null when not known beforehand. A promise, not a fact: the file end has the actual size. */
  readonly sizeBytes: number | null;
  readonly mtime: FileTime | null;
  /** Permission bits, masked 0777. */
  readonly mode: number | null;
  /** The file this one is a newer content of: the receiver drops that one. */
  readonly replaces: number | null;
}

/** What a manifest says of the transfer as a whole. */
export interface ManifestHead {
  /** What the sender calls the transfer. Record 0 carries it; null elsewhere. */
  readonly name: string | null;
  readonly message: string | null;
  /** Totals as far as the sender knows them; the last manifest that has them counts. */
  readonly totalFiles: number | null;
  readonly totalBytes: number | null;
}

export interface Manifest extends ManifestHead {
  readonly entries: readonly ManifestEntry[];
}

/** The newer head, with what it leaves open taken from the older one. */
export function mergeHeads(older: ManifestHead, newer: ManifestHead): ManifestHead {
  return {
    name: newer.name ?? older.name,
    message: newer.message ?? older.message,
    totalFiles: newer.totalFiles ?? older.totalFiles,
    totalBytes: newer.totalBytes ?? older.totalBytes,
  };
}

export const EMPTY_HEAD: ManifestHead = { name: null, message: null, totalFiles: null, totalBytes: null };

export const MAX_NAME_CHARS = 1_024;
export const MAX_MESSAGE_CHARS = 4_096;
const MAX_PATH_COMPONENTS = 255;
const MAX_COMPONENT_CHARS = 1_024;
const KNOWN_ENTRY_KEYS = ['file', 'path', 'type', 'size', 'mtime', 'mode', 'replaces', 'must'];

export function encodeManifest(manifest: Manifest): Uint8Array<ArrayBuffer> {
  return encodeJson({ ...encodeHead(manifest), entries: manifest.entries.map(encodeEntry) });
}

/** The JSON form of what a manifest says of the whole transfer; what is not known is left out. */
export function encodeHead({ name, message, totalFiles, totalBytes }: ManifestHead): JsonObject {
  return {
    ...(name === null ? {} : { name }),
    ...(message === null ? {} : { message }),
    ...(totalFiles === null ? {} : { files: totalFiles }),
    ...(totalBytes === null ? {} : { bytes: totalBytes }),
  };
}

/** The JSON form of one entry, also what the journals of sender and receiver keep. */
export function encodeEntry(entry: ManifestEntry): JsonObject {
  return {
    file: entry.file,
    path: entry.path,
    type: entry.type,
    ...(entry.sizeBytes === null ? {} : { size: entry.sizeBytes }),
    ...(entry.mtime === null ? {} : { mtime: { s: entry.mtime.seconds, ns: entry.mtime.nanoseconds } }),
    ...(entry.mode === null ? {} : { mode: entry.mode }),
    ...(entry.replaces === null ? {} : { replaces: entry.replaces }),
  };
}

/** @throws SluiceError `protocol` when malformed, `unsupported` when an entry needs a key we do not know (`must`). */
export function decodeManifest(plain: Uint8Array): Manifest {
  const json = parseObject(plain, 'manifest');
  return { ...decodeHead(json), entries: readArray(json, 'entries', MAX_FILES).map(decodeEntry) };
}

/** @throws as `decodeManifest`. */
export function decodeHead(value: unknown): ManifestHead {
  const json = asObject(value, 'manifest');
  return {
    name: readOptional(json, 'name', null, (key) => readString(json, key, MAX_NAME_CHARS)),
    message: readOptional(json, 'message', null, (key) => readString(json, key, MAX_MESSAGE_CHARS)),
    totalFiles: readOptional(json, 'files', null, (key) => readCount(json, key)),
    totalBytes: readOptional(json, 'bytes', null, (key) => readCount(json, key)),
  };
}

/** @throws as `decodeManifest`. */
export function decodeEntry(value: unknown): ManifestEntry {
  const json = asObject(value, 'manifest entry');
  for (const key of readOptional(json, 'must', [], (name) => readArray(json, name, 16))) {
    if (!KNOWN_ENTRY_KEYS.some((known) => known === key)) {
      throw new SluiceError('unsupported', 'A file of the transfer needs a newer version.');
    }
  }
  const path = readArray(json, 'path', MAX_PATH_COMPONENTS);
  if (path.length === 0 || !path.every(isComponent))
    throw new SluiceError('protocol', 'A path is malformed.');
  const file = readCount(json, 'file', MAX_FILES);
  if (file === 0) throw new SluiceError('protocol', 'Files are numbered from 1.');
  return {
    file,
    path,
    type: readOneOf(json, 'type', ['file', 'dir', 'symlink']),
    sizeBytes: readOptional(json, 'size', null, (key) => readCount(json, key)),
    mtime: readOptional(json, 'mtime', null, (key) => decodeTime(json[key])),
    mode: readOptional(json, 'mode', null, (key) => readCount(json, key) % 0o1000),
    replaces: readOptional(json, 'replaces', null, (key) => readCount(json, key, MAX_FILES)),
  };
}

function decodeTime(value: unknown): FileTime {
  const json = asObject(value, 'mtime');
  const seconds = json.s;
  if (typeof seconds !== 'number' || !Number.isSafeInteger(seconds))
    throw new SluiceError('protocol', 'A time is malformed.');
  return { seconds, nanoseconds: readCount(json, 'ns', 999_999_999) };
}

function isComponent(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_COMPONENT_CHARS;
}
