import { PassThrough, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { loadDigester } from '../../../src/node/blake3.ts';
import type { SinkFile } from '../../../src/node/sink-file.ts';
import { StreamSink } from '../../../src/node/stream-sink.ts';
import type { FileStatus, ManifestEntry, SluiceError } from '../../../src/protocol/index.ts';

const digester = await loadDigester();
const entry = (file: number, type: ManifestEntry['type'] = 'file'): ManifestEntry => ({
  file,
  path: [`f${file}`],
  type,
  sizeBytes: null,
  mtime: null,
  mode: null,
  replaces: null,
});
const pattern = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 251);
const end = (content: Uint8Array, status: FileStatus = 'ok') => ({
  blake3: digester.digest(content),
  sizeBytes: content.length,
  status,
});
const settled = (start: (done: (error: SluiceError | null) => void) => void) =>
  new Promise<SluiceError | null>((resolve) => start(resolve));
function sinkTo(output: Writable): { sink: StreamSink; files: SinkFile[] } {
  const files: SinkFile[] = [];
  const sink = new StreamSink({ output, digester, onFile: (file) => files.push(file) });
  sink.addEntries([entry(1)]);
  return { sink, files };
}

describe('a stream that takes a transfer', () => {
  it('gets data, holes and the end in order', async () => {
    const output = new PassThrough({ highWaterMark: 10_000_000 });
    const { sink, files } = sinkTo(output);
    const content = new Uint8Array(700_000);
    content.set(pattern(1000), 0);
    content.set(pattern(1000, 2), 699_000);
    const errors = await Promise.all([
      settled((done) => sink.write(1, 0, content.subarray(0, 1000), done)),
      settled((done) => sink.hole(1, 1000, 698_000, done)).then(async (error) => {
        return error ?? (await settled((done) => sink.write(1, 699_000, content.subarray(699_000), done)));
      }),
    ]);
    errors.push(await settled((done) => sink.endFile(1, end(content), done)));
    expect(errors).toEqual([null, null, null]);
    expect(await sink.finish()).toEqual({ files: 1, sizeBytes: 700_000 });
    expect(new Uint8Array(output.read())).toEqual(content);
    expect(files).toMatchObject([{ status: 'ok', error: null }]);
  });

  it('takes content only as fast as it passes on', async () => {
    const release: (() => void)[] = [];
    const { sink } = sinkTo(new Writable({ write: (_chunk, _encoding, done) => void release.push(done) }));
    const done: number[] = [];
    for (const i of [0, 1, 2]) sink.write(1, i * 10, pattern(10), () => done.push(i));
    await new Promise(setImmediate);
    expect(done).toEqual([]);
    for (const expected of [[0], [0, 1], [0, 1, 2]]) {
      release.shift()?.();
      await new Promise(setImmediate);
      expect(done).toEqual(expected);
    }
  });

  it('whose reader has gone is a broken pipe', async () => {
    const output = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('gone'), { code: 'EPIPE' })),
    });
    const { sink } = sinkTo(output);
    expect(await settled((done) => sink.write(1, 0, pattern(10), done))).toMatchObject({
      code: 'brokenPipe',
    });
    expect(await settled((done) => sink.write(1, 10, pattern(10), done))).toMatchObject({
      code: 'brokenPipe',
    });
  });

  it('cannot take back what it was given', async () => {
    const { sink } = sinkTo(new PassThrough());
    expect(() => sink.rewindTo({ index: 0, chain: new Uint8Array(32) })).not.toThrow();
    await settled((done) => sink.write(1, 0, pattern(10), done));
    expect(() => sink.rewindTo({ index: 0, chain: new Uint8Array(32) })).toThrow(
      expect.objectContaining({ code: 'integrity' }),
    );
    expect(await settled((done) => sink.write(1, 5, pattern(10), done))).toMatchObject({ code: 'integrity' });
  });

  it('is told when the content was not right', async () => {
    const wrong = sinkTo(new PassThrough());
    await settled((done) => wrong.sink.write(1, 0, pattern(10), done));
    expect(await settled((done) => wrong.sink.endFile(1, end(pattern(10, 2)), done))).toMatchObject({
      code: 'integrity',
    });
    const changed = sinkTo(new PassThrough());
    const packed = { content: pattern(10), blake3: digester.digest(pattern(10)), status: 'changed' as const };
    expect(await settled((done) => changed.sink.writePacked(1, [packed], done))).toBeNull();
    expect(changed.files).toMatchObject([{ status: 'changed', error: { code: 'sourceChanged' } }]);
  });

  it('takes one file only', () => {
    const { sink } = sinkTo(new PassThrough());
    sink.addEntries([entry(2, 'dir')]);
    expect(() => sink.addEntries([entry(3)])).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});
