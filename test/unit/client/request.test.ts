// One question, one answer: also over a connection that breaks before the answer came.
import { expect, test } from 'vitest';
import { DEFAULT_CLIENT_LIMITS } from '../../../src/client/environment.ts';
import { request } from '../../../src/client/request.ts';
import { ServerConnection } from '../../../src/client/server-connection.ts';
import { Connection, SluiceError, type StreamMessage } from '../../../src/protocol/index.ts';
import { ConnectionDriver } from '../../../src/runtime/index.ts';
import { codeWhen } from '../../support/errors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fakeEnvironment } from '../../support/fake-environment.ts';
import { MemoryTransport } from '../../support/memory-transport.ts';

type Answer = (message: StreamMessage, transport: MemoryTransport) => StreamMessage | null;

/** A server connection whose peer answers each question as the test says. */
function rig(answer: Answer, isReachable = true) {
  const clock = new FakeClock();
  const asked: StreamMessage[] = [];
  const connect = async (): Promise<MemoryTransport> => {
    if (!isReachable) throw new SluiceError('unreachable');
    const [near, far] = MemoryTransport.pair(clock);
    const driver: ConnectionDriver = new ConnectionDriver({
      connection: new Connection({ role: 'server', software: 'test server' }, clock.now()),
      transport: far,
      clock,
      onEvent: (event) => {
        if (event.type !== 'message' || event.message.type === 'close') return;
        asked.push(event.message);
        const reply = answer(event.message, far);
        if (reply !== null) driver.connection.send(reply);
      },
    });
    return near;
  };
  const server = new ServerConnection(
    'http://server',
    fakeEnvironment({ clock, connect }),
    DEFAULT_CLIENT_LIMITS,
  );
  const ask = (): Promise<StreamMessage> =>
    request(server, (stream) => ({
      type: 'inspect',
      stream,
      id: new Uint8Array(16),
      writeToken: new Uint8Array(32),
    }));
  return { clock, server, asked, ask };
}

const inspected = ({ stream }: StreamMessage): StreamMessage => ({
  type: 'inspected',
  stream,
  state: 'live',
  durableBytes: 5,
  createdAtMs: 1,
  expiresAtMs: 2,
  isSenderConnected: true,
});

test('resolves with the answer, and lets the connection go', async () => {
  const { clock, server, ask } = rig(inspected);
  expect(await clock.until(ask())).toMatchObject({ type: 'inspected', durableBytes: 5 });
  expect(server.state).toBe('closed');
});

test('rejects with the code of the server', async () => {
  const { clock, server, ask } = rig(({ stream }) => ({
    type: 'reset',
    stream,
    code: 'notFound',
    retryAfterMs: null,
  }));
  expect(await clock.until(codeWhen(ask()))).toBe('notFound');
  expect(server.state).toBe('closed');
});

test('asks again after the connection broke', async () => {
  let questions = 0;
  const { clock, asked, ask } = rig((message, transport) => {
    questions += 1;
    if (questions > 1) return inspected(message);
    transport.cut();
    return null;
  });
  expect(await clock.until(ask())).toMatchObject({ type: 'inspected' });
  expect(asked.map(({ type }) => type)).toEqual(['inspect', 'inspect']);
});

test('rejects when the server cannot be reached', async () => {
  const { clock, ask } = rig(inspected, false);
  expect(await clock.until(codeWhen(ask()))).toBe('unreachable');
});

test('several at once share a connection and do not mix their answers up', async () => {
  const { clock, asked, ask } = rig(
    (message) => ({ ...inspected(message), durableBytes: message.stream }) as StreamMessage,
  );
  const answers = await clock.until(Promise.all([ask(), ask(), ask()]));
  expect(answers).toMatchObject([{ durableBytes: 1 }, { durableBytes: 3 }, { durableBytes: 5 }]);
  expect(asked).toHaveLength(3);
});
