/** The client with what every web-standard runtime has: `send` and `receive` for pages and programs without Node. */
import { SluiceError } from '../protocol/index.ts';
import { createLateDigester, createWasmDigester } from '../runtime/index.ts';
import { connectWithWebSocket, type WebSource, webClock, webRandom, webSources } from '../web/index.ts';
import { Client, type ReceivedFiles, type ReceiveOptions, type SendOptions } from './client.ts';
import type { ClientEnvironment } from './environment.ts';
import type { SendTransfer } from './send-transfer.ts';

/** An environment on the global WebSocket, WebCrypto and WebAssembly. */
export function createWebEnvironment(): ClientEnvironment {
  const digester = createLateDigester(createWasmDigester);
  return {
    connect: async (serverUrl, signal) => {
      await digester.loaded;
      return connectWithWebSocket(serverUrl, signal);
    },
    clock: webClock,
    random: webRandom,
    digester,
    inflate: (codec) => {
      throw new SluiceError('unsupported', `Records compressed with ${codec} cannot be read here yet.`);
    },
    software: 'sluice/client',
  };
}

let shared: Client | null = null;

/** The client that `send` and `receive` of this module share, so that they share connections. */
function sharedClient(): Client {
  shared ??= new Client(createWebEnvironment());
  return shared;
}

/** Sends files, blobs, texts or streams. @throws SluiceError `usage`. */
export function send(
  sources: Iterable<WebSource> | AsyncIterable<WebSource>,
  options: SendOptions,
): SendTransfer {
  return sharedClient().send(() => webSources(sources), options);
}

/** Receives a transfer; its files come as web streams: `for await (const file of receive(link))`. @throws SluiceError `badLink`. */
export function receive(link: string, options: ReceiveOptions = {}): ReceivedFiles {
  return sharedClient().receive(link, options);
}
