import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { isWholeHour, rateOf, stretchesOf } from '../../../../../aggregator/api/usage/rates.ts';

const HOUR = 3_600_000;
const upTo = (count: number): bigint[] => Array.from({ length: count }, (_, i) => BigInt(i + 1));

test('maximum, 95th percentile by nearest rank, and average of twenty hours', () => {
  expect(rateOf('max', upTo(20), 0)).toBe(20n);
  expect(rateOf('p95', upTo(20), 0)).toBe(19n);
  expect(rateOf('p95', upTo(21), 0)).toBe(20n);
  expect(rateOf('avg', upTo(20), 0)).toBe(10n);
  expect(rateOf('avg', upTo(22), 0)).toBe(12n);
});

test('hours that were scraped and idle count as 0', () => {
  expect(rateOf('avg', [9n], 2)).toBe(3n);
  expect(rateOf('p95', [9n], 19)).toBe(0n);
  expect(rateOf('p95', [9n], 18)).toBe(9n);
  expect(rateOf('max', [], 3)).toBe(0n);
});

test('no hour that counts gives no rate', () => {
  for (const rate of ['max', 'p95', 'avg'] as const) expect(rateOf(rate, [], 0)).toBeUndefined();
});

test('the percentile is the smallest rate that 95 of 100 hours do not exceed', () => {
  const hours = fc.array(fc.bigInt({ min: 1n, max: 1n << 200n }), { maxLength: 60 });
  fc.assert(
    fc.property(hours, fc.nat(60), (used, idle) => {
      const all = [...used, ...Array<bigint>(idle).fill(0n)];
      const p95 = rateOf('p95', used, idle);
      if (p95 === undefined) return all.length === 0;
      const within = (bound: bigint): number => all.filter((one) => one <= bound).length * 100;
      const smaller = all.filter((one) => one < p95);
      const next = smaller.reduce((most, one) => (one > most ? one : most), -1n);
      return all.includes(p95) && within(p95) >= 95 * all.length && within(next) < 95 * all.length;
    }),
  );
});

test('a window is cut into hours from its start; what is left over is no hour', () => {
  const window = { startMs: 900_000, endMs: 900_000 + 2 * HOUR + 1_800_000 };
  const stretches = stretchesOf([window]);
  expect(stretches.map(({ startMs, endMs }) => (endMs - startMs) / 60_000)).toEqual([60, 60, 30]);
  expect(stretches.map(({ startMs }) => isWholeHour(startMs, window))).toEqual([true, true, false]);
});
