/**
 * Where the figures of a range are read from: daily totals for whole UTC days that no window cuts, hours for
 * all the rest. Both say the same, so this is a matter of speed alone.
 *
 * A month in Europe/Berlin is its UTC days but for the first and the last one, which are read by the hour;
 * a day in Asia/Kathmandu is always read by the hour.
 */
import { DAY_MS, HOUR_MS, startOfHour } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';

export interface Sources {
  /** Starts of the UTC days that are read as one figure, ms. */
  readonly days: readonly number[];
  /** Hours that are read one by one: runs of whole hours, in order, ms. */
  readonly hours: readonly Window[];
}

/** More runs than this make a statement longer than the days save. */
const MAX_RUNS = 32;

/** `windows` follow one another without a gap; days with hours `byHour` are read by the hour. */
export function planSources(windows: readonly Window[], byHour: Iterable<number>): Sources {
  const fromMs = windows[0]?.startMs ?? 0;
  const toMs = windows.at(-1)?.endMs ?? 0;
  const cut = new Set([...windows.map(({ startMs }) => startMs), toMs].filter((edge) => edge % DAY_MS !== 0));
  const apart = new Set([...cut, ...byHour].map(startOfDay));
  const days: number[] = [];
  for (let day = Math.ceil(fromMs / DAY_MS) * DAY_MS; day + DAY_MS <= toMs; day += DAY_MS) {
    if (!apart.has(day)) days.push(day);
  }
  const all = { startMs: startOfHour(fromMs), endMs: startOfHour(toMs - 1) + HOUR_MS };
  const hours = runsBetween(all, days);
  return hours.length > MAX_RUNS ? { days: [], hours: [all] } : { days, hours };
}

function runsBetween({ startMs, endMs }: Window, days: readonly number[]): Window[] {
  const runs: Window[] = [];
  let at = startMs;
  for (const day of days) {
    if (day > at) runs.push({ startMs: at, endMs: day });
    at = day + DAY_MS;
  }
  if (at < endMs) runs.push({ startMs: at, endMs });
  return runs;
}

function startOfDay(t: number): number {
  return Math.floor(t / DAY_MS) * DAY_MS;
}
