/**
 * What is told of the hourly rate in a window: the largest, the 95th percentile, the average. PURE.
 *
 * - A window is cut into hours from its start on. What is left over at its end (a range that is no multiple
 *   of an hour, half an hour when a clock is moved) has no hourly rate and is left out.
 * - An hour counts if something was used in it, or if it was scraped: then its rate may be 0. An hour that
 *   was not scraped and in which nothing is known to have been used counts for nothing: it is no 0.
 * - The percentile is by nearest rank: of n hours in order the one at ceil(0.95 n), so always a rate that was
 *   there. The average is rounded half to even, the only rounding.
 *
 * Of 20 hours at 1, 2, ... 20 the maximum is 20, the 95th percentile 19, the average 10 (10.5, to even).
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';

export type Rate = 'max' | 'p95' | 'avg';

/** Windows cut into hours, without a gap: what is left over at the end of one is a shorter stretch. */
export function stretchesOf(windows: readonly Window[]): Window[] {
  const stretches: Window[] = [];
  for (const { startMs, endMs } of windows) {
    for (let at = startMs; at < endMs; at += HOUR_MS) {
      stretches.push({ startMs: at, endMs: Math.min(at + HOUR_MS, endMs) });
    }
  }
  return stretches;
}

/** Whether a stretch from there on is as long as an hour. */
export function isWholeHour(startMs: number, { endMs }: Window): boolean {
  return startMs + HOUR_MS <= endMs;
}

/** `used`: quantities of the hours in which something was used; `idle`: how many others count. */
export function rateOf(rate: Rate, used: readonly bigint[], idle: number): bigint | undefined {
  const count = used.length + idle;
  if (count === 0) return undefined;
  switch (rate) {
    case 'max':
      return used.reduce((most, one) => (one > most ? one : most), idle > 0 ? 0n : (used[0] ?? 0n));
    case 'p95':
      return atRank(Math.ceil((95 * count) / 100), used, idle);
    case 'avg':
      return dividedToEven(
        used.reduce((sum, one) => sum + one, 0n),
        BigInt(count),
      );
  }
}

function atRank(rank: number, used: readonly bigint[], idle: number): bigint {
  const sorted = [...used, ...Array<bigint>(idle).fill(0n)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return sorted[rank - 1] ?? 0n;
}

function dividedToEven(total: bigint, count: bigint): bigint {
  const size = total < 0n ? -total : total;
  const floor = size / count;
  const twice = 2n * (size - floor * count);
  const up = twice > count || (twice === count && (floor & 1n) === 1n);
  const rounded = up ? floor + 1n : floor;
  return total < 0n ? -rounded : rounded;
}
