/** Usage as rows of (hour, tenant, cluster, namespace, meter), summed over the units that give to an hour. */
import type { UsageStore } from '../store/usage-store.ts';

export interface UsageRow {
  /** Start of the hour, ms. */
  readonly hour: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  /** Base units. */
  readonly quantity: bigint;
  readonly quarters: readonly [bigint, bigint, bigint, bigint];
  readonly missingMs: bigint;
  readonly samples: bigint;
  readonly flags: number;
}

interface StoredRow {
  readonly seconds: number;
  readonly tenant: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly meter: string;
  readonly s0: string;
  readonly s1: string;
  readonly s2: string;
  readonly s3: string;
  readonly missing: string;
  readonly n: string;
  readonly all_flags: number;
}

/** All rows with a quantity or missing time, sorted by all key columns. */
export async function readUsageRows(store: UsageStore): Promise<UsageRow[]> {
  const rows = await store.rows<StoredRow>(
    `SELECT toUnixTimestamp(hour) AS seconds, tenant, cluster, namespace, meter,
       sum(toInt256(q0)) AS s0, sum(toInt256(q1)) AS s1, sum(toInt256(q2)) AS s2, sum(toInt256(q3)) AS s3,
       sum(toInt256(missing_ms)) AS missing, sum(samples) AS n, groupBitOr(flags) AS all_flags
     FROM usage_parts FINAL GROUP BY hour, tenant, cluster, namespace, meter
     HAVING s0 + s1 + s2 + s3 != 0 OR missing != 0
     ORDER BY hour, tenant, cluster, namespace, meter`,
  );
  return rows.map((row) => {
    const quarters = [BigInt(row.s0), BigInt(row.s1), BigInt(row.s2), BigInt(row.s3)] as const;
    return {
      hour: row.seconds * 1000,
      tenant: row.tenant,
      cluster: row.cluster,
      namespace: row.namespace,
      meter: row.meter,
      quantity: quarters.reduce((a, b) => a + b),
      quarters,
      missingMs: BigInt(row.missing),
      samples: BigInt(row.n),
      flags: row.all_flags,
    };
  });
}
