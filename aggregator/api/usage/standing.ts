/**
 * How far the figures have come: which hours are not settled, which periods are closed, up to when each
 * cluster was seen. In: the store. Out: what every answer is read and judged by. Read before the figures, so
 * that they are at least as complete as it says.
 *
 * An hour is open as long as a mark says that it is to be settled and no settled row of it is there. It is
 * read from `usage_parts`, every other one from what is settled: each hour from one side, whatever is settled
 * between reading this and reading the figures. Daily totals know no hours: a day with an open hour is read
 * from its total only if no total has changed since this was read.
 */
import { nextPeriod, periodEnd, periodOf, periodStart, type Period } from '../../../core/metering/period.ts';
import type { PeriodState } from '../../ledger/periods.ts';
import { openHours } from '../../ledger/hour-marks.ts';
import type { ReadOptions, UsageStore } from '../../store/usage-store.ts';
import type { Versions } from './versions.ts';

export interface ClusterHour {
  readonly cluster: string;
  /** Start, ms. */
  readonly hour: number;
}

export interface Standing {
  /** Hours that are read as the roll-up left them. */
  readonly open: readonly ClusterHour[];
  /** Settled hours that are about to be settled anew: totals of their days may be behind them. */
  readonly unsure: readonly ClusterHour[];
  /** Of the store, read first: what is read of it afterwards is no older. */
  readonly versions: Versions;
  /** Hours before this are of closed periods, ms. */
  readonly closedBefore: number;
  /** Of periods that are not closed; those that are not named are open. */
  readonly states: ReadonlyMap<Period, PeriodState>;
  /** Of every cluster that was seen: its newest successful scrape that is rolled up, ms; 0 without one. */
  readonly watermarks: ReadonlyMap<string, number>;
}

/** So many hours before the newest scrape are looked at first for one that is rolled up. */
const LOOKED_AT_HOURS = 48;

/** `versions` were read before. */
export async function readStanding(
  store: UsageStore,
  versions: Versions,
  options: ReadOptions,
): Promise<Standing> {
  const closedBefore = await readClosedBefore(store, options);
  return {
    closedBefore,
    versions,
    watermarks: await readRolledUp(store, options),
    ...(await readOpen(store, closedBefore, options)),
    states: await readStates(store, closedBefore, options),
  };
}

/** Of the standing what sums are read by. */
export type SumsStanding = Pick<Standing, 'open' | 'unsure' | 'versions'>;

/** The same, without what is told beside sums. */
export async function readSumsStanding(
  store: UsageStore,
  versions: Versions,
  options: ReadOptions,
): Promise<SumsStanding> {
  const closedBefore = await readClosedBefore(store, options);
  return { versions, ...(await readOpen(store, closedBefore, options)) };
}

export function totalsVersion(versions: Versions): string {
  return versions.of(['usage_day']);
}

async function readClosedBefore(store: UsageStore, options: ReadOptions): Promise<number> {
  const [row] = await store.rows<{ newest: number }>(
    "SELECT max(period) AS newest FROM decision WHERE kind = 'close'",
    {},
    options,
  );
  return row === undefined || row.newest === 0 ? 0 : periodEnd(row.newest);
}

async function readOpen(
  store: UsageStore,
  closedBefore: number,
  options: ReadOptions,
): Promise<Pick<Standing, 'open' | 'unsure'>> {
  const marked = new Map<string, ClusterHour>();
  for (const { cluster, hour } of await openHours(store, options)) {
    // Of a closed hour only its statement is read.
    if (hour >= closedBefore) marked.set(`${hour} ${cluster}`, { cluster, hour });
  }
  if (marked.size === 0) return { open: [], unsure: [] };
  const hours = [...new Set([...marked.values()].map(({ hour }) => hour / 1000))];
  const settled = await store.rows<{ cluster: string; seconds: number }>(
    `SELECT DISTINCT cluster, toUnixTimestamp(hour) AS seconds FROM usage_current
     WHERE hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
       AND toUnixTimestamp(hour) IN {hours:Array(UInt32)}`,
    { hours, first: Math.min(...hours), last: Math.max(...hours) },
    options,
  );
  const unsure: ClusterHour[] = [];
  for (const { cluster, seconds } of settled) {
    const key = `${seconds * 1000} ${cluster}`;
    const hour = marked.get(key);
    if (hour !== undefined) unsure.push(hour);
    marked.delete(key);
  }
  return { open: [...marked.values()], unsure };
}

/** Their entries are dated to the first hour of the period, so only those hours are looked at. */
async function readStates(
  store: UsageStore,
  closedBefore: number,
  options: ReadOptions,
): Promise<ReadonlyMap<Period, PeriodState>> {
  const [range] = await store.rows<{ newest: number; oldest: number }>(
    'SELECT toUnixTimestamp(max(hour)) AS newest, toUnixTimestamp(min(hour)) AS oldest FROM ledger',
    {},
    options,
  );
  if (range === undefined || range.newest === 0) return new Map();
  const starts: number[] = [];
  let period = periodOf(Math.max(closedBefore, range.oldest * 1000));
  for (; periodStart(period) <= range.newest * 1000; period = nextPeriod(period))
    starts.push(periodStart(period) / 1000);
  const rows = await store.rows<{ period: number; newest: number }>(
    `SELECT period, max(revision) AS newest FROM ledger
     WHERE kind = 'period' AND hour IN (SELECT toDateTime(arrayJoin({starts:Array(UInt32)}), 'UTC'))
     GROUP BY period`,
    { starts },
    options,
  );
  return new Map(rows.map((row) => [row.period, row.newest > 1 ? 'settling' : 'open']));
}

/**
 * Looked for in the newest hour that is rolled up: a figure is never ahead of what stands behind it. Mostly
 * that is one of the newest that came in; of a cluster whose roll-up is further behind, all are looked at.
 * One that was last seen before all that is kept is gone.
 */
async function readRolledUp(store: UsageStore, options: ReadOptions): Promise<ReadonlyMap<string, number>> {
  const rows = await store.rows<NewestRow>(
    `SELECT cluster, toString(max(at)) AS newest FROM (
       SELECT cluster, toInt64(0) AS at FROM watermark
       GROUP BY cluster HAVING max(t) >= (SELECT toInt64(toUnixTimestamp(min(hour))) * 1000 FROM coverage)
       UNION ALL
       ${rolledUpScrapes(`(cluster, hour) IN (
         SELECT cluster, toDateTime(intDiv(newest_ms, 1000) - intDiv(newest_ms, 1000) % 3600
           - 3600 * arrayJoin(range({hours:UInt16})), 'UTC')
         FROM (SELECT cluster, max(t) AS newest_ms FROM watermark GROUP BY cluster))`)})
     GROUP BY cluster`,
    { hours: LOOKED_AT_HOURS },
    options,
  );
  const newest = rows.map(newestIn);
  const behind = newest.filter(([, at]) => at === 0).map(([cluster]) => cluster);
  if (behind.length === 0) return new Map(newest);
  const older = await store.rows<NewestRow>(
    `SELECT cluster, toString(max(at)) AS newest
     FROM (${rolledUpScrapes('cluster IN {behind:Array(String)}')}) GROUP BY cluster`,
    { behind },
    options,
  );
  return new Map([...newest, ...older.map(newestIn)]);
}

interface NewestRow {
  readonly cluster: string;
  readonly newest: string;
}

function newestIn({ cluster, newest }: NewestRow): readonly [string, number] {
  return [cluster, Number(newest)];
}

/** Successful ones in the newest of these hours that is rolled up. */
function rolledUpScrapes(hours: string): string {
  return `SELECT cluster, t AS at FROM scrape
       WHERE version = 2 AND (cluster, hour) IN (
         SELECT cluster, max(hour) FROM coverage WHERE expected_ms > 0 AND ${hours} GROUP BY cluster)`;
}

/** The state of the periods that a window touches. */
export function stateOf(
  { closedBefore, states }: Pick<Standing, 'closedBefore' | 'states'>,
  window: { readonly startMs: number; readonly endMs: number },
): PeriodState | 'mixed' {
  const last = periodOf(window.endMs - 1);
  let found: PeriodState | undefined;
  for (let period = periodOf(window.startMs); period <= last; period = nextPeriod(period)) {
    const state = periodStart(period) < closedBefore ? 'closed' : (states.get(period) ?? 'open');
    if (found !== undefined && found !== state) return 'mixed';
    found = state;
  }
  return found ?? 'open';
}
