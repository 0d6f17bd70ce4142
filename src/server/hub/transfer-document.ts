/**
 * What is remembered about a transfer besides its log: who may write and read it, which sender holds it, until when it
 * is kept. Plain JSON, one document per transfer, written with compare-and-set. Tokens are never stored, only hashes.
 */

import { isTokenOf } from '../../node/index.ts';
import { decodeBase64Url, encodeBase64Url, SluiceError, type TransferState } from '../../protocol/index.ts';

export interface TransferDocument {
  readonly format: 1;
  readonly state: TransferState;
  /** Stored data failed verification: nobody may open it any more. */
  readonly isCorrupted: boolean;
  /** Bytes of the transfer header, base64url. */
  readonly header: string;
  /** SHA-256 of the tokens, base64url. */
  readonly writeTokenHash: string;
  readonly readTokenHash: string;
  readonly createdAtMs: number;
  /** Kept this long after the last append or the seal, ms. */
  readonly ttlMs: number;
  /** When its bytes go; of a tombstone: when they went. */
  readonly expiresAtMs: number;
  /** Of a tombstone: when it is forgotten as well. */
  readonly forgetAtMs: number | null;
  readonly epoch: number;
  /** The sender process that holds the epoch, base64url. */
  readonly session: string | null;
  readonly attempt: number;
  /** Sender processes that were fenced: they may not come back. The last `MAX_FENCED_SESSIONS`. */
  readonly fencedSessions: readonly string[];
}

export const MAX_FENCED_SESSIONS = 16;

/** True for a document that only says why its transfer is gone. */
export function isTombstone(document: TransferDocument): boolean {
  return document.state === 'cancelled' || document.state === 'expired';
}

/** @throws SluiceError `expired`, `cancelled`, `corrupted`: why nobody may open it. */
export function assertUsable({ state, isCorrupted }: TransferDocument): void {
  if (state === 'expired' || state === 'cancelled') throw new SluiceError(state);
  if (isCorrupted) throw new SluiceError('corrupted');
}

/** Constant time in the token. */
export function mayWrite(document: TransferDocument, writeToken: Uint8Array): boolean {
  return isTokenOf(writeToken, bytesOf(document.writeTokenHash));
}

/** Constant time in the token. */
export function mayRead(document: TransferDocument, readToken: Uint8Array): boolean {
  return isTokenOf(readToken, bytesOf(document.readTokenHash));
}

export function headerBytesOf(document: TransferDocument): Uint8Array {
  return bytesOf(document.header);
}

export function textOf(bytes: Uint8Array): string {
  return encodeBase64Url(bytes);
}

function bytesOf(text: string): Uint8Array {
  return decodeBase64Url(text) ?? new Uint8Array(0);
}
