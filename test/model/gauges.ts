/**
 * METERING.md 7: a gauge holds its value until the next sample or marker, at most `max_hold`.
 * Worked: 1 GiB at 0 s, next at 600 s, max_hold 90 s: 90,000 ms x 1 GiB, and 510,000 ms missing.
 */
import type { Given } from './given.ts';
import type { Interval } from './interval.ts';
import { note } from './notes.ts';
import type { Series } from './series.ts';

export interface GaugeUsage {
  readonly held: readonly Interval[];
  /** Choice 23: lies on [t_i + max_hold, t_i+1); its quantity is its length. */
  readonly missing: readonly Interval[];
}

export function gaugeUsage(series: Series, { settings, notes }: Given): GaugeUsage {
  const held: Interval[] = [];
  const missing: Interval[] = [];
  const maxHold = BigInt(settings.maxHoldMs);
  series.samples.forEach((sample, index) => {
    // The last sample of a series holds nothing until the next arrives; a marker holds nothing at all.
    const next = series.samples[index + 1];
    if (sample.kind === 'marker' || next === undefined) return;
    const end = next.t - sample.t > maxHold ? sample.t + maxHold : next.t;
    const quantity = sample.value * (end - sample.t) * series.meter.perMs;
    held.push({ from: sample.t, to: end, quantity });
    note(notes, next.kind === 'marker' ? 'hold_ended_by_marker' : 'held');
    note(notes, 'hold_is_max_hold', next.t - sample.t === maxHold);
    if (end === next.t) return;
    missing.push({ from: end, to: next.t, quantity: next.t - end });
    note(notes, 'missing');
  });
  return { held, missing };
}
