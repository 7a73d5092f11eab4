/**
 * The breakdown of usage, summed over the units that give to an hour: rows of (hour, tenant, cluster,
 * namespace, meter) and (workload, destination, storage class), each '' where it is not known.
 */
import type { UsageStore } from '../store/usage-store.ts';

export interface DetailRow {
  /** Start of the hour, ms. */
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly workload: string;
  readonly destination: string;
  readonly storageClass: string;
  /** Base units. */
  readonly quarters: readonly [bigint, bigint, bigint, bigint];
}

interface StoredRow {
  readonly seconds: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly workload: string;
  readonly destination: string;
  readonly storage_class: string;
  readonly s0: string;
  readonly s1: string;
  readonly s2: string;
  readonly s3: string;
}

/** All rows with a quantity, sorted by all key columns. */
export async function readDetailRows(store: UsageStore): Promise<DetailRow[]> {
  const rows = await store.rows<StoredRow>(
    `SELECT toUnixTimestamp(hour) AS seconds, tenant, cluster, namespace, meter,
       workload, destination, storage_class,
       sum(toInt256(q0)) AS s0, sum(toInt256(q1)) AS s1, sum(toInt256(q2)) AS s2, sum(toInt256(q3)) AS s3
     FROM detail_parts FINAL
     GROUP BY hour, tenant, cluster, namespace, meter, workload, destination, storage_class
     HAVING s0 + s1 + s2 + s3 != 0
     ORDER BY hour, tenant, cluster, namespace, meter, workload, destination, storage_class`,
  );
  return rows.map(({ seconds, s0, s1, s2, s3, storage_class: storageClass, ...names }) => ({
    ...names,
    ...{ hour: seconds * 1000, storageClass },
    quarters: [BigInt(s0), BigInt(s1), BigInt(s2), BigInt(s3)],
  }));
}

/** Where details do not sum to the parts that they are of; nothing, where all is well. */
export interface DetailGap {
  readonly cluster: string;
  /** Start of the hour, ms. */
  readonly hour: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  /** Quarters of the parts, and of the details. */
  readonly parts: readonly string[];
  readonly details: readonly string[];
}

/**
 * Of the hours in [from, to), over those units of each that have details: what was rolled up before there
 * were any has none, and neither have hours past their retention.
 */
export async function readDetailGaps(
  store: UsageStore,
  { from, to, cluster = '' }: { readonly from: number; readonly to: number; readonly cluster?: string },
): Promise<DetailGap[]> {
  const quarters = (side: string): string =>
    `[${[0, 1, 2, 3].map((i) => `toString(sumIf(toInt256(q${i}), side = '${side}'))`).join(', ')}]`;
  const rows = await store.rows<Omit<DetailGap, 'hour'> & { readonly seconds: number }>(
    `SELECT cluster, toUnixTimestamp(hour) AS seconds, tenant, namespace, meter,
       ${quarters('parts')} AS parts, ${quarters('details')} AS details
     FROM (
       SELECT cluster, hour, tenant, namespace, meter, q0, q1, q2, q3, 'parts' AS side FROM usage_parts FINAL
       WHERE ${IN_HOURS} AND (cluster, unit, hour) IN (
         SELECT cluster, unit, hour FROM detail_parts WHERE ${IN_HOURS})
       UNION ALL
       SELECT cluster, hour, tenant, namespace, meter, q0, q1, q2, q3, 'details' FROM detail_parts FINAL
       WHERE ${IN_HOURS})
     GROUP BY cluster, hour, tenant, namespace, meter HAVING parts != details
     ORDER BY cluster, hour, tenant, namespace, meter`,
    { cluster, from: from / 1000, to: Math.min(to / 1000, LAST_SECOND) },
  );
  return rows.map(({ seconds, ...gap }) => ({ ...gap, hour: seconds * 1000 }));
}

const IN_HOURS = `({cluster:String} = '' OR cluster = {cluster:String})
  AND hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({to:Int64}, 'UTC')`;
/** The largest time a DateTime holds, in seconds. */
const LAST_SECOND = 4294967295;
