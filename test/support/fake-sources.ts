// Sources that a test holds in its hand: files that shrink, grow or break while they are read, and live streams.
import type { ByteSource, SourceEntry } from '../../src/runtime/index.ts';

export interface FakeFileOptions {
  /** What the walk says; default: the length of the content. */
  readonly sizeBytes?: number;
  /** What the check after the last byte says. */
  readonly status?: 'ok' | 'changed' | 'removed';
  /** Reading fails from this offset on. */
  readonly failAt?: number;
  readonly failOpen?: boolean;
  readonly failCheck?: boolean;
  /** Default: `1`; null = cannot be read twice. */
  readonly identity?: string | null;
  /** Gives at most this much at once. */
  readonly maxReadBytes?: number;
}

/** A file whose content may differ from what the walk said of it. */
export class FakeFile implements SourceEntry {
  readonly path: readonly string[];
  readonly type = 'file';
  readonly sizeBytes: number;
  readonly mtime = null;
  readonly mode = null;
  readonly origin: SourceEntry['origin'];
  content: Uint8Array;
  opened = 0;
  closed = 0;
  /** Furthest byte that was asked for. */
  readUntil = 0;
  readonly #options: FakeFileOptions;

  constructor(name: string, content: Uint8Array, options: FakeFileOptions = {}) {
    this.path = name.split('/');
    this.content = content;
    this.sizeBytes = options.sizeBytes ?? content.length;
    const identity = options.identity === undefined ? '1' : options.identity;
    this.origin = identity === null ? null : { location: `/${name}`, identity };
    this.#options = options;
  }

  async open(): Promise<ByteSource> {
    const { failOpen, status = 'ok', failCheck } = this.#options;
    if (failOpen) throw new Error('EACCES: permission denied');
    this.opened += 1;
    return {
      read: (parts, offset) => this.#read(parts, offset),
      check: async () => {
        if (failCheck) throw new Error('EIO: i/o error');
        return status;
      },
      close: async () => {
        this.closed += 1;
      },
    };
  }

  async #read(parts: readonly Uint8Array[], offset: number): Promise<number> {
    const { failAt = Number.POSITIVE_INFINITY, maxReadBytes = Number.POSITIVE_INFINITY } = this.#options;
    let count = 0;
    for (const part of parts) {
      const wanted = Math.min(part.length, maxReadBytes - count);
      const piece = this.content.subarray(offset + count, offset + count + wanted);
      if (offset + count + piece.length > failAt) throw new Error('EIO: i/o error');
      part.set(piece);
      count += piece.length;
      if (piece.length < part.length) break;
    }
    this.readUntil = Math.max(this.readUntil, offset + count);
    return count;
  }
}

export function fakeFolder(name: string): SourceEntry {
  return {
    path: name.split('/'),
    type: 'dir',
    sizeBytes: null,
    mtime: null,
    mode: null,
    origin: { location: `/${name}`, identity: '1' },
    open: () => Promise.reject(new Error('a folder is not opened')),
  };
}

/** A stream of unknown length, fed by the test. */
export class FakeStream implements SourceEntry, ByteSource {
  readonly path: readonly string[];
  readonly type = 'file';
  readonly sizeBytes = null;
  readonly mtime = null;
  readonly mode = null;
  readonly origin = null;
  isClosed = false;
  readonly #pieces: Uint8Array[] = [];
  #end: Error | 'end' | null = null;
  #wake: (() => void) | null = null;

  constructor(name = 'stream') {
    this.path = [name];
  }

  push(...pieces: Uint8Array[]): void {
    this.#pieces.push(...pieces);
    this.#wake?.();
  }

  end(error: Error | null = null): void {
    this.#end = error ?? 'end';
    this.#wake?.();
  }

  async open(): Promise<ByteSource> {
    return this;
  }

  async read(parts: readonly Uint8Array[]): Promise<number> {
    const into = parts[0] as Uint8Array;
    while (this.#pieces.length === 0) {
      if (this.#end === 'end') return 0;
      if (this.#end !== null) throw this.#end;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const piece = this.#pieces.shift() as Uint8Array;
    into.set(piece.subarray(0, into.length));
    if (piece.length > into.length) this.#pieces.unshift(piece.subarray(into.length));
    return Math.min(piece.length, into.length);
  }

  async check(): Promise<'ok'> {
    return 'ok';
  }

  /** As a web stream that is cancelled: a read that waits ends. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.end();
  }
}

export async function* walkOf(sources: Iterable<SourceEntry>): AsyncGenerator<SourceEntry> {
  yield* sources;
}
