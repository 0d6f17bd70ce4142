// A client environment of a test: a clock that stands still, seeded chance, and no network unless the test brings one.
import type { ClientEnvironment } from '../../src/client/index.ts';
import { SluiceError } from '../../src/protocol/index.ts';
import { digester } from './digester.ts';
import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './random.ts';

export function fakeEnvironment(parts: Partial<ClientEnvironment> = {}, seed = 1): ClientEnvironment {
  const random = seededRandom(seed);
  return {
    connect: () => Promise.reject(new SluiceError('unreachable', 'There is no network here.')),
    clock: new FakeClock(),
    random: {
      bytes: (length) => Uint8Array.from({ length }, () => random.below(256)),
      fraction: random.fraction,
    },
    digester,
    inflate: () => {
      throw new SluiceError('unsupported', 'Nothing is compressed here.');
    },
    software: 'test',
    ...parts,
  };
}
