/**
 * What holds when, by sightings: one at t holds until one of another value; before the first, the first
 * applies; at equal t the greater value wins (METERING 11). Sighted A at 10:00, B at 10:20 and B at 10:21: A
 * until 10:20, also before 10:00, then B.
 *
 * Pure: built from the sightings (or changes) that bear on a stretch of time, in order of t.
 */
export interface Sighting {
  readonly t: number;
  readonly value: string;
}

/** `values[i]` from `times[i]` on; `times[0]` is minus infinity. No value is that of the one before it. */
export interface Steps {
  readonly times: readonly number[];
  readonly values: readonly string[];
}

export function always(value: string): Steps {
  return { times: [-Infinity], values: [value] };
}

/**
 * Undefined where nothing was sighted. In order of t; at equal t in any order. `meaning`: of the value that
 * won.
 */
export function stepsOf(
  sightings: readonly Sighting[],
  meaning: (value: string) => string = (value) => value,
): Steps | undefined {
  const times: number[] = [];
  const values: string[] = [];
  for (const { t, value: sighted } of greatestPerInstant(sightings)) {
    const value = meaning(sighted);
    if (value === values.at(-1)) continue;
    times.push(times.length === 0 ? -Infinity : t);
    values.push(value);
  }
  return times.length === 0 ? undefined : { times, values };
}

/** What holds on (t, ...]. */
export function valueAt({ times, values }: Steps, t: number): string {
  return values[lastAtOrBefore(times, t)] ?? '';
}

/** The next change strictly after t; Infinity: none known. */
export function nextChange({ times }: Steps, t: number): number {
  return times.length === 1 ? Infinity : (times[lastAtOrBefore(times, t) + 1] ?? Infinity);
}

function greatestPerInstant(sightings: readonly Sighting[]): Sighting[] {
  const greatest: Sighting[] = [];
  for (const sighting of sightings) {
    const last = greatest.at(-1);
    if (last?.t !== sighting.t) greatest.push(sighting);
    else if (sighting.value > last.value) greatest[greatest.length - 1] = sighting;
  }
  return greatest;
}

function lastAtOrBefore(times: readonly number[], t: number): number {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((times[middle] ?? Infinity) <= t) low = middle;
    else high = middle - 1;
  }
  return low;
}
