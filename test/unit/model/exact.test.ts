import { expect, test } from 'vitest';
import { fractionOf, fractionOfInteger, roundHalfEven, type Fraction } from '../../model/exact.ts';

function rounded(double: number, scale = 1n): bigint {
  return roundHalfEven(fractionOf(double) as Fraction, scale);
}

test.each([
  [0.5, 0n],
  [1.5, 2n],
  [2.5, 2n],
  [2.500_000_000_000_001, 3n],
  [-0, 0n],
  [2 ** 63, 9_223_372_036_854_775_808n],
  [Number.MIN_VALUE, 0n],
])('a half goes to the even neighbour, everything else to the nearer: %d', (double, integer) => {
  expect(rounded(double)).toBe(integer);
});

test('a scale is applied to the exact fraction, before it is rounded', () => {
  // 0.0625 and 0.1875 are exact halves of a millicore; 0.0635 is a little less than 63.5.
  expect(rounded(0.0625, 1000n)).toBe(62n);
  expect(rounded(0.1875, 1000n)).toBe(188n);
  expect(rounded(0.0635, 1000n)).toBe(BigInt(0.0635 < 635 / 10_000 ? 63 : 64));
  // 1.1 is 1.100000000000000088817841970012523...
  expect(rounded(1.1, 10n ** 20n)).toBe(110_000_000_000_000_008_882n);
});

test('a double is the fraction its bits stand for, however large or small', () => {
  expect(rounded(Number.MAX_VALUE)).toBe(BigInt(Number.MAX_VALUE));
  expect(rounded(9_007_199_254_740_993)).toBe(9_007_199_254_740_992n);
  expect(roundHalfEven(fractionOfInteger(9_007_199_254_740_993n), 1n)).toBe(9_007_199_254_740_993n);
});

test('what is not finite is no fraction', () => {
  expect(fractionOf(Number.NaN)).toBe('nan');
  expect(fractionOf(Number.NEGATIVE_INFINITY)).toBe('infinite');
});
