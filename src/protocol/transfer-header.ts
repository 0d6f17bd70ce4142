/**
 * The transfer header: bytes chosen by the sender, immutable, at most 16 KiB. H = BLAKE3(header) starts the chain.
 *
 * ```
 * 0 jsonLength u16 | 2 JSON (UTF-8) | commitment[32]
 * ```
 * The key commitment (all zero without encryption) stands outside the JSON, so that it can be computed over the rest.
 */
import { encodeBase64Url } from './base64url.ts';
import { viewOf } from './byte-order.ts';
import { encodeJson, type JsonObject, parseObject, readArray, readBytes, readCount } from './json-shape.ts';
import { MAX_RECORD_SIZE_BYTES, MAX_TRANSFER_HEADER_BYTES, MIN_RECORD_SIZE_BYTES } from './limits.ts';
import { CODECS, type Codec, SUITES, type Suite } from './record.ts';
import { SluiceError } from './sluice-error.ts';

const COMMITMENT_BYTES = 32;
export const TRANSFER_ID_BYTES = 16;

export interface TransferHeader {
  /** 16 random bytes. */
  readonly id: Uint8Array;
  readonly suite: Suite;
  /** Codecs the records may use. */
  readonly codecs: readonly Codec[];
  /** Plaintext content of a full record, bytes, 64 KiB to 1 MiB. */
  readonly recordSizeBytes: number;
  /** Features a receiver must know before it joins. */
  readonly requires: readonly string[];
  /** 32 bytes, zero without encryption. */
  readonly commitment: Uint8Array;
}

export function encodeTransferHeader(header: TransferHeader): Uint8Array<ArrayBuffer> {
  const json = encodeJson({
    format: 1,
    id: encodeBase64Url(header.id),
    suite: header.suite,
    codecs: header.codecs,
    recordSize: header.recordSizeBytes,
    requires: header.requires,
    kdf: null,
  });
  const bytes = new Uint8Array(2 + json.length + COMMITMENT_BYTES);
  viewOf(bytes).setUint16(0, json.length);
  bytes.set(json, 2);
  bytes.set(header.commitment, 2 + json.length);
  return bytes;
}

/**
 * @throws SluiceError `unsupported` for another format, an unknown suite or codec, or a `kdf`; `protocol` when malformed.
 * `requires` is returned as it is: whether it can be met is for the receiver to say (`missingFeatures`).
 */
export function decodeTransferHeader(bytes: Uint8Array): TransferHeader {
  if (bytes.length > MAX_TRANSFER_HEADER_BYTES)
    throw new SluiceError('tooLarge', 'The transfer header is too long.');
  if (bytes.length < 2 + COMMITMENT_BYTES)
    throw new SluiceError('protocol', 'The transfer header is cut off.');
  const jsonEnd = 2 + viewOf(bytes).getUint16(0);
  if (bytes.length !== jsonEnd + COMMITMENT_BYTES) {
    throw new SluiceError('protocol', 'The transfer header has the wrong length.');
  }
  const json = parseObject(bytes.subarray(2, jsonEnd), 'transfer header');
  if (json.format !== 1) throw new SluiceError('unsupported', 'The transfer has another format.');
  if (json.kdf !== null && json.kdf !== undefined) {
    throw new SluiceError('unsupported', 'The transfer is protected by a passphrase.');
  }
  const recordSizeBytes = readCount(json, 'recordSize', MAX_RECORD_SIZE_BYTES);
  if (recordSizeBytes < MIN_RECORD_SIZE_BYTES)
    throw new SluiceError('protocol', 'The record size is too small.');
  return {
    id: readBytes(json, 'id', TRANSFER_ID_BYTES),
    suite: readSuite(json),
    codecs: readArray(json, 'codecs', 8).map(readCodec),
    recordSizeBytes,
    requires: readArray(json, 'requires', 32).map(readFeature),
    // Not slice(): on a Node Buffer that is a view, and the buffer may be used again.
    commitment: new Uint8Array(bytes.subarray(jsonEnd)),
  };
}

/** The features a transfer requires that are not in `known`; a receiver refuses to join unless this is empty. */
export function missingFeatures(header: TransferHeader, known: readonly string[]): string[] {
  return header.requires.filter((feature) => !known.includes(feature));
}

function readSuite(json: JsonObject): Suite {
  const suite = json.suite;
  if (typeof suite !== 'string' || !Object.hasOwn(SUITES, suite))
    throw new SluiceError('unsupported', 'Unknown cipher suite.');
  return suite as Suite;
}

function readFeature(value: unknown): string {
  if (typeof value !== 'string') throw new SluiceError('protocol', 'A required feature is not a text.');
  return value;
}

function readCodec(value: unknown): Codec {
  if (typeof value !== 'string' || !Object.hasOwn(CODECS, value))
    throw new SluiceError('unsupported', 'Unknown codec.');
  return value as Codec;
}
