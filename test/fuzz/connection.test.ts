// A connection fed by a hostile peer, as client and as server: it never throws, and if it ends, it ends once, with a
// documented error, and says so to the peer.
import fc from 'fast-check';
import { expect } from 'vitest';
import {
  Connection,
  decodeControl,
  ERROR_TABLE,
  encodeControl,
  encodeFragmentHeader,
  encodeRecordsHeader,
} from '../../src/protocol/index.ts';
import { type EndedEvent, eventsOf, messagesOf } from '../support/connection-pair.ts';
import { controlExamples } from '../support/control-examples.ts';
import { contentOf, joined, logOfAllKinds } from '../support/log-fixtures.ts';
import { fuzz, mutate, mutations, someBytes } from './fuzz.ts';

const texts = Object.values(controlExamples).map((message) => encodeControl(message));
const datas = [
  ...logOfAllKinds().map((record) => joined([encodeRecordsHeader(1), record])),
  ...[0, 100, 200].map((offset) =>
    joined([
      encodeFragmentHeader({ stream: 2, index: 0, offset, recordBytes: 300, isLast: offset === 200 }),
      contentOf(100),
    ]),
  ),
];

type Input =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  | { readonly type: 'time'; readonly ms: number }
  | { readonly type: 'grant'; readonly stream: number }
  | { readonly type: 'consume'; readonly stream: number; readonly bytes: number }
  | { readonly type: 'ack'; readonly stream: number }
  | { readonly type: 'close'; readonly stream: number };

const stream = fc.constantFrom(1, 2, 3, 4);
const ofPeer: fc.Arbitrary<Input> = fc.oneof(
  fc.record({ type: fc.constant('text' as const), text: fc.constantFrom(...texts) }),
  fc.record({ text: fc.constantFrom(...texts), changes: mutations }).map(({ text, changes }) => ({
    type: 'text' as const,
    text: Buffer.from(mutate(Buffer.from(text), changes)).toString(),
  })),
  fc.record({ type: fc.constant('text' as const), text: fc.string({ maxLength: 200 }) }),
  fc
    .record({ valid: fc.constantFrom(...datas), changes: mutations })
    .map(({ valid, changes }) => ({ type: 'data' as const, bytes: mutate(valid, changes) })),
  fc.record({ type: fc.constant('data' as const), bytes: fc.oneof(someBytes(), fc.constantFrom(...datas)) }),
);
const ofUs: fc.Arbitrary<Input> = fc.oneof(
  fc.record({ type: fc.constant('time' as const), ms: fc.nat(40_000) }),
  fc.record({ type: fc.constant('grant' as const), stream }),
  fc.record({ type: fc.constant('consume' as const), stream, bytes: fc.nat(500) }),
  fc.record({ type: fc.constant('ack' as const), stream }),
  fc.record({ type: fc.constant('close' as const), stream }),
);

function apply(connection: Connection, input: Input, now: number): number {
  if (input.type === 'text') connection.handleText(input.text, now);
  else if (input.type === 'data') connection.handleBinary([input.bytes], now);
  else if (input.type === 'grant') connection.grantCredit(input.stream, 65_536);
  else if (input.type === 'consume')
    connection.consumed(input.stream, Math.min(input.bytes, connection.heldBytes(input.stream)), now);
  else if (input.type === 'ack') connection.acknowledge(input.stream, { received: 1 });
  else if (input.type === 'close') connection.closeStream(input.stream);
  else connection.handleTimeout(now + input.ms);
  return input.type === 'time' ? now + input.ms : now;
}

for (const role of ['client', 'server'] as const) {
  for (const isGreeted of [false, true]) {
    fuzz(
      `Connection as ${role}, ${isGreeted ? 'after' : 'before'} the greeting: anything`,
      fc.array(fc.oneof({ weight: 3, arbitrary: ofPeer }, { weight: 1, arbitrary: ofUs }), { maxLength: 40 }),
      (inputs) => {
        let now = 0;
        const connection = new Connection({ role, software: 'x' }, now);
        if (isGreeted)
          connection.handleText(
            encodeControl(role === 'client' ? controlExamples.welcome : controlExamples.hello),
            now,
          );
        const events = eventsOf(connection);
        const texts: string[] = [];
        for (const input of inputs) {
          now = apply(connection, input, now);
          events.push(...eventsOf(connection));
          for (const message of messagesOf(connection, now))
            if (typeof message === 'string') texts.push(message);
        }
        const ends = events.filter((event): event is EndedEvent => event.type === 'ended');
        expect(ends.length).toBe(connection.isEnded ? 1 : 0);
        for (const { error } of ends) {
          expect(events.at(-1)?.type).toBe('ended');
          expect(ERROR_TABLE[error!.code].scope).not.toBe('local');
          expect(error!.code === 'internal' && error!.detail !== 'The other side said so.').toBe(false);
          expect(connection.pollClose()).toBeGreaterThanOrEqual(4_001);
        }
        // Whatever it says is a message that a peer can read.
        for (const text of texts) expect(decodeControl(text)).not.toBeNull();
      },
    );
  }
}
