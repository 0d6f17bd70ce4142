import { describe, expect, test } from 'vitest';
import { TransferStatus } from '../../../src/cli/transfer-status.ts';

function sent(sentBytes: number, totalBytes: number | null = 1000) {
  return {
    type: 'progress',
    sentBytes,
    durableBytes: sentBytes / 2,
    totalBytes,
    totalFiles: 2,
    currentFile: ['a', 'b'],
  } as const;
}

describe('TransferStatus', () => {
  test('is connecting until something else is known', () => {
    const status = new TransferStatus('send', 'x');
    expect(status.snapshot(0)).toMatchObject({ state: 'connecting', name: 'x', bytesPerSecond: 0 });
    expect(status.jsonProgress()).toBeNull();
  });

  test('shows sent and safe apart', () => {
    const status = new TransferStatus('send', 'x');
    status.handle({ type: 'state', state: 'sending', attempt: 0 }, 0);
    status.handle(sent(400), 0);
    expect(status.snapshot(0)).toMatchObject({
      state: 'sending',
      sentBytes: 400,
      safeBytes: 200,
      totalBytes: 1000,
      currentFile: 'a/b',
      filesTotal: 2,
    });
  });

  test('a resumed transfer does not begin with a burst', () => {
    const status = new TransferStatus('send', 'x');
    status.handle(sent(1e9, 2e9), 0);
    for (let nowMs = 250; nowMs <= 5000; nowMs += 250) {
      status.handle(sent(1e9 + nowMs, 2e9), nowMs);
      status.tick(nowMs);
    }
    expect(status.jsonProgress()?.bytesPerSecond).toBeCloseTo(1000, 0);
  });

  test('counts receivers once each, and one that is done stays done when it leaves', () => {
    const status = new TransferStatus('send', 'x');
    const event = (receiverId: string, what: 'joined' | 'progress' | 'done' | 'left') =>
      status.handle({ type: 'receiver', receiverId, event: what, receivedBytes: 0 }, 0);
    event('a', 'joined');
    event('b', 'joined');
    event('b', 'progress');
    expect(status.snapshot(0).receivers).toEqual({ live: 2, done: 0 });
    event('a', 'done');
    event('a', 'left');
    event('b', 'left');
    expect(status.snapshot(0).receivers).toEqual({ live: 0, done: 1 });
  });

  test('receivers from before a reconnect are not counted twice', () => {
    const status = new TransferStatus('send', 'x');
    status.handle({ type: 'receiver', receiverId: 'a', event: 'joined', receivedBytes: 0 }, 0);
    status.handle({ type: 'state', state: 'reconnecting', attempt: 1 }, 0);
    status.handle({ type: 'state', state: 'sending', attempt: 0 }, 0);
    status.handle({ type: 'receiver', receiverId: 'new id of a', event: 'joined', receivedBytes: 0 }, 0);
    expect(status.snapshot(0).receivers).toEqual({ live: 1, done: 0 });
  });

  test('counts files and problems', () => {
    const status = new TransferStatus('receive', 'x');
    const file = (state: 'ok' | 'skipped') =>
      status.handle(
        { type: 'file', path: ['a'], savedAs: null, sizeBytes: 1, blake3: null, status: state, error: null },
        0,
      );
    file('ok');
    file('skipped');
    expect(status).toMatchObject({ filesDone: 1, problems: 1 });
  });
});
