// What the program says to wrong words. Real use of the right ones is in test/e2e.
import { describe, expect, test } from 'vitest';
import { runCommandLine } from '../../../src/cli/program.ts';
import { fakeSurroundings } from '../../support/cli-fakes.ts';

async function run(args: string[], env: Record<string, string> = {}) {
  const surroundings = fakeSurroundings({ args, env });
  const exitCode = await runCommandLine(surroundings);
  return { exitCode, out: surroundings.out(), err: surroundings.err() };
}

describe('wrong usage exits with 2 and says what to write', () => {
  test.each([
    [[], 'Which command: serve, send, receive, ls or cancel?', 'sluice --help'],
    [['snd'], "Unknown command 'snd'.", 'Did you mean send?'],
    [['send'], 'Nothing to send', 'sluice send --help'],
    [['send', '--nme', 'x', 'y'], "Unknown option '--nme'.", 'Did you mean --name?'],
    [['send', 'x', '--expires', '10'], '--expires: "10" is not a duration.', 'sluice send --help'],
    [['send', 'x', '--server', 'localhost'], '--server: An address starts with http://', ''],
    [['send', '-', 'x'], 'Standard input (-) cannot be sent together with files.', 'sluice send -'],
    [['receive'], 'The link is missing.', 'sluice receive --help'],
    [['receive', 'x', '--on-conflict', 'rename'], '--on-conflict: Allowed choices are keep-both', ''],
    [['receive', 'x', '--timeout', 'soon'], '--timeout: "soon" is not a duration.', ''],
    [['receive', 'x', '-o'], "'-o, --output <where>' argument missing", ''],
    [['receive', 'x'], 'There is no terminal to ask', '--yes'],
    [['serve', '--port', '70000'], '--port: A port is a whole number from 0 to 65535.', ''],
    [['serve', '--port', '-1'], '--port', ''],
    [['serve', '--durability', 'ram'], '--durability: Allowed choices are disk, os.', ''],
    [['serve', 'x'], "Too many arguments for 'serve'.", ''],
    [['cancel'], 'The ID of the transfer is missing.', 'sluice cancel --help'],
  ])('sluice %j', async (args, message, hint) => {
    const { exitCode, out, err } = await run(args);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^sluice: [^\n]+\n {2}[^\n]+ \[usage\]\n$/);
    expect(err.split('\n')[0]).toContain(message);
    expect(err.split('\n')[1]).toContain(hint);
  });

  test('names the variable when that was wrong', async () => {
    const { exitCode, err } = await run(['send', 'x'], { SLUICE_SERVER: 'nonsense' });
    expect(exitCode).toBe(2);
    expect(err).toContain('SLUICE_SERVER: An address starts with http://');
  });

  test('with --json as a line of JSON', async () => {
    const { exitCode, out, err } = await run(['receive', 'x', '--json', '--bogus']);
    expect(exitCode).toBe(2);
    expect(err).toBe('');
    expect(JSON.parse(out)).toMatchObject({ v: 1, type: 'error', code: 'usage', exitCode: 2 });
  });

  test('with --json and -o - on standard error', async () => {
    const { out, err } = await run(['receive', 'x', '-o', '-', '--json', '--bogus']);
    expect(out).toBe('');
    expect(JSON.parse(err)).toMatchObject({ type: 'error', code: 'usage' });
  });
});

describe('help', () => {
  test('of the program lists commands and exit codes', async () => {
    const { exitCode, out, err } = await run(['--help']);
    expect(exitCode).toBe(0);
    expect(err).toBe('');
    for (const name of ['serve', 'send', 'receive', 'ls', 'cancel', '130  interrupted']) {
      expect(out).toContain(name);
    }
  });

  test.each(['serve', 'send', 'receive'])('of %s has examples', async (name) => {
    const { exitCode, out } = await run([name, '--help']);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/Usage: sluice \w+ /);
    expect(out).toContain('Examples:');
  });

  test.each(['ls', 'cancel'])('of %s', async (name) => {
    expect(await run([name, '--help'])).toMatchObject({ exitCode: 0, err: '' });
  });

  test('fits 80 columns', async () => {
    for (const args of [['--help'], ['serve', '--help'], ['send', '--help'], ['receive', '--help']]) {
      for (const line of (await run(args)).out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    }
  });
});

test('--version prints the version alone', async () => {
  expect((await run(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
});
