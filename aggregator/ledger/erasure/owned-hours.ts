/**
 * The hours in which a namespace belonged to a tenant from beginning to end. In: sightings of labels, and the
 * platform namespaces of each period. Out: stretches of whole hours up to an end. A namespace that moved at
 * 10:20 gives its new owner the hours from 11:00 on and its old one those before 10:00; hour 10 is nobody's
 * alone.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { nextPeriod, periodEnd, periodStart, type Period } from '../../../core/metering/period.ts';
import type { MeteringSettings } from '../../../core/metering/settings.ts';
import { Ownership, type LabelSighting } from '../../attribution/ownership.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { ErasedStretch } from './decision.ts';

export interface OwnedHoursOptions {
  readonly tenant: string;
  /** Up to the end of this period. */
  readonly through: Period;
  /** The first period that is told apart from what lies before it. */
  readonly first: Period;
  readonly settingsOf: (period: Period) => Pick<MeteringSettings, 'platformNamespaces'>;
}

export async function readOwnedHours(
  store: UsageStore,
  options: OwnedHoursOptions,
): Promise<readonly ErasedStretch[]> {
  const { tenant, through, first, settingsOf } = options;
  const sightings = await readChanges(store, tenant);
  const stretches: ErasedStretch[] = [];
  for (let period = Math.min(first, through); period <= through; period = nextPeriod(period)) {
    const from = period <= first ? 0 : periodStart(period);
    const bounds = { from, to: periodEnd(period) };
    for (const [cluster, ofCluster] of sightings) {
      const ownership = new Ownership(settingsOf(period).platformNamespaces, ofCluster);
      for (const namespace of ofCluster.keys()) {
        const owned = ownedBy(tenant, (t) => ownership.ownerAt(namespace, t), {
          ...bounds,
          next: (t) => ownership.nextChange(namespace, t),
        });
        stretches.push(...owned.map((stretch) => ({ cluster, namespace, ...stretch })));
      }
    }
  }
  return joined(stretches);
}

interface Bounds {
  readonly from: number;
  readonly to: number;
  readonly next: (t: number) => number;
}

/** Whole hours between changes of owner. */
function ownedBy(
  tenant: string,
  ownerAt: (t: number) => string,
  { from, to, next }: Bounds,
): { from: number; to: number }[] {
  const owned: { from: number; to: number }[] = [];
  for (let t = from; t < to;) {
    const end = Math.min(next(t), to);
    const hours = { from: Math.ceil(t / HOUR_MS) * HOUR_MS, to: Math.floor(end / HOUR_MS) * HOUR_MS };
    if (ownerAt(t) === tenant && hours.from < hours.to) owned.push(hours);
    t = end;
  }
  return owned;
}

/** Stretches of periods that follow each other are one. */
function joined(stretches: readonly ErasedStretch[]): readonly ErasedStretch[] {
  const result: ErasedStretch[] = [];
  const last = new Map<string, number>();
  for (const stretch of stretches) {
    const key = `${stretch.cluster}\n${stretch.namespace}`;
    const at = last.get(key);
    const before = at === undefined ? undefined : result[at];
    if (at !== undefined && before?.to === stretch.from) {
      result[at] = { ...before, to: stretch.to };
    } else {
      last.set(key, result.push(stretch) - 1);
    }
  }
  return result;
}

/** Changes of owner of every namespace that was ever the tenant's, by cluster and namespace. */
async function readChanges(
  store: UsageStore,
  tenant: string,
): Promise<ReadonlyMap<string, ReadonlyMap<string, readonly LabelSighting[]>>> {
  const rows = await store.rows<{ in_cluster: string; name: string; t: string; owner: string }>(
    `SELECT in_cluster, name, t, owner FROM (
       SELECT in_cluster, name, t, owner, lagInFrame(toNullable(owner)) OVER (
         PARTITION BY in_cluster, name ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
       FROM (
         SELECT toString(cluster) AS in_cluster, toString(namespace) AS name, t,
           toString(max(tenant)) AS owner
         FROM label_history
         WHERE (cluster, namespace) IN (
           SELECT DISTINCT cluster, namespace FROM label_history WHERE tenant = {tenant:String})
         GROUP BY in_cluster, name, t))
     WHERE before IS NULL OR before != owner ORDER BY in_cluster, name, t`,
    { tenant },
  );
  const found = new Map<string, Map<string, LabelSighting[]>>();
  for (const { in_cluster: cluster, name, t, owner } of rows) {
    const ofCluster = found.get(cluster) ?? new Map<string, LabelSighting[]>();
    found.set(cluster, ofCluster);
    const seen = ofCluster.get(name) ?? [];
    ofCluster.set(name, seen);
    seen.push({ t: Number(t), tenant: owner });
  }
  return found;
}
