// The examples as their readers run them: real processes, and the package under its own name. Needs dist/ to be built.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SluiceProcess, temporaryFolder } from '../support/cli.ts';

interface Example {
  readonly child: ChildProcess;
  output(): string;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  /** Resolves with the first line of its output. */
  readonly firstLine: Promise<string>;
}

function start(name: string, args: readonly string[] = []): Example {
  const child = spawn(process.execPath, [resolve('examples', name), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  const firstLine = new Promise<string>((found) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.includes('\n')) found(output.split('\n')[0] ?? '');
      });
    }
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, output: () => output, ended, firstLine };
}

test('node-to-node reads each word before the next is written, and ends by itself', async () => {
  const example = start('node-to-node.ts');
  expect({ code: await example.ended, output: example.output() }).toEqual({
    code: 0,
    output: expect.stringMatching(
      /^write one\nread one\nwrite two\nread two\nwrite three\nread three\n.*is complete, BLAKE3 [0-9a-f]{64}\nall 14 bytes/,
    ),
  });
});

test('embed-in-http-server serves Sluice beside what was there', async () => {
  const folder = await temporaryFolder();
  const example = start('embed-in-http-server.ts', ['0', join(folder, 'data')]);
  const url = await example.firstLine;
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/files$/);

  expect(await (await fetch(new URL('/other', url))).text()).toBe('Hello from your own server.\n');
  expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' });

  const env = { XDG_STATE_HOME: join(folder, 'state'), SLUICE_SERVER: url };
  await writeFile(join(folder, 'a.txt'), 'content');
  const sender = new SluiceProcess(['send', join(folder, 'a.txt')], { env });
  const link = await sender.firstLine();
  expect(link).toContain(`${url}/t/`);
  expect(await sender.finished()).toMatchObject({ code: 0 });
  const receiver = new SluiceProcess(['receive', link, '-o', join(folder, 'in'), '--yes'], { env });
  expect(await receiver.finished()).toMatchObject({ code: 0 });
  expect(await readFile(join(folder, 'in', 'a.txt'), 'utf8')).toBe('content');

  example.child.kill('SIGTERM');
  expect(await example.ended).toBe(0);
});
