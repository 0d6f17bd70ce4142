import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type ReceiveCommandOptions, receiveCommand } from '../../../src/cli/receive-command.ts';
import type { Offer, ReceiveSummary } from '../../../src/client/events.ts';
import { SluiceError } from '../../../src/protocol/index.ts';
import {
  type FakeReceive,
  FakeTransfer,
  fakeSurroundings,
  SAMPLE_LINK,
  SAMPLE_OFFER,
} from '../../support/cli-fakes.ts';

const OPTIONS: ReceiveCommandOptions = {
  output: '.',
  yes: false,
  onConflict: 'keep-both',
  timeoutMs: undefined,
  json: false,
  quiet: false,
  verbose: false,
};
const SUMMARY: ReceiveSummary = { id: 'AAAA', files: 2, sizeBytes: 3000, seconds: 0.5, problems: 0 };

interface ReceiveArguments {
  readonly directory?: string;
  readonly output?: unknown;
  accept(offer: Offer): Promise<boolean>;
}

function start(
  options: Partial<ReceiveCommandOptions> = {},
  surroundings: Parameters<typeof fakeSurroundings>[0] = {},
) {
  const fake = fakeSurroundings({ args: ['receive', SAMPLE_LINK], ...surroundings });
  const transfer: FakeReceive = new FakeTransfer();
  const begun = Promise.withResolvers<ReceiveArguments>();
  let isBegun = false;
  const receive = (_link: string, args: object) => {
    isBegun = true;
    begun.resolve(args as ReceiveArguments);
    return transfer;
  };
  const exitCode = receiveCommand(SAMPLE_LINK, { ...OPTIONS, ...options }, fake, () =>
    Promise.resolve({ receive }),
  );
  /** What the client does with an offer. */
  const offer = async (offered: Offer = SAMPLE_OFFER) => {
    const { accept } = await begun.promise;
    transfer.emit({ type: 'offer', offer: offered });
    try {
      const isAccepted = await accept(offered);
      if (!isAccepted) transfer.fail(new SluiceError('refused'));
      return isAccepted;
    } catch (error) {
      transfer.fail(error as Error);
      return error;
    }
  };
  return { ...fake, transfer, exitCode, begun: begun.promise, offer, isBegun: () => isBegun };
}

describe('asking', () => {
  test('without a terminal it needs --yes, and nothing is asked of the server', async () => {
    const { exitCode, err, isBegun } = start();
    expect(await exitCode).toBe(2);
    expect(err()).toContain('--yes');
    expect(isBegun()).toBe(false);
  });

  test('names, sizes and free space come before the question; Enter accepts', async () => {
    const { offer, err, out, transfer, exitCode } = start({}, { isTTY: true, input: '\n' });
    expect(await offer()).toBe(true);
    expect(err()).toMatch(/holiday: 2 files, 3\.00 kB.*a\.jpg.*Save to this folder \(.* free\)\? \[Y\/n\] /s);
    transfer.end(SUMMARY);
    expect(await exitCode).toBe(0);
    expect(err()).toContain('. Checksums verified.\nSaved to this folder\n');
    expect(out()).toBe('');
  });

  test('no is exit code 3', async () => {
    const { offer, exitCode } = start({}, { isTTY: true, input: 'n\n' });
    expect(await offer()).toBe(false);
    expect(await exitCode).toBe(3);
  });

  test('with --json on a terminal the question is on standard error, whole', async () => {
    const { offer, err, jsonLines, transfer, exitCode } = start(
      { json: true },
      { isTTY: true, input: 'y\n' },
    );
    expect(await offer()).toBe(true);
    transfer.end(SUMMARY);
    expect(await exitCode).toBe(0);
    expect(err()).toContain('a.jpg');
    expect(jsonLines().map(({ type }) => type)).toEqual(['offer', 'done']);
    expect(jsonLines()[1]).toMatchObject({ directory: '.', files: 2 });
  });

  test('--yes does not ask', async () => {
    const { offer, err, transfer, exitCode } = start({ yes: true });
    expect(await offer()).toBe(true);
    expect(err()).toContain('holiday/a.jpg');
    expect(err()).not.toContain('[Y/n]');
    transfer.end(SUMMARY);
    await exitCode;
  });
});

describe('-o -', () => {
  test('asks nothing and hands over standard output', async () => {
    const { offer, begun, stdout, out, transfer, exitCode } = start({ output: '-' });
    expect((await begun).output).toBe(stdout);
    expect((await begun).directory).toBeUndefined();
    const one = { ...SAMPLE_OFFER, totalFiles: 1, files: SAMPLE_OFFER.files.slice(0, 1) };
    expect(await offer(one)).toBe(true);
    transfer.end(SUMMARY);
    expect(await exitCode).toBe(0);
    expect(out()).toBe('');
  });

  test('refuses more than one file before anything is written', async () => {
    const { offer, exitCode, err } = start({ output: '-' });
    expect(await offer()).toBeInstanceOf(SluiceError);
    expect(await exitCode).toBe(2);
    expect(err()).toContain('Standard output takes one file; this transfer holds 2.');
  });

  test('keeps JSON off the data', async () => {
    const { begun, transfer, exitCode, err, out } = start({ output: '-', json: true });
    await begun;
    transfer.end(SUMMARY);
    expect(await exitCode).toBe(0);
    expect(out()).toBe('');
    expect(JSON.parse(err())).toMatchObject({ type: 'done', directory: null });
  });

  test('says nothing when its reader has gone', async () => {
    const { begun, transfer, exitCode, err } = start({ output: '-' });
    await begun;
    transfer.fail(new SluiceError('brokenPipe'));
    expect(await exitCode).toBe(1);
    expect(err()).toBe('');
  });
});

describe('free space', () => {
  test('too little is said before asking', async () => {
    const { offer, err, exitCode } = start({}, { isTTY: true, input: 'n\n' });
    await offer({ ...SAMPLE_OFFER, totalBytes: Number.MAX_SAFE_INTEGER });
    expect(err()).toMatch(/Warning: it needs .* are free\.\nSave to/);
    await exitCode;
  });

  test('a folder that is not there yet counts as its parent', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const { offer, err, exitCode } = start({ output: join(folder, 'a/b') }, { isTTY: true, input: 'n\n' });
    await offer();
    expect(err()).toMatch(/Save to .*\/a\/b\/ \(\d.* free\)\?/);
    await exitCode;
  });
});

describe('interrupted', () => {
  test('says what is kept and the exact command that continues', async () => {
    const { offer, transfer, exitCode, err } = start({ yes: true, output: 'x' });
    await offer();
    const counts = { receivedBytes: 1000, durableBytes: 3000, totalBytes: 3000, totalFiles: 2 };
    transfer.emit({ type: 'progress', ...counts, currentFile: null });
    transfer.fail(new SluiceError('interrupted'));
    expect(await exitCode).toBe(130);
    expect(err()).toContain(
      `sluice: Interrupted. 1.00 kB of 3.00 kB are kept in x/.\n  To go on: sluice receive '${SAMPLE_LINK}'\n`,
    );
  });
});

test('files that could not be written are named; exit code 1', async () => {
  const { offer, transfer, exitCode, err } = start({ yes: true });
  await offer();
  const error = new SluiceError('unsafeName', 'CON is a device name.');
  transfer.emit({
    type: 'file',
    path: ['CON'],
    savedAs: null,
    sizeBytes: 0,
    blake3: null,
    status: 'skipped',
    error,
  });
  transfer.end({ ...SUMMARY, problems: 1 });
  expect(await exitCode).toBe(1);
  expect(err()).toContain('  CON: skipped: CON is a device name.\n');
  expect(err()).toContain('[incomplete]');
});

test('a file saved under another name is told of, and is no problem', async () => {
  const { offer, transfer, exitCode, err } = start({ yes: true });
  await offer();
  const file = { type: 'file', sizeBytes: 1, blake3: null, status: 'ok', error: null } as const;
  transfer.emit({ ...file, path: ['a.txt'], savedAs: ['a (2).txt'] });
  transfer.emit({ ...file, path: ['b.txt'], savedAs: ['b.txt'] });
  transfer.end(SUMMARY);
  expect(await exitCode).toBe(0);
  expect(err()).toContain('  a.txt: saved as a (2).txt, because that name was taken\n');
  expect(err()).not.toContain('b.txt: ');
});

test.each([
  ['notFound', 5],
  ['expired', 5],
  ['unreachable', 6],
  ['waitTimeout', 6],
  ['integrity', 7],
  ['localDisk', 8],
  ['notAllowed', 4],
] as const)('%s is exit code %i', async (code, expected) => {
  const { begun, transfer, exitCode } = start({ yes: true });
  await begun;
  transfer.fail(new SluiceError(code));
  expect(await exitCode).toBe(expected);
});

test('a link that is none is told as an error of the command', async () => {
  const fake = fakeSurroundings();
  const receive = (): never => {
    throw new SluiceError('badLink', 'It is not an http(s) address.');
  };
  expect(await receiveCommand('x', { ...OPTIONS, yes: true }, fake, () => Promise.resolve({ receive }))).toBe(
    2,
  );
  expect(fake.err()).toContain('[badLink]');
});
