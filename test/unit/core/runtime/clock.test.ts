import { describe, expect, test } from 'vitest';

import { every, FastClock, nextTurn, SystemClock, type Clock } from '../../../../core/runtime/clock.ts';

const START_MS = Date.UTC(2026, 2, 1);

/** A clock that jumps by what is slept, a little less at first, as timers that fire early do. */
class JumpingClock implements Clock {
  #nowMs = START_MS;
  readonly #earlyMs: number;

  constructor(earlyMs = 0) {
    this.#earlyMs = earlyMs;
  }

  now(): number {
    return this.#nowMs;
  }

  async sleep(ms: number): Promise<void> {
    this.#nowMs += Math.max(1, ms - this.#earlyMs);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
  }
}

describe('the system clock', () => {
  test('sleeps for as long as asked', async () => {
    const clock = new SystemClock();
    const before = clock.now();
    await clock.sleep(30);
    expect(clock.now() - before).toBeGreaterThanOrEqual(29);
  });

  test('ends a sleep at once when its signal aborts, before or after it began', async () => {
    const clock = new SystemClock();
    const stop = new AbortController();
    const sleeping = clock.sleep(60_000, stop.signal);
    stop.abort();
    await sleeping;
    await clock.sleep(60_000, stop.signal);
  });

  test('sleeps longer than a timer can count', async () => {
    const clock = new SystemClock();
    const stop = new AbortController();
    let awake = false;
    const sleeping = clock.sleep(2 ** 31 + 5, stop.signal).then(() => (awake = true));
    await clock.sleep(20);
    expect(awake).toBe(false);
    stop.abort();
    await sleeping;
  });
});

describe('a fast clock', () => {
  test('starts when it is told and runs as many times faster', async () => {
    const clock = new FastClock({ startMs: START_MS, speed: 10_000 });
    expect(clock.now() - START_MS).toBeLessThan(1_000_000);
    await new SystemClock().sleep(50);
    expect(clock.now() - START_MS).toBeGreaterThanOrEqual(450_000);
  });

  test('sleeps its own time, not the machine’s', async () => {
    const clock = new FastClock({ startMs: START_MS, speed: 3_600_000 });
    await clock.sleep(24 * 3_600_000);
    expect(clock.now() - START_MS).toBeGreaterThanOrEqual(23 * 3_600_000);
  });

  test.each([0, -1, NaN, Infinity])('refuses the speed %s', (speed) => {
    expect(() => new FastClock({ startMs: START_MS, speed })).toThrow(RangeError);
  });
});

describe('every', () => {
  async function dueTimes(clock: JumpingClock, taskMs: readonly number[]): Promise<readonly number[]> {
    const stop = new AbortController();
    const due: number[] = [];
    await every(clock, { intervalMs: 1000, signal: stop.signal }, async (dueMs) => {
      due.push(dueMs - START_MS);
      clock.pass(taskMs[due.length - 1] ?? 0);
      if (due.length === taskMs.length) stop.abort();
    });
    return due;
  }

  test('runs at whole multiples of the interval', async () => {
    expect(await dueTimes(new JumpingClock(), [10, 20, 30])).toEqual([1000, 2000, 3000]);
  });

  test('runs once per instant even if timers fire early', async () => {
    expect(await dueTimes(new JumpingClock(7), [0, 0, 0])).toEqual([1000, 2000, 3000]);
  });

  test('skips the instants that a long run covered', async () => {
    expect(await dueTimes(new JumpingClock(), [2500, 0])).toEqual([1000, 4000]);
  });

  test('ends with the error of its task', async () => {
    const { signal } = new AbortController();
    const task = async (): Promise<void> => {
      throw new Error('disk full');
    };
    await expect(every(new JumpingClock(), { intervalMs: 10, signal }, task)).rejects.toThrow('disk full');
  });

  test('runs nothing once its signal has aborted', async () => {
    let runs = 0;
    const task = async (): Promise<void> => {
      runs++;
    };
    await every(new SystemClock(), { intervalMs: 1, signal: AbortSignal.abort() }, task);
    expect(runs).toBe(0);
  });

  test('refuses an interval that never ends', async () => {
    const { signal } = new AbortController();
    await expect(every(new SystemClock(), { intervalMs: 0, signal }, async () => {})).rejects.toThrow(
      RangeError,
    );
  });
});

test('the next turn comes after what was already due', async () => {
  const order: string[] = [];
  const turn = nextTurn().then(() => order.push('turn'));
  await Promise.resolve().then(() => order.push('now'));
  await turn;
  expect(order).toEqual(['now', 'turn']);
});
