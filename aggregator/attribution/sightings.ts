/**
 * The sightings that bear on a stretch of time: per subject the last one at or before its beginning (before
 * the very first, the first applies), and the changes after it.
 */
import type { UsageStore } from '../store/usage-store.ts';
import type { History } from './histories.ts';
import type { Sighting } from './history.ts';

const HOUR_MS = 3_600_000;
/** How far back the last sighting is looked for at first; almost every subject is seen every hour. */
const NEAR_MS = HOUR_MS;
const FAR_CHUNK = 1_000;

export interface Stretch {
  readonly unit: { readonly cluster: string; readonly hour: number };
  readonly from: number;
}

export async function readSightings(
  store: UsageStore,
  history: History,
  { unit, from, subjects }: Stretch & { readonly subjects: ReadonlySet<string> },
): Promise<Map<string, readonly Sighting[]>> {
  const found = new Map<string, Sighting[]>();
  const near = { cluster: unit.cluster, from: from - NEAR_MS, to: unit.hour + HOUR_MS };
  for (const row of await changesWithin(store, history, near))
    if (subjects.has(row.subject)) listOf(found, row.subject).push(sightingOf(row));
  const missing = [...subjects].filter((subject) => {
    const first = found.get(subject)?.[0];
    return first === undefined || first.t > from;
  });
  // A cluster that shows none at all need not be asked about each of its subjects, hour after hour.
  if (found.size === 0 && !(await hasAny(store, history, unit.cluster))) return found;
  for (let i = 0; i < missing.length; i += FAR_CHUNK) {
    const asked = { ...near, subjects: missing.slice(i, i + FAR_CHUNK) };
    for (const row of await nearestOutside(store, history, asked)) {
      const known = listOf(found, row.subject);
      if (Number(row.earlier) > 0) known.unshift({ t: Number(row.last_t), value: row.last_value });
      else if (known.length === 0) known.push({ t: Number(row.first_t), value: row.first_value });
    }
  }
  return found;
}

async function hasAny(store: UsageStore, { table }: History, cluster: string): Promise<boolean> {
  const rows = await store.rows(`SELECT 1 AS found FROM ${table} WHERE cluster = {cluster:String} LIMIT 1`, {
    cluster,
  });
  return rows.length > 0;
}

interface SightingRow {
  readonly subject: string;
  readonly t: string;
  readonly value: string;
}

interface Window {
  readonly cluster: string;
  readonly from: number;
  readonly to: number;
}

/** Sightings in (from, to] that differ from the one before them, with the first of each subject. */
async function changesWithin(
  store: UsageStore,
  history: History,
  window: Window,
): Promise<readonly SightingRow[]> {
  return await store.rows<SightingRow>(
    `SELECT who AS subject, at AS t, held AS value FROM (
       SELECT who, at, held,
         lagInFrame(toNullable(held)) OVER (
           PARTITION BY who ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
       FROM (SELECT who, at, max(what) AS held FROM (${history.within}) GROUP BY who, at))
     WHERE before IS NULL OR before != held ORDER BY subject, t`,
    { ...window },
  );
}

interface NearestRow {
  readonly subject: string;
  readonly earlier: string;
  readonly last_t: string;
  readonly last_value: string;
  readonly first_t: string;
  readonly first_value: string;
}

/** Per subject, outside the window: the last sighting before it and the first of all. */
async function nearestOutside(
  store: UsageStore,
  history: History,
  asked: Window & { readonly subjects: readonly string[] },
): Promise<readonly NearestRow[]> {
  return await store.rows<NearestRow>(
    `SELECT who AS subject, countIf(at <= {from:Int64}) AS earlier,
       maxIf(at, at <= {from:Int64}) AS last_t, argMaxIf(what, (at, what), at <= {from:Int64}) AS last_value,
       min(at) AS first_t, argMax(what, (-at, what)) AS first_value
     FROM (${history.ofSubjects})
     WHERE at <= {from:Int64} OR at > {to:Int64}
     GROUP BY who`,
    { ...asked },
  );
}

function sightingOf(row: SightingRow): Sighting {
  return { t: Number(row.t), value: row.value };
}

function listOf(lists: Map<string, Sighting[]>, subject: string): Sighting[] {
  let list = lists.get(subject);
  if (list === undefined) lists.set(subject, (list = []));
  return list;
}
