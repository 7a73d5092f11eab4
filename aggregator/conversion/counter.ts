/**
 * Cumulative counters, METERING 6. Input: a series' samples in order of t, each judged against the state its
 * predecessor left. Output: usage on (from, t]. 1000, 1100, 40, 90 without starts give 100, then 40 (a reset
 * counts from 0), then 50: 190.
 */
import { FLAG, GAP_MS } from './flags.ts';
import { isPlausible, type GrowthBound } from './plausibility.ts';

/** What the last accepted sample left. `value` is the baseline: the high-water mark while a glitch lasts. */
export interface CounterState {
  readonly t: number;
  readonly value: bigint;
  /** That sample's own start was known (0 < ST < t). */
  readonly known: boolean;
}

export interface CounterSample {
  readonly t: number;
  readonly value: bigint;
  /** The point's own start time, 0 where there is none. Never after t. */
  readonly start: number;
  /** Start of the process that keeps the counter in its memory, 0 where unknown. Always before t. */
  readonly processStart: number;
}

export interface Judgement<State> {
  readonly state: State;
  /** Usage on (from, t of the sample]. */
  readonly from: number;
  readonly usage: bigint;
  readonly flags: number;
}

/** What is known about a series when its first sample comes (METERING 6.4). */
export interface BirthEvidence {
  /** When metering of the target(s) began; undefined: it has not. */
  readonly meteringFrom: number | undefined;
  /**
   * The last successful scrape before the first sighting that can prove absence; undefined: none within the
   * lateness.
   */
  readonly absentAt: number | undefined;
  /** Start of the container, 0 where unknown or not before t. */
  readonly containerStart: number;
}

/** Rules 1, 2, 5 and 6: a sample with a predecessor. */
export function judgeSample(p: CounterState, s: CounterSample, bound: GrowthBound): Judgement<CounterState> {
  const reset = (from: number): Growth => ({ from, usage: s.value, flags: FLAG.reset });
  const onwards: Growth = { from: p.t, usage: s.value - p.value, flags: 0 };
  if (isStartKnown(s)) {
    if (s.start > p.t || (s.start === p.t && p.known)) return grown(p, s, reset(s.start), bound);
    return onwards.usage < 0n ? glitch(p, s) : grown(p, s, onwards, bound);
  }
  if (s.processStart > p.t) return grown(p, s, reset(s.processStart), bound);
  return grown(p, s, onwards.usage < 0n ? reset(p.t) : onwards, bound);
}

/** Rules 3 and 4: the first sample of a series. It is always the new baseline, whatever of it counts. */
export function judgeBirth(
  s: CounterSample,
  evidence: BirthEvidence,
  bound: GrowthBound,
): Judgement<CounterState> {
  const state = { t: s.t, value: s.value, known: isStartKnown(s) };
  const baseline = (flags: number): Judgement<CounterState> => ({ state, from: s.t, usage: 0n, flags });
  const { meteringFrom, absentAt } = evidence;
  if (s.start === s.t || meteringFrom === undefined) return baseline(FLAG.unknownOrigin);
  const born = (from: number): Judgement<CounterState> =>
    isPlausible(bound, s.value, s.t - from)
      ? { state, from, usage: s.value, flags: gapFlag(from, s.t) }
      : baseline(FLAG.quarantined);
  const start = state.known ? s.start : evidence.containerStart;
  if (start > 0) return start >= meteringFrom ? born(start) : baseline(0);
  if (s.processStart >= meteringFrom) return born(Math.max(s.processStart, absentAt ?? 0));
  return absentAt === undefined ? baseline(FLAG.unknownOrigin) : born(absentAt);
}

function isStartKnown(s: CounterSample): boolean {
  return s.start > 0 && s.start < s.t;
}

/** Usage on (from, t of the sample]. */
interface Growth {
  readonly from: number;
  readonly usage: bigint;
  readonly flags: number;
}

/** Rule 6: implausible growth is as if it had never come. */
function grown(
  p: CounterState,
  s: CounterSample,
  { from, usage, flags }: Growth,
  bound: GrowthBound,
): Judgement<CounterState> {
  if (!isPlausible(bound, usage, s.t - from)) {
    return { state: p, from: s.t, usage: 0n, flags: FLAG.quarantined };
  }
  const state = { t: s.t, value: s.value, known: isStartKnown(s) };
  return { state, from, usage, flags: flags | gapFlag(from, s.t) };
}

/** Rule 1, its last part: the run is unbroken, so the fall is not one. The next interval begins here. */
function glitch(p: CounterState, s: CounterSample): Judgement<CounterState> {
  return { state: { t: s.t, value: p.value, known: true }, from: s.t, usage: 0n, flags: FLAG.nonMonotonic };
}

function gapFlag(from: number, to: number): number {
  return to - from > GAP_MS ? FLAG.gap : 0;
}
