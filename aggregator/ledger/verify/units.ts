/**
 * Which units give to the hours of a period: those of the period, and later ones with intervals that begin in
 * it. Found from the samples, so that a part which nobody stored is missed by whoever verifies; what is
 * stored only adds to it.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { idsIn } from '../../store/ids.ts';
import type { Parameters, UsageStore } from '../../store/usage-store.ts';
import type { SeriesKey } from '../../rollup/span.ts';
import type { VerifyScope } from './scope.ts';

export interface Units {
  /** Hours of the period in which something of the cluster was known or expected, without a gap. */
  readonly within: readonly number[];
  readonly beyond: readonly number[];
}

/** Clusters that the period knows, by samples, by marks or by the ledger. */
export async function readClusters(store: UsageStore, scope: VerifyScope): Promise<readonly string[]> {
  const rows = await store.rows<{ name: string }>(
    `SELECT DISTINCT toString(cluster) AS name FROM (
       SELECT DISTINCT cluster FROM unit_mark WHERE ${IN_PERIOD}
       UNION ALL SELECT DISTINCT cluster FROM samples WHERE ${IN_PERIOD}
       UNION ALL SELECT DISTINCT cluster FROM usage_parts WHERE ${IN_PERIOD}
       UNION ALL SELECT DISTINCT cluster FROM ledger WHERE cluster != '' AND ${IN_PERIOD}
     ) ORDER BY name`,
    boundsOf(scope),
  );
  return rows.map((row) => row.name);
}

export const IN_PERIOD = "hour >= toDateTime({start:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')";

export function boundsOf({ start, end }: Pick<VerifyScope, 'start' | 'end'>): { start: number; end: number } {
  return { start: start / 1000, end: end / 1000 };
}

export async function readUnits(store: UsageStore, cluster: string, scope: VerifyScope): Promise<Units> {
  const { end, firstWithSamples } = scope;
  if (firstWithSamples >= end) return { within: [], beyond: [] };
  const [row] = await store.rows<{ first: number; last: number }>(
    `SELECT toUnixTimestamp(min(hour)) AS first, toUnixTimestamp(max(hour)) AS last FROM (
       SELECT hour FROM unit_mark WHERE cluster = {cluster:String}
       UNION ALL SELECT min(hour) FROM samples WHERE cluster = {cluster:String} HAVING count() > 0
       UNION ALL SELECT max(hour) FROM samples WHERE cluster = {cluster:String} HAVING count() > 0)`,
    { cluster },
  );
  const within: number[] = [];
  const first = Math.max(firstWithSamples, (row?.first ?? 0) * 1000);
  const last = Math.min(end - HOUR_MS, (row?.last ?? 0) * 1000);
  for (let hour = first; hour <= last; hour += HOUR_MS) within.push(hour);
  const found = new Set(within);
  const beyond = [
    ...(await reachingBack(store, cluster, scope)),
    ...(await storedUnits(store, cluster, scope)),
  ];
  const outside = [...new Set(beyond)].filter((hour) => !found.has(hour) && hour >= firstWithSamples);
  return { within, beyond: outside.sort((a, b) => a - b) };
}

/**
 * Where a series goes on after the period, its interval begins in it. A birth may begin as far back as the
 * lateness, or further where a start is known; a delta point anywhere.
 */
async function reachingBack(store: UsageStore, cluster: string, scope: VerifyScope): Promise<number[]> {
  const { latenessMs } = scope.settings.of(scope.period);
  return await hoursOf(
    store,
    `SELECT DISTINCT toUnixTimestamp(first) AS seconds FROM (
       SELECT series, min(hour) AS first, minIf(start, start > 0) AS known FROM samples
       WHERE cluster = {cluster:String} AND hour >= toDateTime({end:Int64}, 'UTC') GROUP BY series)
     WHERE first <= toDateTime({near:Int64}, 'UTC') OR (known > 0 AND known < {endMs:Int64})
       OR series IN (
         SELECT series FROM closings
         WHERE cluster = {cluster:String} AND hour < toDateTime({end:Int64}, 'UTC'))
       OR series IN (
         SELECT series FROM births WHERE cluster = {cluster:String} AND hour >= toDateTime({end:Int64}, 'UTC')
           AND (start_key IN (
               SELECT start_key FROM container_start
               WHERE cluster = {cluster:String} AND start < {endMs:Int64})
             OR target IN (
               SELECT target FROM process_start WHERE cluster = {cluster:String}
                 AND hour >= toDateTime({end:Int64}, 'UTC') AND start < {endMs:UInt64})))
     UNION DISTINCT
     SELECT toUnixTimestamp(hour) FROM samples
     WHERE cluster = {cluster:String} AND hour >= toDateTime({end:Int64}, 'UTC')
       AND start > 0 AND start < {endMs:Int64}
       AND series IN (SELECT series FROM series WHERE cluster = {cluster:String} AND delta = 1)`,
    {
      ...{ cluster, end: scope.end / 1000, endMs: scope.end },
      near: Math.ceil((scope.end + latenessMs) / HOUR_MS) * (HOUR_MS / 1000),
    },
  );
}

/** Units that somebody says give to the period, wherever they lie. */
async function storedUnits(store: UsageStore, cluster: string, scope: VerifyScope): Promise<number[]> {
  return await hoursOf(
    store,
    `SELECT DISTINCT toUnixTimestamp(unit) AS seconds FROM usage_parts
     WHERE cluster = {cluster:String} AND ${IN_PERIOD}`,
    { cluster, ...boundsOf(scope) },
  );
}

/** Where these series go on after the hour: a sample that was left out left their interval open. */
export async function hoursThatGoOn(
  store: UsageStore,
  place: { readonly cluster: string; readonly hour: number },
  series: readonly SeriesKey[],
): Promise<number[]> {
  if (series.length === 0) return [];
  return await hoursOf(
    store,
    `SELECT DISTINCT toUnixTimestamp(min(hour)) AS seconds FROM samples
     WHERE cluster = {cluster:String} AND hour > toDateTime({hour:Int64}, 'UTC')
       AND series IN ${idsIn('series')} GROUP BY series`,
    {
      ...{ cluster: place.cluster, hour: place.hour / 1000 },
      series: series.map((key) => Buffer.from(key, 'latin1').toString('hex')),
    },
  );
}

async function hoursOf(store: UsageStore, sql: string, parameters: Parameters): Promise<number[]> {
  const rows = await store.rows<{ seconds: number }>(sql, parameters);
  return rows.map((row) => row.seconds * 1000);
}
