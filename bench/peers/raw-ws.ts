/** Peer `ws` alone: its server and clients, see programs/raw-ws-server.ts. */
import { fileURLToPath } from 'node:url';
import { Child } from '../harness/child.ts';
import type { Run } from '../harness/contest.ts';
import { measure } from '../harness/measure.ts';
import { HOST } from '../harness/network.ts';
import type { Roster } from '../harness/roster.ts';

const SERVER = fileURLToPath(new URL('../programs/raw-ws-server.ts', import.meta.url));
const CLIENT = fileURLToPath(new URL('../programs/raw-ws-client.ts', import.meta.url));

export type Masking = 'masked' | 'zero-mask';

export class RawWsPeer {
  readonly #server: Child;
  readonly #port: number;
  readonly #timeoutMs: number;

  private constructor(server: Child, port: number, timeoutMs: number) {
    this.#server = server;
    this.#port = port;
    this.#timeoutMs = timeoutMs;
  }

  static async start(roster: Roster, timeoutMs: number): Promise<RawWsPeer> {
    const server = roster.use(new Child(process.execPath, [SERVER]));
    const { port } = await server.nextEvent<{ port: number }>(server.lines(), 'ready');
    return new RawWsPeer(server, port, timeoutMs);
  }

  /** Client to server, thrown away there. */
  upload(bytes: number, masking: Masking): Promise<Run> {
    return this.#runOne('send', `/sink?bytes=${bytes}`, bytes, masking);
  }

  /** Server to client, made up there and thrown away here. */
  download(bytes: number): Promise<Run> {
    return this.#runOne('receive', `/source?bytes=${bytes}`, bytes, 'masked');
  }

  /** One sender, through the server, to receivers spread over some processes. */
  relay(bytes: number, masking: Masking, receivers: number, processes: number): Promise<Run> {
    return measure({ server: this.#server }, async (meter) => {
      await using children = new AsyncDisposableStack();
      const start = async (role: string, connections: number): Promise<Started> => {
        const args = [CLIENT, role, this.#url(`/relay-${role}`), String(bytes), masking, String(connections)];
        const options = {
          meter,
          role: role === 'send' ? 'sender' : 'receiver',
          timeoutMs: this.#timeoutMs,
          stdin: 'pipe',
        } as const;
        const child = children.use(new Child(process.execPath, args, options));
        const lines = child.lines();
        await child.nextEvent(lines, 'ready');
        return { child, lines };
      };
      const receiving = await Promise.all(
        Array.from({ length: processes }, () => start('receive', receivers / processes)),
      );
      const sender = await start('send', 1);
      const startedAt = performance.now();
      for (const { child } of [...receiving, sender]) child.process.stdin?.write('go\n');
      await Promise.all(receiving.map(({ child, lines }) => child.nextEvent(lines, 'done')));
      return { bytes: bytes * receivers, seconds: (performance.now() - startedAt) / 1000 };
    });
  }

  #runOne(role: string, path: string, bytes: number, masking: Masking): Promise<Run> {
    return measure({ server: this.#server }, async (meter) => {
      const args = [CLIENT, role, this.#url(path), String(bytes), masking, '1'];
      await using child = new Child(process.execPath, args, {
        meter,
        timeoutMs: this.#timeoutMs,
        stdin: 'pipe',
      });
      const lines = child.lines();
      await child.nextEvent(lines, 'ready');
      child.process.stdin?.write('go\n');
      const { seconds } = await child.nextEvent<{ seconds: number }>(lines, 'done');
      await child.succeeded();
      return { bytes, seconds };
    });
  }

  #url(path: string): string {
    return `ws://${HOST}:${this.#port}${path}`;
  }
}

interface Started {
  readonly child: Child;
  readonly lines: AsyncIterator<string>;
}
