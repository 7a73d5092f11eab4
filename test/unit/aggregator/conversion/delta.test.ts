import { describe, expect, test } from 'vitest';
import { judgeDelta } from '../../../../aggregator/conversion/delta.ts';
import { FLAG } from '../../../../aggregator/conversion/flags.ts';

const UNBOUNDED = { growthFactor: 1n, perMs: 0n, surelyPlausiblePerMs: Infinity };
/** At most 2 in each ms. */
const TWO_PER_MS = { growthFactor: 1n, perMs: 2n, surelyPlausiblePerMs: 1 };
const sample = { t: 60_000, value: 7n, start: 30_000 };

describe('a delta point', () => {
  test('lies on its own interval', () => {
    expect(judgeDelta(undefined, sample, UNBOUNDED)).toEqual({
      state: { t: 60_000 },
      from: 30_000,
      usage: 7n,
      flags: 0,
    });
  });

  test('after a hole is flagged; one that joins or overlaps is not', () => {
    expect(judgeDelta({ t: 29_999 }, sample, UNBOUNDED).flags).toBe(FLAG.gap);
    expect(judgeDelta({ t: 30_000 }, sample, UNBOUNDED).flags).toBe(0);
    expect(judgeDelta({ t: 45_000 }, sample, UNBOUNDED).flags).toBe(0);
  });

  test('at the bound counts, one more leaves everything as it was', () => {
    const before = { t: 1_000 };
    expect(judgeDelta(before, { ...sample, value: 60_000n }, TWO_PER_MS).usage).toBe(60_000n);
    expect(judgeDelta(before, { ...sample, value: 60_001n }, TWO_PER_MS)).toEqual({
      state: before,
      from: 60_000,
      usage: 0n,
      flags: FLAG.quarantined,
    });
  });
});
