/**
 * Who owns a namespace when, METERING 11: by the sightings of its label; one without the label means nobody.
 * Platform beats the label.
 *
 * Pure: built from the sightings (or changes) that bear on a stretch of time, in order of t.
 */
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT } from '../../core/metering/settings.ts';
import { always, nextChange, stepsOf, valueAt, type Steps } from './history.ts';

export interface LabelSighting {
  readonly t: number;
  /** '' is a sighting without the label. */
  readonly tenant: string;
}

const NOBODY = always(UNATTRIBUTED_TENANT);
const PLATFORM = always(PLATFORM_TENANT);

export class Ownership {
  readonly #histories: Map<string, Steps>;

  /** `sightings`: per namespace in order of t (at equal t in any order). */
  constructor(
    platformNamespaces: readonly string[],
    sightings: ReadonlyMap<string, readonly LabelSighting[]>,
  ) {
    this.#histories = new Map([...sightings].map(([namespace, seen]) => [namespace, ownersOf(seen)]));
    for (const namespace of platformNamespaces) this.#histories.set(namespace, PLATFORM);
  }

  ownerAt(namespace: string, t: number): string {
    return valueAt(this.#history(namespace), t);
  }

  /** The next change of owner strictly after t; Infinity: none known. */
  nextChange(namespace: string, t: number): number {
    return nextChange(this.#history(namespace), t);
  }

  #history(namespace: string): Steps {
    return this.#histories.get(namespace) ?? NOBODY;
  }
}

function ownersOf(sightings: readonly LabelSighting[]): Steps {
  const seen = sightings.map(({ t, tenant }) => ({ t, value: tenant }));
  return stepsOf(seen, (tenant) => (tenant === '' ? UNATTRIBUTED_TENANT : tenant)) ?? NOBODY;
}
