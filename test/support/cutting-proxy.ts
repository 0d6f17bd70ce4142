/** A TCP proxy on loopback that cuts each connection after a number of bytes: what a bad network does. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** Connections cut so far. */
  readonly cuts: number;
  /** Cuts everything now, and lets new connections through or not. */
  cutAll(): void;
  close(): Promise<void>;
}

/** `budget` says after how many bytes, in both directions together, the next connection is cut. */
export async function createCuttingProxy(targetPort: number, budget: () => number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let cuts = 0;
  const server: Server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    let left = budget();
    sockets.add(client);
    const end = (): void => {
      sockets.delete(client);
      client.destroy();
      upstream.destroy();
    };
    const pass = (from: Socket, to: Socket): void => {
      from.on('data', (data) => {
        if (!to.write(data)) from.pause();
        left -= data.length;
        if (left > 0) return;
        cuts += 1;
        end();
      });
      to.on('drain', () => from.resume());
      from.on('error', end);
      from.on('close', end);
    };
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get cuts() {
      return cuts;
    },
    cutAll: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
