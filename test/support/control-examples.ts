// One example of every control message: what the tests send through the codec, and what the specification and the
// vectors show. Bytes are made of a repeated digit, so that a reader recognises them.
import type { ControlMessage } from '../../src/protocol/index.ts';

const bytes = (length: number, value: number) => new Uint8Array(length).fill(value);
const id = bytes(16, 0x11);
const writeToken = bytes(32, 0x22);
const chain = bytes(32, 0x55);
const heartbeat = { pingAfterMs: 15_000, deadAfterMs: 35_000 };
const HEADER_JSON =
  '{"format":1,"id":"EREREREREREREREREREREQ","suite":"none","codecs":["raw"],"recordSize":262144,"requires":[],"kdf":null}';

/** The transfer header of the examples. */
export const exampleHeader: Uint8Array = Uint8Array.from([
  0,
  HEADER_JSON.length,
  ...new TextEncoder().encode(HEADER_JSON),
  ...bytes(32, 0),
]);

export const controlExamples = {
  hello: {
    type: 'hello',
    version: '1.0.0',
    software: 'sluice-cli 0.1.0',
    extensions: { 'example.org/labels': '1.2.0' },
    heartbeat,
  },
  welcome: {
    type: 'welcome',
    version: '1.0.0',
    software: 'sluice-server 0.1.0',
    extensions: {},
    heartbeat,
    maxStreams: 64,
    serverTimeMs: 1_800_000_000_000,
  },
  create: {
    type: 'create',
    stream: 1,
    id,
    header: exampleHeader,
    writeToken,
    readTokenHash: bytes(32, 0x33),
    expiresMs: 86_400_000,
  },
  created: {
    type: 'created',
    stream: 1,
    publicUrl: 'https://sluice.example',
    expiresAtMs: 1_800_086_400_000,
  },
  openSend: {
    type: 'open',
    role: 'send',
    stream: 3,
    id,
    writeToken,
    session: bytes(16, 0x44),
    attempt: 1,
    priority: 'normal',
  },
  openReceive: {
    type: 'open',
    role: 'receive',
    stream: 5,
    id,
    readToken: bytes(32, 0x66),
    from: { index: 17, chain },
    credit: 8_388_608,
    priority: 'interactive',
  },
  openedSend: {
    type: 'opened',
    role: 'send',
    stream: 3,
    epoch: 2,
    durable: { index: 17, chain },
    position: 4_196_352,
    nextFile: 4,
    openFiles: [{ file: 3, nextOffset: 262_144 }],
    endedFiles: 2,
    contentBytes: 4_190_000,
    isSealed: false,
    credit: 8_388_608,
    expiresAtMs: 1_800_086_400_000,
  },
  openedReceive: {
    type: 'opened',
    role: 'receive',
    stream: 5,
    receiverId: 'r7',
    header: exampleHeader,
    from: { index: 17, chain },
    durable: { index: 17, chain },
    state: 'live',
    isSenderConnected: true,
    expiresAtMs: 1_800_086_400_000,
  },
  ack: {
    type: 'ack',
    streams: [
      { stream: 3, credit: 12_582_912, received: 21, durable: { index: 20, chain } },
      { stream: 5, credit: 10_485_760, received: null, durable: null },
    ],
  },
  nack: { type: 'nack', stream: 3, index: 21 },
  state: {
    type: 'state',
    stream: 5,
    state: 'sealed',
    isSenderConnected: false,
    expiresAtMs: 1_800_090_000_000,
  },
  receivers: {
    type: 'receivers',
    stream: 3,
    receivers: [{ receiverId: 'r7', event: 'progress', receivedBytes: 1_048_576 }],
  },
  inspect: { type: 'inspect', stream: 7, id, writeToken },
  inspected: {
    type: 'inspected',
    stream: 7,
    state: 'live',
    isSenderConnected: true,
    expiresAtMs: 1_800_086_400_000,
    durableBytes: 4_196_352,
    createdAtMs: 1_800_000_000_000,
  },
  cancel: { type: 'cancel', stream: 9, id, writeToken },
  close: { type: 'close', stream: 5, isComplete: true },
  reset: { type: 'reset', stream: 5, code: 'storageFull', retryAfterMs: 5_000 },
  error: { type: 'error', code: 'overloaded', message: 'This side reads too slowly.', retryAfterMs: 1_000 },
  goaway: { type: 'goaway', retryAfterMs: 2_000 },
  ping: { type: 'ping', id: 4 },
  pong: { type: 'pong', id: 4 },
} as const satisfies Record<string, ControlMessage>;
