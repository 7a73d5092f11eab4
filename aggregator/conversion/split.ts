/**
 * Splitting over boundaries, METERING 8: F(b) = floor(D x (b - t0) / (t1 - t0)), F(t1) = D; a part's share is
 * F(end) - F(begin). 7 on 09:30 -> 12:15 is 1, 2, 3, 1 over its four hours. F depends on b alone, so quarters
 * nest in hours, hours in days, whatever else cuts.
 */
import { QUARTER_MS } from '../../core/metering/hour.ts';

/**
 * Where, beside the quarters, an interval is cut: the next change of owner strictly after `t` (Infinity:
 * none).
 */
export type NextCut = (t: number) => number;

export type TakeShare = (from: number, to: number, share: bigint) => void;

/** Give each part of (from, to] its share; parts end at every quarter and at every further cut. */
export function split(
  interval: { readonly from: number; readonly to: number; readonly quantity: bigint },
  nextCut: NextCut,
  take: TakeShare,
): void {
  const { from, to, quantity } = interval;
  let begin = from;
  let given = 0n;
  while (begin < to) {
    const end = Math.min(to, nextQuarter(begin), nextCut(begin));
    const upTo = end === to ? quantity : (quantity * BigInt(end - from)) / BigInt(to - from);
    take(begin, end, upTo - given);
    given = upTo;
    begin = end;
  }
}

function nextQuarter(t: number): number {
  return (Math.floor(t / QUARTER_MS) + 1) * QUARTER_MS;
}
