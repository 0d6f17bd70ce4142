/** Peer: curl at both ends of a plain HTTP relay, see programs/http-relay.ts. */
import { fileURLToPath } from 'node:url';
import { Child } from '../harness/child.ts';
import type { Run } from '../harness/contest.ts';
import { findProgram } from '../harness/find-program.ts';
import { measure } from '../harness/measure.ts';
import { HOST } from '../harness/network.ts';
import type { Roster } from '../harness/roster.ts';

const SERVER = fileURLToPath(new URL('../programs/http-relay.ts', import.meta.url));

export class HttpRelayPeer {
  readonly #curl: string;
  readonly #server: Child;
  readonly #port: number;
  readonly #timeoutMs: number;

  private constructor(curl: string, server: Child, port: number, timeoutMs: number) {
    this.#curl = curl;
    this.#server = server;
    this.#port = port;
    this.#timeoutMs = timeoutMs;
  }

  /** Starts the relay for this roster; null, and skipped there, when curl is not installed. */
  static async start(roster: Roster, timeoutMs: number): Promise<HttpRelayPeer | null> {
    const curl = findProgram('curl');
    if (curl === null) {
      roster.skip('curl, HTTP relay, curl', 'curl is not installed');
      return null;
    }
    const server = roster.use(new Child(process.execPath, [SERVER]));
    const { port } = await server.nextEvent<{ port: number }>(server.lines(), 'ready');
    return new HttpRelayPeer(curl, server, port, timeoutMs);
  }

  /** One file through the relay to /dev/null. The receiver waits there before the sender starts. */
  relay(source: string, bytes: number): Promise<Run> {
    const url = `http://${HOST}:${this.#port}/`;
    const timeoutMs = this.#timeoutMs;
    return measure({ server: this.#server }, async (meter) => {
      const receiveArgs = ['--silent', '--show-error', '--fail', '--output', '/dev/null', url];
      await using receiver = new Child(this.#curl, receiveArgs, { meter, role: 'receiver', timeoutMs });
      const sendArgs = ['--silent', '--show-error', '--fail', '--upload-file', source, url];
      await using sender = new Child(this.#curl, sendArgs, { meter, role: 'sender', timeoutMs });
      await Promise.all([receiver.succeeded(), sender.succeeded()]);
      return { bytes };
    });
  }
}
