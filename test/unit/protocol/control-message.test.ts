import { describe, expect, test } from 'vitest';
import {
  type ControlMessage,
  decodeControl,
  type ErrorMessage,
  encodeControl,
  MAX_CONTROL_CHARS,
  type Reset,
} from '../../../src/protocol/index.ts';
import { controlExamples as examples } from '../../support/control-examples.ts';
import { codeOf } from '../../support/errors.ts';

type Json = Record<string, unknown>;
const jsonOf = (message: ControlMessage) => JSON.parse(encodeControl(message)) as Json;
const decode = (json: unknown) => decodeControl(JSON.stringify(json));

describe.each(Object.entries(examples))('%s', (_, message) => {
  test('survives', () => {
    expect(decodeControl(encodeControl(message))).toEqual(message);
  });

  test('names its type first and writes nothing for null', () => {
    const text = encodeControl(message);
    expect(text.startsWith(`{"type":"${message.type}"`)).toBe(true);
    expect(text).not.toContain('null');
  });

  test('is the same with Node Buffers as bytes', () => {
    const withBuffers = (value: unknown): unknown => {
      if (value instanceof Uint8Array) return Buffer.from(value);
      if (Array.isArray(value)) return value.map(withBuffers);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withBuffers(inner)]));
    };
    expect(encodeControl(withBuffers(message) as ControlMessage)).toBe(encodeControl(message));
  });

  test('ignores keys it does not know', () => {
    expect(decode({ ...jsonOf(message), later: { x: [1] }, __proto: 1 })).toEqual(message);
  });

  // Every required key in turn: missing, null, of another type, of a wrong size.
  const required = Object.keys(jsonOf(message)).filter((key) => !isOptional(message, key));
  test.each(required)('is refused without %s, and with nonsense for it', (key) => {
    const json = jsonOf(message);
    for (const wrong of [undefined, null, wrongFor(json[key])]) {
      expect(codeOf(() => decode({ ...json, [key]: wrong }))).toBe(
        key === 'type' && wrong === -1 ? null : 'protocol',
      );
    }
  });
});

/** Keys that may be left out. */
function isOptional(message: ControlMessage, key: string): boolean {
  const optional: Partial<Record<ControlMessage['type'], readonly string[]>> = {
    hello: ['software'],
    welcome: ['software'],
    create: ['expiresMs'],
    created: ['publicUrl'],
    open: ['from', 'priority'],
    reset: ['retryAfterMs'],
    error: ['message', 'retryAfterMs'],
  };
  return optional[message.type]?.includes(key) ?? false;
}

function wrongFor(value: unknown): unknown {
  if (typeof value === 'number') return -1;
  if (typeof value === 'string') return 7;
  if (typeof value === 'boolean') return 'true';
  return Array.isArray(value) ? {} : [];
}

describe('what may be left out', () => {
  test.each([
    ['hello', 'software', ''],
    ['create', 'expiresMs', null],
    ['created', 'publicUrl', null],
    ['openReceive', 'from', null],
    ['openReceive', 'priority', 'normal'],
    ['openSend', 'priority', 'normal'],
    ['reset', 'retryAfterMs', null],
    ['error', 'message', ''],
    ['error', 'retryAfterMs', null],
  ] as const)('%s without %s has %j', (name, key, value) => {
    const { [key]: _, ...rest } = jsonOf(examples[name]);
    expect((decode(rest) as unknown as Json)[key]).toBe(value);
    expect((decode({ ...rest, [key]: null }) as unknown as Json)[key]).toBe(value);
  });

  test.each([
    ['hello', 'software', 1],
    ['hello', 'software', 'x'.repeat(257)],
    ['create', 'expiresMs', -1],
    ['created', 'publicUrl', 'x'.repeat(2_049)],
    ['openReceive', 'from', { index: 1 }],
    ['openReceive', 'priority', 'urgent'],
    ['reset', 'retryAfterMs', 3_600_001],
    ['error', 'message', 'x'.repeat(1_025)],
    ['error', 'retryAfterMs', 0.5],
  ] as const)('%s with a wrong %s (%j) is refused', (name, key, value) => {
    expect(codeOf(() => decode({ ...jsonOf(examples[name]), [key]: value }))).toBe('protocol');
  });
});

describe('limits and shapes', () => {
  const token = (bytes: number) => Buffer.alloc(bytes, 1).toString('base64url');

  test.each([
    ['a stream above u32', 'nack', { stream: 2 ** 32 }],
    ['an index above 2^53-1', 'nack', { index: 2 ** 53 }],
    ['a fraction', 'nack', { index: 1.5 }],
    ['a short id', 'inspect', { id: token(15) }],
    ['a long id', 'inspect', { id: token(17) }],
    ['a short token', 'inspect', { writeToken: token(31) }],
    ['a token that is not base64url', 'inspect', { writeToken: '+'.repeat(43) }],
    ['a token with bits that are not used', 'inspect', { writeToken: `${'A'.repeat(42)}B` }],
    ['a short hash', 'create', { readTokenHash: token(31) }],
    ['too long a header', 'create', { header: token(16 * 1024 + 1) }],
    ['a long session', 'openSend', { session: token(17) }],
    ['an unknown role', 'openSend', { role: 'watch' }],
    ['an unknown role in an answer', 'openedSend', { role: 'watch' }],
    ['a chain that is too short', 'openedSend', { durable: { index: 1, chain: token(31) } }],
    ['a point without an index', 'openedSend', { durable: { chain: token(32) } }],
    ['a point that is a number', 'openedReceive', { from: 3 }],
    ['17 open files', 'openedSend', { openFiles: Array(17).fill({ file: 1, nextOffset: 0 }) }],
    ['an open file without an offset', 'openedSend', { openFiles: [{ file: 1 }] }],
    ['an open file that is a number', 'openedSend', { openFiles: [1] }],
    ['a next file above the limit', 'openedSend', { nextFile: 1_000_002 }],
    ['an unknown state', 'state', { state: 'paused' }],
    ['too long a receiver id', 'openedReceive', { receiverId: 'x'.repeat(65) }],
    ['an ack that is a number', 'ack', { streams: [1] }],
    ['an ack without a stream', 'ack', { streams: [{ credit: 1 }] }],
    ['an ack with a wrong credit', 'ack', { streams: [{ stream: 1, credit: '1' }] }],
    ['an ack with a wrong count', 'ack', { streams: [{ stream: 1, received: -1 }] }],
    ['an ack with a wrong point', 'ack', { streams: [{ stream: 1, durable: {} }] }],
    ['acks for 1025 streams', 'ack', { streams: Array(1_025).fill({ stream: 1 }) }],
    [
      'an unknown event of a receiver',
      'receivers',
      { receivers: [{ receiverId: 'a', event: 'slept', receivedBytes: 0 }] },
    ],
    ['a receiver without bytes', 'receivers', { receivers: [{ receiverId: 'a', event: 'done' }] }],
    ['a receiver that is a text', 'receivers', { receivers: ['a'] }],
    [
      '257 receivers',
      'receivers',
      { receivers: Array(257).fill({ receiverId: 'a', event: 'done', receivedBytes: 0 }) },
    ],
    ['a heartbeat without a time', 'hello', { heartbeat: { pingAfterMs: 1 } }],
    ['too long a version', 'hello', { version: '1'.repeat(65) }],
    ['too long a code', 'reset', { code: 'x'.repeat(65) }],
  ] as const)('%s is refused', (_, name, change) => {
    expect(codeOf(() => decode({ ...jsonOf(examples[name]), ...change }))).toBe('protocol');
  });

  test('an ack may say nothing of a stream', () => {
    expect(decode({ type: 'ack', streams: [{ stream: 3 }] })).toEqual({
      type: 'ack',
      streams: [{ stream: 3, credit: null, received: null, durable: null }],
    });
  });

  test('extensions that are not texts are ignored, and only 64 are looked at', () => {
    const names = Array.from({ length: 70 }, (_, i) => [`x${i}`, '1.0.0']);
    const extensions = { odd: 1, ...Object.fromEntries(names) };
    const hello = decode({ ...jsonOf(examples.hello), extensions });
    expect(Object.keys((hello as typeof examples.hello).extensions)).toEqual(
      names.slice(0, 63).map(([name]) => name),
    );
  });
});

describe('codes from elsewhere', () => {
  test.each(['fromTheFuture', 'toString', 'localDisk'])('%s is taken as internal', (code) => {
    expect((decode({ type: 'reset', stream: 1, code }) as Reset).code).toBe('internal');
    expect((decode({ type: 'error', code }) as ErrorMessage).code).toBe('internal');
  });
});

describe('not a message of ours', () => {
  test.each(['fromTheFuture', 'toString', '__proto__', ''])('type %j is ignored', (type) => {
    expect(decodeControl(JSON.stringify({ type }))).toBeNull();
  });

  test.each([
    '',
    'x',
    '[]',
    'null',
    '1',
    '"hello"',
    '{"type":',
    '{}',
    '{"type":1}',
    `{"type":"${'x'.repeat(65)}"}`,
    '['.repeat(60_000),
  ])('%.20j is refused', (text) => {
    expect(codeOf(() => decodeControl(text))).toBe('protocol');
  });

  test('what is too long is not even read', () => {
    const pad = (length: number) => `{"type":"x","pad":"${'x'.repeat(length - 21)}"}`;
    expect(decodeControl(pad(MAX_CONTROL_CHARS))).toBeNull();
    expect(codeOf(() => decodeControl(pad(MAX_CONTROL_CHARS + 1)))).toBe('tooLarge');
  });
});
