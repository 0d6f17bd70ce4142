// What the server says to plain HTTP, which upgrades it takes, and how it lives beside another server's own paths.
import { createServer as createHttpServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect as connectSocket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createServer } from '../../src/server/index.ts';
import { connect, newFolder, startServer } from '../support/server-rig.ts';
import { TestClient } from '../support/test-client.ts';

/** The answer to an upgrade: its status and body, or 101. */
async function upgrade(
  url: string,
  headers: Record<string, string> = {},
  path = '/ws',
): Promise<{ status: number; body: string; headers: IncomingMessage['headers'] }> {
  return new Promise((resolve, reject) => {
    const handshake = request(`${url}${path}`, {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Protocol': 'sluice.v1',
        ...headers,
      },
    });
    handshake.on('error', reject);
    handshake.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode ?? 0, body: '', headers: response.headers });
    });
    handshake.on('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
    });
    handshake.end();
  });
}

describe('pages', () => {
  test('the start page and a transfer page are plain, strict and say what to do', async () => {
    const { url } = await startServer();
    for (const [path, text] of [
      ['/', 'sluice send'],
      ['/t/EREREREREREREREREREREQ', 'sluice receive'],
      ['/t/EREREREREREREREREREREQ/ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY', 'sluice receive'],
    ] as const) {
      const response = await fetch(`${url}${path}`);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      expect(response.headers.get('referrer-policy')).toBe('no-referrer');
      const html = await response.text();
      expect(html).toContain(text);
      expect(html).not.toContain('<script');
      expect(html).not.toContain('ERERER');
    }
  });

  test('healthz answers, other paths do not exist, other methods are not taken', async () => {
    const { url } = await startServer();
    const health = await fetch(`${url}/healthz`);
    expect([health.status, await health.text()]).toEqual([200, '{"status":"ok"}']);
    for (const path of ['/x', '/t/', '/t/a/b/c', '/t/%3Cscript%3E', '/ws', '//t/a', '/healthz/']) {
      const response = await fetch(`${url}${path}`);
      expect([path, response.status]).toEqual([path, 404]);
      expect(await response.text()).toBe('Not found.\n');
    }
    expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(405);
    const head = await fetch(url, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });
});

describe('upgrades', () => {
  test('take our subprotocol only, and name it', async () => {
    const { url } = await startServer();
    expect(await upgrade(url)).toMatchObject({
      status: 101,
      headers: { 'sec-websocket-protocol': 'sluice.v1' },
    });
    for (const offered of ['sluice.v2', 'chat, superchat']) {
      const refused = await upgrade(url, { 'Sec-WebSocket-Protocol': offered });
      expect(refused.status).toBe(426);
      expect(JSON.parse(refused.body)).toMatchObject({
        error: 'versionMismatch',
        subprotocols: ['sluice.v1'],
        version: '1.0.0',
      });
    }
  });

  test('are refused to pages of another origin', async () => {
    const { url } = await startServer();
    expect((await upgrade(url, { Origin: url })).status).toBe(101);
    for (const origin of ['https://evil.example', 'null', 'garbage', `${url}.evil.example`]) {
      expect((await upgrade(url, { Origin: origin })).status).toBe(403);
    }
    const named = await startServer({ publicUrl: 'https://sluice.example/base/' });
    expect(named.url).toBe('https://sluice.example/base');
    const local = `http://127.0.0.1:${named.port}`;
    expect((await upgrade(local, { Origin: 'https://sluice.example' })).status).toBe(101);
    expect((await upgrade(local, { Origin: 'http://sluice.example' })).status).toBe(403);
  });

  test('exist on /ws only', async () => {
    const { url } = await startServer();
    expect((await upgrade(url, {}, '/')).status).toBe(404);
    expect((await upgrade(url, {}, '/ws/x')).status).toBe(404);
  });

  test('are limited per address and in all', async () => {
    const one = await startServer({ maxConnectionsPerAddress: 1 });
    const client = await connect(one.url);
    expect((await upgrade(one.url)).status).toBe(429);
    client.close();
    await client.until(() => client.ended !== null, 'the end');
    await expect.poll(async () => (await upgrade(one.url)).status).toBe(101);
    const none = await startServer({ maxConnections: 0 });
    expect((await upgrade(none.url)).status).toBe(503);
  });

  test('a socket that is cut in the middle does no harm', async () => {
    const { url, port } = await startServer();
    for (const text of [
      'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      'GET',
      '\0',
    ]) {
      const socket = connectSocket(port, '127.0.0.1');
      socket.on('error', () => {});
      await new Promise<void>((resolve) => socket.write(text, () => resolve()));
      socket.resetAndDestroy();
    }
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});

describe('attach', () => {
  test('serves below its path and leaves everything else alone', async () => {
    const sluice = await createServer({ dataDirectory: await newFolder(), durability: 'os' });
    const http = createHttpServer();
    const detach = sluice.attach(http, { basePath: '/files/' });
    http.on('request', (incoming, response) => {
      if (!/^\/files(\/|$)/.test(incoming.url ?? '')) response.end('mine');
    });
    http.on('upgrade', (incoming, socket) => {
      if (incoming.url === '/other')
        socket.end('HTTP/1.1 418 Teapot\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      await sluice.close();
      http.close();
      http.closeAllConnections();
    });
    const root = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    expect(await (await fetch(`${root}/`)).text()).toBe('mine');
    expect(await (await fetch(`${root}/filesystem`)).text()).toBe('mine');
    expect((await fetch(`${root}/files/healthz`)).status).toBe(200);
    expect(await (await fetch(`${root}/files/`)).text()).toContain('Sluice');
    expect((await upgrade(root, {}, '/other')).status).toBe(418);
    expect((await upgrade(root, {}, '/files/other')).status).toBe(404);
    const client = await TestClient.connect(`${root}/files`);
    expect(client.isReady).toBe(true);
    client.close();
    detach();
    const after = await new Promise<string>((resolve) => {
      http.prependOnceListener('request', (_incoming, response) => response.end('nobody else'));
      void fetch(`${root}/files/healthz`).then(async (response) => resolve(await response.text()));
    });
    expect(after).toBe('nobody else');
  });
});

test('two servers in one process know nothing of each other', async () => {
  const [first, second] = [await startServer(), await startServer()];
  await connect(first.url);
  expect(first.server.stats().connections).toBe(1);
  expect(second.server.stats().connections).toBe(0);
  await first.server.close();
  expect((await fetch(`${second.url}/healthz`)).status).toBe(200);
  await first.server.close();
});

test('a port in use is an error with a code', async () => {
  const { port } = await startServer();
  const other = await createServer({ dataDirectory: await newFolder() });
  onTestFinished(() => other.close());
  await expect(other.listen({ port })).rejects.toMatchObject({ code: 'addressInUse' });
});
