/**
 * Series of an explanation as a scope is told them: labels that name the other side are told as their
 * destination is (`identity/told-destinations.ts`). A series that names another tenant's object has no id
 * either: an id is a hash of the labels, so who guesses a name could see whether it is right.
 */
import { meterNamed, type MeterDefinition } from '../../../core/metering/catalogue.ts';
import type { Explanation } from '../../ledger/explain.ts';
import { detailOf } from '../../rollup/series-detail.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { ANOTHER_TENANT, readTold } from '../identity/told-destinations.ts';

type Key = Explanation['keys'][number];
type Series = Key['series'][number];

/** All that reads is done here; what is made of it is for each series alone. */
export async function readToldSeries(
  store: UsageStore,
  scope: TenantScope,
  { meter: name, keys }: Explanation,
): Promise<(key: Key, series: Series) => Series> {
  const meter = meterNamed(name);
  if (meter === undefined || meter.otherSide.length === 0) return (_key, series) => series;
  const told = new Map<string, ReadonlyMap<string, string>>();
  for (const [cluster, own] of Map.groupBy(keys, (key) => key.cluster)) {
    const named = own.flatMap((key) => key.series.map((series) => destinationOf(meter, key, series)));
    told.set(cluster, await readTold(store, scope, { cluster, destinations: [...new Set(named)] }));
  }
  return (key, series) => {
    const to = told.get(key.cluster)?.get(destinationOf(meter, key, series)) ?? ANOTHER_TENANT;
    if (to === ANOTHER_TENANT || meter.breakdown.destination === undefined)
      return withoutOtherSide(meter, series);
    const isPlaced = to.startsWith('Node/') || isOfNamespace(meter, series);
    return isPlaced ? series : withoutOtherSide(meter, series, namesIn(meter));
  };
}

function destinationOf(meter: MeterDefinition, { namespace }: Key, { labels }: Series): string {
  return detailOf(meter, namespace, new Map(Object.entries(labels))).destination;
}

/** Labels that a destination is made of. */
function namesIn({ breakdown: { destination } }: MeterDefinition): readonly string[] {
  return destination === undefined ? [] : [...destination.inside, ...destination.outside];
}

/** Then all that it says of the other side is of an object in it. */
function isOfNamespace(meter: MeterDefinition, { labels }: Series): boolean {
  return namesIn(meter).some((name) => name.endsWith('_namespace') && (labels[name] ?? '') !== '');
}

/** But for those that are kept: the destination tells them; of the rest nobody knows whose it is. */
function withoutOtherSide(
  { otherSide }: MeterDefinition,
  series: Series,
  kept: readonly string[] = [],
): Series {
  const names = Object.keys(series.labels).filter(
    (name) => !kept.includes(name) && otherSide.some((begin) => name.startsWith(begin)),
  );
  if (names.length === 0) return series;
  const hidden = Object.fromEntries(names.map((name) => [name, ANOTHER_TENANT]));
  return { ...series, series: ANOTHER_TENANT, labels: { ...series.labels, ...hidden } };
}
