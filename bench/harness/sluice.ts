/** Our own side: a server process, and senders and receivers as users start them or through the library. */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, type ChildOptions } from './child.ts';
import type { BenchOptions, Run } from './contest.ts';
import { type Measured, measure } from './measure.ts';
import type { UsageMeter } from './process-usage.ts';
import type { Workspace } from './workspace.ts';

const COMMAND = fileURLToPath(new URL('../../bin/sluice.js', import.meta.url));
const LIBRARY_SEND = fileURLToPath(new URL('../programs/library-send.ts', import.meta.url));
const LIBRARY_RECEIVE = fileURLToPath(new URL('../programs/library-receive.ts', import.meta.url));

/** A program that was started and can be read from. */
export interface Started extends AsyncDisposable {
  readonly child: Child;
  readonly lines: AsyncIterator<string>;
}

export class Sluice implements AsyncDisposable {
  readonly server: Child;
  readonly url: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #timeoutMs: number;

  private constructor(server: Child, url: string, env: NodeJS.ProcessEnv, timeoutMs: number) {
    this.server = server;
    this.url = url;
    this.#env = env;
    this.#timeoutMs = timeoutMs;
  }

  static async start(workspace: Workspace, { timeoutMs }: BenchOptions): Promise<Sluice> {
    const env = environment(workspace.folder('home'));
    const args = [COMMAND, 'serve', '--port', '0', '--data', workspace.folder('server'), '--json'];
    const server = new Child(process.execPath, args, { env });
    try {
      const { url } = await server.nextEvent<{ url: string }>(server.lines(), 'ready');
      return new Sluice(server, url, env, timeoutMs);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** `sluice send`, from the start of the process to its end. The transfer is removed afterwards. */
  async send(path: string, measured: Measured): Promise<Run> {
    let id = '';
    const run = await measure({ server: this.server }, async (meter) => {
      await using sender = this.startSend(path, meter);
      ({ id } = await sender.child.nextEvent<{ id: string }>(sender.lines, 'link'));
      await drain(sender);
      return measured;
    });
    await this.cancel(id);
    return run;
  }

  /** `sluice send` that was started; its first event is `link`. */
  startSend(path: string, meter: UsageMeter, stdin: 'ignore' | 'pipe' = 'ignore'): Started {
    const args = [COMMAND, 'send', path, '--server', this.url, '--new', '--json'];
    return this.#start(args, { meter, role: 'sender', stdin });
  }

  /** Stores a transfer, not measured. Returns its link and id. */
  async store(path: string): Promise<{ link: string; id: string }> {
    await using sender = this.#start([COMMAND, 'send', path, '--server', this.url, '--new', '--json'], {});
    const { link, id } = await sender.child.nextEvent<{ link: string; id: string }>(sender.lines, 'link');
    await drain(sender);
    return { link, id };
  }

  /** `sluice receive` into a folder, from the start of the process to its end. */
  receive(link: string, folder: string, measured: Measured): Promise<Run> {
    return measure({ server: this.server }, async (meter) => {
      const args = [COMMAND, 'receive', link, '-o', folder, '--yes', '--json'];
      await using receiver = this.#start(args, { meter, role: 'receiver' });
      await drain(receiver);
      return measured;
    });
  }

  /** `sluice receive -o -` into /dev/null. */
  receiveToNull(link: string, measured: Measured): Promise<Run> {
    return measure({ server: this.server }, async (meter) => {
      await using receiver = this.startReceiveToNull(link, meter);
      await receiver.succeeded();
      return measured;
    });
  }

  startReceiveToNull(link: string, meter: UsageMeter): Child {
    const nothing = openSync('/dev/null', 'w');
    try {
      return this.startReceive(link, meter, nothing);
    } finally {
      closeSync(nothing);
    }
  }

  /** `sluice receive -o -` into a pipe that the caller reads, or an open file. */
  startReceive(link: string, meter: UsageMeter, stdout: 'pipe' | number): Child {
    return new Child(process.execPath, [COMMAND, 'receive', link, '-o', '-', '--yes', '--json'], {
      env: this.#env,
      timeoutMs: this.#timeoutMs,
      meter,
      role: 'receiver',
      stdout,
    });
  }

  /** Sends through the library in a process of its own; the time is that of the call. */
  librarySend(path: string, measured: Measured): Promise<Run> {
    return measure({ server: this.server }, async (meter) => {
      await using sender = this.startLibrarySend(path, meter, 'at once');
      await sender.child.nextEvent(sender.lines, 'link');
      const { seconds } = await sender.child.nextEvent<{ seconds: number }>(sender.lines, 'done');
      await removeSent(sender);
      return { ...measured, seconds };
    });
  }

  /** A sender of the library. Its last event is `done`; `removeSent` ends it. */
  startLibrarySend(path: string, meter: UsageMeter, start: 'at once' | 'paused'): Started {
    return this.#start([LIBRARY_SEND, this.url, path, start], { meter, role: 'sender', stdin: 'pipe' });
  }

  /** Receives through the library in a process of its own, verifies and forgets; the time is that of the call. */
  libraryReceive(link: string, measured: Measured): Promise<Run> {
    return measure({ server: this.server }, async (meter) => {
      await using receiver = this.startLibraryReceive(link, meter, 1);
      const { seconds } = await receiver.child.nextEvent<{ seconds: number }>(receiver.lines, 'done');
      await receiver.child.succeeded();
      return { ...measured, seconds };
    });
  }

  startLibraryReceive(link: string, meter: UsageMeter, receivers: number): Started {
    return this.#start([LIBRARY_RECEIVE, link, String(receivers)], { meter, role: 'receiver' });
  }

  /** Removes a transfer of `send`, so that memory is enough for the next. */
  async cancel(id: string): Promise<void> {
    await using child = new Child(process.execPath, [COMMAND, 'cancel', id], {
      env: this.#env,
      timeoutMs: this.#timeoutMs,
      stdout: 'ignore',
    });
    await child.succeeded();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }

  #start(args: readonly string[], options: ChildOptions): Started {
    const timeoutMs = this.#timeoutMs;
    const child = new Child(process.execPath, args, { env: this.#env, timeoutMs, ...options });
    return { child, lines: child.lines(), [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
  }
}

/** Tells a sender of the library to take its transfer off the server, and waits for its end. */
export async function removeSent({ child }: Started): Promise<void> {
  child.process.stdin?.end();
  await child.succeeded();
}

/** Reads what a command still has to say, to its end. */
export async function drain({ child, lines }: Started): Promise<void> {
  for await (const _line of { [Symbol.asyncIterator]: () => lines });
  await child.succeeded();
}

/** What users have set must change nothing, and nothing of theirs must be changed. */
function environment(home: string): NodeJS.ProcessEnv {
  const { PATH } = process.env;
  return {
    ...(PATH === undefined ? {} : { PATH }),
    HOME: home,
    XDG_DATA_HOME: join(home, 'data'),
    XDG_STATE_HOME: join(home, 'state'),
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_CACHE_HOME: join(home, 'cache'),
  };
}
