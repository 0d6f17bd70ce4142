/**
 * What the layers above the protocol need from the machine they run on. Adapters for Node are in src/node, for
 * browsers in src/web, for tests in test/. No port knows what a transfer is for.
 */
import type { EntryType, FileTime } from '../protocol/index.ts';

/** Time and timers. Tests run on one that they move themselves. */
export interface Clock {
  /** Monotonic, ms. For deadlines and rates. */
  now(): number;
  /** Wall clock, ms since 1970. For expiry and display only. */
  wallNow(): number;
  setTimer(callback: () => void, delayMs: number): Timer;
}

export interface Timer {
  cancel(): void;
}

/** Cryptographic randomness. */
export interface RandomSource {
  bytes(length: number): Uint8Array<ArrayBuffer>;
  /** In [0, 1), for jitter. */
  fraction(): number;
}

/** One message-based connection that is open. Order is kept, nothing is lost until it closes. */
export interface MessageTransport {
  /** Bytes handed over and not yet taken by the operating system. */
  readonly bufferedBytes: number;
  /** Sets who is told of what happens. Called once, before anything can arrive. */
  start(handlers: TransportHandlers): void;
  /**
   * Sends a text message, or one binary message whose bytes are `parts` one after another. Never blocks and never
   * throws; the parts must not be changed until they were taken. After a close it does nothing.
   */
  send(message: string | readonly Uint8Array[]): void;
  /** Starts the closing handshake. What was sent before goes out first. */
  close(code: number, reason: string): void;
  /** Ends at once, without a handshake. */
  terminate(): void;
}

export interface TransportHandlers {
  onText(text: string): void;
  /** The parts of one binary message, as they came. They belong to the handler. */
  onBinary(parts: readonly Uint8Array[]): void;
  /** Bytes arrived, though perhaps no whole message. May be called rarely. */
  onActivity(): void;
  /** `bufferedBytes` has fallen: there may be room for more. */
  onWritable(): void;
  /** Once, last. `code` as in RFC 6455 (1006 = no close frame came). */
  onClose(code: number, reason: string): void;
}

/** Opens a connection to a Sluice server. Rejects with SluiceError `unreachable`, `notSluice` or `versionMismatch`. */
export type Connector = (serverUrl: string, signal: AbortSignal) => Promise<MessageTransport>;

/** One thing to send: a file, a folder, or a stream. */
export interface SourceEntry {
  /** Components below the transfer's root; unique within the transfer. */
  readonly path: readonly string[];
  readonly type: EntryType;
  /** Bytes, or null when not known beforehand. */
  readonly sizeBytes: number | null;
  readonly mtime: FileTime | null;
  /** Permission bits. */
  readonly mode: number | null;
  /** Names the content across processes (path on disk and identity of the file); null = cannot be read twice. */
  readonly origin: SourceOrigin | null;
  /** Only for type `file`. */
  open(): Promise<ByteSource>;
  /** The whole content of a small file in one go, where that is cheaper than open, read, check and close. */
  readWhole?(): Promise<{ readonly content: Uint8Array; readonly status: 'ok' | 'changed' | 'removed' }>;
}

/** Where content comes from and in which state: what a resumed sender compares. */
export interface SourceOrigin {
  /** Absolute path. */
  readonly location: string;
  /** Changes when the content may have changed: device, inode, size, mtime, ctime. */
  readonly identity: string;
}

/** An open source of bytes. */
export interface ByteSource {
  /**
   * Reads at `offset` into `parts` one after another; returns the bytes read, 0 only at the end. A stream ignores
   * `offset`: it gives what comes next, and may give less than asked as soon as something is there.
   */
  read(parts: readonly Uint8Array[], offset: number): Promise<number>;
  /** After the last byte: was it one state of the file? */
  check(): Promise<'ok' | 'changed' | 'removed'>;
  close(): Promise<void>;
}
