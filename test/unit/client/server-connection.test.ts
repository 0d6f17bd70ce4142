// The shared connection of a client: when it connects, waits, gives up and closes, and what its users are told.
import { describe, expect, test } from 'vitest';
import { type ClientLimits, DEFAULT_CLIENT_LIMITS } from '../../../src/client/environment.ts';
import {
  ServerConnection,
  type SessionState,
  type StreamUser,
} from '../../../src/client/server-connection.ts';
import {
  BACKOFF_RESET_MS,
  Connection,
  type ConnectionEvent,
  SluiceError,
  type SluiceErrorCode,
  type StreamMessage,
} from '../../../src/protocol/index.ts';
import { ConnectionDriver } from '../../../src/runtime/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fakeEnvironment } from '../../support/fake-environment.ts';
import { MemoryTransport } from '../../support/memory-transport.ts';

const ID = new Uint8Array(16);

/** The other end of one connection. */
class Peer {
  readonly driver: ConnectionDriver;
  readonly transport: MemoryTransport;
  readonly messages: StreamMessage[] = [];
  ended: Extract<ConnectionEvent, { type: 'ended' }> | null = null;

  constructor(clock: FakeClock, transport: MemoryTransport) {
    this.transport = transport;
    this.driver = new ConnectionDriver({
      connection: new Connection({ role: 'server', software: 'test server' }, clock.now()),
      transport,
      clock,
      onEvent: (event) => {
        if (event.type === 'message') this.messages.push(event.message);
        if (event.type === 'ended') this.ended = event;
      },
    });
  }

  send(message: StreamMessage): void {
    this.driver.connection.send(message);
    this.driver.flush();
  }
}

class User implements StreamUser {
  readonly calls: string[] = [];
  stream = 0;
  failure: SluiceError | null = null;
  readonly #server: ServerConnection;
  /** Called in `handleDown`. */
  onDown: () => void = () => {};

  constructor(server: ServerConnection) {
    this.#server = server;
  }

  handleReady(): void {
    this.calls.push('ready');
    this.stream = this.#server.openStream(this, 'normal');
    const { stream } = this;
    this.#server.connection?.send({ type: 'inspect', stream, id: ID, writeToken: new Uint8Array(32) });
  }
  handleMessage(message: StreamMessage): void {
    this.calls.push(message.type);
  }
  handleRecords(): void {
    this.calls.push('records');
  }
  handleAck(): void {
    this.calls.push('ack');
  }
  handleDown(attempt: number): void {
    this.calls.push(`down ${attempt}`);
    this.onDown();
  }
  handleFailed(error: SluiceError): void {
    this.calls.push(`failed ${error.code}`);
    this.failure = error;
  }
}

class Rig {
  readonly clock = new FakeClock();
  readonly peers: Peer[] = [];
  /** When each attempt was made, ms. */
  readonly attempts: number[] = [];
  readonly states: SessionState[] = [];
  /** Why attempts fail now; null = they do not. */
  refusal: SluiceErrorCode | null = null;
  /** What chance gives: 0 = no wait, near 1 = the longest. */
  fraction = 0.999_999;
  /** Set to hold an attempt up. */
  gate: Promise<void> = Promise.resolve();
  readonly server: ServerConnection;

  constructor(limits: Partial<ClientLimits> = {}) {
    const { clock } = this;
    const environment = fakeEnvironment({
      clock,
      random: { bytes: (length) => new Uint8Array(length), fraction: () => this.fraction },
      connect: async (_url, signal) => {
        this.attempts.push(clock.now());
        if (signal.aborted) throw new SluiceError('interrupted');
        await this.gate;
        if (this.refusal !== null) throw new SluiceError(this.refusal);
        const [near, far] = MemoryTransport.pair(clock);
        this.peers.push(new Peer(clock, far));
        return near;
      },
    });
    this.server = new ServerConnection(
      'http://server',
      environment,
      { ...DEFAULT_CLIENT_LIMITS, ...limits },
      (state) => this.states.push(state),
    );
  }

  get peer(): Peer {
    return this.peers.at(-1) as Peer;
  }

  /** A user that was added, after the connection was made as far as it can be. */
  async attach(): Promise<User> {
    const user = new User(this.server);
    this.server.attach(user);
    await this.clock.advance(0);
    return user;
  }
}

describe('connecting', () => {
  test('begins with the first user, and never before', async () => {
    const rig = new Rig();
    await rig.clock.advance(10_000);
    expect(rig.attempts).toEqual([]);
    const user = await rig.attach();
    expect(rig.states).toEqual(['connecting', 'ready']);
    expect(user.calls).toEqual(['ready']);
    expect(rig.peer.messages).toMatchObject([{ type: 'inspect', stream: 1 }]);
  });

  test('is tried again with growing waits, as chance says', async () => {
    const rig = new Rig({ connectForMs: 60_000 });
    rig.refusal = 'unreachable';
    const user = await rig.attach();
    await rig.clock.advance(30_000);
    const waits = rig.attempts.slice(1).map((at, i) => Math.round(at - (rig.attempts[i] as number)));
    expect(waits.slice(0, 5)).toEqual([500, 1_000, 2_000, 4_000, 8_000]);
    expect(user.calls.slice(0, 3)).toEqual(['down 1', 'down 2', 'down 3']);
    rig.refusal = null;
    await rig.clock.advance(20_000);
    expect(user.calls.at(-1)).toBe('ready');
  });

  test('is given up after connectForMs at the first time', async () => {
    const rig = new Rig({ connectForMs: 5_000 });
    rig.refusal = 'unreachable';
    const user = await rig.attach();
    await rig.clock.advance(60_000);
    expect(user.failure?.code).toBe('unreachable');
    expect(rig.states.at(-1)).toBe('failed');
    expect(rig.attempts.at(-1)).toBeGreaterThanOrEqual(5_000);
    expect(rig.attempts.at(-1)).toBeLessThan(10_000);
    expect(rig.clock.nextTimerAt).toBeNull();
  });

  test('counts the time from its first user, not from when it was made', async () => {
    const rig = new Rig({ connectForMs: 5_000 });
    await rig.clock.advance(100_000);
    rig.refusal = 'unreachable';
    const user = await rig.attach();
    expect(user.calls).toEqual(['down 1']);
    await rig.clock.advance(4_000);
    expect(user.failure).toBeNull();
  });

  test.each(['notSluice', 'versionMismatch', 'notAllowed'] as const)(
    'is given up at once for %s',
    async (code) => {
      const rig = new Rig();
      rig.refusal = code;
      const user = await rig.attach();
      expect(user.calls).toEqual([`failed ${code}`]);
      expect(rig.attempts).toHaveLength(1);
    },
  );

  test('is tried again at once when asked to, and only while it waits', async () => {
    const rig = new Rig();
    rig.refusal = 'unreachable';
    const user = await rig.attach();
    rig.refusal = null;
    rig.server.retryNow();
    rig.server.retryNow();
    await rig.clock.advance(0);
    rig.server.retryNow();
    expect(rig.attempts).toEqual([0, 0]);
    expect(user.calls).toEqual(['down 1', 'ready']);
    await rig.clock.advance(10_000);
    expect(rig.attempts).toHaveLength(2);
  });

  test('a transport that comes after the last user has gone is thrown away', async () => {
    const rig = new Rig();
    const gate = Promise.withResolvers<void>();
    rig.gate = gate.promise;
    const user = await rig.attach();
    rig.server.detach(user);
    gate.resolve();
    await rig.clock.advance(0);
    expect(rig.peer.transport.isClosed).toBe(true);
    expect([rig.server.state, user.calls]).toEqual(['closed', []]);
  });
});

test('an attempt of an earlier life that ends late disturbs nobody', async () => {
  const rig = new Rig();
  const gate = Promise.withResolvers<void>();
  rig.gate = gate.promise;
  rig.server.detach(await rig.attach());
  const user = await rig.attach();
  gate.resolve();
  await rig.clock.advance(1_000);
  expect(user.calls).toEqual(['ready']);
  expect(rig.peers.map(({ transport }) => transport.isClosed)).toEqual([true, false]);
});

describe('a lost connection', () => {
  test('comes back, and every user is told', async () => {
    const rig = new Rig();
    const users = [await rig.attach(), await rig.attach()];
    rig.peer.transport.cut();
    await rig.clock.advance(1_000);
    for (const { calls } of users) expect(calls).toEqual(['ready', 'down 1', 'ready']);
    expect(rig.states).toEqual(['connecting', 'ready', 'backoff', 'connecting', 'ready']);
  });

  test('is tried for reconnectForMs', async () => {
    const rig = new Rig({ connectForMs: 1_000, reconnectForMs: 60_000 });
    const user = await rig.attach();
    rig.refusal = 'unreachable';
    rig.peer.transport.cut();
    await rig.clock.advance(59_000);
    expect(user.failure).toBeNull();
    await rig.clock.advance(60_000);
    expect(user.failure?.code).toBe('unreachable');
  });

  test('a strange answer of a proxy does not end it', async () => {
    const rig = new Rig();
    const user = await rig.attach();
    rig.refusal = 'notSluice';
    rig.peer.transport.cut();
    await rig.clock.advance(5_000);
    rig.refusal = null;
    await rig.clock.advance(30_000);
    expect(user.calls.at(-1)).toBe('ready');
  });

  test('waits longer and longer when it breaks again and again, and short again after a good time', async () => {
    const rig = new Rig();
    const user = await rig.attach();
    for (let i = 0; i < 4; i++) {
      rig.peer.transport.cut();
      await rig.clock.advance(10_000);
    }
    expect(user.calls.filter((call) => call.startsWith('down'))).toEqual([
      'down 1',
      'down 2',
      'down 3',
      'down 4',
    ]);
    await rig.clock.advance(BACKOFF_RESET_MS);
    rig.peer.transport.cut();
    await rig.clock.advance(0);
    expect(user.calls.at(-1)).toBe('down 1');
  });

  test('is noticed by silence alone', async () => {
    const rig = new Rig();
    const user = await rig.attach();
    rig.peer.transport.silence();
    await rig.clock.advance(36_000);
    expect(user.calls).toEqual(['ready', 'down 1', 'ready']);
  });

  test('an error of the server that trying again does not help ends it', async () => {
    const rig = new Rig();
    const user = await rig.attach();
    rig.peer.driver.close(new SluiceError('protocol'));
    await rig.clock.advance(60_000);
    expect(user.calls).toEqual(['ready', 'failed protocol']);
    expect(rig.attempts).toHaveLength(1);
  });

  test('an orderly close of the server is tried again', async () => {
    const rig = new Rig();
    const user = await rig.attach();
    rig.peer.driver.close();
    await rig.clock.advance(1_000);
    expect(user.calls).toEqual(['ready', 'down 1', 'ready']);
  });

  test('a user that leaves when it hears of it is the last: nobody connects any more', async () => {
    const rig = new Rig();
    const user = await rig.attach();
    user.onDown = () => rig.server.detach(user);
    rig.peer.transport.cut();
    await rig.clock.advance(60_000);
    expect(rig.attempts).toHaveLength(1);
    expect(rig.server.state).toBe('closed');
    expect(rig.clock.nextTimerAt).toBeNull();
  });
});

describe('a server that goes away', () => {
  test('is left to finish, and its wish when to come back is respected', async () => {
    const rig = new Rig();
    rig.fraction = 0;
    const user = await rig.attach();
    rig.peer.driver.connection.goAway(7_000);
    rig.peer.driver.flush();
    await rig.clock.advance(0);
    expect(rig.states.at(-1)).toBe('draining');
    expect(rig.server.connection).not.toBeNull();
    rig.peer.driver.close();
    const leftAt = rig.clock.now();
    await rig.clock.advance(6_900);
    expect(rig.attempts).toHaveLength(1);
    await rig.clock.advance(200);
    expect(rig.attempts[1]).toBe(leftAt + 7_000);
    expect(user.calls).toEqual(['ready', 'down 1', 'ready']);
  });

  test('the wish counts once', async () => {
    const rig = new Rig();
    rig.fraction = 0;
    await rig.attach();
    rig.peer.driver.connection.goAway(7_000);
    rig.peer.driver.close();
    await rig.clock.advance(7_100);
    rig.peer.transport.cut();
    await rig.clock.advance(1);
    expect(rig.attempts).toHaveLength(3);
  });

  test('an error with a time to wait is waited out', async () => {
    const rig = new Rig();
    rig.fraction = 0;
    await rig.attach();
    rig.peer.driver.close(new SluiceError('overloaded', '', { retryAfterMs: 3_000 }));
    await rig.clock.advance(2_999);
    expect(rig.attempts).toHaveLength(1);
    await rig.clock.advance(2);
    expect(rig.attempts).toHaveLength(2);
  });
});

describe('users', () => {
  test('share the connection, and each gets only what belongs to its streams', async () => {
    const rig = new Rig();
    const [one, other] = [await rig.attach(), await rig.attach()];
    expect(rig.peers).toHaveLength(1);
    expect([one.stream, other.stream]).toEqual([1, 3]);
    rig.peer.send({ type: 'nack', stream: 3, index: 0 });
    rig.peer.send({ type: 'reset', stream: 1, code: 'notFound', retryAfterMs: null });
    rig.peer.send({ type: 'nack', stream: 1, index: 0 });
    await rig.clock.advance(0);
    expect([one.calls, other.calls]).toEqual([
      ['ready', 'reset'],
      ['ready', 'nack'],
    ]);
  });

  test('that have left hear nothing, the others go on', async () => {
    const rig = new Rig();
    const [one, other] = [await rig.attach(), await rig.attach()];
    rig.server.detach(one);
    rig.peer.send({ type: 'nack', stream: one.stream, index: 0 });
    rig.peer.send({ type: 'nack', stream: other.stream, index: 0 });
    await rig.clock.advance(0);
    expect([one.calls, other.calls]).toEqual([['ready'], ['ready', 'nack']]);
    expect(rig.server.state).toBe('ready');
  });

  test('the last one to leave closes the connection in order', async () => {
    const rig = new Rig();
    const users = [await rig.attach(), await rig.attach()];
    for (const user of users) rig.server.detach(user);
    await rig.clock.advance(10);
    expect(rig.peer.ended).toMatchObject({ error: null, isLocal: false });
    expect(rig.server.state).toBe('closed');
    expect(users.map(({ calls }) => calls.at(-1))).toEqual(['ready', 'ready']);
    expect(rig.attempts).toHaveLength(1);
  });

  test('that come after that are served by a new one', async () => {
    const rig = new Rig();
    rig.server.detach(await rig.attach());
    const user = await rig.attach();
    await rig.clock.advance(60_000);
    expect(user.calls).toEqual(['ready']);
    expect(rig.peers).toHaveLength(2);
  });

  test('may come while the old connection is still closing', async () => {
    const rig = new Rig();
    rig.server.detach(await rig.attach());
    const user = new User(rig.server);
    rig.server.attach(user);
    await rig.clock.advance(1_000);
    expect(user.calls).toEqual(['ready']);
    expect(rig.server.state).toBe('ready');
  });

  test('that come after it was given up begin anew, with their own patience', async () => {
    const rig = new Rig();
    rig.refusal = 'unreachable';
    await rig.attach();
    await rig.clock.advance(60_000);
    expect(rig.server.state).toBe('failed');
    const user = await rig.attach();
    expect(user.calls).toEqual(['down 1']);
    rig.refusal = null;
    await rig.clock.advance(1_000);
    expect(user.calls).toEqual(['down 1', 'ready']);
  });

  test('no stream can be opened while there is no connection', () => {
    const rig = new Rig();
    expect(() => rig.server.openStream(new User(rig.server), 'normal')).toThrow(RangeError);
  });
});

test('closing tells those who are left, and leaves no timer', async () => {
  const rig = new Rig();
  rig.refusal = 'unreachable';
  const user = await rig.attach();
  rig.server.close();
  rig.server.close();
  expect(rig.clock.nextTimerAt).toBeNull();
  expect(user.calls).toEqual(['down 1', 'failed interrupted']);
});
