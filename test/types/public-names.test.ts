// What users of the package can import, pinned: a name that comes or goes is a decision, not an accident. Types are
// pinned by reading the declarations, and the most used ones by what they must accept.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, expectTypeOf, test } from 'vitest';
import * as client from '../../src/client/index.ts';
import * as node from '../../src/node-client/index.ts';
import * as protocol from '../../src/protocol/index.ts';
import * as server from '../../src/server/index.ts';

const entries = {
  'sluice/protocol': { names: Object.keys(protocol), folder: 'protocol' },
  'sluice/client': { names: Object.keys(client), folder: 'client' },
  'sluice/node': { names: Object.keys(node), folder: 'node-client' },
  'sluice/server': { names: Object.keys(server), folder: 'server' },
} as const;

describe.each(Object.entries(entries))('%s', (name, { names, folder }) => {
  test('exports these values', () => {
    expect([...names].sort()).toMatchSnapshot();
  });

  test('exports these types', () => {
    expect(typesOf(resolve('src', folder, 'index.ts'))).toMatchSnapshot();
  });

  test('is where package.json says', () => {
    const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      exports: Record<string, { types: string; default: string }>;
    };
    expect(exports[name.replace('sluice', '.')]).toEqual({
      types: `./dist/${folder}/index.d.ts`,
      default: `./dist/${folder}/index.js`,
    });
  });
});

test('nothing else can be imported', () => {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: object };
  expect(Object.keys(exports).sort()).toEqual(
    [...Object.keys(entries).map((name) => name.replace('sluice', '.')), './package.json'].sort(),
  );
});

test('one error class serves all entries', () => {
  expect(client.SluiceError).toBe(protocol.SluiceError);
  expect(node.SluiceError).toBe(protocol.SluiceError);
  expect(node.Client).toBe(client.Client);
});

/** Names of the types that an index exports, those of `export *` followed into their files. Crude, but no compiler. */
function typesOf(file: string): string[] {
  const source = readFileSync(file, 'utf8');
  const names = new Set<string>();
  for (const [, isTypes, list] of source.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
    for (const item of (list ?? '').split(',').map((text) => text.trim())) {
      if (item !== '' && (isTypes !== undefined || item.startsWith('type '))) {
        names.add(item.replace(/^type /, '').replace(/^.* as /, ''));
      }
    }
  }
  for (const [, name] of source.matchAll(/^export (?:interface|type) (\w+)/gm)) names.add(name as string);
  for (const [, path] of source.matchAll(/^export (?:type )?\* from '([^']+)'/gm)) {
    for (const name of typesOf(resolve(file, '..', path as string))) names.add(name);
  }
  return [...names].sort();
}

describe('types', () => {
  test('sending', () => {
    const { send } = client;
    expectTypeOf(send).returns.toEqualTypeOf<client.SendTransfer>();
    expectTypeOf<File[]>().toExtend<Parameters<typeof send>[0]>();
    expectTypeOf<{ name: string; content: string }[]>().toExtend<Parameters<typeof send>[0]>();
    expectTypeOf<{ name: string; content: ReadableStream<Uint8Array> }[]>().toExtend<
      Parameters<typeof send>[0]
    >();
    expectTypeOf<AsyncGenerator<File>>().toExtend<Parameters<typeof send>[0]>();
    expectTypeOf<{ content: string }[]>().not.toExtend<Parameters<typeof send>[0]>();
    expectTypeOf<{ server: string }>().toExtend<client.SendOptions>();
    expectTypeOf<{ name: string }>().not.toExtend<client.SendOptions>();
    expectTypeOf<client.SendTransfer['link']>().toEqualTypeOf<Promise<string>>();
    expectTypeOf<client.SendTransfer['done']>().toEqualTypeOf<Promise<client.SendSummary>>();
    expectTypeOf<client.SendTransfer>().toExtend<AsyncIterable<client.SendEvent>>();
    expectTypeOf<client.SendTransfer>().toExtend<AsyncDisposable>();
  });

  test('receiving', () => {
    expectTypeOf(client.receive).returns.toEqualTypeOf<client.ReceivedFiles>();
    expectTypeOf<client.ReceivedFiles>().toExtend<AsyncIterable<client.ReceivedFile>>();
    expectTypeOf<client.ReceivedFiles>().toExtend<AsyncDisposable>();
    expectTypeOf<ReturnType<client.ReceivedFile['stream']>>().toEqualTypeOf<ReadableStream<Uint8Array>>();
    expectTypeOf<client.ReceivedFile['blake3']>().toEqualTypeOf<Promise<string>>();
    expectTypeOf<(offer: client.Offer) => Promise<boolean>>().toExtend<
      NonNullable<client.ReceiveOptions['accept']>
    >();
    expectTypeOf<client.ReceiveTransfer['done']>().toEqualTypeOf<Promise<client.ReceiveSummary>>();
  });

  test('events are told apart by their type', () => {
    type Named<E, T> = Extract<E, { readonly type: T }>;
    expectTypeOf<client.SendEvent['type']>().toEqualTypeOf<
      'warning' | 'link' | 'state' | 'progress' | 'receiver' | 'file' | 'done'
    >();
    expectTypeOf<client.ReceiveEvent['type']>().toEqualTypeOf<
      'warning' | 'offer' | 'state' | 'progress' | 'file' | 'done'
    >();
    expectTypeOf<Named<client.SendEvent, 'progress'>['totalBytes']>().toEqualTypeOf<number | null>();
    expectTypeOf<Named<client.SendEvent, 'done'>['summary']>().toEqualTypeOf<client.SendSummary>();
    expectTypeOf<Named<client.ReceiveEvent, 'offer'>['offer']>().toEqualTypeOf<client.Offer>();
  });

  test('for Node: paths and streams, and what comes back depends on where it goes', () => {
    expectTypeOf<string[]>().toExtend<Parameters<typeof node.send>[0]>();
    expectTypeOf(node.send).returns.toEqualTypeOf<client.SendTransfer>();
    const receiveInto = (): unknown => node.receive('', { directory: '' });
    expectTypeOf(receiveInto).toBeFunction();
    expectTypeOf(() => node.receive('', { directory: '' })).returns.toEqualTypeOf<client.ReceiveTransfer>();
    expectTypeOf(() => node.receive('')).returns.toEqualTypeOf<client.ReceivedFiles>();
  });

  test('errors carry a code of the table', () => {
    expectTypeOf<client.SluiceError['code']>().toEqualTypeOf<client.SluiceErrorCode>();
    expectTypeOf<'notFound'>().toExtend<client.SluiceErrorCode>();
    expectTypeOf<'anything'>().not.toExtend<client.SluiceErrorCode>();
    expectTypeOf<client.SluiceError>().toExtend<Error>();
  });

  test('the server', () => {
    expectTypeOf(server.createServer).returns.resolves.toEqualTypeOf<server.SluiceServer>();
    expectTypeOf<server.SluiceServer['listen']>().returns.resolves.toEqualTypeOf<server.Listening>();
    expectTypeOf<server.SluiceServer['attach']>().returns.toEqualTypeOf<() => void>();
    expectTypeOf<{ dataDirectory: string }>().toExtend<server.ServerOptions>();
    expectTypeOf<server.MemoryLogStore>().toExtend<server.LogStore>();
  });
});
