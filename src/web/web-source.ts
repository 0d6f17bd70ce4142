/** Sources from what a web page or program has: files, blobs, texts, bytes and streams. Nothing is read before its turn. */
import type { FileTime } from '../protocol/index.ts';
import type { ByteSource, SourceEntry } from '../runtime/index.ts';

/** Something to send. A `File` brings its name and time; everything else needs a `name`. */
export type WebSource = File | NamedContent;

export interface NamedContent {
  /** A file name, or path components joined with `/`. */
  readonly name: string;
  /** A stream may have any length and is read once, as fast as it can be sent. */
  readonly content:
    | Blob
    | Uint8Array<ArrayBuffer>
    | string
    | ReadableStream<Uint8Array>
    | AsyncIterable<Uint8Array>;
}

/** The sources as entries. Equal names are kept apart by the receiver. */
export async function* webSources(
  sources: Iterable<WebSource> | AsyncIterable<WebSource>,
): AsyncGenerator<SourceEntry> {
  for await (const source of sources) yield entryOf(source);
}

function entryOf(source: WebSource): SourceEntry {
  if (source instanceof File) {
    // Empty when the file was picked alone; only browsers have it at all.
    const relative: string | undefined = source.webkitRelativePath;
    return blobEntry(relative || source.name, source, source.lastModified);
  }
  const { name, content } = source;
  if (content instanceof Blob) return blobEntry(name, content, null);
  if (typeof content === 'string' || content instanceof Uint8Array)
    return blobEntry(name, new Blob([content]), null);
  return {
    path: name.split('/'),
    type: 'file',
    sizeBytes: null,
    mtime: null,
    mode: null,
    origin: null,
    open: () => Promise.resolve(new IterableSource(content)),
  };
}

function blobEntry(name: string, blob: Blob, lastModifiedMs: number | null): SourceEntry {
  return {
    path: name.split('/'),
    type: 'file',
    sizeBytes: blob.size,
    mtime: lastModifiedMs === null ? null : timeOf(lastModifiedMs),
    mode: null,
    origin: null,
    open: () => Promise.resolve(new BlobSource(blob)),
  };
}

function timeOf(ms: number): FileTime {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: Math.round((ms - seconds * 1000) * 1_000_000) };
}

class BlobSource implements ByteSource {
  readonly #blob: Blob;

  constructor(blob: Blob) {
    this.#blob = blob;
  }

  async read(parts: readonly Uint8Array[], offset: number): Promise<number> {
    let at = offset;
    for (const part of parts) {
      const bytes = new Uint8Array(await this.#blob.slice(at, at + part.length).arrayBuffer());
      part.set(bytes);
      at += bytes.length;
      if (bytes.length < part.length) break;
    }
    return at - offset;
  }

  // A page cannot look at the file behind a blob: reading one that changed fails, which is the check.
  check(): Promise<'ok'> {
    return Promise.resolve('ok');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class IterableSource implements ByteSource {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest = new Uint8Array(0);

  constructor(content: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>) {
    this.#iterator = 'getReader' in content ? readerOf(content) : content[Symbol.asyncIterator]();
  }

  async read(parts: readonly Uint8Array[]): Promise<number> {
    const into = parts[0] as Uint8Array;
    while (this.#rest.length === 0) {
      const next = await this.#iterator.next();
      if (next.done) return 0;
      this.#rest = new Uint8Array(next.value);
    }
    const taken = this.#rest.subarray(0, into.length);
    into.set(taken);
    this.#rest = this.#rest.subarray(taken.length);
    return taken.length;
  }

  check(): Promise<'ok'> {
    return Promise.resolve('ok');
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

/** Not every browser lets a stream be iterated. */
function readerOf(stream: ReadableStream<Uint8Array>): AsyncIterator<Uint8Array> {
  const reader = stream.getReader();
  return {
    next: async () => {
      const { done, value } = await reader.read();
      return done ? { done: true, value: undefined } : { done: false, value };
    },
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}
