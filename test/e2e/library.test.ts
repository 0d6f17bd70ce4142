// The library as a page or a program without Node uses it, on the global WebSocket, against the real server; and beside
// the one for Node.
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  Client,
  createWebEnvironment,
  type ReceivedFile,
  receive,
  type SendEvent,
  send,
} from '../../src/client/index.ts';
import * as node from '../../src/node-client/index.ts';
import { createServer } from '../../src/server/index.ts';
import { blake3 } from '../support/digester.ts';
import { codeWhen } from '../support/errors.ts';
import { contentOf } from '../support/log-fixtures.ts';
import { newFolder, startServer } from '../support/server-rig.ts';

const hexOf = (content: Uint8Array): string => Buffer.from(blake3(content)).toString('hex');

async function readAll(link: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for await (const file of receive(link)) files.set(file.path.join('/'), Buffer.from(await file.bytes()));
  return files;
}

/** Resolves when the sender's memory of its only transfer is complete, which is soon after `done`. */
async function untilRemembered(stateDirectory: string, sizeBytes: number): Promise<void> {
  await expect
    .poll(async () => {
      for await (const transfer of node.listTransfers({ stateDirectory })) return transfer.sizeBytes;
      return null;
    })
    .toBe(sizeBytes);
}

/** A stream that gives a piece whenever the test pushes one. */
function pushStream(): {
  stream: ReadableStream<Uint8Array>;
  push(text: string): void;
  close(): void;
  cancelled: Promise<void>;
} {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const cancelled = Promise.withResolvers<void>();
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
    cancel: () => cancelled.resolve(),
  });
  return {
    stream,
    push: (text) => controller.enqueue(Buffer.from(text)),
    close: () => controller.close(),
    cancelled: cancelled.promise,
  };
}

describe('sending', () => {
  test('files, blobs, texts, bytes and streams arrive as they are', async () => {
    const { url } = await startServer();
    const large = contentOf(3_000_000);
    async function* generate(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < large.length; at += 70_000) yield large.subarray(at, at + 70_000);
    }
    const sent = send(
      [
        new File([large], 'file.bin', { lastModified: 1_700_000_000_000 }),
        { name: 'folder/blob', content: new Blob([contentOf(100)]) },
        { name: 'text', content: 'Grüße 世界' },
        { name: 'bytes', content: contentOf(70_000) },
        { name: 'empty', content: '' },
        { name: 'stream', content: new Blob([large]).stream() },
        { name: 'generator', content: generate() },
      ],
      { server: url, name: 'all kinds', message: 'hello' },
    );
    const received = receive(await sent.link);
    expect(await received.offer).toMatchObject({
      name: 'all kinds',
      message: 'hello',
      totalFiles: 7,
      totalBytes: null,
    });
    const files = new Map<string, { content: Buffer; file: ReceivedFile }>();
    for await (const file of received) {
      files.set(file.path.join('/'), { content: Buffer.from(await file.bytes()), file });
    }
    expect(files.get('text')?.content.toString()).toBe('Grüße 世界');
    expect(files.get('empty')?.content.length).toBe(0);
    expect(files.get('folder/blob')?.content).toEqual(Buffer.from(contentOf(100)));
    expect(files.get('bytes')?.content).toEqual(Buffer.from(contentOf(70_000)));
    for (const name of ['file.bin', 'stream', 'generator']) {
      expect(Buffer.compare(files.get(name)?.content ?? Buffer.alloc(0), large)).toBe(0);
      expect(await files.get(name)?.file.blake3).toBe(hexOf(large));
    }
    expect(files.get('file.bin')?.file).toMatchObject({
      sizeBytes: large.length,
      mtime: { seconds: 1_700_000_000, nanoseconds: 0 },
    });
    expect(await sent.done).toMatchObject({ files: 7, problems: 0 });
    expect(await received.transfer.done).toMatchObject({ files: 7, problems: 0 });
  });

  test('of nothing is a transfer all the same', async () => {
    const { url } = await startServer();
    const sent = send([], { server: url });
    expect(await sent.done).toMatchObject({ files: 0, sizeBytes: 0 });
    expect((await readAll(await sent.link)).size).toBe(0);
  });

  test('the link is there before anything is read, and each byte arrives before the next is produced', async () => {
    const { url } = await startServer();
    const { stream, push, close } = pushStream();
    const sent = send([{ name: 'live', content: stream }], { server: url });
    const received = receive(await sent.link);
    push('0');
    for await (const file of received) {
      const reader = file.stream().getReader();
      for (let i = 0; i < 20; i++) {
        expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(`${i}`);
        if (i < 19) push(`${i + 1}`);
      }
      close();
      expect((await reader.read()).done).toBe(true);
    }
    expect(await sent.done).toMatchObject({ files: 1 });
  });

  test('to a wrong address is wrong usage, at once; to nobody is unreachable', async () => {
    expect(() => send([], { server: 'localhost:7420' })).toThrow('http://');
    const { url, server } = await startServer();
    await server.close();
    const client = new Client(createWebEnvironment(), { connectForMs: 1 });
    const sent = client.send(async function* () {}, { server: url });
    expect(await codeWhen(sent.done)).toBe('unreachable');
    expect(await codeWhen(sent.link)).toBe('unreachable');
  });
});

describe('events', () => {
  test('come to listeners and to iterators alike, and end with done', async () => {
    const { url } = await startServer();
    const sent = send([{ name: 'a', content: contentOf(500_000) }], { server: url });
    const heard: SendEvent[] = [];
    const stop = sent.on((event) => heard.push(event));
    const iterated: SendEvent[] = [];
    for await (const event of sent) iterated.push(event);
    stop();
    const types = (events: readonly SendEvent[]): string[] =>
      events.map(({ type }) => type).filter((type) => type !== 'progress' && type !== 'receiver');
    expect(types(iterated)).toEqual(types(heard));
    expect(types(heard)).toEqual(['link', 'state', 'file', 'state', 'state', 'done']);
    expect(heard.findLast((event) => event.type === 'progress')).toMatchObject({
      sentBytes: 500_000,
      durableBytes: 500_000,
      totalBytes: 500_000,
    });
    expect(heard.find((event) => event.type === 'file')).toMatchObject({
      path: ['a'],
      blake3: hexOf(contentOf(500_000)),
      status: 'ok',
    });
  });

  test('of a receiver tell the offer, the files and the end; the sender hears of it', async () => {
    const { url } = await startServer();
    const { stream, push, close } = pushStream();
    const sent = send([{ name: 'a', content: stream }], { server: url });
    const joined = new Promise<void>((resolve) => {
      sent.on((event) => event.type === 'receiver' && event.event === 'joined' && resolve());
    });
    push('hello');
    const received = receive(await sent.link);
    const events: string[] = [];
    received.transfer.on(({ type }) => events.push(type));
    await joined;
    close();
    for await (const file of received) expect(await file.text()).toBe('hello');
    expect(events.filter((type) => type !== 'progress' && type !== 'state')).toEqual([
      'offer',
      'file',
      'done',
    ]);
    await sent.done;
  });

  test('an iteration of a transfer that failed throws', async () => {
    const { url } = await startServer();
    const sent = send([{ name: 'a', content: pushStream().stream }], { server: url });
    await sent.link;
    const iterating = codeWhen(
      (async () => {
        for await (const _event of sent);
      })(),
    );
    await sent.stop();
    expect(await iterating).toBe('interrupted');
  });
});

describe('receiving', () => {
  async function sendThree(): Promise<string> {
    const { url } = await startServer();
    const sent = send(
      [1, 2, 3].map((i) => ({ name: `${i}`, content: contentOf(200_000, i) })),
      { server: url },
    );
    await sent.done;
    return sent.link;
  }

  test('a stream can be piped into a WritableStream, at its pace', async () => {
    const link = await sendThree();
    for await (const file of receive(link)) {
      const pieces: Uint8Array[] = [];
      await file.stream().pipeTo(
        new WritableStream({
          async write(piece) {
            await new Promise((resolve) => setImmediate(resolve));
            pieces.push(piece);
          },
        }),
      );
      expect(Buffer.compare(Buffer.concat(pieces), contentOf(200_000, Number(file.path[0])))).toBe(0);
      expect(await file.blake3).toBe(hexOf(contentOf(200_000, Number(file.path[0]))));
    }
  });

  test('files can be skipped', async () => {
    const read: string[] = [];
    for await (const file of receive(await sendThree())) {
      if (file.path[0] === '2') file.skip();
      else read.push(`${file.path[0]} ${(await file.bytes()).length}`);
    }
    expect(read).toEqual(['1 200000', '3 200000']);
  });

  test('leaving the loop leaves the transfer', async () => {
    const received = receive(await sendThree());
    for await (const file of received) {
      await file.bytes();
      break;
    }
    expect(await codeWhen(received.transfer.done)).toBe('interrupted');
  });

  test('an offer can be refused, and nothing is handed over', async () => {
    const received = receive(await sendThree(), { accept: (offer) => offer.files.length > 3 });
    const loop = (async () => {
      for await (const _file of received) throw new Error('a file came');
    })();
    expect(await codeWhen(loop)).toBe('refused');
  });

  test('a wrong link is told at once, an unknown transfer by the server', async () => {
    expect(() => receive('http://127.0.0.1/t/x#y')).toThrow();
    const link = new URL(await sendThree());
    link.pathname = `/t/${'A'.repeat(22)}`;
    expect(await codeWhen(receive(link.href).transfer.done)).toBe('notFound');
    link.hash = `#${'A'.repeat(43)}`;
    expect(await codeWhen(receive(link.href).transfer.done)).toBe('notFound');
  });

  test('a wrong secret is not allowed in', async () => {
    const link = new URL(await sendThree());
    link.hash = `#${'A'.repeat(43)}`;
    expect(await codeWhen(receive(link.href).transfer.done)).toBe('notAllowed');
  });

  test('who reads when the sender cancels learns why', async () => {
    const { url } = await startServer();
    const { stream, push } = pushStream();
    const sent = send([{ name: 'a', content: stream }], { server: url });
    push('hello');
    const received = receive(await sent.link);
    const reading = codeWhen(
      (async () => {
        for await (const file of received) await file.text();
      })(),
    );
    await received.offer;
    await sent.cancel();
    expect(await reading).toBe('cancelled');
    expect(await codeWhen(sent.done)).toBe('cancelled');
  });
});

describe('stopping', () => {
  test('by a signal, before and in the middle', async () => {
    const { url } = await startServer();
    expect(await codeWhen(send([], { server: url, signal: AbortSignal.abort() }).done)).toBe('interrupted');
    const abort = new AbortController();
    const { stream, push, cancelled } = pushStream();
    const sent = send([{ name: 'a', content: stream }], { server: url, signal: abort.signal });
    push('hello');
    const received = receive(await sent.link, { signal: abort.signal });
    await received.offer;
    abort.abort();
    expect(await codeWhen(sent.done)).toBe('interrupted');
    expect(await codeWhen(received.transfer.done)).toBe('interrupted');
    // Whoever gives the stream learns that nobody wants it any more.
    await cancelled;
  });

  test('by leaving the scope', async () => {
    const { url, server } = await startServer();
    let sent: ReturnType<typeof send>;
    let received: ReturnType<typeof receive>;
    {
      await using sending = send([{ name: 'a', content: pushStream().stream }], { server: url });
      await using receiving = receive(await sending.link);
      sent = sending;
      received = receiving;
    }
    expect(await codeWhen(sent.done)).toBe('interrupted');
    expect(await codeWhen(received.transfer.done)).toBe('interrupted');
    await expect.poll(() => server.stats().connections).toBe(0);
  });

  test('of a client ends what it still does', async () => {
    const { url } = await startServer();
    const client = new Client(createWebEnvironment());
    const done: Promise<unknown>[] = [];
    {
      await using scoped = client;
      const sent = scoped.send(
        async function* () {
          await new Promise(() => {});
        },
        { server: url },
      );
      await sent.link;
      done.push(sent.done);
    }
    expect(await Promise.all(done.map(codeWhen))).toEqual(['interrupted']);
  });
});

describe('connections', () => {
  test('are shared by all transfers with a server, and closed after the last', async () => {
    const { url, server } = await startServer();
    const streams = [pushStream(), pushStream(), pushStream()];
    const sent = streams.map(({ stream }, i) => send([{ name: `${i}`, content: stream }], { server: url }));
    const links = await Promise.all(sent.map(({ link }) => link));
    const received = links.map((link) => receive(link));
    for (const { push } of streams) push('hello');
    await Promise.all(received.map(({ offer }) => offer));
    expect(server.stats()).toMatchObject({ connections: 1, senders: 3, receivers: 3 });
    const reading = received.map(async (files) => {
      for await (const file of files) expect(await file.text()).toBe('hello');
    });
    for (const { close } of streams) close();
    await Promise.all([...reading, ...sent.map(({ done }) => done)]);
    await expect.poll(() => server.stats().connections).toBe(0);
  });

  test('a transfer that is done can still be cancelled', async () => {
    const { url, server } = await startServer();
    const sent = send([{ name: 'a', content: 'x' }], { server: url });
    await sent.done;
    await expect.poll(() => server.stats().connections).toBe(0);
    await sent.cancel();
    expect(server.stats().transfers).toBe(0);
    expect(await codeWhen(receive(await sent.link).transfer.done)).toBe('cancelled');
  });

  test('after all have failed, the next transfer connects anew', async () => {
    const { url, server } = await startServer();
    const link = new URL(await send([], { server: url }).link);
    link.pathname = `/t/${'A'.repeat(22)}`;
    expect(await codeWhen(receive(link.href).transfer.done)).toBe('notFound');
    expect((await readAll(await send([{ name: 'a', content: 'x' }], { server: url }).link)).size).toBe(1);
    await expect.poll(() => server.stats().connections).toBe(0);
  });
});

describe('with Node at the other end:', () => {
  test('from a page into a folder', async () => {
    const { url } = await startServer();
    const sent = send(
      [
        { name: 'd/a', content: 'a' },
        { name: 'b', content: contentOf(1_000_000) },
      ],
      { server: url },
    );
    const directory = await newFolder();
    const received = node.receive(await sent.link, { directory });
    expect(await received.done).toMatchObject({ files: 2, problems: 0 });
    expect(await readFile(join(directory, 'd/a'), 'utf8')).toBe('a');
    expect(Buffer.compare(await readFile(join(directory, 'b')), contentOf(1_000_000))).toBe(0);
  });

  test('from a folder to a page', async () => {
    const { url } = await startServer();
    const folder = await newFolder();
    await writeFile(join(folder, 'a'), contentOf(1_000_000));
    await writeFile(join(folder, 'b'), 'b');
    const stateDirectory = await newFolder();
    const sent = node.send([join(folder, 'a'), join(folder, 'b')], { server: url, stateDirectory });
    const files = await readAll(await sent.link);
    expect([...files.keys()].sort()).toEqual(['a', 'b']);
    expect(Buffer.compare(files.get('a') as Buffer, contentOf(1_000_000))).toBe(0);
    await sent.done;
    await untilRemembered(stateDirectory, 1_000_001);
  });

  test('from a stream of Node to a page, live', async () => {
    const { url } = await startServer();
    const input = new Readable({ read() {} });
    const stateDirectory = await newFolder();
    const sent = node.send(input, { server: url, name: 'live', stateDirectory });
    const received = receive(await sent.link);
    input.push('a');
    for await (const file of received) {
      const reader = file.stream().getReader();
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('a');
      input.push('b');
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('b');
      input.push(null);
      expect((await reader.read()).done).toBe(true);
    }
    await sent.done;
    await untilRemembered(stateDirectory, 2);
  });
});

test('a server in another HTTP server takes its path and leaves the others alone', async () => {
  const sluice = await createServer({ dataDirectory: await newFolder(), durability: 'os' });
  const http = createHttpServer((request, response) => {
    if (request.url?.startsWith('/files')) return;
    response.end('mine');
  });
  const detach = sluice.attach(http, { basePath: '/files' });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  onTestFinished(async () => {
    await sluice.close();
    http.close();
    http.closeAllConnections();
  });
  const root = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const sent = send([{ name: 'a', content: 'x' }], { server: `${root}/files/` });
  const link = await sent.link;
  expect(link.startsWith(`${root}/files/t/`)).toBe(true);
  expect([...(await readAll(link)).keys()]).toEqual(['a']);
  expect(await (await fetch(`${root}/other`)).text()).toBe('mine');
  detach();
  const refused = new Client(createWebEnvironment(), { connectForMs: 1 });
  http.on('upgrade', (_request, socket) => socket.destroy());
  expect(await codeWhen(refused.receive(link).transfer.done)).toBe('unreachable');
});
