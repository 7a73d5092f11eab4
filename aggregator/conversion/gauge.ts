/**
 * Gauges, METERING 7: a value holds until the next sample, at most `maxHold`; a marker ends it. 1 GiB at 0 s,
 * the next sample at 600 s, maxHold 90 s: 1 GiB x 90,000 ms of usage and 510,000 ms missing.
 */
export interface GaugeState {
  readonly t: number;
  /** Held since t; undefined after a marker. */
  readonly value: bigint | undefined;
}

export interface Hold {
  /** Usage lies on [from, heldUntil), missing time on [heldUntil, to). */
  readonly from: number;
  readonly heldUntil: number;
  readonly to: number;
  /** value x ms, in the source's integers. */
  readonly valueMs: bigint;
}

/**
 * What the arrival of a sample (or marker) at t settles about the one before it; undefined: nothing was held.
 */
export function settleHold(p: GaugeState, t: number, maxHoldMs: number): Hold | undefined {
  if (p.value === undefined) return undefined;
  const heldUntil = Math.min(t, p.t + maxHoldMs);
  return { from: p.t, heldUntil, to: t, valueMs: p.value * BigInt(heldUntil - p.t) };
}
