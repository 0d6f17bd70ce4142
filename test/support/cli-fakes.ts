/** The surroundings of a command and transfers that do what a test says, for tests without processes. */
import { Readable, Writable } from 'node:stream';
import type { Surroundings } from '../../src/cli/surroundings.ts';
import type { Offer, ReceiveEvent, ReceiveSummary, SendEvent, SendSummary } from '../../src/client/events.ts';
import { SluiceError } from '../../src/protocol/index.ts';

export class ExitCalled extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

export interface FakeSurroundings extends Surroundings {
  /** What was written so far. */
  out(): string;
  err(): string;
  /** `--json` lines on standard output. */
  jsonLines(): Record<string, unknown>[];
}

export function fakeSurroundings(
  options: { args?: string[]; input?: string; isTTY?: boolean; env?: Record<string, string> } = {},
): FakeSurroundings {
  const { args = [], input = '', isTTY = false, env = {} } = options;
  const stdout = collector(isTTY);
  const stderr = collector(isTTY);
  return {
    stdin: Object.assign(Readable.from([Buffer.from(input)]), { isTTY }),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env,
    args,
    now: () => performance.now(),
    wallNow: () => Date.UTC(2026, 0, 1),
    exit: (code) => {
      throw new ExitCalled(code);
    },
    out: stdout.text,
    err: stderr.text,
    jsonLines: () =>
      stdout
        .text()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

function collector(isTTY: boolean): { stream: Writable & { isTTY: boolean }; text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY }), text: () => text };
}

/** A transfer played by the test: `emit` events, then `end` it or `fail` it. */
export class FakeTransfer<E, S, P> {
  readonly done: Promise<S>;
  readonly link: Promise<P>;
  readonly offer: Promise<P>;
  stopCalls = 0;
  readonly end: (summary: S) => void;
  readonly fail: (error: Error) => void;
  readonly #listeners = new Set<(event: E) => void>();

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<S>();
    this.done = promise;
    this.end = resolve;
    this.fail = reject;
    this.link = this.offer = promise.then(() => new Promise<P>(() => {}));
  }

  on(listener: (event: E) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: E): void {
    for (const listener of this.#listeners) listener(event);
  }

  stop(): Promise<void> {
    this.stopCalls += 1;
    this.fail(new SluiceError('interrupted'));
    return Promise.resolve();
  }
}

export type FakeSend = FakeTransfer<SendEvent, SendSummary, string>;
export type FakeReceive = FakeTransfer<ReceiveEvent, ReceiveSummary, Offer>;

export const SAMPLE_LINK = 'http://127.0.0.1:7420/t/AAAAAAAAAAAAAAAAAAAAAA#c2VjcmV0';

export const SAMPLE_OFFER: Offer = {
  id: 'AAAAAAAAAAAAAAAAAAAAAA',
  name: 'holiday',
  message: null,
  totalFiles: 2,
  totalBytes: 3000,
  files: [
    { path: ['holiday', 'a.jpg'], type: 'file', sizeBytes: 1000 },
    { path: ['holiday', 'b.jpg'], type: 'file', sizeBytes: 2000 },
  ],
  state: 'live',
  isEncrypted: false,
  expiresAtMs: Date.UTC(2026, 0, 2),
};
