/**
 * What the roll-up leaves as it is, because what it was made from is gone: units of a namespace whose samples
 * were erased, and hours whose parts are past their retention. In: decisions. Without them everything is
 * rolled up.
 *
 * Of a namespace all units before the end of its last erased hour are frozen, also those that kept their
 * samples (hours of a move, hours of an owner before): a late sample of such an hour would begin an interval
 * that ends in a frozen one, and count twice. What was 90 on 10:10 -> 12:30 stays 90, whoever sends 30 at
 * 10:15 afterwards. Units after it start from their closings, which stay, so they come out as ever. What they
 * give to erased hours goes to whom those were taken from, whatever labels come to light: an hour is not
 * moved by a part.
 */
import type { LabelSighting } from '../../attribution/ownership.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { readErasures, type ErasedStretch, type ErasureDecision } from './decision.ts';

export class KeptHours {
  /** Told apart from what was decided since. */
  readonly state: string;
  readonly #partsFrom: number;
  /** By cluster and namespace: units before are frozen. */
  readonly #frozenBefore = new Map<string, Map<string, number>>();
  readonly #erasures: readonly ErasureDecision[];

  constructor(erasures: readonly ErasureDecision[], partsFrom: number) {
    this.#erasures = erasures;
    this.state = `${erasures.length}/${partsFrom}`;
    this.#partsFrom = partsFrom;
    for (const { cluster, namespace, to } of erasures.flatMap(({ stretches }) => stretches)) {
      const ofCluster = this.#frozenBefore.get(cluster) ?? new Map<string, number>();
      this.#frozenBefore.set(cluster, ofCluster);
      ofCluster.set(namespace, Math.max(to, ofCluster.get(namespace) ?? 0));
    }
  }

  static async read(store: UsageStore): Promise<KeptHours> {
    return new KeptHours(await readErasures(store), await partsKeptFrom(store));
  }

  isFrozen(cluster: string, namespace: string, unit: number): boolean {
    return unit < this.frozenBefore(cluster, namespace);
  }

  /** The end of the last hour that was erased; 0 where none was. */
  frozenBefore(cluster: string, namespace: string): number {
    return this.#frozenBefore.get(cluster)?.get(namespace) ?? 0;
  }

  /** The hour was a tenant's whose data were erased: what its usage was of, nobody may know any more. */
  isErased(cluster: string, namespace: string, hour: number): boolean {
    if (hour >= this.frozenBefore(cluster, namespace)) return false;
    return this.#erasures.some(({ stretches }) =>
      stretches.some(
        (stretch) =>
          stretch.cluster === cluster &&
          stretch.namespace === namespace &&
          hour >= stretch.from &&
          hour < stretch.to,
      ),
    );
  }

  frozenNamespaces(cluster: string, unit: number): string[] {
    const ofCluster = [...(this.#frozenBefore.get(cluster) ?? [])];
    return ofCluster.filter(([, before]) => unit < before).map(([namespace]) => namespace);
  }

  /** False: its parts are gone, and what is given to it now would stand alone. */
  hasParts(hour: number): boolean {
    return hour >= this.#partsFrom;
  }

  /** Sightings by namespace, with those within erased hours replaced by the owner of these. */
  withOwnersOfErasedHours(
    cluster: string,
    sightings: ReadonlyMap<string, readonly LabelSighting[]>,
  ): ReadonlyMap<string, readonly LabelSighting[]> {
    const fixed = new Map(sightings);
    // Of two erasures of the same hour the first had its samples.
    for (const { tenant, stretches } of this.#erasures.toReversed()) {
      for (const { namespace, from, to } of stretches.filter((stretch) => stretch.cluster === cluster)) {
        const seen = (fixed.get(namespace) ?? []).toSorted((a, b) => a.t - b.t);
        const [before, after] = [seen.filter(({ t }) => t < from), seen.filter(({ t }) => t >= to)];
        const next = seen.findLast(({ t }) => t < to) ?? seen[0] ?? { tenant: '' };
        const resumed = after[0]?.t === to ? [] : [{ t: to, tenant: next.tenant }];
        fixed.set(namespace, [...before, { t: from, tenant }, ...resumed, ...after]);
      }
    }
    return fixed;
  }

  /**
   * The first of these hours, which are in order, that may be rolled up together: a span in which a namespace
   * is frozen at first and not at last would take the first sample that is left for the series' birth.
   */
  together(cluster: string, hours: readonly number[]): readonly number[] {
    const [first = 0] = hours;
    const ends = [...(this.#frozenBefore.get(cluster)?.values() ?? [])].filter((before) => before > first);
    const end = Math.min(...ends);
    return hours.filter((hour) => hour < end);
  }
}

export const EVERYTHING_KEPT = new KeptHours([], 0);

/** Hours before this have no parts any more; 0 where none were dropped yet. */
export async function partsKeptFrom(store: UsageStore): Promise<number> {
  const [row] = await store.rows<{ seconds: number }>(
    "SELECT toUnixTimestamp(max(floor)) AS seconds FROM decision WHERE kind = 'hours'",
  );
  return (row?.seconds ?? 0) * 1000;
}

export interface ErasedHours extends ErasedStretch {
  readonly tenant: string;
}

/**
 * Which hours within [from, to) have lost the samples of whom, for those who recompute or explain figures.
 */
export async function erasedHours(
  store: UsageStore,
  wanted: {
    readonly tenant?: string;
    readonly cluster?: string;
    readonly from: number;
    readonly to: number;
  },
): Promise<readonly ErasedHours[]> {
  const { tenant, cluster, from, to } = wanted;
  const found = (await readErasures(store)).flatMap((erasure) =>
    erasure.stretches.map((stretch) => ({ tenant: erasure.tenant, ...stretch })),
  );
  const matching = found.filter(
    (stretch) =>
      (tenant === undefined || stretch.tenant === tenant) &&
      (cluster === undefined || stretch.cluster === cluster) &&
      stretch.from < to &&
      stretch.to > from,
  );
  return united(
    matching.map((stretch) => ({
      ...stretch,
      from: Math.max(from, stretch.from),
      to: Math.min(to, stretch.to),
    })),
  );
}

/** Erasures through later periods say again what earlier ones said. */
function united(stretches: readonly ErasedHours[]): readonly ErasedHours[] {
  const keyOf = ({ tenant, cluster, namespace }: ErasedHours): string =>
    JSON.stringify([tenant, cluster, namespace]);
  const groups = Map.groupBy(stretches, keyOf);
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, group]) => unitedOfOne(group));
}

function unitedOfOne(group: readonly ErasedHours[]): readonly ErasedHours[] {
  const joined: ErasedHours[] = [];
  for (const stretch of group.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last === undefined || stretch.from > last.to) joined.push(stretch);
    else joined[joined.length - 1] = { ...last, to: Math.max(last.to, stretch.to) };
  }
  return joined;
}
