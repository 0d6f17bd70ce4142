/** One question on a stream of its own, one answer: what `inspect` and `cancel` are. */
import { type LogPoint, SluiceError, type StreamMessage } from '../protocol/index.ts';
import type { ServerConnection, StreamUser } from './server-connection.ts';

/**
 * Asks when the connection is ready and resolves with the first answer that is not an error; asks again after a
 * reconnect, so the question must be one that may be asked twice.
 * @throws SluiceError as the server answered, or when it cannot be reached.
 */
export function request(
  server: ServerConnection,
  question: (stream: number) => StreamMessage,
): Promise<StreamMessage> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      server.detach(user);
      act();
    };
    const user: StreamUser = {
      handleReady: () => {
        const stream = server.openStream(user, 'interactive');
        server.connection?.send(question(stream));
      },
      handleMessage: (message) => {
        if (message.type === 'reset') settle(() => reject(new SluiceError(message.code)));
        else settle(() => resolve(message));
      },
      handleRecords: (_chunk: Uint8Array) => {},
      handleAck: (_received: number | null, _durable: LogPoint | null) => {},
      handleDown: () => {},
      handleFailed: (error) => reject(error),
    };
    server.attach(user);
  });
}
