/**
 * Who owns a namespace when, METERING 11. A sighting holds until one with another value; before the first,
 * the first applies; at equal t the greater name wins; a sighting without the label means nobody. Platform
 * beats the label.
 *
 * Pure: built from the sightings (or changes) that bear on a stretch of time, in order of t.
 */
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT } from '../../core/metering/settings.ts';

export interface LabelSighting {
  readonly t: number;
  /** '' is a sighting without the label. */
  readonly tenant: string;
}

/** Owners of one namespace: `tenants[i]` from `times[i]` on; `times[0]` is minus infinity. */
interface OwnerHistory {
  readonly times: readonly number[];
  readonly tenants: readonly string[];
}

const NOBODY: OwnerHistory = { times: [-Infinity], tenants: [UNATTRIBUTED_TENANT] };
const PLATFORM: OwnerHistory = { times: [-Infinity], tenants: [PLATFORM_TENANT] };

export class Ownership {
  readonly #histories: Map<string, OwnerHistory>;

  /** `sightings`: per namespace in order of t (at equal t in any order). */
  constructor(
    platformNamespaces: readonly string[],
    sightings: ReadonlyMap<string, readonly LabelSighting[]>,
  ) {
    this.#histories = new Map([...sightings].map(([namespace, seen]) => [namespace, historyOf(seen)]));
    for (const namespace of platformNamespaces) this.#histories.set(namespace, PLATFORM);
  }

  ownerAt(namespace: string, t: number): string {
    const { times, tenants } = this.#history(namespace);
    return tenants[lastAtOrBefore(times, t)] ?? UNATTRIBUTED_TENANT;
  }

  /** The next change of owner strictly after t; Infinity: none known. */
  nextChange(namespace: string, t: number): number {
    const { times } = this.#history(namespace);
    return times[lastAtOrBefore(times, t) + 1] ?? Infinity;
  }

  #history(namespace: string): OwnerHistory {
    return this.#histories.get(namespace) ?? NOBODY;
  }
}

function historyOf(sightings: readonly LabelSighting[]): OwnerHistory {
  const times: number[] = [];
  const tenants: string[] = [];
  for (const { t, tenant } of greatestPerInstant(sightings)) {
    const owner = tenant === '' ? UNATTRIBUTED_TENANT : tenant;
    if (owner === tenants.at(-1)) continue;
    times.push(times.length === 0 ? -Infinity : t);
    tenants.push(owner);
  }
  return times.length === 0 ? NOBODY : { times, tenants };
}

function greatestPerInstant(sightings: readonly LabelSighting[]): LabelSighting[] {
  const greatest: LabelSighting[] = [];
  for (const sighting of sightings) {
    const last = greatest.at(-1);
    if (last?.t !== sighting.t) greatest.push(sighting);
    else if (sighting.tenant > last.tenant) greatest[greatest.length - 1] = sighting;
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
