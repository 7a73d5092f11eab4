import { expect, test } from 'vitest';
import { settleHold } from '../../../../aggregator/conversion/gauge.ts';

const MAX_HOLD_MS = 90_000;

test('a value holds until the next sample', () => {
  expect(settleHold({ t: 1_000, value: 5n }, 31_000, MAX_HOLD_MS)).toEqual({
    from: 1_000,
    heldUntil: 31_000,
    to: 31_000,
    valueMs: 150_000n,
  });
});

test('a value holds for max_hold at most; what is beyond is missing', () => {
  expect(settleHold({ t: 0, value: 1n << 30n }, 600_000, MAX_HOLD_MS)).toEqual({
    from: 0,
    heldUntil: 90_000,
    to: 600_000,
    valueMs: 96_636_764_160_000n,
  });
  expect(settleHold({ t: 1, value: 2n }, 90_001, MAX_HOLD_MS)).toMatchObject({
    heldUntil: 90_001,
    to: 90_001,
  });
  expect(settleHold({ t: 1, value: 2n }, 90_002, MAX_HOLD_MS)).toMatchObject({
    heldUntil: 90_001,
    to: 90_002,
  });
});

test('a value of 0 holds too: its silence is missing, not nothing', () => {
  expect(settleHold({ t: 0, value: 0n }, 100_000, MAX_HOLD_MS)).toMatchObject({
    heldUntil: 90_000,
    to: 100_000,
    valueMs: 0n,
  });
});

test('nothing is held after a marker', () => {
  expect(settleHold({ t: 0, value: undefined }, 30_000, MAX_HOLD_MS)).toBeUndefined();
});
