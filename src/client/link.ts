/**
 * Links and the tokens in them: `<server>/t/<id>#<secret>`. The secret never leaves this side; what the server gets is
 * a token derived from it (SPEC 10).
 */
import { decodeBase64Url, encodeBase64Url, SluiceError, TRANSFER_ID_BYTES } from '../protocol/index.ts';

export const SECRET_BYTES = 32;

export interface Link {
  /** Address of the server without a trailing slash. */
  readonly server: string;
  readonly id: Uint8Array<ArrayBuffer>;
  readonly secret: Uint8Array<ArrayBuffer>;
}

export function formatLink({ server, id, secret }: Link): string {
  return `${server}/t/${encodeBase64Url(id)}#${encodeBase64Url(secret)}`;
}

/** @throws SluiceError `badLink`; the text itself is never repeated, because it may hold a secret. */
export function parseLink(text: string): Link {
  const url = URL.parse(text.trim());
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new SluiceError('badLink', 'It is not an http(s) address.');
  const match = /^(.*)\/t\/([^/]+)$/.exec(url.pathname);
  const id = decodeBase64Url(match?.[2] ?? '');
  if (match === null || id === null || id.length !== TRANSFER_ID_BYTES) {
    throw new SluiceError('badLink', 'The part with the transfer (/t/...) is missing or cut off.');
  }
  const secret = decodeBase64Url(url.hash.slice(1));
  if (secret === null || secret.length !== SECRET_BYTES) {
    throw new SluiceError('badLink', 'The part behind # is missing or cut off.');
  }
  return { server: `${url.origin}${match[1]}`, id, secret };
}

/** Without a trailing slash, query or fragment. @throws SluiceError `usage`. */
export function normalizeServerUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SluiceError('usage', 'The server address must start with http:// or https://.');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** HKDF-SHA-256 of the secret, salted with the id: a receiver needs it before it has seen the header (SPEC 10.2). */
export async function readTokenOf({
  id,
  secret,
}: Pick<Link, 'id' | 'secret'>): Promise<Uint8Array<ArrayBuffer>> {
  const key = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveBits']);
  const info = new TextEncoder().encode('sluice v1 read token');
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: id, info }, key, 256),
  );
}

/** What the server keeps of a token. */
export async function hashOfToken(token: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', token));
}
