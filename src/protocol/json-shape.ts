/**
 * Checks of JSON that a peer wrote: small readers that either return a value of the right type or throw.
 * Unknown keys are ignored, so that a newer minor version may add some. Names and texts are only bounded here;
 * whether a name is safe to create is for safe-path.ts.
 */
import { decodeBase64Url } from './base64url.ts';
import { SluiceError } from './sluice-error.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();

export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return ENCODER.encode(JSON.stringify(value));
}

/** @throws SluiceError `protocol` unless `text` is one JSON object. */
export function parseObject(text: string | Uint8Array, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(typeof text === 'string' ? text : UTF8.decode(text));
  } catch {
    throw malformed(what, 'is not JSON');
  }
  return asObject(value, what);
}

export function asObject(value: unknown, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(what, 'is not an object');
  return value as JsonObject;
}

/** A whole number from 0 to 2^53-1. */
export function readCount(object: JsonObject, key: string, max: number = Number.MAX_SAFE_INTEGER): number {
  const value = object[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) {
    throw malformed(key, `is not a whole number from 0 to ${max}`);
  }
  return value;
}

export function readString(object: JsonObject, key: string, maxChars: number): string {
  const value = object[key];
  if (typeof value !== 'string' || value.length > maxChars) {
    throw malformed(key, `is not a text of at most ${maxChars} characters`);
  }
  return value;
}

export function readBoolean(object: JsonObject, key: string): boolean {
  const value = object[key];
  if (typeof value !== 'boolean') throw malformed(key, 'is not true or false');
  return value;
}

/** base64url bytes; `length` exact where given, at most `maxLength` otherwise. */
export function readBytes(
  object: JsonObject,
  key: string,
  length: number | { max: number },
): Uint8Array<ArrayBuffer> {
  const max = typeof length === 'number' ? length : length.max;
  const bytes = decodeBase64Url(readString(object, key, Math.ceil((max * 4) / 3)));
  if (bytes === null || (typeof length === 'number' && bytes.length !== length)) {
    throw malformed(
      key,
      typeof length === 'number' ? `is not ${length} bytes of base64url` : 'is not base64url',
    );
  }
  return bytes;
}

export function readArray(object: JsonObject, key: string, maxItems: number): readonly unknown[] {
  const value = object[key];
  if (!Array.isArray(value) || value.length > maxItems)
    throw malformed(key, `is not a list of at most ${maxItems}`);
  return value;
}

export function readOneOf<T extends string>(object: JsonObject, key: string, choices: readonly T[]): T {
  const value = object[key];
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw malformed(key, `is none of ${choices.join(', ')}`);
  return found;
}

/** `fallback` when the key is missing or null, otherwise what `read` makes of it. */
export function readOptional<T, F>(
  object: JsonObject,
  key: string,
  fallback: F,
  read: (key: string) => T,
): T | F {
  return object[key] === undefined || object[key] === null ? fallback : read(key);
}

function malformed(what: string, problem: string): SluiceError {
  return new SluiceError('protocol', `"${what}" ${problem}.`);
}
