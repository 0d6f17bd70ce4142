/**
 * Control messages: one JSON object per WebSocket text message, `type` first (SPEC 5). Here: their shapes. Reading and
 * writing them is in control-codec.ts; what they do is for connection.ts and the layers above.
 */
import type { SluiceErrorCode } from './error-table.ts';
import type { OpenFile } from './log-state.ts';
import type { Priority } from './scheduler.ts';
import type { Extensions } from './version.ts';

export type TransferState = 'live' | 'sealed' | 'cancelled' | 'expired';
export const TRANSFER_STATES: readonly TransferState[] = ['live', 'sealed', 'cancelled', 'expired'];

/** A prefix of a log. */
export interface LogPoint {
  readonly index: number;
  readonly chain: Uint8Array;
}

export interface Heartbeat {
  /** Silence before a ping, ms. */
  readonly pingAfterMs: number;
  /** Silence after which the peer is dead, ms. */
  readonly deadAfterMs: number;
}

export interface Hello {
  readonly type: 'hello';
  readonly version: string;
  readonly software: string;
  readonly extensions: Extensions;
  readonly heartbeat: Heartbeat;
}

export interface Welcome {
  readonly type: 'welcome';
  readonly version: string;
  readonly software: string;
  readonly extensions: Extensions;
  readonly heartbeat: Heartbeat;
  readonly maxStreams: number;
  readonly serverTimeMs: number;
}

export interface Create {
  readonly type: 'create';
  readonly stream: number;
  readonly id: Uint8Array;
  readonly header: Uint8Array;
  readonly writeToken: Uint8Array;
  readonly readTokenHash: Uint8Array;
  /** Time to live after the last append or seal, ms; null = the server's default. */
  readonly expiresMs: number | null;
}

export interface Created {
  readonly type: 'created';
  readonly stream: number;
  /** Public address of the server without a trailing slash, or null when the client's own is right. */
  readonly publicUrl: string | null;
  readonly expiresAtMs: number;
}

export interface OpenSend {
  readonly type: 'open';
  readonly role: 'send';
  readonly stream: number;
  readonly id: Uint8Array;
  readonly writeToken: Uint8Array;
  /** 16 random bytes of this sender process: a new session takes over, an old attempt of the same one loses. */
  readonly session: Uint8Array;
  readonly attempt: number;
  readonly priority: Priority;
}

export interface OpenReceive {
  readonly type: 'open';
  readonly role: 'receive';
  readonly stream: number;
  readonly id: Uint8Array;
  readonly readToken: Uint8Array;
  /** What the receiver has; null = nothing. */
  readonly from: LogPoint | null;
  /** First absolute credit limit, bytes. */
  readonly credit: number;
  readonly priority: Priority;
}

export interface OpenedSend {
  readonly type: 'opened';
  readonly role: 'send';
  readonly stream: number;
  readonly epoch: number;
  readonly durable: LogPoint;
  /** The rest of what the rules of the log need to go on from `durable` (log-state.ts). */
  readonly position: number;
  readonly nextFile: number;
  readonly openFiles: readonly OpenFile[];
  readonly endedFiles: number;
  readonly contentBytes: number;
  readonly isSealed: boolean;
  readonly credit: number;
  readonly expiresAtMs: number;
}

export interface OpenedReceive {
  readonly type: 'opened';
  readonly role: 'receive';
  readonly stream: number;
  /** Number of this receiver at the server, also told to the sender. */
  readonly receiverId: string;
  readonly header: Uint8Array;
  readonly from: LogPoint;
  readonly durable: LogPoint;
  readonly state: TransferState;
  readonly isSenderConnected: boolean;
  readonly expiresAtMs: number;
}

/** State of one stream in an `ack`. Only what changed is present. */
export interface StreamAck {
  readonly stream: number;
  /** New absolute credit limit, bytes. */
  readonly credit: number | null;
  /** Records received (sender only). */
  readonly received: number | null;
  readonly durable: LogPoint | null;
}

export interface Ack {
  readonly type: 'ack';
  readonly streams: readonly StreamAck[];
}

export interface Nack {
  readonly type: 'nack';
  readonly stream: number;
  /** Go back to this index. */
  readonly index: number;
}

/** Server to receivers: the transfer's state changed. */
export interface StateMessage {
  readonly type: 'state';
  readonly stream: number;
  readonly state: TransferState;
  readonly isSenderConnected: boolean;
  readonly expiresAtMs: number;
}

export type ReceiverEvent = 'joined' | 'progress' | 'done' | 'left';

export interface ReceiverSummary {
  readonly receiverId: string;
  readonly event: ReceiverEvent;
  readonly receivedBytes: number;
}

/** Server to sender: what happened to its receivers since the last one. */
export interface ReceiversMessage {
  readonly type: 'receivers';
  readonly stream: number;
  readonly receivers: readonly ReceiverSummary[];
}

export interface Inspect {
  readonly type: 'inspect';
  readonly stream: number;
  readonly id: Uint8Array;
  readonly writeToken: Uint8Array;
}

export interface Inspected {
  readonly type: 'inspected';
  readonly stream: number;
  readonly state: TransferState;
  readonly durableBytes: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly isSenderConnected: boolean;
}

export interface Cancel {
  readonly type: 'cancel';
  readonly stream: number;
  readonly id: Uint8Array;
  readonly writeToken: Uint8Array;
}

/** Ends a stream in order. A receiver that verified everything says so with `isComplete`. */
export interface Close {
  readonly type: 'close';
  readonly stream: number;
  readonly isComplete: boolean;
}

/** Ends a stream with an error. */
export interface Reset {
  readonly type: 'reset';
  readonly stream: number;
  readonly code: SluiceErrorCode;
  readonly retryAfterMs: number | null;
}

/** Last message before the connection closes with an error. */
export interface ErrorMessage {
  readonly type: 'error';
  readonly code: SluiceErrorCode;
  /** For people; shown escaped, never as our own text. */
  readonly message: string;
  readonly retryAfterMs: number | null;
}

/** The server stops: no new streams; it closes when the running ones have committed. */
export interface GoAway {
  readonly type: 'goaway';
  readonly retryAfterMs: number;
}

export interface Ping {
  readonly type: 'ping' | 'pong';
  readonly id: number;
}

export type StreamMessage =
  | Create
  | Created
  | OpenSend
  | OpenReceive
  | OpenedSend
  | OpenedReceive
  | Nack
  | StateMessage
  | ReceiversMessage
  | Inspect
  | Inspected
  | Cancel
  | Close
  | Reset;

export type ControlMessage = Hello | Welcome | Ack | ErrorMessage | GoAway | Ping | StreamMessage;
