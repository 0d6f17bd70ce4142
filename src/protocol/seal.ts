/** The body of the seal: the last record, which fixes count, bytes and chain of the log for ever. */
import { encodeBase64Url } from './base64url.ts';
import { encodeJson, parseObject, readBytes, readCount } from './json-shape.ts';

export interface Seal {
  /** Records before the seal: its own index. */
  readonly records: number;
  /** Files that were ended, packed ones included. */
  readonly files: number;
  /** Bytes of file content (sum of `span`). */
  readonly contentBytes: number;
  /** Chain over all records before the seal. */
  readonly chain: Uint8Array;
}

export function encodeSeal(seal: Seal): Uint8Array<ArrayBuffer> {
  return encodeJson({
    records: seal.records,
    files: seal.files,
    bytes: seal.contentBytes,
    chain: encodeBase64Url(seal.chain),
  });
}

/** @throws SluiceError `protocol` when malformed. */
export function decodeSeal(plain: Uint8Array): Seal {
  const json = parseObject(plain, 'seal');
  return {
    records: readCount(json, 'records'),
    files: readCount(json, 'files'),
    contentBytes: readCount(json, 'bytes'),
    chain: readBytes(json, 'chain', 32),
  };
}
