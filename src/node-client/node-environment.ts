/** What the client needs, as Node has it: ws, native BLAKE3 where it loads, zlib. */
import type { ClientEnvironment } from '../client/index.ts';
import { connectWebSocket, loadDigester, systemClock, systemRandom } from '../node/index.ts';
import { createLateDigester } from '../runtime/index.ts';
import { inflateBody } from './inflate.ts';

export function createNodeEnvironment(): ClientEnvironment {
  const digester = createLateDigester(loadDigester);
  return {
    connect: async (serverUrl, signal) => {
      await digester.loaded;
      return connectWebSocket(serverUrl, signal);
    },
    clock: systemClock,
    random: systemRandom,
    digester,
    inflate: inflateBody,
    software: `sluice node/${process.versions.node}`,
  };
}
