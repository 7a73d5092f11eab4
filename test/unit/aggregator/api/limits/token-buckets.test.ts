import { describe, expect, test } from 'vitest';

import { TokenBuckets } from '../../../../../aggregator/api/limits/token-buckets.ts';
import { HandClock } from '../../../../support/hand-clock.ts';

const RATE = { perSecond: 2, burst: 3 };

describe('a bucket', () => {
  test('lets a burst pass after a rest, then one each time there is one again, and says how long that is', () => {
    const clock = new HandClock(0);
    const buckets = new TokenBuckets(RATE, { clock });
    const taken = [1, 2, 3, 4].map(() => buckets.take('a'));
    expect(taken.map(({ passes, remaining }) => [passes, remaining])).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    expect(taken[3]?.waitMs).toBe(500);
    clock.advance(499);
    expect(buckets.take('a').passes).toBe(false);
    clock.advance(1);
    expect(buckets.look('a').passes).toBe(true);
    expect(buckets.take('a').passes).toBe(true);
    expect(buckets.take('a').passes).toBe(false);
  });

  test('is of one key, and never holds more than the burst', () => {
    const clock = new HandClock(0);
    const buckets = new TokenBuckets(RATE, { clock });
    for (let i = 0; i < 3; i++) buckets.take('a');
    expect(buckets.take('b').passes).toBe(true);
    clock.advance(3_600_000);
    expect([1, 2, 3, 4].map(() => buckets.take('a').passes)).toEqual([true, true, true, false]);
  });

  test('fills nothing by a clock that is set back, and fills from there', () => {
    const clock = new HandClock(10_000);
    const buckets = new TokenBuckets(RATE, { clock });
    for (let i = 0; i < 3; i++) buckets.take('a');
    clock.advance(-5_000);
    expect(buckets.look('a')).toEqual({ passes: false, remaining: 0, waitMs: 500 });
    clock.advance(500);
    expect(buckets.take('a').passes).toBe(true);
  });

  test('that is full is forgotten, and of too many keys the oldest', () => {
    const clock = new HandClock(0);
    const buckets = new TokenBuckets({ perSecond: 1, burst: 5 }, { clock });
    for (let i = 0; i < 100; i++) buckets.take(`key ${i}`);
    expect(buckets.size).toBe(100);
    clock.advance(5_000);
    buckets.take('one more');
    expect(buckets.size).toBe(1);
    for (let i = 0; i < 10_050; i++) buckets.take(`address ${i}`);
    expect(buckets.size).toBe(10_000);
  });
});
