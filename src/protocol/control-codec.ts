/** Control messages as JSON text: checked when they are read, because a peer wrote them. */
import { encodeBase64Url } from './base64url.ts';
import {
  type ControlMessage,
  type Hello,
  type LogPoint,
  type OpenedReceive,
  type OpenedSend,
  type OpenReceive,
  type OpenSend,
  type ReceiverSummary,
  type StateMessage,
  type StreamAck,
  TRANSFER_STATES,
} from './control-message.ts';
import { isWireErrorCode, type SluiceErrorCode } from './error-table.ts';
import {
  asObject,
  type JsonObject,
  parseObject,
  readArray,
  readBoolean,
  readBytes,
  readCount,
  readOneOf,
  readOptional,
  readString,
} from './json-shape.ts';
import { MAX_CONTROL_CHARS, MAX_FILES, MAX_OPEN_FILES, MAX_TRANSFER_HEADER_BYTES } from './limits.ts';
import type { Priority } from './scheduler.ts';
import { SluiceError } from './sluice-error.ts';
import { TRANSFER_ID_BYTES } from './transfer-header.ts';

const TOKEN_BYTES = 32;
const HASH_BYTES = 32;
const SESSION_BYTES = 16;
const MAX_ACK_STREAMS = 1_024;
/** The text of an `error`, UTF-16 code units. */
export const MAX_ERROR_CHARS = 1_024;
const MAX_RECEIVERS_PER_MESSAGE = 256;
const PRIORITIES: readonly Priority[] = ['interactive', 'normal', 'background'];

/** JSON text of a message; bytes become base64url. `type` comes first because every constructor writes it first. */
export function encodeControl(message: ControlMessage): string {
  return JSON.stringify(
    message,
    function (this: Record<string, unknown>, key: string, value: unknown): unknown {
      // Asked of the holder, because a Node Buffer has become an object by the time `value` is given.
      const raw = this[key];
      return raw instanceof Uint8Array ? encodeBase64Url(raw) : value === null ? undefined : value;
    },
  );
}

/**
 * Reads a control message; null for a type we do not know (a newer minor may add some: ignored, SPEC 5.1).
 * @throws SluiceError `tooLarge` or `protocol`.
 */
export function decodeControl(text: string): ControlMessage | null {
  if (text.length > MAX_CONTROL_CHARS) throw new SluiceError('tooLarge', 'A control message is too long.');
  const json = parseObject(text, 'control message');
  const type = readString(json, 'type', 64);
  return Object.hasOwn(READERS, type)
    ? (READERS[type as ControlMessage['type']](json) as ControlMessage)
    : null;
}

type ReaderTable = {
  readonly [T in ControlMessage['type']]: (
    json: JsonObject,
  ) => Extract<ControlMessage, { type: T | 'ping' | 'pong' }>;
};

const stream = (json: JsonObject): number => readCount(json, 'stream', 0xffff_ffff);
const transferId = (json: JsonObject): Uint8Array => readBytes(json, 'id', TRANSFER_ID_BYTES);
const time = (json: JsonObject, key: string): number => readCount(json, key);

const READERS: ReaderTable = {
  hello: (json) => ({ type: 'hello', ...readGreeting(json) }),
  welcome: (json) => ({
    type: 'welcome',
    ...readGreeting(json),
    maxStreams: readCount(json, 'maxStreams'),
    serverTimeMs: time(json, 'serverTimeMs'),
  }),
  create: (json) => ({
    type: 'create',
    stream: stream(json),
    id: transferId(json),
    header: readBytes(json, 'header', { max: MAX_TRANSFER_HEADER_BYTES }),
    writeToken: readBytes(json, 'writeToken', TOKEN_BYTES),
    readTokenHash: readBytes(json, 'readTokenHash', HASH_BYTES),
    expiresMs: readOptional(json, 'expiresMs', null, (key) => readCount(json, key)),
  }),
  created: (json) => ({
    type: 'created',
    stream: stream(json),
    publicUrl: readOptional(json, 'publicUrl', null, (key) => readString(json, key, 2_048)),
    expiresAtMs: time(json, 'expiresAtMs'),
  }),
  open: (json) =>
    readOneOf(json, 'role', ['send', 'receive']) === 'send' ? readOpenSend(json) : readOpenReceive(json),
  opened: (json) =>
    readOneOf(json, 'role', ['send', 'receive']) === 'send' ? readOpenedSend(json) : readOpenedReceive(json),
  ack: (json) => ({ type: 'ack', streams: readArray(json, 'streams', MAX_ACK_STREAMS).map(readStreamAck) }),
  nack: (json) => ({ type: 'nack', stream: stream(json), index: readCount(json, 'index') }),
  state: (json) => ({ type: 'state', stream: stream(json), ...readStatus(json) }),
  receivers: (json) => ({
    type: 'receivers',
    stream: stream(json),
    receivers: readArray(json, 'receivers', MAX_RECEIVERS_PER_MESSAGE).map(readReceiver),
  }),
  inspect: (json) => ({
    type: 'inspect',
    stream: stream(json),
    id: transferId(json),
    writeToken: readBytes(json, 'writeToken', TOKEN_BYTES),
  }),
  inspected: (json) => ({
    type: 'inspected',
    stream: stream(json),
    ...readStatus(json),
    durableBytes: readCount(json, 'durableBytes'),
    createdAtMs: time(json, 'createdAtMs'),
  }),
  cancel: (json) => ({
    type: 'cancel',
    stream: stream(json),
    id: transferId(json),
    writeToken: readBytes(json, 'writeToken', TOKEN_BYTES),
  }),
  close: (json) => ({ type: 'close', stream: stream(json), isComplete: readBoolean(json, 'isComplete') }),
  reset: (json) => ({
    type: 'reset',
    stream: stream(json),
    code: readCode(json),
    retryAfterMs: readRetry(json),
  }),
  error: (json) => ({
    type: 'error',
    code: readCode(json),
    message: readOptional(json, 'message', '', (key) => readString(json, key, MAX_ERROR_CHARS)),
    retryAfterMs: readRetry(json),
  }),
  goaway: (json) => ({ type: 'goaway', retryAfterMs: readCount(json, 'retryAfterMs') }),
  ping: (json) => ({ type: 'ping', id: readCount(json, 'id') }),
  pong: (json) => ({ type: 'pong', id: readCount(json, 'id') }),
};

function readGreeting(json: JsonObject): Omit<Hello, 'type'> {
  const heartbeat = asObject(json.heartbeat, 'heartbeat');
  const extensions: Record<string, string> = {};
  for (const [name, version] of Object.entries(asObject(json.extensions, 'extensions')).slice(0, 64)) {
    if (typeof version === 'string') extensions[name] = version;
  }
  return {
    version: readString(json, 'version', 64),
    software: readOptional(json, 'software', '', (key) => readString(json, key, 256)),
    extensions,
    heartbeat: {
      pingAfterMs: readCount(heartbeat, 'pingAfterMs'),
      deadAfterMs: readCount(heartbeat, 'deadAfterMs'),
    },
  };
}

function readOpenSend(json: JsonObject): OpenSend {
  return {
    type: 'open',
    role: 'send',
    stream: stream(json),
    id: transferId(json),
    writeToken: readBytes(json, 'writeToken', TOKEN_BYTES),
    session: readBytes(json, 'session', SESSION_BYTES),
    attempt: readCount(json, 'attempt'),
    priority: readPriority(json),
  };
}

function readOpenReceive(json: JsonObject): OpenReceive {
  return {
    type: 'open',
    role: 'receive',
    stream: stream(json),
    id: transferId(json),
    readToken: readBytes(json, 'readToken', TOKEN_BYTES),
    from: readOptional(json, 'from', null, (key) => readPoint(json[key])),
    credit: readCount(json, 'credit'),
    priority: readPriority(json),
  };
}

function readOpenedSend(json: JsonObject): OpenedSend {
  return {
    type: 'opened',
    role: 'send',
    stream: stream(json),
    epoch: readCount(json, 'epoch'),
    durable: readPoint(json.durable),
    position: readCount(json, 'position'),
    nextFile: readCount(json, 'nextFile', MAX_FILES + 1),
    openFiles: readArray(json, 'openFiles', MAX_OPEN_FILES).map((value) => {
      const file = asObject(value, 'open file');
      return { file: readCount(file, 'file', MAX_FILES), nextOffset: readCount(file, 'nextOffset') };
    }),
    endedFiles: readCount(json, 'endedFiles', MAX_FILES),
    contentBytes: readCount(json, 'contentBytes'),
    isSealed: readBoolean(json, 'isSealed'),
    credit: readCount(json, 'credit'),
    expiresAtMs: time(json, 'expiresAtMs'),
  };
}

function readOpenedReceive(json: JsonObject): OpenedReceive {
  return {
    type: 'opened',
    role: 'receive',
    stream: stream(json),
    receiverId: readString(json, 'receiverId', 64),
    header: readBytes(json, 'header', { max: MAX_TRANSFER_HEADER_BYTES }),
    from: readPoint(json.from),
    durable: readPoint(json.durable),
    ...readStatus(json),
  };
}

function readStatus(json: JsonObject): Omit<StateMessage, 'type' | 'stream'> {
  return {
    state: readOneOf(json, 'state', TRANSFER_STATES),
    isSenderConnected: readBoolean(json, 'isSenderConnected'),
    expiresAtMs: time(json, 'expiresAtMs'),
  };
}

function readStreamAck(value: unknown): StreamAck {
  const json = asObject(value, 'ack');
  return {
    stream: stream(json),
    credit: readOptional(json, 'credit', null, (key) => readCount(json, key)),
    received: readOptional(json, 'received', null, (key) => readCount(json, key)),
    durable: readOptional(json, 'durable', null, (key) => readPoint(json[key])),
  };
}

function readReceiver(value: unknown): ReceiverSummary {
  const json = asObject(value, 'receiver');
  return {
    receiverId: readString(json, 'receiverId', 64),
    event: readOneOf(json, 'event', ['joined', 'progress', 'done', 'left']),
    receivedBytes: readCount(json, 'receivedBytes'),
  };
}

function readPoint(value: unknown): LogPoint {
  const json = asObject(value, 'log point');
  return { index: readCount(json, 'index'), chain: readBytes(json, 'chain', HASH_BYTES) };
}

function readPriority(json: JsonObject): Priority {
  return readOptional(json, 'priority', 'normal', (key) => readOneOf(json, key, PRIORITIES));
}

/** A code from a newer version is taken as `internal`: still an error, never a normal end. */
function readCode(json: JsonObject): SluiceErrorCode {
  const code = readString(json, 'code', 64);
  return isWireErrorCode(code) ? code : 'internal';
}

function readRetry(json: JsonObject): number | null {
  return readOptional(json, 'retryAfterMs', null, (key) => readCount(json, key, 3_600_000));
}
