// A second, slow and obvious encoder of everything in the specification, written from its text and without a line of
// src/protocol. The test vectors come from here; the real code must agree with them.
import { createHash, hkdfSync } from 'node:crypto';
import { createBLAKE3 } from 'hash-wasm';

const wasm = await createBLAKE3();

export function hash(...pieces: readonly Uint8Array[]): Buffer {
  wasm.init();
  wasm.update(Buffer.concat(pieces));
  return Buffer.from(wasm.digest('binary'));
}

const u8 = (value: number): Buffer => Buffer.from([value]);
const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), 'utf8');
export const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

export interface OracleRecord {
  readonly kind: 'manifest' | 'data' | 'pack' | 'hole' | 'seal';
  readonly flags?: number;
  readonly codec?: number;
  readonly suite?: number;
  readonly index: number;
  readonly offset?: number;
  readonly file?: number;
  readonly plainLength?: number;
  readonly iv?: Uint8Array;
  readonly span?: number;
}

const KINDS = ['', 'manifest', 'data', 'pack', 'hole', 'seal'];

/** SPEC 3.2: header, body, digest. */
export function record(fields: OracleRecord, body: Uint8Array): Buffer {
  const header = Buffer.concat([
    u8(1),
    u8(KINDS.indexOf(fields.kind)),
    u8(fields.flags ?? 0),
    u8(fields.codec ?? 0),
    u8(fields.suite ?? 0),
    Buffer.alloc(3),
    u64(fields.index),
    u64(fields.offset ?? 0),
    u32(fields.file ?? 0),
    u32(fields.plainLength ?? body.length),
    u32(body.length),
    fields.iv ?? Buffer.alloc(12),
    u64(fields.span ?? 0),
    u64(0),
  ]);
  return Buffer.concat([header, body, hash(header, body)]);
}

/** SPEC 3.4. */
export function nextChain(chain: Uint8Array, oneRecord: Uint8Array): Buffer {
  return hash(chain, oneRecord.subarray(oneRecord.length - 32));
}

/** SPEC 3.1. */
export function transferHeader(fields: Record<string, unknown>, commitment: Uint8Array): Buffer {
  const text = json(fields);
  return Buffer.concat([u16(text.length), text, commitment]);
}

/** SPEC 3.3. */
export function fileEnd(blake3: Uint8Array, size: number, status: number): Buffer {
  return Buffer.concat([blake3, u64(size), u8(status), Buffer.alloc(7)]);
}

/** SPEC 3.3. */
export function packBody(
  files: readonly { readonly content: Uint8Array; readonly status: number }[],
): Buffer {
  const rows = files.map(({ content, status }) =>
    Buffer.concat([u32(content.length), u8(status), Buffer.alloc(3), hash(content)]),
  );
  return Buffer.concat([...rows, ...files.map(({ content }) => content)]);
}

/** SPEC 3.3. */
export function sealBody(records: number, files: number, bytes: number, chain: Uint8Array): Buffer {
  return json({ records, files, bytes, chain: base64url(chain) });
}

/** SPEC 3.3. */
export function manifestBody(manifest: Record<string, unknown>): Buffer {
  return json(manifest);
}

/** SPEC 4.4. */
export function recordsHeader(stream: number): Buffer {
  return Buffer.concat([u8(1), Buffer.alloc(3), u32(stream)]);
}

/** SPEC 4.4. */
export function fragmentHeader(
  stream: number,
  index: number,
  offset: number,
  length: number,
  isLast: boolean,
): Buffer {
  return Buffer.concat([
    u8(2),
    u8(isLast ? 1 : 0),
    Buffer.alloc(2),
    u32(stream),
    u64(index),
    u32(offset),
    u32(length),
  ]);
}

/** SPEC 10.2. */
export function readToken(secret: Uint8Array, id: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, id, 'sluice v1 read token', 32));
}

/** SPEC 10.2. */
export function tokenHash(token: Uint8Array): Buffer {
  return createHash('sha256').update(token).digest();
}
