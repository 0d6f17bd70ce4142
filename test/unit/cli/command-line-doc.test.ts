// docs/guides/command-line.md names every field of every JSON event and every exit code.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { EXIT_CODES } from '../../../src/cli/exit.ts';
import { JsonEvents } from '../../../src/cli/json-events.ts';
import { SluiceError } from '../../../src/protocol/index.ts';

const GUIDE = readFileSync(resolve(import.meta.dirname, '../../../docs/guides/command-line.md'), 'utf8');

/** The cells of a table row by its first cell. */
function rowOf(first: string): string {
  const row = GUIDE.split('\n').find((line) => line.startsWith(`| ${first} |`));
  if (row === undefined) throw new Error(`no row ${first}`);
  return row;
}

/** Every kind of event, written by the code. */
function events(): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  const write = (tell: (json: JsonEvents) => void): void => {
    const output = new PassThrough();
    tell(new JsonEvents(output, () => 0));
    lines.push(JSON.parse(String(output.read())));
  };
  const summary = { id: '', link: '', files: 1, sizeBytes: 1, seconds: 1, problems: 0 };
  const error = new SluiceError('internal');
  write((json) => json.ready({ url: '', pid: 1, dataDir: '', durability: '' }));
  write((json) => json.link('', ''));
  write((json) =>
    json.offer({
      id: '',
      name: null,
      message: null,
      totalFiles: 1,
      totalBytes: 1,
      files: [],
      state: 'live',
      isEncrypted: false,
      expiresAtMs: 0,
    }),
  );
  write((json) => json.state({ type: 'state', state: 'sending', attempt: 0 }));
  const progress = { durableBytes: 0, totalBytes: null, bytesPerSecond: 0, etaSeconds: null };
  write((json) => json.progress({ sentBytes: 0, ...progress }));
  write((json) => json.progress({ receivedBytes: 0, ...progress }));
  write((json) => json.receiver('', 'joined', 0));
  write((json) =>
    json.file({ type: 'file', path: [], savedAs: [], sizeBytes: 0, blake3: null, status: 'ok', error }),
  );
  write((json) => json.warning(error));
  write((json) =>
    json.transfer({
      id: '',
      link: null,
      name: null,
      state: '',
      sizeBytes: null,
      durableBytes: null,
      createdAtMs: 0,
      expiresAtMs: null,
    }),
  );
  write((json) => json.sent(summary));
  write((json) => json.received(summary, null));
  write((json) => json.error(error));
  return lines;
}

test('every field of every event is named', () => {
  for (const { v, type, ...fields } of events()) {
    expect(v).toBe(1);
    const row = rowOf(`\`${type}\``);
    for (const field of Object.keys(fields)) expect(row, `${type}`).toContain(`\`${field}\``);
  }
});

test('every exit code is named with its meaning', () => {
  for (const [code, meaning] of EXIT_CODES) expect(rowOf(String(code))).toContain(meaning);
});
