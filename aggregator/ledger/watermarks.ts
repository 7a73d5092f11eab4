/**
 * How far a cluster has been seen: its newest accepted successful scrape (METERING 10). It comes from the
 * samples, not from a clock, and is written after the samples of its batch; it is a maximum, so it never goes
 * back.
 */
import type { UsageStore } from '../store/usage-store.ts';

/** By cluster, ms. */
export async function readWatermarks(store: UsageStore): Promise<Map<string, number>> {
  const rows = await store.rows<{ cluster: string; newest: string }>(
    'SELECT cluster, max(t) AS newest FROM watermark GROUP BY cluster',
  );
  return new Map(rows.map((row) => [row.cluster, Number(row.newest)]));
}
