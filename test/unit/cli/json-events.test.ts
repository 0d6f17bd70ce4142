// The schema of --json is a contract: these lines must not change within version 1.
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { JsonEvents, jsonLine } from '../../../src/cli/json-events.ts';
import { SluiceError } from '../../../src/protocol/index.ts';
import { SAMPLE_LINK, SAMPLE_OFFER } from '../../support/cli-fakes.ts';

function rig() {
  let text = '';
  let nowMs = 0;
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return {
    json: new JsonEvents(output, () => nowMs),
    pass: (ms: number) => {
      nowMs += ms;
    },
    lines: () => text.split('\n').filter((line) => line !== ''),
  };
}

const progress = (sentBytes: number, bytesPerSecond = 100) => ({
  sentBytes,
  durableBytes: 0,
  totalBytes: null,
  bytesPerSecond,
  etaSeconds: null,
});

describe('the lines', () => {
  test('of a sender', () => {
    const { json, lines, pass } = rig();
    json.link(SAMPLE_LINK, 'AAAA');
    json.state({ type: 'state', state: 'reconnecting', attempt: 3 });
    json.progress({ sentBytes: 5, durableBytes: 4, totalBytes: 10, bytesPerSecond: 2.6, etaSeconds: 1.6 });
    json.receiver('r1', 'joined', 0);
    json.receiver('r1', 'progress', 3);
    pass(250);
    json.flushReceivers();
    json.file({
      type: 'file',
      path: ['a', 'b'],
      savedAs: null,
      sizeBytes: 5,
      blake3: 'af13',
      status: 'ok',
      error: null,
    });
    json.sent({ id: 'AAAA', link: SAMPLE_LINK, files: 1, sizeBytes: 5, seconds: 1.5, problems: 0 });
    expect(lines()).toEqual([
      `{"v":1,"type":"link","link":"${SAMPLE_LINK}","id":"AAAA"}`,
      '{"v":1,"type":"state","state":"reconnecting","attempt":3}',
      '{"v":1,"type":"progress","sentBytes":5,"durableBytes":4,"totalBytes":10,"bytesPerSecond":3,"etaSeconds":2}',
      '{"v":1,"type":"receiver","receiverId":"r1","event":"joined","receivedBytes":0}',
      '{"v":1,"type":"receiver","receiverId":"r1","event":"progress","receivedBytes":3}',
      '{"v":1,"type":"file","path":"a/b","sizeBytes":5,"blake3":"af13","status":"ok"}',
      `{"v":1,"type":"done","id":"AAAA","files":1,"sizeBytes":5,"seconds":1.5,"link":"${SAMPLE_LINK}"}`,
    ]);
  });

  test('of a receiver', () => {
    const { json, lines } = rig();
    json.offer(SAMPLE_OFFER);
    json.progress({
      receivedBytes: 5,
      durableBytes: 5,
      totalBytes: null,
      bytesPerSecond: 0,
      etaSeconds: null,
    });
    json.received({ id: 'AAAA', files: 2, sizeBytes: 3000, seconds: 2, problems: 0 }, '/tmp/x');
    expect(lines()).toEqual([
      '{"v":1,"type":"offer","id":"AAAAAAAAAAAAAAAAAAAAAA","name":"holiday","message":null,' +
        '"files":[{"path":"holiday/a.jpg","type":"file","sizeBytes":1000},' +
        '{"path":"holiday/b.jpg","type":"file","sizeBytes":2000}],' +
        '"totalFiles":2,"totalBytes":3000,"expiresAt":"2026-01-02T00:00:00.000Z"}',
      '{"v":1,"type":"progress","receivedBytes":5,"durableBytes":5,"totalBytes":null,"bytesPerSecond":0,"etaSeconds":null}',
      '{"v":1,"type":"done","id":"AAAA","files":2,"sizeBytes":3000,"seconds":2,"directory":"/tmp/x"}',
    ]);
  });

  test('of a server, a list and an error', () => {
    const first = rig();
    first.json.ready({ url: 'http://127.0.0.1:1', pid: 7, dataDir: '/d', durability: 'disk' });
    first.json.transfer({
      id: 'AAAA',
      link: SAMPLE_LINK,
      name: null,
      state: 'live',
      sizeBytes: null,
      durableBytes: 9,
      createdAtMs: 0,
      expiresAtMs: null,
    });
    first.json.error(new SluiceError('notFound'));
    expect(first.lines()).toEqual([
      '{"v":1,"type":"ready","url":"http://127.0.0.1:1","pid":7,"dataDir":"/d","durability":"disk"}',
      `{"v":1,"type":"transfer","id":"AAAA","link":"${SAMPLE_LINK}","name":null,"state":"live","sizeBytes":null,` +
        '"durableBytes":9,"createdAt":"1970-01-01T00:00:00.000Z","expiresAt":null}',
      '{"v":1,"type":"error","code":"notFound","message":"The server does not know this transfer.",' +
        '"hint":"Check the link; ask the sender for a new one.","exitCode":5}',
    ]);
  });

  test('a file in the folder of a receiver says where', () => {
    const { json, lines } = rig();
    const file = { type: 'file', sizeBytes: 1, blake3: null, status: 'ok', error: null } as const;
    json.file({ ...file, path: ['x', 'a'], savedAs: ['x', 'a (2)'] });
    expect(JSON.parse(lines()[0]!)).toMatchObject({ path: 'x/a', savedAs: 'x/a (2)' });
  });

  test('a file with a problem says which', () => {
    const { json, lines } = rig();
    const error = new SluiceError('localDisk', 'EACCES');
    json.file({
      type: 'file',
      path: ['x'],
      savedAs: null,
      sizeBytes: 0,
      blake3: null,
      status: 'skipped',
      error,
    });
    expect(JSON.parse(lines()[0]!)).toEqual({
      v: 1,
      type: 'file',
      path: 'x',
      sizeBytes: 0,
      blake3: null,
      status: 'skipped',
      error: { code: 'localDisk', message: error.message },
    });
  });
});

describe('how often', () => {
  test('progress comes at most 4 times a second, and the latest is not lost', () => {
    const { json, lines, pass } = rig();
    for (let bytes = 1; bytes <= 100; bytes += 1) {
      json.progress(progress(bytes));
      pass(10);
    }
    expect(lines().length).toBe(4);
    pass(250);
    json.progress(progress(100));
    expect(JSON.parse(lines().at(-1)!)).toMatchObject({ sentBytes: 100 });
  });

  test('a standstill is told once a second, and no more when the rate has reached 0', () => {
    const { json, lines, pass } = rig();
    json.progress(progress(1));
    for (let tick = 0; tick < 8; tick += 1) {
      pass(250);
      json.progress(progress(1));
    }
    expect(lines().length).toBe(3);
    pass(1000);
    json.progress(progress(1, 0));
    for (let tick = 0; tick < 8; tick += 1) {
      pass(250);
      json.progress(progress(1, 0));
    }
    expect(lines().length).toBe(4);
  });

  test('of the progress of a receiver only the latest is kept, and its end comes at once', () => {
    const { json, lines, pass } = rig();
    for (let bytes = 1; bytes <= 50; bytes += 1) json.receiver('r', 'progress', bytes);
    json.flushReceivers();
    json.receiver('r', 'progress', 60);
    json.receiver('r', 'done', 70);
    pass(250);
    json.flushReceivers();
    expect(lines().map((line) => (JSON.parse(line) as { receivedBytes: number }).receivedBytes)).toEqual([
      50, 70,
    ]);
  });

  test('nothing follows the last line', () => {
    const { json, lines } = rig();
    json.done({ id: 'AAAA' });
    json.state({ type: 'state', state: 'failed', attempt: 0 });
    json.error(new SluiceError('internal'));
    expect(lines()).toEqual(['{"v":1,"type":"done","id":"AAAA"}']);
  });
});

test('what could act on a terminal is escaped, and a parser sees the same text', () => {
  const name = 'a\x1b[2J\u009b\u202e\u2028\u{E0041}\n\x7f 中文 👍';
  const line = jsonLine({ name });
  expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(line).toContain('中文 👍');
  expect(JSON.parse(line)).toEqual({ name });
});
