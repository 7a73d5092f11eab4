/**
 * What the roll-up stored, to be held against a roll-up from scratch of the same samples in other spans: parts, sums,
 * closings and coverage, without the versions they were written with and without rows of nothing.
 */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { ModelSettings } from '../model/record.ts';
import { forgetUsage, Pipeline } from '../support/pipeline.ts';

const STORED = {
  parts: `SELECT cluster, unit, hour, tenant, namespace, meter, q0, q1, q2, q3, missing_ms, samples, flags
     FROM usage_parts FINAL
     WHERE samples != 0 OR flags != 0 OR missing_ms != 0 OR q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0`,
  details: `SELECT cluster, unit, hour, tenant, namespace, meter, workload, destination, storage_class, q0, q1, q2, q3
     FROM detail_parts FINAL WHERE q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0`,
  histories: `SELECT cluster, namespace, subject, hour, value, min(t) AS first FROM detail_history
     GROUP BY cluster, namespace, subject, hour, value`,
  measured: 'SELECT cluster, unit, hour, meter, quantity FROM measured FINAL WHERE quantity != 0',
  closings: 'SELECT cluster, hour, hex(series) AS id, t, value, known FROM closings FINAL',
  coverage: 'SELECT cluster, hour, meter, covered_ms, expected_ms FROM coverage FINAL WHERE expected_ms != 0',
} as const;

/** Rows by the table they are of. */
export async function storedUsage(store: UsageStore): Promise<Set<string>> {
  const lines = new Set<string>();
  for (const [name, sql] of Object.entries(STORED)) {
    for (const row of await store.rows(sql)) lines.add(`${name} ${JSON.stringify(row)}`);
  }
  return lines;
}

/** Rows that unit by unit left behind, and rows that it failed to write. */
export async function differencesFromScratch(store: UsageStore, settings: ModelSettings): Promise<string[]> {
  const stepwise = await storedUsage(store);
  await forgetUsage(store);
  await new Pipeline(store, settings).rollUp(1);
  const fromScratch = await storedUsage(store);
  return [
    ...[...stepwise].filter((line) => !fromScratch.has(line)).map((line) => `only unit by unit: ${line}`),
    ...[...fromScratch].filter((line) => !stepwise.has(line)).map((line) => `only from scratch: ${line}`),
  ].sort();
}
