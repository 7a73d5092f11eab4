/**
 * Whether the store has come to rest: everything before a time rolled up and settled, and no unit in two
 * versions. In: the store, while nothing is ingested. Out: what keeps it from rest.
 *
 * Other processes may be in the middle of a unit while one closes a month, with what they had read before.
 * What they do is harmless in the end, because each marks what it may have spoilt; but a statement is
 * written at one moment. So whoever closes looks after it has settled: what another one had changed before
 * is found here, as a mark or as a row of an older version, and what it changes later is no longer looked
 * at.
 */
import { newestHours, openMarks } from '../rollup/unit-marks.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { KeptHours } from './erasure/kept-hours.ts';
import { openHours } from './hour-marks.ts';

export interface Unit {
  readonly cluster: string;
  readonly hour: number;
}

/** Whether nothing is left to do about hours before `end` (ms), nor about later ones that give to them. */
export async function isAllDone(store: UsageStore, end: number): Promise<boolean> {
  if ((await openHours(store)).some(({ hour }) => hour < end)) return false;
  const newest = await newestHours(store);
  const isOpen = ({ cluster, hour }: Unit): boolean => hour >= end && hour === newest.get(cluster);
  return (await openMarks(store)).every(isOpen);
}

/**
 * Units that give to hours within [from, end) under two versions. Every roll-up writes all rows of a unit
 * anew, those that vanished as nothing; so a row that says something and is older than its unit is from a
 * process that had read less and wrote last. What an erasure or the retention has frozen stays as it was.
 */
export async function unitsInTwoVersions(
  store: UsageStore,
  { from, end }: { readonly from: number; readonly end: number },
): Promise<readonly Unit[]> {
  const rows = await store.rows<{ name: string; unit: number; given: number; owner: string }>(
    `SELECT DISTINCT toString(p.cluster) AS name, toUnixTimestamp(p.unit) AS unit,
       toUnixTimestamp(p.hour) AS given, toString(p.namespace) AS owner
     FROM (
       SELECT cluster, unit, hour, namespace, max(version) AS newest,
         argMax(samples > 0 OR missing_ms != 0 OR q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0, version) AS says
       FROM usage_parts
       WHERE hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')
       GROUP BY cluster, unit, hour, tenant, namespace, meter
     ) AS p
     JOIN (
       SELECT cluster, unit, max(version) AS newest FROM usage_parts
       WHERE hour >= toDateTime({from:Int64}, 'UTC') GROUP BY cluster, unit
     ) AS u ON p.cluster = u.cluster AND p.unit = u.unit
     WHERE p.says AND p.newest < u.newest`,
    { from: from / 1000, end: end / 1000 },
  );
  if (rows.length === 0) return [];
  const kept = await KeptHours.read(store);
  return rows
    .filter(({ name, unit, given, owner }) => {
      return kept.hasParts(given * 1000) && !kept.isFrozen(name, owner, unit * 1000);
    })
    .map(({ name, unit }) => ({ cluster: name, hour: unit * 1000 }));
}
