// Reading whole small files, and live streams without losing what is on its way.
import { describe, expect, test } from 'vitest';
import {
  goneError,
  isReadFailure,
  readError,
  readInput,
  readWhole,
  StreamReader,
  statusError,
} from '../../../src/client/source-reading.ts';
import { SluiceError } from '../../../src/protocol/index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeFile, FakeStream } from '../../support/fake-sources.ts';
import { contentOf } from '../../support/log-fixtures.ts';

describe('readWhole', () => {
  test.each([0, 1, 1_000])('gives %d bytes, however many reads it takes', async (length) => {
    const file = new FakeFile('a', contentOf(length), { maxReadBytes: 7 });
    expect(await readWhole(file)).toEqual({ content: contentOf(length), status: 'ok' });
    expect([file.opened, file.closed]).toEqual([1, 1]);
  });

  test('a file that became shorter has changed', async () => {
    const file = new FakeFile('a', contentOf(50), { sizeBytes: 80 });
    expect(await readWhole(file)).toEqual({ content: contentOf(50), status: 'changed' });
  });

  test('a file that became longer is cut where the walk saw its end; the check says what became of it', async () => {
    const file = new FakeFile('a', contentOf(80), { sizeBytes: 50, status: 'changed' });
    expect(await readWhole(file)).toEqual({ content: contentOf(80).subarray(0, 50), status: 'changed' });
  });

  test.each([{ failAt: 10 }, { failCheck: true }])('closes what it cannot read: %o', async (options) => {
    const file = new FakeFile('a', contentOf(50), options);
    await expect(readWhole(file)).rejects.toThrow('EIO');
    expect(file.closed).toBe(1);
  });

  test('asks the source for all at once where it can', async () => {
    const file = new FakeFile('a', contentOf(5));
    const whole = { content: contentOf(9), status: 'ok' as const };
    expect(await readWhole(Object.assign(file, { readWhole: async () => whole }))).toBe(whole);
    expect(file.opened).toBe(0);
  });
});

describe('StreamReader', () => {
  const into = new Uint8Array(100);
  const taken = (length: number, at = 0): Uint8Array => into.slice(at, at + length);

  test('waits for bytes, and says 0 at the end', async () => {
    const stream = new FakeStream();
    const reader = new StreamReader(stream);
    const filling = reader.fill(into, 0);
    stream.push(contentOf(5));
    expect(await filling).toBe(5);
    expect(taken(5)).toEqual(contentOf(5));
    stream.end();
    expect(await reader.fill(into, 0)).toBe(0);
  });

  test('gives a long piece in parts', async () => {
    const stream = new FakeStream();
    stream.push(contentOf(150));
    const reader = new StreamReader(stream);
    expect(await reader.fill(into, 40)).toBe(60);
    expect(taken(60, 40)).toEqual(contentOf(150).subarray(0, 60));
    expect(await reader.fillWithin(into, 0, 5, new FakeClock())).toBe(90);
    expect(taken(90)).toEqual(contentOf(150).subarray(60));
  });

  test('stops waiting in time and loses nothing', async () => {
    const stream = new FakeStream();
    const clock = new FakeClock();
    const reader = new StreamReader(stream);
    const early = reader.fillWithin(into, 0, 5, clock);
    await clock.advance(5);
    expect(await early).toBe(0);
    stream.push(contentOf(3));
    expect(await reader.fillWithin(into, 0, 5, clock)).toBe(3);
    expect(taken(3)).toEqual(contentOf(3));
    expect(clock.nextTimerAt).toBeNull();
  });

  test('passes on a failure, as one of the source', async () => {
    const stream = new FakeStream();
    const clock = new FakeClock();
    const reader = new StreamReader(stream);
    stream.end(new Error('EPIPE'));
    const failure = await reader.fillWithin(into, 0, 5, clock).catch((error: unknown) => error);
    expect(isReadFailure(failure)).toBe(true);
    expect(readError(failure)).toMatchObject({ code: 'localDisk', detail: 'EPIPE' });
    expect(clock.nextTimerAt).toBeNull();
  });
});

test('a failure of the source is told apart from all others', async () => {
  const broken = { ...new FakeStream(), read: () => Promise.reject(new SluiceError('integrity')) };
  const failure = await readInput(broken as unknown as FakeStream, [], 0).catch((error: unknown) => error);
  expect(isReadFailure(failure)).toBe(true);
  expect(readError(failure).code).toBe('integrity');
  expect(isReadFailure(new Error('other'))).toBe(false);
  expect(readError('text')).toMatchObject({ code: 'localDisk', detail: 'text' });
});

test('each status but ok has its error', () => {
  expect(statusError('ok')).toBeNull();
  expect(statusError('changed')?.code).toBe('sourceChanged');
  expect(statusError('removed')?.message).toBe(goneError().message);
  expect(statusError('failed')?.code).toBe('localDisk');
});
