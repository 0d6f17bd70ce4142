// Links: what is written is read again, whatever else is refused, and the secret never shows in an error.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  formatLink,
  hashOfToken,
  normalizeServerUrl,
  parseLink,
  readTokenOf,
} from '../../../src/client/link.ts';
import { SluiceError } from '../../../src/protocol/index.ts';
import { codeOf } from '../../support/errors.ts';

interface TokenVector {
  readonly server: string;
  readonly link: string;
  readonly idHex: string;
  readonly secretHex: string;
  readonly readTokenHex: string;
  readonly readTokenHashHex: string;
}

const vectors: TokenVector[] = JSON.parse(readFileSync('test/conformance/vectors/tokens.json', 'utf8'));
const bytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'hex'));
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');

const ID = 'EREREREREREREREREREREQ';
const SECRET = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8';

test('there are vectors', () => {
  expect(vectors.length).toBeGreaterThan(0);
});

describe.each(vectors)('$link', ({ server, link, idHex, secretHex, readTokenHex, readTokenHashHex }) => {
  test('is written and read', () => {
    const parts = { server, id: bytes(idHex), secret: bytes(secretHex) };
    expect(formatLink(parts)).toBe(link);
    expect(parseLink(link)).toEqual(parts);
  });

  test('has the read token of the specification', async () => {
    const token = await readTokenOf({ id: bytes(idHex), secret: bytes(secretHex) });
    expect(hex(token)).toBe(readTokenHex);
    expect(hex(await hashOfToken(token))).toBe(readTokenHashHex);
  });
});

describe('parseLink', () => {
  test.each([
    [`http://127.0.0.1:7420/t/${ID}#${SECRET}`, 'http://127.0.0.1:7420'],
    [`  http://127.0.0.1:7420/t/${ID}#${SECRET}\n`, 'http://127.0.0.1:7420'],
    [`HTTPS://Sluice.Example:443/t/${ID}#${SECRET}`, 'https://sluice.example'],
    [`https://sluice.example/a/b/t/${ID}#${SECRET}`, 'https://sluice.example/a/b'],
    [`https://sluice.example/t/x/t/${ID}#${SECRET}`, 'https://sluice.example/t/x'],
    [`https://[::1]:7420/t/${ID}#${SECRET}`, 'https://[::1]:7420'],
    [`https://user:password@sluice.example/t/${ID}#${SECRET}`, 'https://sluice.example'],
  ])('%j is at %s', (link, server) => {
    const parsed = parseLink(link);
    expect(parsed.server).toBe(server);
    expect(formatLink(parsed)).toBe(`${server}/t/${ID}#${SECRET}`);
  });

  test.each([
    ['nothing', ''],
    ['no address', 'hello'],
    ['only the path', `/t/${ID}#${SECRET}`],
    ['another scheme', `ftp://sluice.example/t/${ID}#${SECRET}`],
    ['a script', `javascript:alert(1)/t/${ID}#${SECRET}`],
    ['a socket', `ws://sluice.example/t/${ID}#${SECRET}`],
    ['no transfer', `https://sluice.example/#${SECRET}`],
    ['an empty transfer', `https://sluice.example/t/#${SECRET}`],
    ['something behind the transfer', `https://sluice.example/t/${ID}/x#${SECRET}`],
    ['a slash behind the transfer', `https://sluice.example/t/${ID}/#${SECRET}`],
    ['a short id', `https://sluice.example/t/${ID.slice(1)}#${SECRET}`],
    ['a long id', `https://sluice.example/t/${ID}AA#${SECRET}`],
    ['an id with padding', `https://sluice.example/t/${ID}==#${SECRET}`],
    ['an id with stray bits', `https://sluice.example/t/${ID.slice(0, -1)}R#${SECRET}`],
    ['another alphabet', `https://sluice.example/t/${ID.slice(0, -1)}+#${SECRET}`],
    ['no secret', `https://sluice.example/t/${ID}`],
    ['an empty secret', `https://sluice.example/t/${ID}#`],
    ['a short secret', `https://sluice.example/t/${ID}#${SECRET.slice(0, 40)}`],
    ['a long secret', `https://sluice.example/t/${ID}#${SECRET}AAAA`],
    ['a secret in the query', `https://sluice.example/t/${ID}?${SECRET}`],
    ['a secret with a blank', `https://sluice.example/t/${ID}#${SECRET.slice(0, 20)} ${SECRET.slice(20)}`],
    ['a NUL', `https://sluice.example/t/${ID}\0#${SECRET}`],
    ['two links', `https://sluice.example/t/${ID}#${SECRET} https://sluice.example/t/${ID}#${SECRET}`],
  ])('%s is refused, and the text is not repeated', (_what, link) => {
    let error: unknown;
    try {
      parseLink(link);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SluiceError);
    const { code, message, hint, stack } = error as SluiceError;
    expect(code).toBe('badLink');
    expect(`${message} ${hint} ${stack} ${(error as Error).cause}`).not.toContain(SECRET.slice(0, 20));
  });
});

describe('normalizeServerUrl', () => {
  test.each([
    ['http://127.0.0.1:7420', 'http://127.0.0.1:7420'],
    ['http://127.0.0.1:7420/', 'http://127.0.0.1:7420'],
    ['https://sluice.example/base//', 'https://sluice.example/base'],
    ['https://SLUICE.example:443/?a=b#c', 'https://sluice.example'],
  ])('%s is %s', (text, url) => {
    expect(normalizeServerUrl(text)).toBe(url);
  });

  test.each(['', '127.0.0.1:7420', 'localhost', 'ws://sluice.example', 'file:///etc/passwd'])(
    '%j is wrong usage',
    (text) => {
      expect(codeOf(() => normalizeServerUrl(text))).toBe('usage');
    },
  );
});

test('another secret or another transfer gives another token', async () => {
  const base = { id: new Uint8Array(16), secret: new Uint8Array(32) };
  const tokens = await Promise.all([
    readTokenOf(base),
    readTokenOf({ ...base, id: new Uint8Array(16).fill(1) }),
    readTokenOf({ ...base, secret: new Uint8Array(32).fill(1) }),
  ]);
  expect(new Set(tokens.map(hex)).size).toBe(3);
});
