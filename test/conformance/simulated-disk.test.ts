// The model disk must be a LogStore like the others, or what is proven on it says nothing about them.
import { describe, expect, test } from 'vitest';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { contentOf } from '../support/log-fixtures.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';
import { append, logStoreSuite } from './log-store.suite.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAAA0';

describe('SimulatedDisk', () => {
  logStoreSuite(async () => {
    const clock = new FakeClock();
    const store = new SimulatedDisk({ clock });
    let isRunning = true;
    const run = (async () => {
      while (isRunning) {
        await settle();
        if (clock.nextTimerAt !== null) await clock.advance(clock.nextTimerAt - clock.now());
      }
    })();
    return {
      store,
      reopen: async () => store,
      dispose: () => {
        isRunning = false;
        return run;
      },
    };
  });

  test('loses what was not synced, keeps what was', async () => {
    const clock = new FakeClock();
    const disk = new SimulatedDisk({ clock });
    const storage = await disk.open(ID);
    await clock.until(append(storage, contentOf(5_000, 1)));
    await clock.until(storage.sync());
    await clock.until(append(storage, contentOf(50_000, 2)));
    disk.crash();
    const after = await disk.open(ID);
    expect(await clock.until(after.read(0, 5_000))).toEqual(contentOf(5_000, 1));
    expect(await clock.until(after.read(5_000, 50_000))).not.toEqual(contentOf(50_000, 2));
  });

  test('a failed sync makes reads lie: the bytes are shown and then lost', async () => {
    const clock = new FakeClock();
    const disk = new SimulatedDisk({ clock });
    const storage = await disk.open(ID);
    await clock.until(append(storage, contentOf(50_000)));
    disk.failNext('sync', 'EIO');
    await expect(clock.until(storage.sync())).rejects.toThrow('EIO');
    disk.kill();
    const again = await disk.open(ID);
    expect(await clock.until(again.read(0, 50_000))).toEqual(contentOf(50_000));
    await clock.until(again.sync());
    disk.crash();
    const after = await disk.open(ID);
    expect(await clock.until(after.read(0, 50_000))).not.toEqual(contentOf(50_000));
  });
});
