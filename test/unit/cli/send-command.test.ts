import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type SendCommandOptions, sendCommand } from '../../../src/cli/send-command.ts';
import type { SendEvent, SendSummary } from '../../../src/client/events.ts';
import { SluiceError } from '../../../src/protocol/index.ts';
import { type FakeSend, FakeTransfer, fakeSurroundings, SAMPLE_LINK } from '../../support/cli-fakes.ts';

const OPTIONS: SendCommandOptions = {
  server: 'http://127.0.0.1:7420',
  isServerFromEnvironment: false,
  name: undefined,
  message: undefined,
  expiresMs: undefined,
  isNew: false,
  json: false,
  quiet: false,
  verbose: false,
};

const LINK_EVENT: SendEvent = {
  type: 'link',
  link: SAMPLE_LINK,
  id: 'AAAA',
  isResumed: false,
  expiresAtMs: Date.UTC(2026, 0, 2),
};
const SUMMARY: SendSummary = {
  id: 'AAAA',
  link: SAMPLE_LINK,
  files: 3,
  sizeBytes: 3e9,
  seconds: 91,
  problems: 0,
};

function fileProblem(number: number): SendEvent {
  const error = new SluiceError('localDisk', 'Permission denied.');
  return {
    type: 'file',
    path: [`f${number}`],
    savedAs: null,
    sizeBytes: 0,
    blake3: null,
    status: 'skipped',
    error,
  };
}

function start(
  options: Partial<SendCommandOptions> = {},
  surroundings: Parameters<typeof fakeSurroundings>[0] = {},
  paths = ['package.json'],
) {
  const fake = fakeSurroundings(surroundings);
  const transfer: FakeSend = new FakeTransfer();
  const begun = Promise.withResolvers<unknown[]>();
  const send = (...args: unknown[]) => {
    begun.resolve(args);
    return transfer;
  };
  const exitCode = sendCommand(paths, { ...OPTIONS, ...options }, fake, () => Promise.resolve({ send }));
  return { ...fake, transfer, exitCode, begun: begun.promise };
}

describe('the link', () => {
  test('is alone on standard output, at once', async () => {
    const { transfer, begun, out, err, exitCode } = start();
    await begun;
    expect(out()).toBe('');
    transfer.emit(LINK_EVENT);
    expect(out()).toBe(`${SAMPLE_LINK}\n`);
    expect(err()).toContain(`  sluice receive '${SAMPLE_LINK}'`);
    expect(err()).toContain('Others can start now. Kept 24 h after the last byte.');
    expect(err()).toContain('Not end-to-end encrypted yet');
    transfer.end(SUMMARY);
    expect(await exitCode).toBe(0);
    expect(out()).toBe(`${SAMPLE_LINK}\n`);
    expect(err()).toContain('Done. 3 files, 3.00 GB in 1:31 (33.0 MB/s).\nAll safe on the server until ');
  });

  test('is all there is with --quiet, except problems', async () => {
    const { transfer, begun, out, err, exitCode } = start({ quiet: true });
    await begun;
    transfer.emit(LINK_EVENT);
    transfer.emit(fileProblem(1));
    transfer.end({ ...SUMMARY, problems: 1 });
    expect(await exitCode).toBe(1);
    expect(out()).toBe(`${SAMPLE_LINK}\n`);
    expect(err()).toBe(
      '  f1: skipped: Permission denied.\n' +
        'sluice: Some files could not be transferred. 1 in all.\n' +
        '  The files are named above; the others arrived. [incomplete]\n',
    );
  });

  test('is an event with --json, which ends with done', async () => {
    const { transfer, begun, jsonLines, err, exitCode } = start({ json: true });
    await begun;
    transfer.emit(LINK_EVENT);
    transfer.end(SUMMARY);
    expect(await exitCode).toBe(0);
    expect(jsonLines()).toEqual([
      { v: 1, type: 'link', link: SAMPLE_LINK, id: 'AAAA' },
      { v: 1, type: 'done', id: 'AAAA', files: 3, sizeBytes: 3e9, seconds: 91, link: SAMPLE_LINK },
    ]);
    expect(err()).toBe('');
  });
});

test('options reach the client', async () => {
  const { begun, transfer, exitCode } = start({ name: 'n', message: 'm', expiresMs: 5, isNew: true });
  expect(await begun).toMatchObject([
    ['package.json'],
    { server: OPTIONS.server, name: 'n', message: 'm', expiresMs: 5, isNew: true },
  ]);
  transfer.end(SUMMARY);
  await exitCode;
});

describe('problems', () => {
  test('the first ten are named, the others counted; exit code 1', async () => {
    const { transfer, begun, err, exitCode } = start();
    await begun;
    transfer.emit(LINK_EVENT);
    for (let number = 1; number <= 222; number += 1) transfer.emit(fileProblem(number));
    transfer.end({ ...SUMMARY, problems: 222 });
    expect(await exitCode).toBe(1);
    expect(err()).toContain('  f10: skipped');
    expect(err()).not.toContain('  f11: skipped');
    expect(err()).toContain('  … 212 more problems');
  });

  test('with --json the last line is the error, with the exit code', async () => {
    const { transfer, begun, jsonLines, exitCode } = start({ json: true });
    await begun;
    transfer.emit(fileProblem(1));
    transfer.end({ ...SUMMARY, problems: 1 });
    expect(await exitCode).toBe(1);
    expect(jsonLines().at(-1)).toMatchObject({ type: 'error', code: 'incomplete', exitCode: 1 });
  });

  test('a name cannot act on the terminal', async () => {
    const { transfer, begun, err, exitCode } = start();
    await begun;
    const event = { ...fileProblem(1), path: ['a\x1b[2J\nb\u202e'] } as SendEvent;
    transfer.emit(event);
    transfer.end({ ...SUMMARY, problems: 1 });
    await exitCode;
    expect(err().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(err()).not.toContain('\nb');
  });
});

describe('interrupted', () => {
  async function interrupt(...args: Parameters<typeof start>) {
    const run = start(...args);
    await run.begun;
    run.transfer.emit(LINK_EVENT);
    run.transfer.emit({
      type: 'progress',
      sentBytes: 2e9,
      durableBytes: 1.7e9,
      totalBytes: 3e9,
      totalFiles: 3,
      currentFile: null,
    });
    run.transfer.fail(new SluiceError('interrupted'));
    expect(await run.exitCode).toBe(130);
    return run;
  }

  test('says what is safe and the exact command that continues', async () => {
    const args = ['send', "it's.iso", '--new', '--expires', '7d'];
    const { err } = await interrupt({}, { args });
    expect(err()).toContain('sluice: Interrupted. 1.70 GB of 3.00 GB are safe on the server until ');
    expect(err()).toMatch(/\n {2}To go on: sluice send 'it'\\''s.iso' --expires 7d\n$/);
  });

  test('names a server that came from the environment, and npx where it was used', async () => {
    const { err } = await interrupt(
      { isServerFromEnvironment: true, server: 'https://x.example' },
      { args: ['send', 'a'], env: { npm_lifecycle_event: 'npx' } },
    );
    expect(err()).toMatch(/To go on: npx sluice send a --server https:\/\/x.example\n$/);
  });

  test('standard input cannot go on, and what is there can be removed', async () => {
    const { err } = await interrupt({}, { args: ['send', '-'] }, ['-']);
    expect(err()).toContain('Standard input cannot be read again.');
    expect(err()).toContain('sluice cancel AAAA');
  });

  test('before there was a link nothing is safe', async () => {
    const run = start();
    await run.begun;
    run.transfer.fail(new SluiceError('interrupted'));
    expect(await run.exitCode).toBe(130);
    expect(run.err()).toContain('Interrupted. Nothing was sent.');
  });

  test('with --json as the last line', async () => {
    const { jsonLines } = await interrupt({ json: true }, { args: ['send', 'a', '--json'] });
    expect(jsonLines().at(-1)).toMatchObject({
      type: 'error',
      code: 'interrupted',
      hint: 'To go on: sluice send a --json',
      exitCode: 130,
    });
  });
});

test('what was left out is named as receivers would see it; what failed makes the exit code 1', async () => {
  const { transfer, begun, err, exitCode } = start({}, {}, ['src/cli/']);
  const [, options] = (await begun) as [unknown, { onSkipped(skipped: object): void }];
  options.onSkipped({ location: resolve('src/cli/x/link'), reason: 'symlink', code: null });
  options.onSkipped({ location: resolve('src/cli/secret'), reason: 'unreadable', code: 'EACCES' });
  transfer.end(SUMMARY);
  expect(await exitCode).toBe(1);
  expect(err()).toContain('  cli/x/link: skipped: It is a symbolic link.\n');
  expect(err()).toContain('  cli/secret: skipped: It cannot be read (EACCES).\n');
  // A link is left out by rule; only the other one is a failure.
  expect(err()).toContain('1 in all.');
});

test('an error of the client is told with its exit code', async () => {
  const { transfer, begun, err, exitCode } = start();
  await begun;
  transfer.fail(new SluiceError('unreachable', 'Connection refused at 127.0.0.1:7420.'));
  expect(await exitCode).toBe(6);
  expect(err()).toContain('[unreachable]');
});

test('without a terminal a state that lasts is a plain line', async () => {
  const { transfer, begun, err, exitCode } = start();
  await begun;
  transfer.emit(LINK_EVENT);
  transfer.end(SUMMARY);
  await exitCode;
  expect(err()).not.toContain('\x1b');
});
