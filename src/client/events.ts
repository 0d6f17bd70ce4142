/** What a transfer tells its user while it runs: the same words in the library, in `--json` and on the page. */
import type { EntryType, FileStatus, ReceiverEvent, SluiceError, TransferState } from '../protocol/index.ts';

/** What a transfer is doing now. */
export type Activity =
  | 'connecting'
  | 'reconnecting'
  | 'sending'
  | 'receiving'
  /** Everything stored was received; the sender has not sent more yet. */
  | 'waiting for sender'
  /** The disk of the server is full; it goes on by itself. */
  | 'waiting for server space'
  /** A receiver waits for the decision of its user. */
  | 'waiting for acceptance'
  | 'paused'
  /** Everything was sent or written; checksums and syncs are being waited for. */
  | 'verifying'
  | 'done'
  | 'failed';

export interface StateEvent {
  readonly type: 'state';
  readonly state: Activity;
  /** Failed attempts to connect since the last good connection. */
  readonly attempt: number;
}

/** One file is finished for this side. `skipped` = not transferred at all, `error` says why. */
export interface FileEvent {
  readonly type: 'file';
  readonly path: readonly string[];
  /** Receivers: where it is below the folder, when it is there. */
  readonly savedAs: readonly string[] | null;
  readonly sizeBytes: number;
  /** Whole-file BLAKE3 in hex, what `b3sum` prints; null when there is none. */
  readonly blake3: string | null;
  readonly status: FileStatus | 'skipped';
  readonly error: SluiceError | null;
}

export interface SendSummary {
  readonly id: string;
  readonly link: string;
  readonly files: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  /** Files that were skipped, changed, failed or removed. */
  readonly problems: number;
}

export interface ReceiveSummary {
  readonly id: string;
  readonly files: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  readonly problems: number;
}

/** Something the user must hear of, though it goes on by itself. */
export interface WarningEvent {
  readonly type: 'warning';
  readonly error: SluiceError;
}

export type SendEvent =
  | WarningEvent
  | {
      readonly type: 'link';
      readonly link: string;
      readonly id: string;
      readonly isResumed: boolean;
      readonly expiresAtMs: number;
    }
  | StateEvent
  | {
      readonly type: 'progress';
      /** Content bytes handed to the network. */
      readonly sentBytes: number;
      /** Content bytes safe on the server. */
      readonly durableBytes: number;
      readonly totalBytes: number | null;
      readonly totalFiles: number | null;
      readonly currentFile: readonly string[] | null;
    }
  | {
      readonly type: 'receiver';
      readonly receiverId: string;
      readonly event: ReceiverEvent;
      readonly receivedBytes: number;
    }
  | FileEvent
  | { readonly type: 'done'; readonly summary: SendSummary };

export interface OfferedFile {
  readonly path: readonly string[];
  readonly type: EntryType;
  readonly sizeBytes: number | null;
}

/** What a receiver knows before anything is written. */
export interface Offer {
  readonly id: string;
  /** As the sender wrote it: escape it before showing it (`displayName`). */
  readonly name: string | null;
  readonly message: string | null;
  readonly totalFiles: number | null;
  readonly totalBytes: number | null;
  /** The files announced so far; more may come while the sender still sends. */
  readonly files: readonly OfferedFile[];
  readonly state: TransferState;
  readonly isEncrypted: boolean;
  readonly expiresAtMs: number;
}

export type ReceiveEvent =
  | WarningEvent
  | { readonly type: 'offer'; readonly offer: Offer }
  | StateEvent
  | {
      readonly type: 'progress';
      /** Content bytes written here. */
      readonly receivedBytes: number;
      /** Content bytes safe on the server. */
      readonly durableBytes: number;
      readonly totalBytes: number | null;
      readonly totalFiles: number | null;
      readonly currentFile: readonly string[] | null;
    }
  | FileEvent
  | { readonly type: 'done'; readonly summary: ReceiveSummary };
