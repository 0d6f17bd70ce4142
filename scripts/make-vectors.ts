// Writes the test vectors: test/conformance/vectors/*.json. They come from the oracle in test/support, which shares no
// code with src/protocol. Run with: node scripts/make-vectors.ts && biome format --write test/conformance/vectors
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as oracle from '../test/support/oracle.ts';

const FOLDER = new URL('../test/conformance/vectors/', import.meta.url);
const SPEC = new URL('../docs/spec/v1.md', import.meta.url);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const repeated = (length: number, value: number): Buffer => Buffer.alloc(length, value);
/** 0, 1, 2, ..., 250, 0, ...: what the official BLAKE3 vectors use. */
const counting = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => i % 251));

const id = repeated(16, 0x11);
const secret = counting(32);

/** All vectors by the name of their file. */
export function makeVectors(): Record<string, unknown> {
  return {
    'records.json': recordVectors(),
    'refused-records.json': refusedRecordVectors(),
    'transfer-headers.json': transferHeaderVectors(),
    'bodies.json': bodyVectors(),
    'transfer.json': transferVector(),
    'tokens.json': tokenVectors(),
    'data-messages.json': dataMessageVectors(),
    'control-messages.json': controlMessageVectors(),
  };
}

function recordVectors(): unknown {
  const cases: { name: string; fields: oracle.OracleRecord; body: Buffer }[] = [
    { name: 'empty manifest', fields: { kind: 'manifest', index: 0 }, body: Buffer.from('{"entries":[]}') },
    {
      name: 'first data',
      fields: { kind: 'data', flags: 1, index: 1, file: 1, span: 5 },
      body: Buffer.from('hello'),
    },
    {
      name: 'pack',
      fields: { kind: 'pack', index: 7, offset: 1, file: 9, span: 3 },
      body: oracle.packBody([{ content: Buffer.from('abc'), status: 0 }]),
    },
    {
      name: 'hole in the middle',
      fields: { kind: 'hole', index: 2, offset: 5, file: 1, span: 1_000_000 },
      body: Buffer.alloc(0),
    },
    {
      name: 'every field at its largest',
      fields: {
        kind: 'data',
        flags: 15,
        codec: 2,
        suite: 1,
        index: Number.MAX_SAFE_INTEGER,
        offset: Number.MAX_SAFE_INTEGER,
        file: 0xffff_ffff,
        plainLength: 1_048_640,
        iv: counting(12),
        span: Number.MAX_SAFE_INTEGER,
      },
      body: repeated(3, 0xee),
    },
  ];
  return cases.map(({ name, fields, body }) => {
    const bytes = oracle.record(fields, body);
    return {
      name,
      fields: {
        flags: 0,
        codec: 0,
        suite: 0,
        offset: 0,
        file: 0,
        plainLength: body.length,
        span: 0,
        ...fields,
        iv: hex(fields.iv ?? Buffer.alloc(12)),
        bodyLength: body.length,
      },
      bodyHex: hex(body),
      recordHex: hex(bytes),
      digestHex: hex(bytes.subarray(-32)),
    };
  });
}

function refusedRecordVectors(): unknown {
  const valid = oracle.record({ kind: 'manifest', index: 0 }, Buffer.from('{"entries":[]}'));
  const cases: [string, string, number, number][] = [
    ['format 2', 'unsupported', 0, 2],
    ['kind 0', 'unsupported', 1, 0],
    ['kind 6', 'unsupported', 1, 6],
    ['flag 16', 'unsupported', 2, 16],
    ['codec 3', 'unsupported', 3, 3],
    ['suite 2', 'unsupported', 4, 2],
    ['reserved byte 5', 'unsupported', 5, 1],
    ['reserved byte 63', 'unsupported', 63, 1],
    ['index above 2^53-1', 'protocol', 8, 1],
    ['offset above 2^53-1', 'protocol', 16, 1],
    ['span above 2^53-1', 'protocol', 48, 1],
    ['plain length above the limit', 'tooLarge', 28, 1],
  ];
  return cases.map(([name, code, at, value]) => {
    const changed = Buffer.from(valid.subarray(0, -32));
    changed[at] = value;
    // The digest is right: this was meant, not damaged.
    return { name, code, recordHex: hex(Buffer.concat([changed, oracle.hash(changed)])) };
  });
}

const headerFields = {
  format: 1,
  id: oracle.base64url(id),
  suite: 'none',
  codecs: ['raw'],
  recordSize: 65_536,
  requires: [] as string[],
  kdf: null,
};

function transferHeaderVectors(): unknown {
  const full = {
    ...headerFields,
    suite: 'aes-256-gcm',
    codecs: ['raw', 'deflate-raw', 'zstd'],
    recordSize: 1_048_576,
    requires: ['example.org/feature'],
  };
  return [
    { name: 'plain', fields: headerFields, commitment: repeated(32, 0) },
    { name: 'with everything', fields: full, commitment: counting(32) },
  ].map(({ name, fields, commitment }) => {
    const bytes = oracle.transferHeader(fields, commitment);
    return {
      name,
      fields,
      commitmentHex: hex(commitment),
      headerHex: hex(bytes),
      hashHex: hex(oracle.hash(bytes)),
    };
  });
}

function bodyVectors(): unknown {
  const content = counting(1_000);
  const packFiles = [
    { content: Buffer.from('one'), status: 0 },
    { content: Buffer.alloc(0), status: 3 },
    { content: counting(300), status: 1 },
  ];
  return {
    fileEnds: ['ok', 'changed', 'failed', 'removed'].map((status, number) => ({
      status,
      sizeBytes: content.length,
      blake3Hex: hex(oracle.hash(content)),
      hex: hex(oracle.fileEnd(oracle.hash(content), content.length, number)),
    })),
    packs: [
      {
        files: packFiles.map(({ content: bytes, status }) => ({
          status: ['ok', 'changed', 'failed', 'removed'][status],
          contentHex: hex(bytes),
          blake3Hex: hex(oracle.hash(bytes)),
        })),
        hex: hex(oracle.packBody(packFiles)),
      },
    ],
    seals: [
      {
        records: 3,
        files: 2,
        contentBytes: 300_005,
        chainHex: hex(repeated(32, 0x55)),
        hex: hex(oracle.sealBody(3, 2, 300_005, repeated(32, 0x55))),
      },
    ],
  };
}

/** A whole small transfer with a record of every kind. */
function transferVector(): unknown {
  const header = oracle.transferHeader(headerFields, repeated(32, 0));
  const content = counting(3_000);
  const hello = Buffer.from('hello, receiver\n');
  const zeros = 100_000;
  const contents = [content, Buffer.alloc(zeros), hello, Buffer.alloc(0)];
  const total = contents.reduce((sum, bytes) => sum + bytes.length, 0);
  const [first, second] = [content.subarray(0, 2_000), content.subarray(2_000)];
  const entries = [
    {
      file: 1,
      path: ['vector', 'counting.bin'],
      type: 'file',
      size: content.length,
      mtime: { s: 1_750_000_000, ns: 5 },
      mode: 420,
    },
    { file: 2, path: ['vector', 'zeros.bin'], type: 'file', size: zeros },
    { file: 3, path: ['vector', 'hello.txt'], type: 'file', size: hello.length },
    { file: 4, path: ['vector', 'empty'], type: 'file', size: 0 },
    { file: 5, path: ['vector', 'folder'], type: 'dir' },
  ];
  const chains = [oracle.hash(header)];
  const records: Buffer[] = [];
  const add = (bytes: Buffer): void => {
    records.push(bytes);
    chains.push(oracle.nextChain(chains.at(-1) as Buffer, bytes));
  };
  add(
    oracle.record(
      { kind: 'manifest', index: 0 },
      oracle.manifestBody({ name: 'vector', files: 4, bytes: total, entries }),
    ),
  );
  add(oracle.record({ kind: 'data', flags: 1, index: 1, file: 1, span: first.length }, first));
  add(oracle.record({ kind: 'hole', flags: 1, index: 2, file: 2, span: zeros - 1 }, Buffer.alloc(0)));
  add(
    oracle.record(
      { kind: 'data', flags: 2, index: 3, offset: first.length, file: 1, span: second.length },
      Buffer.concat([second, oracle.fileEnd(oracle.hash(content), content.length, 0)]),
    ),
  );
  add(
    oracle.record(
      { kind: 'hole', flags: 2, index: 4, offset: zeros - 1, file: 2, span: 1 },
      oracle.fileEnd(oracle.hash(Buffer.alloc(zeros)), zeros, 0),
    ),
  );
  const packFiles = [hello, Buffer.alloc(0)].map((bytes) => ({ content: bytes, status: 0 }));
  add(
    oracle.record(
      { kind: 'pack', index: 5, offset: 2, file: 3, span: hello.length },
      oracle.packBody(packFiles),
    ),
  );
  add(oracle.record({ kind: 'seal', index: 6 }, oracle.sealBody(6, 4, total, chains.at(-1) as Buffer)));
  return {
    headerHex: hex(header),
    records: records.map((bytes, index) => ({
      index,
      recordHex: hex(bytes),
      chainAfterHex: hex(chains[index + 1] as Buffer),
    })),
    chainAtStartHex: hex(chains[0] as Buffer),
    files: contents.map((bytes, i) => ({
      file: i + 1,
      sizeBytes: bytes.length,
      blake3Hex: hex(oracle.hash(bytes)),
    })),
    contentBytes: total,
  };
}

function tokenVectors(): unknown {
  return [
    { id, secret },
    { id: counting(16), secret: repeated(32, 0xff) },
  ].map((one) => {
    const token = oracle.readToken(one.secret, one.id);
    return {
      server: 'https://sluice.example/base',
      link: `https://sluice.example/base/t/${oracle.base64url(one.id)}#${oracle.base64url(one.secret)}`,
      idHex: hex(one.id),
      secretHex: hex(one.secret),
      readTokenHex: hex(token),
      readTokenHashHex: hex(oracle.tokenHash(token)),
    };
  });
}

function dataMessageVectors(): unknown {
  const bytes = oracle.record({ kind: 'manifest', index: 5 }, counting(200));
  const cut = 100;
  return {
    records: [
      { stream: 3, chunkHex: hex(bytes), hex: hex(Buffer.concat([oracle.recordsHeader(3), bytes])) },
      {
        stream: 0xffff_ffff,
        chunkHex: hex(Buffer.concat([bytes, bytes])),
        hex: hex(Buffer.concat([oracle.recordsHeader(0xffff_ffff), bytes, bytes])),
      },
    ],
    fragments: [
      { offset: 0, end: cut },
      { offset: cut, end: bytes.length },
    ].map(({ offset, end }) => ({
      stream: 3,
      index: 5,
      offset,
      recordBytes: bytes.length,
      isLast: end === bytes.length,
      chunkHex: hex(bytes.subarray(offset, end)),
      hex: hex(
        Buffer.concat([
          oracle.fragmentHeader(3, 5, offset, bytes.length, end === bytes.length),
          bytes.subarray(offset, end),
        ]),
      ),
    })),
    assembledHex: hex(bytes),
  };
}

/** The examples of the specification themselves: ```json blocks with a name. */
function controlMessageVectors(): unknown {
  const blocks = readFileSync(SPEC, 'utf8').matchAll(/^```json (\w+)\n(.*)\n```$/gm);
  return [...blocks]
    .filter(([, name]) => name !== 'manifest' && name !== 'seal')
    .map(([, name, text]) => ({ name, text }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, vectors] of Object.entries(makeVectors())) {
    writeFileSync(new URL(name, FOLDER), `${JSON.stringify(vectors, null, 2)}\n`);
  }
}
