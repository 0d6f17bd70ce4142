// The code against the test vectors, and the vectors against the oracle and the specification they come from.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { makeVectors } from '../../scripts/make-vectors.ts';
import { formatLink, hashOfToken, parseLink, readTokenOf } from '../../src/client/link.ts';
import * as node from '../../src/node/token.ts';
import {
  CODECS,
  decodeControl,
  decodeDataMessage,
  decodeFileEnd,
  decodeManifest,
  decodePack,
  decodeRecordHeader,
  decodeSeal,
  decodeTransferHeader,
  emptyLog,
  encodeControl,
  encodeFileEnd,
  encodeFragmentHeader,
  encodePack,
  encodeRecordHeader,
  encodeRecordsHeader,
  encodeSeal,
  encodeTransferHeader,
  FILE_END_BYTES,
  type FileStatus,
  FragmentAssembler,
  LogBuilder,
  LogReader,
  packLength,
  RECORD_HEADER_BYTES,
  recordAt,
  SluiceError,
  SUITES,
  type TransferHeader,
  verifyRecord,
} from '../../src/protocol/index.ts';
import { controlExamples } from '../support/control-examples.ts';
import { blake3, digester } from '../support/digester.ts';
import { codeOf } from '../support/errors.ts';

const fromHex = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`vectors/${name}`, import.meta.url), 'utf8')) as T;

test.each(Object.entries(makeVectors()))('%s is what scripts/make-vectors.ts writes', (name, vectors) => {
  expect(read(name)).toEqual(JSON.parse(JSON.stringify(vectors)));
});

interface RecordVector {
  name: string;
  fields: {
    kind: 'manifest' | 'data' | 'pack' | 'hole' | 'seal';
    flags: number;
    codec: number;
    suite: number;
    index: number;
    offset: number;
    file: number;
    plainLength: number;
    bodyLength: number;
    span: number;
    iv: string;
  };
  recordHex: string;
  bodyHex: string;
  digestHex: string;
}

const nameOf = <T extends string>(table: Readonly<Record<T, number>>, number: number): T =>
  (Object.keys(table) as T[]).find((name) => table[name] === number) as T;

describe.each(read<RecordVector[]>('records.json'))(
  'record: $name',
  ({ fields, recordHex, bodyHex, digestHex }) => {
    const { flags, codec, suite, iv, ...plain } = fields;
    const header = {
      ...plain,
      isFirst: (flags & 1) !== 0,
      isLast: (flags & 2) !== 0,
      isPadded: (flags & 4) !== 0,
      isSyncPoint: (flags & 8) !== 0,
      codec: nameOf(CODECS, codec),
      suite: nameOf(SUITES, suite),
      iv: fromHex(iv),
    };
    const record = fromHex(recordHex);

    test('is read', () => {
      const view = recordAt(record, 0);
      expect(view.header).toEqual(header);
      expect([toHex(view.body), toHex(view.digest)]).toEqual([bodyHex, digestHex]);
      expect(verifyRecord(view, digester)).toBe(true);
    });

    test('is written', () => {
      const bytes = new Uint8Array(RECORD_HEADER_BYTES);
      encodeRecordHeader(bytes, header);
      expect(toHex(bytes)).toBe(recordHex.slice(0, 2 * RECORD_HEADER_BYTES));
    });
  },
);

test.each(read<{ name: string; code: string; recordHex: string }[]>('refused-records.json'))(
  'refused: $name is $code',
  ({ code, recordHex }) => {
    expect(codeOf(() => decodeRecordHeader(fromHex(recordHex)))).toBe(code);
    const reader = new LogReader(emptyLog(new Uint8Array(32)), 65_536, digester, neverInflate);
    expect(codeOf(() => reader.read(fromHex(recordHex)))).toBe(code);
  },
);

interface HeaderVector {
  name: string;
  fields: { id: string; recordSize: number } & Pick<TransferHeader, 'suite' | 'codecs' | 'requires'>;
  commitmentHex: string;
  headerHex: string;
  hashHex: string;
}

test.each(read<HeaderVector[]>('transfer-headers.json'))(
  'transfer header: $name',
  ({ fields, commitmentHex, headerHex, hashHex }) => {
    const header: TransferHeader = {
      id: new Uint8Array(Buffer.from(fields.id, 'base64url')),
      suite: fields.suite,
      codecs: fields.codecs,
      recordSizeBytes: fields.recordSize,
      requires: fields.requires,
      commitment: fromHex(commitmentHex),
    };
    expect(decodeTransferHeader(fromHex(headerHex))).toEqual(header);
    expect(toHex(encodeTransferHeader(header))).toBe(headerHex);
    expect(toHex(blake3(fromHex(headerHex)))).toBe(hashHex);
  },
);

interface BodyVectors {
  fileEnds: { status: FileStatus; sizeBytes: number; blake3Hex: string; hex: string }[];
  packs: { files: { status: FileStatus; contentHex: string; blake3Hex: string }[]; hex: string }[];
  seals: { records: number; files: number; contentBytes: number; chainHex: string; hex: string }[];
}

describe('bodies', () => {
  const bodies = read<BodyVectors>('bodies.json');

  test.each(bodies.fileEnds)('file end: $status', ({ status, sizeBytes, blake3Hex, hex }) => {
    const end = { status, sizeBytes, blake3: fromHex(blake3Hex) };
    const bytes = new Uint8Array(FILE_END_BYTES);
    encodeFileEnd(bytes, end);
    expect(toHex(bytes)).toBe(hex);
    expect(decodeFileEnd(fromHex(hex))).toEqual(end);
  });

  test.each(bodies.packs)('pack', ({ files: vectors, hex }) => {
    const files = vectors.map(({ status, contentHex, blake3Hex }) => ({
      status,
      content: fromHex(contentHex),
      blake3: fromHex(blake3Hex),
    }));
    for (const { content, blake3: expected } of files) expect(blake3(content)).toEqual(expected);
    const bytes = new Uint8Array(packLength(files));
    encodePack(bytes, files);
    expect(toHex(bytes)).toBe(hex);
    expect(decodePack(fromHex(hex), files.length)).toEqual(files);
  });

  test.each(bodies.seals)('seal', ({ chainHex, hex, ...counts }) => {
    const seal = { ...counts, chain: fromHex(chainHex) };
    expect(toHex(encodeSeal(seal))).toBe(hex);
    expect(decodeSeal(fromHex(hex))).toEqual(seal);
  });
});

interface TransferVector {
  headerHex: string;
  chainAtStartHex: string;
  records: { index: number; recordHex: string; chainAfterHex: string }[];
  files: { file: number; sizeBytes: number; blake3Hex: string }[];
  contentBytes: number;
}

const neverInflate = (): never => {
  throw new SluiceError('unsupported');
};

describe('a whole transfer', () => {
  const vector = read<TransferVector>('transfer.json');
  const header = decodeTransferHeader(fromHex(vector.headerHex));
  const start = emptyLog(blake3(fromHex(vector.headerHex)));

  test('is read: every chain, and every file with its hash', () => {
    expect(toHex(start.chain)).toBe(vector.chainAtStartHex);
    const reader = new LogReader(start, header.recordSizeBytes, digester, neverInflate);
    const contents = new Map<number, Uint8Array[]>();
    const ended = new Map<number, { sizeBytes: number; blake3Hex: string }>();
    const add = (file: number, content: Uint8Array) =>
      contents.set(file, [...(contents.get(file) ?? []), content]);
    for (const { recordHex, chainAfterHex } of vector.records) {
      const { item } = reader.read(fromHex(recordHex)).records[0]!;
      expect(toHex(reader.state.chain)).toBe(chainAfterHex);
      if (item.type === 'data') add(item.file, item.content);
      if (item.type === 'hole') add(item.file, new Uint8Array(item.span));
      if ((item.type === 'data' || item.type === 'hole') && item.end !== null) {
        ended.set(item.file, { sizeBytes: item.end.sizeBytes, blake3Hex: toHex(item.end.blake3) });
      }
      if (item.type === 'pack') {
        for (const [i, { content, blake3: hash }] of item.files.entries()) {
          add(item.firstFile + i, content);
          ended.set(item.firstFile + i, { sizeBytes: content.length, blake3Hex: toHex(hash) });
        }
      }
    }
    expect(reader.state.isSealed).toBe(true);
    expect(reader.state.contentBytes).toBe(vector.contentBytes);
    expect(ended.size).toBe(vector.files.length);
    for (const { file, sizeBytes, blake3Hex } of vector.files) {
      expect(ended.get(file)).toEqual({ sizeBytes, blake3Hex });
      expect(toHex(blake3(...contents.get(file)!))).toBe(blake3Hex);
    }
  });

  test('is written by the builder byte for byte', () => {
    const [manifest, ...rest] = vector.records.map(({ recordHex }) => fromHex(recordHex));
    const builder = new LogBuilder(start, header.recordSizeBytes, digester);
    const written = [builder.manifest(decodeManifest(recordAt(manifest!, 0).body))];
    for (const record of rest) {
      const { header: fields, body } = recordAt(record, 0);
      const end = fields.isLast ? decodeFileEnd(body.slice(-FILE_END_BYTES)) : null;
      if (fields.kind === 'data') {
        const buffer = new Uint8Array(builder.recordBufferBytes);
        builder.contentOf(buffer).set(body.subarray(0, fields.span));
        written.push(builder.data(buffer, fields.file, fields.span, end));
      } else if (fields.kind === 'hole') written.push(builder.hole(fields.file, fields.span, end));
      else if (fields.kind === 'pack')
        written.push(builder.pack(fields.file, decodePack(body, fields.offset)));
      else written.push(builder.seal());
    }
    expect(written.map(toHex)).toEqual(vector.records.map(({ recordHex }) => recordHex));
  });
});

interface TokenVector {
  link: string;
  server: string;
  idHex: string;
  secretHex: string;
  readTokenHex: string;
  readTokenHashHex: string;
}

test.each(read<TokenVector[]>('tokens.json'))('tokens of $link', async (vector) => {
  const link = { server: vector.server, id: fromHex(vector.idHex), secret: fromHex(vector.secretHex) };
  expect(parseLink(vector.link)).toEqual(link);
  expect(formatLink(link)).toBe(vector.link);
  const token = await readTokenOf(link);
  expect(toHex(token)).toBe(vector.readTokenHex);
  expect(toHex(await hashOfToken(token))).toBe(vector.readTokenHashHex);
  expect(toHex(node.readTokenOf(link.secret, link.id))).toBe(vector.readTokenHex);
  expect(toHex(node.hashToken(token))).toBe(vector.readTokenHashHex);
});

interface DataVectors {
  records: { stream: number; chunkHex: string; hex: string }[];
  fragments: {
    stream: number;
    index: number;
    offset: number;
    recordBytes: number;
    isLast: boolean;
    chunkHex: string;
    hex: string;
  }[];
  assembledHex: string;
}

describe('data messages', () => {
  const data = read<DataVectors>('data-messages.json');

  test.each(data.records)('records on stream $stream', ({ stream, chunkHex, hex }) => {
    expect(decodeDataMessage([fromHex(hex)])).toEqual({ type: 'records', stream, chunk: fromHex(chunkHex) });
    expect(toHex(encodeRecordsHeader(stream)) + chunkHex).toBe(hex);
  });

  test('fragments make the record', () => {
    const assembler = new FragmentAssembler();
    const results = data.fragments.map(({ chunkHex, hex, ...fields }) => {
      const message = decodeDataMessage([fromHex(hex)]);
      expect(message).toEqual({ type: 'fragment', ...fields, chunk: fromHex(chunkHex) });
      expect(toHex(encodeFragmentHeader(fields)) + chunkHex).toBe(hex);
      return message.type === 'fragment' ? assembler.add(message) : null;
    });
    expect(results.map((result) => (result === null ? null : toHex(result)))).toEqual([
      null,
      data.assembledHex,
    ]);
  });
});

describe('control messages of the specification', () => {
  const examples = read<{ name: keyof typeof controlExamples; text: string }[]>('control-messages.json');

  test('there is one of every kind', () => {
    expect(examples.map(({ name }) => name).sort()).toEqual(Object.keys(controlExamples).sort());
  });

  test.each(examples)('$name', ({ name, text: example }) => {
    expect(decodeControl(example)).toEqual(controlExamples[name]);
    expect(encodeControl(controlExamples[name])).toBe(example);
  });
});

describe('bodies in the specification', () => {
  const spec = readFileSync(new URL('../../docs/spec/v1.md', import.meta.url), 'utf8');
  const block = (name: string) =>
    Buffer.from(new RegExp(`^\`\`\`json ${name}\\n(.*)\\n`, 'm').exec(spec)![1]!);

  test('the manifest', () => {
    expect(decodeManifest(block('manifest')).entries.length).toBe(2);
  });

  test('the seal', () => {
    expect(decodeSeal(block('seal'))).toMatchObject({ records: 3, files: 2, contentBytes: 300_005 });
  });
});
