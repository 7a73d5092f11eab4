/**
 * Which samples the minutes of a range are made from. In: the store, what is asked and by whom. Out: units of
 * clusters and which of their series, or why not. Usage of an hour comes from its own unit and from later
 * ones, in which its last intervals end: what the roll-up stored says which, and for which namespaces.
 */
import { startOfHour } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';
import { KeptHours } from '../../ledger/erasure/kept-hours.ts';
import { choiceConditions, choiceParameters, type SeriesChoice } from '../../rollup/series-choice.ts';
import { frozenBefore } from '../../store/retention.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { tenantConditions } from '../identity/tenant-conditions.ts';
import { KEY_DIMENSIONS, type Filters } from '../usage/dimensions.ts';

/** A series in an hour costs as much as so many samples: it is known by its labels and ends in a closing. */
const SERIES_COST = 20;
/** With more of them all series of the meter are read, and those of others dropped. */
const MAX_NAMESPACES = 1_000;

export interface MinutesAsked {
  readonly scope: TenantScope;
  readonly meter: string;
  readonly filters: Filters;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface GivingUnit {
  readonly unit: number;
  /** Of the range. */
  readonly hours: readonly number[];
}

export interface ClusterPlan {
  readonly cluster: string;
  /** In order. */
  readonly units: readonly GivingUnit[];
  readonly only: SeriesChoice;
  /** Samples by unit, copies too. */
  readonly counts: ReadonlyMap<number, number>;
}

export interface MinutePlan {
  readonly clusters: readonly ClusterPlan[];
  readonly kept: Kept;
}

/** What there are samples of. */
export interface Kept {
  readonly hours: KeptHours;
  /** Units before this have none, ms. */
  readonly from: number;
}

export type Planned =
  | { readonly ok: true; readonly plan: MinutePlan }
  /** Minutes can be asked for from then on, ms. */
  | { readonly ok: false; readonly keptFrom: number }
  | { readonly ok: false; readonly keptFrom?: undefined };

export async function readKept(store: UsageStore): Promise<Kept> {
  return { hours: await KeptHours.read(store), from: await frozenBefore(store) };
}

/** `closedBefore`: of hours before it the statement counts, whatever came since. */
export async function planMinutes(
  store: UsageStore,
  asked: MinutesAsked,
  { closedBefore, maxSamples }: { readonly closedBefore: number; readonly maxSamples: number },
): Promise<Planned> {
  const kept = await readKept(store);
  const keptFrom = Math.max(closedBefore, kept.from);
  if (startOfHour(asked.fromMs) < keptFrom) return { ok: false, keptFrom };
  const clusters: ClusterPlan[] = [];
  let cost = 0;
  for (const [cluster, given] of Map.groupBy(await readGiving(store, asked), (row) => row.cluster)) {
    const frozen = given.flatMap(({ unit, namespaces }) =>
      frozenEnds(kept.hours, { cluster, unit, namespaces }),
    );
    if (frozen.length > 0) return { ok: false, keptFrom: Math.max(...frozen) };
    const only = choiceOf(asked, given);
    const counted = await count(store, cluster, { units: given.map(({ unit }) => unit), only });
    for (const { samples, series } of counted.values()) cost += samples + SERIES_COST * series;
    if (cost > maxSamples) return { ok: false };
    const counts = new Map([...counted].map(([unit, { samples }]) => [unit, samples]));
    clusters.push({ cluster, units: given, only, counts });
  }
  return { ok: true, plan: { clusters, kept } };
}

/** Without those that are only of other hours. */
export function withinPlan({ clusters, kept }: MinutePlan, windows: readonly Window[]): MinutePlan {
  const first = startOfHour(windows[0]?.startMs ?? 0);
  const end = windows.at(-1)?.endMs ?? 0;
  const isWithin = ({ hours }: GivingUnit): boolean => hours.some((hour) => hour >= first && hour < end);
  return {
    clusters: clusters.map(({ units, ...plan }) => ({ ...plan, units: units.filter(isWithin) })),
    kept,
  };
}

interface Giving extends GivingUnit {
  readonly cluster: string;
  readonly namespaces: readonly string[];
}

async function readGiving(store: UsageStore, asked: MinutesAsked): Promise<Giving[]> {
  const { scope, meter, filters, fromMs, toMs } = asked;
  const mine = tenantConditions(scope);
  const filtered = KEY_DIMENSIONS.filter((name) => filters[name] !== undefined);
  const conditions = [
    "hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')",
    "unit >= toDateTime({first:Int64}, 'UTC') AND meter = {meter:String}",
    ...filtered.map((name) => `${name} IN {${name}:Array(String)}`),
    ...mine.rows,
  ];
  const rows = await store.rows<{
    name: string;
    unit_seconds: number;
    hours: readonly number[];
    namespaces: readonly string[];
  }>(
    `SELECT toString(cluster) AS name, toUnixTimestamp(unit) AS unit_seconds,
       groupUniqArray(toUnixTimestamp(hour)) AS hours, groupUniqArray(toString(namespace)) AS namespaces
     FROM usage_parts WHERE ${conditions.join(' AND ')}
     GROUP BY name, unit_seconds ORDER BY name, unit_seconds`,
    {
      ...{ meter, first: startOfHour(fromMs) / 1000, last: startOfHour(toMs - 1) / 1000 },
      ...Object.fromEntries(filtered.map((name) => [name, filters[name] ?? []])),
      ...mine.parameters,
    },
  );
  return rows.map(({ name, unit_seconds, hours, namespaces }) => ({
    ...{ cluster: name, unit: unit_seconds * 1000, namespaces },
    hours: hours.map((seconds) => seconds * 1000),
  }));
}

/** Where the namespaces begin to be kept that are frozen in the unit. */
function frozenEnds(kept: KeptHours, { cluster, unit, namespaces }: Omit<Giving, 'hours'>): number[] {
  const frozen = new Set(kept.frozenNamespaces(cluster, unit));
  return namespaces.filter((name) => frozen.has(name)).map((name) => kept.frozenBefore(cluster, name));
}

/** Whoever may read everything and names nobody reads all series of the meter. */
function choiceOf({ scope, meter, filters }: MinutesAsked, given: readonly Giving[]): SeriesChoice {
  const isOfSome = scope.kind !== 'all' || filters.tenant !== undefined || filters.namespace !== undefined;
  const namespaces = isOfSome ? [...new Set(given.flatMap((row) => row.namespaces))] : [];
  return isOfSome && namespaces.length <= MAX_NAMESPACES ? { meter, namespaces } : { meter };
}

async function count(
  store: UsageStore,
  cluster: string,
  { units, only }: { readonly units: readonly number[]; readonly only: SeriesChoice },
): Promise<ReadonlyMap<number, { readonly samples: number; readonly series: number }>> {
  const conditions = [
    "hour IN (SELECT toDateTime(arrayJoin({units:Array(UInt32)}), 'UTC')) AND cluster = {cluster:String}",
    ...choiceConditions(only),
  ];
  const rows = await store.rows<{ seconds: number; n: string; of: string }>(
    `SELECT toUnixTimestamp(hour) AS seconds, count() AS n, uniq(series) AS of FROM samples
     WHERE ${conditions.join(' AND ')} GROUP BY hour`,
    { cluster, units: units.map((unit) => unit / 1000), ...choiceParameters(only) },
  );
  const found = new Map(
    rows.map(({ seconds, n, of }) => [seconds * 1000, { samples: Number(n), series: Number(of) }]),
  );
  return new Map(units.map((unit) => [unit, found.get(unit) ?? { samples: 0, series: 0 }]));
}
