/** Hours of a cluster that have units, as the store knows them; ms. */
import type { Parameters, UsageStore } from '../store/usage-store.ts';

export const FOR_EVER = 9223372036854775807n;
/** The largest time a DateTime holds, in seconds. */
const LAST_SECOND = 4294967295;

/**
 * Units that are marked: an open hour has no closings yet, and one that is being rolled up writes them later.
 */
export const OPEN_UNITS = `SELECT toUnixTimestamp(hour) AS seconds FROM unit_mark
  WHERE cluster = {cluster:String} GROUP BY hour, source HAVING max(marked) > max(rolled)`;

/** Hours from a statement that selects `seconds`. */
export async function hoursOf(store: UsageStore, sql: string, parameters: Parameters): Promise<number[]> {
  const rows = await store.rows<{ seconds: number }>(sql, parameters);
  return rows.map((row) => row.seconds * 1000);
}

/** Hours in [from, to] that were ever marked: all that have a unit. */
export async function markedHours(
  store: UsageStore,
  cluster: string,
  from: number,
  to: number,
): Promise<number[]> {
  return await hoursOf(
    store,
    `SELECT DISTINCT toUnixTimestamp(hour) AS seconds FROM unit_mark WHERE cluster = {cluster:String}
     AND hour >= toDateTime({from:Int64}, 'UTC') AND hour <= toDateTime({to:Int64}, 'UTC')`,
    { cluster, from: Math.max(0, from / 1000), to: Math.min(LAST_SECOND, to / 1000) },
  );
}
