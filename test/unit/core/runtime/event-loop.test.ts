import { expect, test } from 'vitest';

import { SystemClock } from '../../../../core/runtime/clock.ts';
import { EventLoopDelay } from '../../../../core/runtime/event-loop.ts';
import { HandClock } from '../../../support/hand-clock.ts';

test('the delay is what kept the loop over the last second, and is over with it', async () => {
  const real = new SystemClock();
  const clock = new HandClock(0);
  const delay = new EventLoopDelay({ clock });
  expect(delay.meanMs).toBe(0);
  await real.sleep(30);
  const untilMs = real.now() + 600;
  while (real.now() < untilMs);
  await real.sleep(30);
  expect(delay.meanMs).toBe(0);
  clock.advance(1_000);
  expect(delay.meanMs).toBeGreaterThan(50);
  await real.sleep(50);
  clock.advance(1_000);
  expect(delay.meanMs).toBeLessThan(50);
  delay.close();
});
