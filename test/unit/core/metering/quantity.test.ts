import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_VALUE, SCALES, secondsToMs, toInteger } from '../../../../core/metering/quantity.ts';
import { fractionOf, roundHalfEven } from '../../../model/exact.ts';

function exactly(value: number, scale: number): bigint {
  const fraction = fractionOf(value);
  if (typeof fraction === 'string') throw new Error(`${value} is not finite`);
  return roundHalfEven(fraction, BigInt(scale));
}

const scales = fc.constantFrom(...Object.values(SCALES));
const anyDouble = fc.double({ min: 0, max: 1e30, noNaN: true });
/** Doubles around a half of the last integer, where rounding is decided. */
const nearHalf = fc
  .record({
    whole: fc.integer({ min: 0, max: 2 ** 40 }),
    scale: scales,
    ulps: fc.integer({ min: -3, max: 3 }),
  })
  .map(({ whole, scale, ulps }) => {
    const value = (whole + 0.5) / scale;
    return { value: Math.max(0, value + ulps * value * Number.EPSILON), scale };
  });

describe('a value x scale, rounded half to even', () => {
  test('is what exact fractions give, for any double', () => {
    fc.assert(
      fc.property(anyDouble, scales, (value, scale) => {
        expect(BigInt(toInteger(value, scale))).toBe(exactly(value, scale));
      }),
      { numRuns: 2000 },
    );
  });

  test('is what exact fractions give, near every half', () => {
    fc.assert(
      fc.property(nearHalf, ({ value, scale }) => {
        expect(BigInt(toInteger(value, scale))).toBe(exactly(value, scale));
      }),
      { numRuns: 5000 },
    );
  });

  test.each([
    [0.5, 1, 0],
    [1.5, 1, 2],
    [2.5, 1, 2],
    [0.0625, 1e3, 62],
    [0.0635, 1e3, 64],
    [0.0005, 1e3, 1],
    [1.000_000_000_5, 1e9, 1_000_000_001],
    [0.000_000_000_5, 1e9, 1],
    [0.1 + 0.2, 1e9, 300_000_000],
    [0, 1e9, 0],
    [-0, 1e9, 0],
    [5e-324, 1e9, 0],
  ])('of %d x %d is %d', (value, scale, integer) => {
    expect(Number(toInteger(value, scale))).toBe(integer);
  });

  test('is a number up to 2^53 - 1 and a bigint above', () => {
    expect(toInteger(2 ** 53 - 1, 1)).toBe(2 ** 53 - 1);
    expect(toInteger(2 ** 53, 1)).toBe(9_007_199_254_740_992n);
    expect(toInteger(9_007_200, 1e9)).toBe(9_007_200_000_000_000n);
  });

  test('is a number also where only integers could decide', () => {
    expect(toInteger(0.5, 1)).toBe(0);
    expect(toInteger(1.5, 1)).toBe(2);
  });

  test('passes the largest quantity without a fault', () => {
    expect(toInteger(2 ** 63, 1)).toBe(MAX_VALUE + 1n);
    expect(MAX_VALUE).toBe(9_223_372_036_854_775_807n);
    expect(toInteger(1e19, 1e9)).toBe(10n ** 28n);
  });
});

test('seconds are counted in ns, cores in thousandths, bytes and counts as they are', () => {
  expect(SCALES).toEqual({ seconds: 1_000_000_000, cores: 1_000, bytes: 1, count: 1 });
});

test('seconds become whole ms, half to even', () => {
  expect(secondsToMs(1_790_000_000.0005)).toBe(Number(exactly(1_790_000_000.0005, 1000)));
  expect(secondsToMs(2 ** -4)).toBe(62);
  expect(secondsToMs(3 * 2 ** -4)).toBe(188);
  expect(secondsToMs(12.25)).toBe(12_250);
});
