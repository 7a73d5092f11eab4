/**
 * What one check compared and what it found. Of what is compared hour by hour it is remembered where, because
 * hours that turn out to have changed meanwhile are taken out again: there a difference is no finding.
 */

/** Both sides as people read them; `nothing` where a side has none. */
export interface Difference {
  readonly what: string;
  readonly recomputed: string;
  readonly stored: string;
}

export interface Place {
  readonly cluster: string;
  readonly hour: number;
}

export type CheckName = 'parts' | 'details' | 'usage' | 'coverage' | 'corrections' | 'statements' | 'close';

export interface CheckResult {
  readonly name: CheckName;
  readonly compared: number;
  /** All of them; `differences` lists the first. */
  readonly differing: number;
  readonly differences: readonly Difference[];
}

export const NOTHING_THERE = 'nothing';

/** Differences that are listed, and kept until it is known which of them count. */
const LISTED = 20;
const KEPT = 1_000;

interface Tally {
  compared: number;
  differing: number;
}

export class Check {
  readonly #name: CheckName;
  readonly #tallies = new Map<string, Tally>();
  readonly #kept: { readonly place: string; readonly difference: Difference }[] = [];

  constructor(name: CheckName) {
    this.#name = name;
  }

  /** `difference` is asked for only if it is needed. */
  compare(isEqual: boolean, difference: () => Difference, place?: Place): void {
    const key = placeKey(place);
    let tally = this.#tallies.get(key);
    if (tally === undefined) this.#tallies.set(key, (tally = { compared: 0, differing: 0 }));
    tally.compared++;
    if (isEqual) return;
    tally.differing++;
    if (this.#kept.length < KEPT) this.#kept.push({ place: key, difference: difference() });
  }

  differsIn(place: Place): boolean {
    return (this.#tallies.get(placeKey(place))?.differing ?? 0) > 0;
  }

  /** Without what lies in these places. */
  result(leftOut: readonly Place[] = []): CheckResult {
    const out = new Set(leftOut.map(placeKey));
    const tallies = [...this.#tallies].filter(([key]) => !out.has(key)).map(([, tally]) => tally);
    return {
      name: this.#name,
      compared: tallies.reduce((sum, tally) => sum + tally.compared, 0),
      differing: tallies.reduce((sum, tally) => sum + tally.differing, 0),
      differences: this.#kept
        .filter(({ place }) => !out.has(place))
        .slice(0, LISTED)
        .map(({ difference }) => difference),
    };
  }
}

/** The difference of what is equal. */
export function never(): never {
  throw new Error('what is equal is not told');
}

export function placeKey(place: Place | undefined): string {
  return place === undefined ? '' : `${place.hour} ${place.cluster}`;
}
