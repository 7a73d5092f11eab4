/**
 * What changes while it is verified. Late samples may come in at any time: until their units are rolled up
 * and their hours are settled, samples and ledger differ, and rightly so. Such hours are named and not
 * judged. From the first unit of a cluster that moves on, all of its later ones count as moving: each starts
 * from what the one before left.
 */
import { openHours } from '../hour-marks.ts';
import { openMarks } from '../../rollup/unit-marks.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { Place } from './check.ts';

/** How things stood before anything was read. */
export interface Standing {
  readonly head: bigint;
  /** The store's time, µs: versions of what is written later are above it. */
  readonly now: bigint;
  readonly open: Moving;
}

interface Moving {
  /** By cluster, the first unit that is to be rolled up. */
  readonly units: ReadonlyMap<string, number>;
  readonly hours: readonly Place[];
}

export async function readStanding(store: UsageStore): Promise<Standing> {
  const [row] = await store.rows<{ head: string; now: string }>(
    `SELECT (SELECT max(seq) FROM ledger) AS head, toUnixTimestamp64Micro(now64(6)) AS now`,
  );
  return { head: BigInt(row?.head ?? 0), now: BigInt(row?.now ?? 0), open: await readOpen(store) };
}

async function readOpen(store: UsageStore): Promise<Moving> {
  const units = new Map<string, number>();
  for (const { cluster, hour } of await openMarks(store)) earliest(units, cluster, hour);
  return { units, hours: await openHours(store) };
}

function earliest(units: Map<string, number>, cluster: string, hour: number): void {
  units.set(cluster, Math.min(hour, units.get(cluster) ?? Infinity));
}

export interface InMotion {
  /** By cluster, the first unit that moved. */
  readonly units: ReadonlyMap<string, number>;
  readonly hours: readonly Place[];
}

/** What moved since, or still does. */
export async function readMotion(store: UsageStore, since: Standing): Promise<InMotion> {
  const until = await readStanding(store);
  const units = new Map(since.open.units);
  for (const [cluster, hour] of until.open.units) earliest(units, cluster, hour);
  // A version beyond the store's own time is nobody's who rolls up: what has it is judged like all else.
  const rolled = await store.rows<{ name: string; seconds: number }>(
    `SELECT toString(cluster) AS name, toUnixTimestamp(min(unit)) AS seconds FROM (
       SELECT cluster, unit FROM usage_parts WHERE version >= {since:UInt64} AND version <= {until:UInt64}
       UNION ALL
       SELECT cluster, hour FROM coverage WHERE version >= {since:UInt64} AND version <= {until:UInt64}
     ) GROUP BY name`,
    { since: since.now, until: until.now },
  );
  for (const { name, seconds } of rolled) earliest(units, name, seconds * 1000);
  const settled = await store.rows<{ name: string; seconds: number }>(
    `SELECT DISTINCT toString(cluster) AS name, toUnixTimestamp(hour) AS seconds FROM ledger
     WHERE seq > {head:UInt64} AND kind IN ('usage', 'correction', 'coverage') AND NOT final`,
    { head: since.head },
  );
  return {
    units,
    hours: [
      ...since.open.hours,
      ...until.open.hours,
      ...settled.map(({ name, seconds }) => ({ cluster: name, hour: seconds * 1000 })),
    ],
  };
}
