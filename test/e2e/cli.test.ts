// The command line as a user has it: real processes, real pipes, a real server. Folders are in cli-folders.test.ts.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SluiceProcess, startServer, temporaryFolder, workplace } from '../support/cli.ts';

const LINK = /^http:\/\/127\.0\.0\.1:\d+\/t\/[\w-]{22}#[\w-]{43}$/;

describe('live', () => {
  test('the link is there before any content', async () => {
    const { run } = await workplace();
    const sender = run(['send', '-']);
    expect(await sender.firstLine()).toMatch(LINK);
    expect(sender.stdout.split('\n').length).toBe(2);
    await sender.printed('sluice receive');
  });

  test('a receiver has the first line before the second is written', async () => {
    const { run } = await workplace();
    const sender = run(['send', '-']);
    const receiver = run(['receive', await sender.firstLine(), '-o', '-']);
    sender.child.stdin.write('a\n');
    await receiver.printed('a\n', 'stdout');
    sender.child.stdin.end('b\n');
    expect(await receiver.finished()).toMatchObject({ code: 0, stdout: 'a\nb\n' });
    expect(await sender.finished()).toMatchObject({ code: 0 });
  });

  test('content passes through pipes byte by byte, to several receivers', async () => {
    const { run } = await workplace();
    const content = randomBytes(3_000_001);
    const sender = run(['send', '-'], { input: content });
    const link = await sender.firstLine();
    const receivers = [1, 2, 3].map(() => run(['receive', link, '-o', '-']));
    for (const receiver of receivers) {
      expect(await receiver.finished()).toMatchObject({ code: 0 });
      expect(receiver.stdoutBytes.equals(content)).toBe(true);
    }
  });

  test('after done the sender may be gone, and the server restarted', async () => {
    const folder = await temporaryFolder();
    const first = await startServer(folder);
    const { url } = await first.event('ready');
    const env = { SLUICE_SERVER: String(url), XDG_STATE_HOME: join(folder, '.state') };
    const sender = new SluiceProcess(['send', '-'], { env, input: 'kept' });
    const link = await sender.firstLine();
    expect(await sender.finished()).toMatchObject({ code: 0 });
    first.child.kill('SIGTERM');
    expect(await first.finished()).toMatchObject({ code: 0 });
    await startServer(folder, ['--port', new URL(String(url)).port]);
    const receiver = new SluiceProcess(['receive', link, '-o', '-'], { env });
    expect(await receiver.finished()).toMatchObject({ code: 0, stdout: 'kept' });
  });
});

describe('--json', () => {
  test('of a sender: link first, done last, checksums of b3sum', async () => {
    const { run, folder } = await workplace();
    await writeFile(join(folder, 'hello.txt'), 'hello world');
    const sender = run(['send', 'hello.txt', '--json']);
    expect(await sender.finished()).toMatchObject({ code: 0, stderr: '' });
    const lines = sender.jsonLines();
    expect(lines.every(({ v }) => v === 1)).toBe(true);
    const link = lines.find(({ type }) => type === 'link');
    expect(link?.link).toMatch(LINK);
    expect(lines.find(({ type }) => type === 'file')).toEqual({
      v: 1,
      type: 'file',
      path: 'hello.txt',
      sizeBytes: 11,
      blake3: 'd74981efa70a0c880b8d8c1985d075dbcbf679b99a5f9914e5aaf96b831a9e24',
      status: 'ok',
    });
    expect(lines.at(-1)).toMatchObject({ type: 'done', id: link?.id, files: 1, sizeBytes: 11 });
    expect(lines.at(-1)?.link).toBe(link?.link);
  });

  test('of a receiver: offer first, done last', async () => {
    const { run } = await workplace();
    const args = ['send', '-', '--name', 'notes', '--message', 'for you'];
    const sender = run(args, { input: 'hello world' });
    const receiver = run(['receive', await sender.firstLine(), '--yes', '--json', '-o', 'in']);
    expect(await receiver.finished()).toMatchObject({ code: 0, stderr: '' });
    const lines = receiver.jsonLines();
    expect(lines.find(({ type }) => type === 'offer')).toMatchObject({ name: 'notes', message: 'for you' });
    expect(lines.find(({ type }) => type === 'file')).toMatchObject({ sizeBytes: 11, status: 'ok' });
    expect(lines.at(-1)).toMatchObject({ type: 'done', files: 1, sizeBytes: 11, directory: 'in' });
  });

  test('with -o - is on standard error', async () => {
    const { run } = await workplace();
    const sender = run(['send', '-'], { input: 'data' });
    const receiver = run(['receive', await sender.firstLine(), '-o', '-', '--json']);
    expect(await receiver.finished()).toMatchObject({ code: 0, stdout: 'data' });
    expect(receiver.jsonLines('stderr').at(-1)).toMatchObject({ type: 'done', directory: null });
  });

  test('tells a sender of its receivers', async () => {
    const { run } = await workplace();
    const sender = run(['send', '-', '--json']);
    const link = String((await sender.event('link')).link);
    sender.child.stdin.write('first');
    const receiver = run(['receive', link, '-o', '-']);
    await receiver.printed('first', 'stdout');
    await sender.event('receiver', ({ event }) => event === 'joined');
    sender.child.stdin.end();
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    expect(await sender.finished()).toMatchObject({ code: 0 });
  });

  test('an error is the last line', async () => {
    const { run, server } = await workplace();
    const unknown = `${server}/t/${'A'.repeat(22)}#${'A'.repeat(43)}`;
    const receiver = run(['receive', unknown, '--yes', '--json']);
    expect(await receiver.finished()).toMatchObject({ code: 5 });
    expect(receiver.jsonLines().at(-1)).toMatchObject({ type: 'error', code: 'notFound', exitCode: 5 });
  });
});

describe('exit codes', () => {
  test('2: without a terminal --yes is needed, and nothing is received', async () => {
    const { run, folder } = await workplace();
    const sender = run(['send', '-'], { input: 'x' });
    const link = await sender.firstLine();
    await mkdir(join(folder, 'in'));
    const { code, stderr, stdout } = await run(['receive', link, '-o', 'in'], { input: '' }).finished();
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('--yes');
    expect(await readdir(join(folder, 'in'))).toEqual([]);
  });

  test('2: a link that is none, told without repeating it', async () => {
    const { run } = await workplace();
    const { code, stderr } = await run(['receive', 'https://x.example/secret-part', '--yes']).finished();
    expect(code).toBe(2);
    expect(stderr).toContain('[badLink]');
    expect(stderr).not.toContain('secret-part');
  });

  test('5: an unknown link', async () => {
    const { run, server } = await workplace();
    const link = `${server}/t/${'A'.repeat(22)}#${'A'.repeat(43)}`;
    const { code, stderr } = await run(['receive', link, '--yes']).finished();
    expect(code).toBe(5);
    expect(stderr).toMatch(
      /^sluice: The server does not know this transfer\.[^\n]*\n {2}[^\n]*\[notFound\]\n$/,
    );
  });

  test('6: nobody listens there; the first connection is tried for some seconds only', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'a'), 'a');
    const env = { SLUICE_SERVER: 'http://127.0.0.1:9', XDG_STATE_HOME: folder };
    const { code, stderr, stdout } = await new SluiceProcess(['send', 'a'], { env, cwd: folder }).finished();
    expect({ code, stdout }).toEqual({ code: 6, stdout: '' });
    expect(stderr).toContain('[unreachable]');
  });

  test('6: --timeout', async () => {
    const { run } = await workplace();
    const sender = run(['send', '-']);
    sender.child.stdin.write('x');
    const receiver = run(['receive', await sender.firstLine(), '-o', '-', '--timeout', '300ms']);
    expect(await receiver.finished()).toMatchObject({ code: 6, stdout: 'x' });
  });
});

describe('interrupted', () => {
  test('Ctrl-C at a sender of files says what is safe and how to go on; the same command goes on', async () => {
    const { run, folder, serving } = await workplace();
    // More than a sender keeps on its way, so that it cannot end while the server stands still.
    const content = randomBytes(40_000_000);
    await writeFile(join(folder, 'big.bin'), content);
    const sender = run(['send', 'big.bin']);
    const link = await sender.firstLine();
    serving.child.kill('SIGSTOP');
    sender.child.kill('SIGINT');
    const { code, stderr } = await sender.finished();
    expect(code).toBe(130);
    expect(stderr).toMatch(/sluice: Interrupted\. .* safe on the server .*\.\n/);
    expect(stderr).toMatch(/\n {2}To go on: sluice send big\.bin --server http:\/\/127\.0\.0\.1:\d+\n$/);
    serving.child.kill('SIGCONT');
    const again = run(['send', 'big.bin']);
    expect(await again.firstLine()).toBe(link);
    expect(await again.finished()).toMatchObject({ code: 0 });
    const receiver = run(['receive', link, '-o', '-']);
    expect(await receiver.finished()).toMatchObject({ code: 0 });
    expect(receiver.stdoutBytes.equals(content)).toBe(true);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s at a sender of a stream ends it with 130', async (signal) => {
    const { run } = await workplace();
    const sender = run(['send', '-']);
    await sender.printed('sluice receive');
    sender.child.kill(signal);
    const { code, stderr } = await sender.finished();
    expect(code).toBe(130);
    expect(stderr).toMatch(
      /sluice: Interrupted\.[^\n]*\n {2}Standard input cannot be read again.*cancel [\w-]{22}\n$/,
    );
  });

  test('at a receiver: the command to continue, which continues', async () => {
    const { run, folder } = await workplace();
    const sender = run(['send', '-', '--name', 'x.txt']);
    const link = await sender.firstLine();
    sender.child.stdin.write('first ');
    const receiver = run(['receive', link, '--yes', '--json', '-o', 'in']);
    await receiver.event('state', ({ state }) => state === 'waiting for sender');
    receiver.child.kill('SIGINT');
    const { code } = await receiver.finished();
    expect(code).toBe(130);
    const last = receiver.jsonLines().at(-1);
    expect(last).toMatchObject({ type: 'error', code: 'interrupted', exitCode: 130 });
    expect(last?.hint).toBe(`To go on: sluice receive '${link}' --yes --json -o in`);
    const again = run(['receive', link, '--yes', '-o', 'in']);
    sender.child.stdin.end('second');
    expect(await again.finished()).toMatchObject({ code: 0 });
    const [name = ''] = (await readdir(join(folder, 'in'))).filter((entry) => !entry.startsWith('.'));
    expect(await readFile(join(folder, 'in', name), 'utf8')).toBe('first second');
  });

  test('a reader that goes away ends a receiver quietly', async () => {
    const { run } = await workplace();
    const sender = run(['send', '-']);
    const receiver = run(['receive', await sender.firstLine(), '-o', '-', '--quiet']);
    sender.child.stdin.write('x\n');
    await receiver.printed('x\n', 'stdout');
    receiver.child.stdout.destroy();
    // The broken pipe is felt at a write; one line may still fit into the pipe.
    sender.child.stdin.write(randomBytes(1_000_000));
    const { code, signal, stderr } = await receiver.finished();
    expect({ code, signal, stderr }).toEqual({ code: 1, signal: null, stderr: '' });
  });
});

describe('serve', () => {
  test('prints what it serves from, and one folder has one server', async () => {
    const folder = await temporaryFolder();
    const serving = new SluiceProcess(['serve', '--port', '0', '--data', folder]);
    await serving.printed(
      /ready at http:\/\/127\.0\.0\.1:\d+\n.*Data folder.*Free space.*Durability +disk.*Send/s,
      'stdout',
    );
    const second = await new SluiceProcess(['serve', '--port', '0', '--data', folder]).finished();
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toContain('[dataFolder]');
    serving.child.kill('SIGTERM');
    expect(await serving.finished()).toMatchObject({ code: 0 });
  });

  test('ready as JSON, and done at the end', async () => {
    const folder = await temporaryFolder();
    const serving = await startServer(folder, ['--durability', 'os']);
    const ready = await serving.event('ready');
    expect(ready).toEqual({
      v: 1,
      type: 'ready',
      url: ready.url,
      pid: serving.child.pid,
      dataDir: folder,
      durability: 'os',
    });
    serving.child.kill('SIGINT');
    expect(await serving.finished()).toMatchObject({ code: 0 });
    expect(serving.jsonLines().at(-1)).toMatchObject({ type: 'done' });
  });

  test('a port in use', async () => {
    const first = await startServer(await temporaryFolder());
    const { port } = new URL(String((await first.event('ready')).url));
    const args = ['serve', '--port', port, '--data', await temporaryFolder()];
    const { code, stderr } = await new SluiceProcess(args).finished();
    expect(code).toBe(1);
    expect(stderr).toContain('[addressInUse]');
    expect(stderr).toContain('--port 0');
  });
});
