/** How long a stream is opened again that the server resets. */
import { expect, test } from 'vitest';
import { Patience } from '../../../src/client/patience.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('counts attempts and gives up when nothing helped for the whole time', async () => {
  const clock = new FakeClock();
  const patience = new Patience(clock, 1_000);
  expect(patience.next()).toBe(1);
  await clock.advance(999);
  expect(patience.next()).toBe(2);
  await clock.advance(1);
  expect(patience.next()).toBeNull();
});

test('whatever goes well begins the time anew', async () => {
  const clock = new FakeClock();
  const patience = new Patience(clock, 1_000);
  patience.next();
  await clock.advance(900);
  patience.restore();
  await clock.advance(900);
  expect(patience.next()).toBe(1);
});
