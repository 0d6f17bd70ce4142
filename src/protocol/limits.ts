/**
 * Limits and defaults of the wire, each with its unit and what it bounds. A peer that exceeds one gets an error from
 * the table; nothing is cut or skipped in silence.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Plaintext of a record: smallest, default and largest size a transfer may choose, bytes. */
export const MIN_RECORD_SIZE_BYTES: number = 64 * KIB;
export const DEFAULT_RECORD_SIZE_BYTES: number = 256 * KIB;
export const MAX_RECORD_SIZE_BYTES: number = MIB;

/** A body is at most the record size plus the file end (48) and a cipher tag (16). */
export const BODY_SLACK_BYTES = 64;
export const MAX_BODY_BYTES: number = MAX_RECORD_SIZE_BYTES + BODY_SLACK_BYTES;

/** A control message, in UTF-16 code units of its JSON text. */
export const MAX_CONTROL_CHARS: number = 64 * KIB;

/** A data message with its header, bytes. */
export const MAX_DATA_MESSAGE_BYTES: number = MIB + 64 * KIB;

/** The transfer header with its commitment, bytes. */
export const MAX_TRANSFER_HEADER_BYTES: number = 16 * KIB;

/** Files of a transfer that may be open (begun, not ended) at the same time. */
export const MAX_OPEN_FILES = 16;

/** Files of a transfer. Bounds what sender and receiver remember: about 300 bytes a file. */
export const MAX_FILES = 1_000_000;

/** Streams open on one connection. Worst-case memory: each holds at least two records of credit. */
export const DEFAULT_MAX_STREAMS = 64;

/** Credit a stream gets when there is room, bytes: what a receiver of data may have to hold. */
export const DEFAULT_STREAM_WINDOW_BYTES: number = 8 * MIB;

/** Credit all streams of a connection share beyond their minimum, bytes. */
export const DEFAULT_CONNECTION_WINDOW_BYTES: number = 32 * MIB;

/** Credit all connections of a process share beyond their minimum, bytes. */
export const DEFAULT_PROCESS_WINDOW_BYTES: number = 512 * MIB;

/** Silence after which a ping is sent, and after which the peer is dead, ms. */
export const DEFAULT_PING_AFTER_MS = 15_000;
export const DEFAULT_DEAD_AFTER_MS = 35_000;

/** A timer that fires this late means our own event loop stood still; the peer gets a new chance, ms. */
export const LOOP_STALL_MS = 2_000;

/** Acks and credit go out at most once in this time, ms, unless a quarter window has gathered. */
export const ACK_INTERVAL_MS = 10;

/** A client must say hello within this time, ms. */
export const HELLO_TIMEOUT_MS = 10_000;

/** Control characters a peer may send: this many at once, and this many a second. */
export const CONTROL_BURST_CHARS: number = 4 * MIB;
export const CONTROL_CHARS_PER_SECOND: number = 512 * KIB;

/** Control messages waiting for the socket. More than this and the connection ends with `overloaded`. */
export const MAX_CONTROL_QUEUE = 4_096;

/** A sender stops flushing early and a live source waits this long for more bytes when data is in flight, ms. */
export const LIVE_FLUSH_MS = 5;
