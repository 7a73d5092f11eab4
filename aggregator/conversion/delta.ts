/**
 * Delta points, METERING 6.7: each stands for itself, its value lies on (start, t]. 5 on (0 s, 30 s] and 7 on
 * (30 s, 60 s] are 12; a hole between them only raises a flag.
 */
import type { Judgement } from './counter.ts';
import { FLAG } from './flags.ts';
import { isPlausible, type GrowthBound } from './plausibility.ts';

export interface DeltaState {
  readonly t: number;
}

export interface DeltaSample {
  readonly t: number;
  readonly value: bigint;
  readonly start: number;
}

export function judgeDelta(
  p: DeltaState | undefined,
  s: DeltaSample,
  bound: GrowthBound,
): Judgement<DeltaState | undefined> {
  if (!isPlausible(bound, s.value, s.t - s.start)) {
    return { state: p, from: s.t, usage: 0n, flags: FLAG.quarantined };
  }
  const hole = p !== undefined && s.start > p.t;
  return { state: { t: s.t }, from: s.start, usage: s.value, flags: hole ? FLAG.gap : 0 };
}
