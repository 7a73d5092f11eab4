import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { split } from '../../../../aggregator/conversion/split.ts';

const QUARTER = 900_000;
const HOUR = 3_600_000;
const MINUTE = 60_000;
const never = (): number => Infinity;

type Share = readonly [from: number, to: number, share: bigint];

function shares(from: number, to: number, quantity: bigint, nextCut: (t: number) => number = never): Share[] {
  const taken: Share[] = [];
  split({ from, to, quantity }, nextCut, (begin, end, share) => taken.push([begin, end, share]));
  return taken;
}

function per(length: number, parts: readonly Share[]): bigint[] {
  const sums = new Map<number, bigint>();
  for (const [from, , share] of parts) {
    const begin = Math.floor(from / length);
    sums.set(begin, (sums.get(begin) ?? 0n) + share);
  }
  return [...sums.values()];
}

const perHour = (parts: readonly Share[]): bigint[] => per(HOUR, parts);
const perQuarter = (parts: readonly Share[]): bigint[] => per(QUARTER, parts);

test('7 on 09:30 -> 12:15 is 1, 2, 3, 1', () => {
  expect(perHour(shares(9.5 * HOUR, 12.25 * HOUR, 7n))).toEqual([1n, 2n, 3n, 1n]);
});

test('10 on 09:59:57 -> 10:00:04 is 4 and 6', () => {
  expect(perHour(shares(10 * HOUR - 3000, 10 * HOUR + 4000, 10n))).toEqual([4n, 6n]);
});

test('1,000,000 on 08:50 -> 13:20 is 37037, four times 222222, 74075', () => {
  const parts = shares(8 * HOUR + 50 * MINUTE, 13 * HOUR + 20 * MINUTE, 1_000_000n);
  expect(perHour(parts)).toEqual([37_037n, 222_222n, 222_222n, 222_222n, 222_222n, 74_075n]);
});

test('an interval within a quarter, also one that ends on it, is one part', () => {
  expect(shares(QUARTER, 2 * QUARTER, 3n)).toEqual([[QUARTER, 2 * QUARTER, 3n]]);
  expect(shares(QUARTER + 1, QUARTER + 2, 3n)).toEqual([[QUARTER + 1, QUARTER + 2, 3n]]);
});

test('an empty interval gives nothing', () => {
  expect(shares(QUARTER, QUARTER, 3n)).toEqual([]);
});

test('a change of owner cuts; one at the end does not', () => {
  const at = (cut: number) => (t: number) => (t < cut ? cut : Infinity);
  expect(shares(0, 90, 90n, at(60))).toEqual([
    [0, 60, 60n],
    [60, 90, 30n],
  ]);
  expect(shares(0, 90, 90n, at(90))).toEqual([[0, 90, 90n]]);
});

const interval = fc
  .record({
    from: fc.integer({ min: 0, max: 10 * HOUR }),
    length: fc.integer({ min: 1, max: 5 * HOUR }),
    quantity: fc.bigInt({ min: 0n, max: 1n << 100n }),
    cuts: fc.array(fc.integer({ min: 0, max: 15 * HOUR }), { maxLength: 4 }),
  })
  .map(({ from, length, quantity, cuts }) => ({ from, to: from + length, quantity, cuts }));

test('whatever cuts: parts follow each other, sum to the whole, and nest in hours; minutes nest in quarters', () => {
  fc.assert(
    fc.property(interval, ({ from, to, quantity, cuts }) => {
      const parts = shares(from, to, quantity, (t) => Math.min(...cuts.filter((cut) => cut > t), Infinity));
      expect(parts[0]?.[0]).toBe(from);
      expect(parts.at(-1)?.[1]).toBe(to);
      parts.forEach(([begin, end], i) => {
        expect(begin).toBeLessThan(end);
        expect(Math.floor(begin / QUARTER)).toBe(Math.floor((end - 1) / QUARTER));
        if (i > 0) expect(begin).toBe(parts[i - 1]?.[1]);
      });
      expect(parts.reduce((sum, [, , share]) => sum + share, 0n)).toBe(quantity);
      expect(parts.every(([, , share]) => share >= 0n)).toBe(true);
      expect(perHour(parts)).toEqual(perHour(shares(from, to, quantity)));
      const minutes = shares(from, to, quantity, (t) => (Math.floor(t / MINUTE) + 1) * MINUTE);
      expect(perQuarter(minutes)).toEqual(perQuarter(shares(from, to, quantity)));
    }),
  );
});
