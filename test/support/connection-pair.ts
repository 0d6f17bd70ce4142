// Two connections that talk to each other without a network: what one polls, the other handles at once.
import {
  Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  type ControlMessage,
  decodeControl,
  type OutboundMessage,
  type Outbox,
} from '../../src/protocol/index.ts';

export type EndedEvent = Extract<ConnectionEvent, { type: 'ended' }>;

/** All events a connection has. */
export function eventsOf(connection: Connection): ConnectionEvent[] {
  const events: ConnectionEvent[] = [];
  for (let event = connection.pollEvent(); event !== null; event = connection.pollEvent()) events.push(event);
  return events;
}

/** All messages a connection wants to send. */
export function messagesOf(connection: Connection, now: number, maxDataBytes?: number): OutboundMessage[] {
  const messages: OutboundMessage[] = [];
  for (let message = connection.pollMessage(now, maxDataBytes); message !== null; ) {
    messages.push(message);
    message = connection.pollMessage(now, maxDataBytes);
  }
  return messages;
}

/** The control messages among `messages`. */
export function controlOf(messages: readonly OutboundMessage[]): (ControlMessage | null)[] {
  return messages.filter((message) => typeof message === 'string').map(decodeControl);
}

export function deliver(messages: readonly OutboundMessage[], to: Connection, now: number): void {
  for (const message of messages) {
    if (typeof message === 'string') to.handleText(message, now);
    else to.handleBinary(message, now);
  }
}

export class ConnectionPair {
  readonly client: Connection;
  readonly server: Connection;

  constructor(client: Partial<ConnectionOptions> = {}, server: Partial<ConnectionOptions> = {}, now = 0) {
    this.client = new Connection({ role: 'client', software: 'test client', ...client }, now);
    this.server = new Connection({ role: 'server', software: 'test server', ...server }, now);
  }

  /** Exchanges messages until both are silent. */
  exchange(now: number, maxDataBytes?: number): void {
    for (;;) {
      const up = messagesOf(this.client, now, maxDataBytes);
      const down = messagesOf(this.server, now, maxDataBytes);
      if (up.length === 0 && down.length === 0) return;
      deliver(up, this.server, now);
      deliver(down, this.client, now);
    }
  }

  /** A pair after the handshake, with its events taken. */
  static ready(
    client: Partial<ConnectionOptions> = {},
    server: Partial<ConnectionOptions> = {},
    now = 0,
  ): ConnectionPair {
    const pair = new ConnectionPair(client, server, now);
    pair.exchange(now);
    eventsOf(pair.client);
    eventsOf(pair.server);
    return pair;
  }

  /** A stream from client to server on which the client may send; returns its id. */
  openUpload(outbox: Outbox, now: number, recordSizeBytes?: number): number {
    const id = this.client.openStream('normal', now);
    this.client.send({ type: 'nack', stream: id, index: 0 });
    // Control only: other streams must not send their records here.
    deliver(messagesOf(this.client, now, 0), this.server, now);
    eventsOf(this.server);
    this.client.attachOutbox(id, outbox, this.server.grantCredit(id, recordSizeBytes));
    return id;
  }
}

/** An outbox over a list of records. */
export function queueOutbox(records: Uint8Array[]): Outbox {
  return {
    nextLength: () => records[0]?.length ?? 0,
    take: () => records.shift() as Uint8Array,
  };
}
