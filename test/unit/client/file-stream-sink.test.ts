// Files as web streams: one after another, no faster than they are read, and never a wrong byte without an error.
import { describe, expect, test } from 'vitest';
import type { FileEvent } from '../../../src/client/events.ts';
import { FileStreamSink, type ReceivedFile } from '../../../src/client/file-stream-sink.ts';
import { type ManifestEntry, SluiceError } from '../../../src/protocol/index.ts';
import { blake3, digester } from '../../support/digester.ts';
import { codeWhen } from '../../support/errors.ts';
import { settle } from '../../support/fake-clock.ts';
import { contentOf, endOf, joined, packed, startOfLog } from '../../support/log-fixtures.ts';

class SinkRig {
  readonly events: FileEvent[] = [];
  readonly sink = new FileStreamSink(digester, (event) => this.events.push(event));
  readonly files = this.sink.files();
  /** Names of the writes that were finished, in order. */
  readonly finished: string[] = [];

  announce(...names: string[]): void {
    this.sink.addEntries(names.map((name, i) => entry(i + 1, name)));
  }

  write(file: number, offset: number, content: Uint8Array): void {
    this.sink.write(file, offset, content, (error) => {
      expect(error).toBeNull();
      this.finished.push(`write ${file}@${offset}`);
    });
  }

  end(file: number, content: Uint8Array, status: 'ok' | 'changed' = 'ok'): void {
    this.sink.endFile(file, endOf(content, status), () => this.finished.push(`end ${file}`));
  }

  async next(): Promise<ReceivedFile> {
    const { value, done } = await this.files.next();
    if (done) throw new Error('there is no further file');
    return value;
  }
}

function entry(file: number, name: string): ManifestEntry {
  return {
    file,
    path: [name],
    type: 'file',
    sizeBytes: 10,
    mtime: { seconds: 5, nanoseconds: 6 },
    mode: 0o644,
    replaces: null,
  };
}

const hexOf = (content: Uint8Array): string => Buffer.from(blake3(content)).toString('hex');

test('a file comes with its name, then its content, then its hash', async () => {
  const rig = new SinkRig();
  rig.announce('a');
  const content = contentOf(10);
  rig.write(1, 0, content.subarray(0, 4));
  const file = await rig.next();
  expect(file).toMatchObject({
    path: ['a'],
    sizeBytes: 10,
    mtime: { seconds: 5, nanoseconds: 6 },
    mode: 0o644,
  });
  const reading = file.bytes();
  rig.write(1, 4, content.subarray(4));
  rig.end(1, content);
  expect(await reading).toEqual(content);
  expect(await file.blake3).toBe(hexOf(content));
  expect(rig.finished).toEqual(['write 1@0', 'write 1@4', 'end 1']);
  expect(rig.events).toEqual([
    {
      type: 'file',
      path: ['a'],
      savedAs: null,
      sizeBytes: 10,
      blake3: hexOf(content),
      status: 'ok',
      error: null,
    },
  ]);
  expect(await rig.sink.finish()).toEqual({ files: 1, sizeBytes: 10 });
  expect((await rig.files.next()).done).toBe(true);
});

test('a write is finished only when its content was read', async () => {
  const rig = new SinkRig();
  rig.announce('a');
  for (let i = 0; i < 5; i++) rig.write(1, i * 10, contentOf(10, i));
  rig.end(1, joined([0, 1, 2, 3, 4].map((i) => contentOf(10, i))));
  const reader = (await rig.next()).stream().getReader();
  await settle();
  expect(rig.finished).toEqual([]);
  for (let i = 0; i < 5; i++) {
    expect((await reader.read()).value).toEqual(contentOf(10, i));
    await settle();
    expect(rig.finished).toEqual([0, 1, 2, 3, 4].slice(0, i + 1).map((at) => `write 1@${at * 10}`));
  }
  expect((await reader.read()).done).toBe(true);
  expect(rig.finished.at(-1)).toBe('end 1');
});

test('small files come one by one, and their pack is finished after the last', async () => {
  const rig = new SinkRig();
  rig.announce('a', 'b', 'c');
  let isFinished = false;
  const contents = [contentOf(3, 1), new Uint8Array(0), contentOf(5, 2)];
  rig.sink.writePacked(
    1,
    contents.map((content) => packed(content)),
    () => {
      isFinished = true;
    },
  );
  for (const [i, content] of contents.entries()) {
    expect(isFinished).toBe(false);
    const file = await rig.next();
    expect(file.path).toEqual([['a', 'b', 'c'][i]]);
    expect(await file.bytes()).toEqual(content);
  }
  expect(isFinished).toBe(true);
  expect(await rig.sink.finish()).toEqual({ files: 3, sizeBytes: 8 });
});

test('text is decoded, folders are no files, an empty file is one', async () => {
  const rig = new SinkRig();
  rig.sink.addEntries([{ ...entry(1, 'folder'), type: 'dir' }, entry(2, 'text')]);
  const content = Buffer.from('Grüße 世界');
  rig.write(2, 0, content.subarray(0, 5));
  rig.write(2, 5, content.subarray(5));
  rig.end(2, content);
  expect(await (await rig.next()).text()).toBe('Grüße 世界');
});

test('a hole is read as zeros, and finished when the last of them was read', async () => {
  const rig = new SinkRig();
  rig.announce('a');
  let isFinished = false;
  const zeros = new Uint8Array(600_000);
  rig.sink.hole(1, 0, zeros.length, () => {
    isFinished = true;
  });
  rig.end(1, zeros);
  const file = await rig.next();
  const reader = file.stream().getReader();
  await reader.read();
  await reader.read();
  expect(isFinished).toBe(false);
  await reader.read();
  expect(isFinished).toBe(true);
  expect((await reader.read()).done).toBe(true);
  expect(await file.blake3).toBe(hexOf(zeros));
});

test('a record without content is finished at once, and is no piece of the stream', async () => {
  const rig = new SinkRig();
  rig.announce('a');
  rig.write(1, 0, contentOf(3));
  rig.write(1, 3, new Uint8Array(0));
  rig.end(1, contentOf(3));
  expect(rig.finished).toEqual(['write 1@3']);
  const reader = (await rig.next()).stream().getReader();
  expect((await reader.read()).value).toEqual(contentOf(3));
  expect((await reader.read()).done).toBe(true);
});

test('an empty hole is finished at once', () => {
  const rig = new SinkRig();
  rig.announce('a');
  let isFinished = false;
  rig.sink.hole(1, 0, 0, () => {
    isFinished = true;
  });
  expect(isFinished).toBe(true);
});

describe('skipping', () => {
  test('lets everything of the file go, before and after', async () => {
    const rig = new SinkRig();
    rig.announce('a');
    rig.write(1, 0, contentOf(5));
    const file = await rig.next();
    file.skip();
    expect(rig.finished).toEqual(['write 1@0']);
    rig.write(1, 5, contentOf(5));
    rig.end(1, contentOf(10));
    expect(rig.finished).toEqual(['write 1@0', 'write 1@5', 'end 1']);
    expect(await codeWhen(file.blake3)).toBe('interrupted');
    expect(await rig.sink.finish()).toEqual({ files: 0, sizeBytes: 0 });
  });

  test('ends a read that waits', async () => {
    const rig = new SinkRig();
    rig.announce('a');
    rig.write(1, 0, contentOf(5));
    const file = await rig.next();
    const reader = file.stream().getReader();
    await reader.read();
    const reading = codeWhen(reader.read());
    await settle();
    file.skip();
    expect(await reading).toBe('interrupted');
  });

  test('cancelling its stream is skipping it', async () => {
    const rig = new SinkRig();
    rig.announce('a', 'b');
    rig.write(1, 0, contentOf(5));
    const stream = (await rig.next()).stream();
    await stream.cancel();
    rig.write(1, 5, contentOf(5));
    rig.end(1, contentOf(10));
    expect(rig.finished).toEqual(['write 1@0', 'write 1@5', 'end 1']);
    rig.sink.writePacked(2, [packed(contentOf(3))], () => {});
    expect(await (await rig.next()).bytes()).toEqual(contentOf(3));
  });
});

describe('never without an error:', () => {
  test('content that does not match its hash', async () => {
    const rig = new SinkRig();
    rig.announce('a');
    rig.write(1, 0, contentOf(10, 2));
    rig.end(1, contentOf(10, 1));
    const file = await rig.next();
    expect(await codeWhen(file.bytes())).toBe('integrity');
    expect(await codeWhen(file.blake3)).toBe('integrity');
    expect(rig.events).toMatchObject([{ blake3: null, error: { code: 'integrity' } }]);
  });

  test('a file that changed at its sender', async () => {
    const rig = new SinkRig();
    rig.announce('a');
    rig.write(1, 0, contentOf(10));
    rig.end(1, contentOf(10), 'changed');
    const file = await rig.next();
    expect(await codeWhen(file.text())).toBe('sourceChanged');
    expect(await codeWhen(file.blake3)).toBe('sourceChanged');
    expect(await rig.sink.finish()).toEqual({ files: 0, sizeBytes: 0 });
  });

  test('a transfer that stops, with the reason', async () => {
    const rig = new SinkRig();
    rig.announce('a');
    rig.write(1, 0, contentOf(10));
    const reader = (await rig.next()).stream().getReader();
    await reader.read();
    const reading = codeWhen(reader.read());
    await rig.sink.keep(new SluiceError('cancelled'));
    expect(await reading).toBe('cancelled');
    expect((await rig.files.next()).done).toBe(true);
  });

  test('a log that goes back behind what was delivered', async () => {
    const rig = new SinkRig();
    rig.announce('a');
    rig.write(1, 0, contentOf(10));
    const file = await rig.next();
    expect(() => rig.sink.rewindTo({ index: 0, chain: startOfLog().chain })).toThrow(SluiceError);
    expect(await codeWhen(file.bytes())).toBe('integrity');
  });

  test('content of a file without a name', () => {
    const rig = new SinkRig();
    expect(() => rig.write(1, 0, contentOf(1))).toThrow('A file has content and no name.');
  });
});
