/**
 * METERING.md 6: a counter's samples become intervals `(from, to]` with what was counted on them.
 * Worked: 1000, 1100, 40, 90 without a start is 100 + 40 + 50 = 190.
 */
import { birthOf } from './births.ts';
import type { Given } from './given.ts';
import type { Interval } from './interval.ts';
import { note, type Notes } from './notes.ts';
import type { Series, Value } from './series.ts';
import { processStartOf, startOf } from './starts.ts';

/** The last accepted sample; `value` is the high-water mark after a glitch. */
interface Predecessor {
  readonly t: bigint;
  readonly value: bigint;
  readonly startKnown: boolean;
}

interface Step {
  readonly interval: Interval;
  readonly glitch: boolean;
}

export function counterIntervals(series: Series, given: Given): Interval[] {
  const values = series.samples.filter((sample): sample is Value => sample.kind === 'value');
  // Section 6.5: counters ignore staleness markers.
  note(given.notes, 'marker_in_counter', values.length < series.samples.length);
  return series.delta ? deltaIntervals(series, values, given) : cumulativeIntervals(series, values, given);
}

/** Section 6.7: a delta point is its own interval, (start, t]. */
function deltaIntervals(series: Series, values: readonly Value[], given: Given): Interval[] {
  const points = values.map((s) => ({ from: s.start ?? s.t, to: s.t, quantity: s.value }));
  points.forEach(({ from }, index) => {
    const before = points[index - 1];
    note(given.notes, 'delta_hole', before !== undefined && from > before.to);
  });
  note(given.notes, 'delta', points.length > 0);
  return points.filter((interval) => isPlausible(interval, series, given));
}

function cumulativeIntervals(series: Series, values: readonly Value[], given: Given): Interval[] {
  const [first, ...rest] = values;
  if (first === undefined) return [];
  const born = birthOf(series, first, given);
  const intervals: Interval[] = [];
  if (born !== undefined) {
    // Section 6.4 and choice 17: an implausible birth is a baseline.
    if (isPlausible(born, series, given)) intervals.push(born);
    else note(given.notes, 'implausible_birth');
  }
  let p: Predecessor = { t: first.t, value: first.value, startKnown: startOf(first) !== undefined };
  for (const s of rest) {
    const { interval, glitch } = stepFrom(p, s, series, given);
    // Section 6.6 and choice 20: a quarantined sample is as if it had never come.
    if (!isPlausible(interval, series, given)) continue;
    intervals.push(interval);
    const startKnown = startOf(s) !== undefined;
    p = { t: s.t, value: glitch ? p.value : s.value, startKnown };
  }
  return intervals;
}

/** Sections 6.1 and 6.2, choice 19: what sample s adds to its predecessor p. */
function stepFrom(p: Predecessor, s: Value, series: Series, { facts, notes }: Given): Step {
  const start = startOf(s);
  note(notes, 'start_is_time', s.start === s.t);
  if (start !== undefined) return stepWithStart(p, s, start, notes);
  const processStart = series.meter.memory === 'exporter' ? processStartOf(s, facts) : undefined;
  if (processStart !== undefined && processStart > p.t) {
    note(notes, 'reset_by_process_start');
    return { interval: { from: processStart, to: s.t, quantity: s.value }, glitch: false };
  }
  if (s.value >= p.value) {
    note(notes, s.value > p.value ? 'growth' : 'no_growth');
    return { interval: { from: p.t, to: s.t, quantity: s.value - p.value }, glitch: false };
  }
  note(notes, 'reset_by_value');
  note(notes, 'smaller_under_unchanged_process', processStart !== undefined);
  return { interval: { from: p.t, to: s.t, quantity: s.value }, glitch: false };
}

/** Section 6.1. */
function stepWithStart(p: Predecessor, s: Value, start: bigint, notes: Notes): Step {
  note(notes, 'start_is_predecessor_without_start', start === p.t && !p.startKnown);
  if (start > p.t) {
    note(notes, 'reset_by_start');
    return { interval: { from: start, to: s.t, quantity: s.value }, glitch: false };
  }
  if (start === p.t && p.startKnown) {
    note(notes, 'reset_start_is_predecessor');
    return { interval: { from: p.t, to: s.t, quantity: s.value }, glitch: false };
  }
  const growth = s.value - p.value;
  note(notes, growth < 0n ? 'non_monotonic' : growth > 0n ? 'growth' : 'no_growth');
  const interval = { from: p.t, to: s.t, quantity: growth < 0n ? 0n : growth };
  return { interval, glitch: growth < 0n };
}

/** Section 6.6 and choice 25: the bound x 1.1 over the length of the interval, in integers. */
function isPlausible(interval: Interval, { meter }: Series, { settings, notes }: Given): boolean {
  const dt = interval.to - interval.from;
  const [scaled, limit] = {
    cores: [interval.quantity * 10n, BigInt(settings.maxCores) * dt * 11_000_000n],
    link: [interval.quantity * 10_000n, BigInt(settings.maxLinkBytesPerSecond) * dt * 11n],
    none: [0n, 1n],
  }[meter.bound] as [bigint, bigint];
  note(notes, 'growth_at_plausible_limit', scaled === limit);
  note(notes, 'quarantined', scaled > limit);
  return scaled <= limit;
}
