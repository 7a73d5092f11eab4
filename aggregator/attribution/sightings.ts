/**
 * The label sightings that bear on a stretch of time: per namespace the last one at or before its beginning
 * (before the very first, the first applies), and the changes after it.
 */
import type { UsageStore } from '../store/usage-store.ts';
import type { LabelSighting } from './ownership.ts';

const HOUR_MS = 3_600_000;
/** How far back the last sighting is looked for at first; almost every namespace is seen every minute. */
const NEAR_MS = HOUR_MS;
const FAR_CHUNK = 1_000;

interface Stretch {
  readonly unit: { readonly cluster: string; readonly hour: number };
  readonly from: number;
  readonly namespaces: ReadonlySet<string>;
}

export async function readSightings(
  store: UsageStore,
  stretch: Stretch,
): Promise<Map<string, readonly LabelSighting[]>> {
  const { unit, from, namespaces } = stretch;
  const found = new Map<string, LabelSighting[]>();
  const near = { cluster: unit.cluster, from: from - NEAR_MS, to: unit.hour + HOUR_MS };
  for (const row of await changesWithin(store, near)) listOf(found, row.namespace).push(sightingOf(row));
  const missing = [...namespaces].filter((namespace) => {
    const first = found.get(namespace)?.[0];
    return first === undefined || first.t > from;
  });
  for (let i = 0; i < missing.length; i += FAR_CHUNK) {
    for (const row of await nearestOutside(store, near, missing.slice(i, i + FAR_CHUNK))) {
      const known = listOf(found, row.namespace);
      if (Number(row.earlier) > 0) known.unshift({ t: Number(row.last_t), tenant: row.last_tenant });
      else if (known.length === 0) known.push({ t: Number(row.first_t), tenant: row.first_tenant });
    }
  }
  return found;
}

interface SightingRow {
  readonly namespace: string;
  readonly t: string;
  readonly tenant: string;
}

interface Window {
  readonly cluster: string;
  readonly from: number;
  readonly to: number;
}

/** Sightings in (from, to] that differ from the one before them, with the first of each namespace. */
async function changesWithin(store: UsageStore, window: Window): Promise<readonly SightingRow[]> {
  return await store.rows<SightingRow>(
    `SELECT ns AS namespace, t, owner AS tenant FROM (
       SELECT ns, t, owner,
         lagInFrame(toNullable(owner)) OVER (
           PARTITION BY ns ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
       FROM (
         SELECT toString(namespace) AS ns, t, toString(max(tenant)) AS owner FROM label_history
         WHERE cluster = {cluster:String} AND t > {from:Int64} AND t <= {to:Int64} GROUP BY ns, t))
     WHERE before IS NULL OR before != owner ORDER BY ns, t`,
    { ...window },
  );
}

interface NearestRow {
  readonly namespace: string;
  readonly earlier: string;
  readonly last_t: string;
  readonly last_tenant: string;
  readonly first_t: string;
  readonly first_tenant: string;
}

/** Per namespace, outside the window: the last sighting before it and the first of all. */
async function nearestOutside(
  store: UsageStore,
  window: Window,
  namespaces: readonly string[],
): Promise<readonly NearestRow[]> {
  return await store.rows<NearestRow>(
    `SELECT namespace, countIf(t <= {from:Int64}) AS earlier,
       maxIf(t, t <= {from:Int64}) AS last_t, argMaxIf(tenant, (t, tenant), t <= {from:Int64}) AS last_tenant,
       min(t) AS first_t, argMax(tenant, (-t, tenant)) AS first_tenant
     FROM label_history
     WHERE cluster = {cluster:String} AND namespace IN {namespaces:Array(String)}
       AND (t <= {from:Int64} OR t > {to:Int64})
     GROUP BY namespace`,
    { ...window, namespaces },
  );
}

function sightingOf(row: SightingRow): LabelSighting {
  return { t: Number(row.t), tenant: row.tenant };
}

function listOf(lists: Map<string, LabelSighting[]>, namespace: string): LabelSighting[] {
  let list = lists.get(namespace);
  if (list === undefined) lists.set(namespace, (list = []));
  return list;
}
