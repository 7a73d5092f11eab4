/** The newest entry of each key, as of a place in the ledger. */
import type { UsageStore } from '../store/usage-store.ts';
import { keyText, quartersFrom, type EntryKey, type Quarters } from './entry.ts';

export interface LatestEntry extends EntryKey {
  readonly isCoverage: boolean;
  readonly kind: string;
  readonly seq: bigint;
  readonly revision: number;
  readonly quarters: Quarters;
  readonly inputHash: Buffer;
  /** A row of nothing: the key had vanished. */
  readonly isNothing: boolean;
}

interface Row {
  readonly seconds: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  readonly newest_revision: number;
  readonly newest_kind: string;
  readonly newest_seq: string;
  readonly hash: string;
  readonly quarters: readonly [string, string, string, string];
  readonly rest: string;
}

/** By `keyText`. A correction that was fixed says the same as the provisional one before it. */
export async function readLatest(
  store: UsageStore,
  wanted: { readonly cluster: string; readonly hours: readonly number[]; readonly upTo: bigint },
): Promise<Map<string, LatestEntry>> {
  const { cluster, hours, upTo } = wanted;
  const rows = await store.rows<Row>(
    `SELECT toUnixTimestamp(hour) AS seconds, tenant, namespace, meter, max(revision) AS newest_revision,
       argMax(kind, seq) AS newest_kind, max(seq) AS newest_seq,
       argMax(hex(input_hash), seq) AS hash, argMax([q0, q1, q2, q3], seq) AS quarters,
       toString(argMax(toInt256(missing_ms) + samples + flags + expected_ms, seq)) AS rest
     FROM ledger
     WHERE cluster = {cluster:String} AND kind IN ('usage', 'correction', 'coverage') AND NOT final
       AND seq <= {upTo:UInt64}
       AND hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
       AND toUnixTimestamp(hour) IN {hours:Array(UInt32)}
     GROUP BY seconds, tenant, namespace, meter`,
    {
      ...{ cluster, upTo, hours: hours.map((hour) => hour / 1000) },
      ...{ first: Math.min(...hours) / 1000, last: Math.max(...hours) / 1000 },
    },
  );
  return new Map(rows.map((row) => entryOf(cluster, row)));
}

function entryOf(cluster: string, row: Row): [string, LatestEntry] {
  const { tenant, namespace, meter } = row;
  const quarters = quartersFrom(row.quarters);
  const key = { hour: row.seconds * 1000, cluster, tenant, namespace, meter };
  const entry = {
    ...key,
    isCoverage: tenant === '',
    kind: row.newest_kind,
    seq: BigInt(row.newest_seq),
    revision: row.newest_revision,
    quarters,
    inputHash: Buffer.from(row.hash, 'hex'),
    isNothing: row.rest === '0' && quarters.every((quarter) => quarter === 0n),
  };
  return [keyText(key), entry];
}
