/** Everything that usage is made of and comes to, as text: equal for equal samples, whatever happened on the way. */
import { readUsageRows, type UsageRow } from '../../aggregator/rollup/usage-rows.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';

/** Rows by table, sorted; quantities as the engine writes them. */
export type State = Readonly<Record<string, readonly string[]>>;

const QUERIES = {
  parts: `SELECT cluster, unit, hour, tenant, namespace, meter, q0, q1, q2, q3, missing_ms, samples, flags
    FROM usage_parts FINAL WHERE q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0`,
  closings: 'SELECT cluster, hour, hex(series) AS id, t, value, known FROM closings FINAL',
  // An hour that was looked at and of which nothing was expected says nothing, as parts of nothing do.
  coverage: `SELECT cluster, hour, meter, covered_ms, expected_ms FROM coverage FINAL
    WHERE covered_ms != 0 OR expected_ms != 0`,
  samples: 'SELECT cluster, hour, meter, hex(series) AS id, t, start, target, version FROM samples FINAL',
  sightings: `SELECT cluster, hex(series) AS id, target, min(value_t) AS v, min(rejected_t) AS r FROM sightings
    GROUP BY cluster, series, target`,
  quarantine: 'SELECT topic, partition, offset, n, reason FROM quarantine FINAL',
} as const;

export async function readState(store: UsageStore): Promise<State> {
  const entries: [string, string[]][] = [];
  for (const [name, sql] of Object.entries(QUERIES)) {
    const rows = await store.rows<Record<string, unknown>>(sql);
    entries.push([name, rows.map((row) => Object.values(row).join(' ')).sort()]);
  }
  return { ...Object.fromEntries(entries), usage: usageLines(await readUsageRows(store)) };
}

export type Usage = Pick<
  UsageRow,
  'hour' | 'tenant' | 'cluster' | 'namespace' | 'meter' | 'quarters' | 'missingMs'
>;

/** One sorted line per row: its key, its quarters, its missing time. */
export function usageLines(rows: readonly Usage[]): string[] {
  return rows
    .map((row) => {
      const key = [new Date(row.hour).toISOString(), row.tenant, row.cluster, row.namespace, row.meter];
      return `${key.join(' ')}: ${row.quarters.join(' + ')}, missing ${row.missingMs} ms`;
    })
    .sort();
}

/** What one of two states has and the other has not, a few lines of each table. */
export function stateDifferences(expected: State, found: State): string[] {
  return Object.keys(expected).flatMap((table) => {
    const [a, b] = [new Set(expected[table]), new Set(found[table])];
    const missing = [...a].filter((row) => !b.has(row)).map((row) => `${table}: missing ${row}`);
    const surplus = [...b].filter((row) => !a.has(row)).map((row) => `${table}: surplus ${row}`);
    return [...missing.slice(0, 5), ...surplus.slice(0, 5)];
  });
}
