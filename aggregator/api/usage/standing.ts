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
import { Memory } from './memory.ts';
import type { VersionedTable, Versions } from './versions.ts';

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

/** Of the standing what sums are read by. */
export type SumsStanding = Pick<Standing, 'open' | 'unsure' | 'versions'>;

/** All of it that is remembered, about: hours and clusters are few. */
const MAX_BYTES = 1024 * 1024;
const ENTRY_BYTES = 100;

const PERIODS: readonly VersionedTable[] = ['decision', 'ledger'];
const CLOSES: readonly VersionedTable[] = ['decision'];
const SEEN: readonly VersionedTable[] = ['watermark', 'scrape', 'coverage', 'hour_mark'];
const SETTLED: readonly VersionedTable[] = ['usage_current'];

/**
 * Each part is read again when one of the tables has changed that it is read from: with every batch that
 * comes in clusters are seen further, while periods and what is settled stay as they are for an hour.
 */
export class StandingReader {
  readonly #store: UsageStore;
  readonly #options: ReadOptions;
  readonly #memory = new Memory(MAX_BYTES);

  constructor(store: UsageStore, options: ReadOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** `versions` were read before. */
  async read(versions: Versions): Promise<Standing> {
    const closing = this.#closedBefore(versions);
    const [closedBefore, states, seen] = await Promise.all([
      closing,
      closing.then((before) => this.#states(versions, before)),
      this.#seen(versions),
    ]);
    const open = await this.#open(versions, { closedBefore, marked: seen.marked });
    return { versions, closedBefore, states, watermarks: seen.watermarks, ...open };
  }

  /** The same, without what is told beside sums. */
  async readForSums(versions: Versions): Promise<SumsStanding> {
    const [closedBefore, marked] = await Promise.all([
      this.#closedBefore(versions),
      openHours(this.#store, this.#options),
    ]);
    return { versions, ...(await this.#open(versions, { closedBefore, marked })) };
  }

  #closedBefore(versions: Versions): Promise<number> {
    const read = () => readClosedBefore(this.#store, this.#options);
    return this.#memory.get(`closed ${versions.of(CLOSES)}`, read, () => ENTRY_BYTES);
  }

  #states(versions: Versions, closedBefore: number): Promise<ReadonlyMap<Period, PeriodState>> {
    const read = () => readStates(this.#store, closedBefore, this.#options);
    const key = `states ${closedBefore} ${versions.of(PERIODS)}`;
    return this.#memory.get(key, read, ({ size }) => ENTRY_BYTES * (size + 1));
  }

  /** Marks after watermarks: an hour that a cluster was seen in is never taken for one without usage. */
  #seen(versions: Versions): Promise<Seen> {
    const read = async (): Promise<Seen> => ({
      watermarks: await readRolledUp(this.#store, this.#options),
      marked: await openHours(this.#store, this.#options),
    });
    const size = ({ watermarks, marked }: Seen) => ENTRY_BYTES * (watermarks.size + marked.length + 1);
    return this.#memory.get(`seen ${versions.of(SEEN)}`, read, size);
  }

  async #open(
    versions: Versions,
    { closedBefore, marked }: { readonly closedBefore: number; readonly marked: Seen['marked'] },
  ): Promise<Pick<Standing, 'open' | 'unsure'>> {
    const known = new Map<string, ClusterHour>();
    for (const { cluster, hour } of marked) {
      // Of a closed hour only its statement is read.
      if (hour >= closedBefore) known.set(`${hour} ${cluster}`, { cluster, hour });
    }
    if (known.size === 0) return { open: [], unsure: [] };
    const hours = [...new Set([...known.values()].map(({ hour }) => hour / 1000))].sort((a, b) => a - b);
    const settled = await this.#memory.get(
      `settled ${hours.join()} ${versions.of(SETTLED)}`,
      () => readSettled(this.#store, hours, this.#options),
      (found) => ENTRY_BYTES * (found.length + 1),
    );
    const unsure: ClusterHour[] = [];
    for (const { cluster, seconds } of settled) {
      const key = `${seconds * 1000} ${cluster}`;
      const hour = known.get(key);
      if (hour !== undefined) unsure.push(hour);
      known.delete(key);
    }
    return { open: [...known.values()], unsure };
  }
}

interface Seen extends Pick<Standing, 'watermarks'> {
  readonly marked: readonly ClusterHour[];
}

const TOTALS: readonly VersionedTable[] = ['usage_day'];

export function totalsVersion(versions: Versions): string {
  return versions.of(TOTALS);
}

async function readClosedBefore(store: UsageStore, options: ReadOptions): Promise<number> {
  const [row] = await store.rows<{ newest: number }>(
    "SELECT max(period) AS newest FROM decision WHERE kind = 'close'",
    {},
    options,
  );
  return row === undefined || row.newest === 0 ? 0 : periodEnd(row.newest);
}

/** Of these hours, s in ascending order, those of which there is something settled. */
async function readSettled(
  store: UsageStore,
  hours: readonly number[],
  options: ReadOptions,
): Promise<readonly SettledRow[]> {
  return await store.rows<SettledRow>(
    `SELECT DISTINCT cluster, toUnixTimestamp(hour) AS seconds FROM usage_current
     WHERE hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
       AND toUnixTimestamp(hour) IN {hours:Array(UInt32)}`,
    { hours, first: hours[0] ?? 0, last: hours.at(-1) ?? 0 },
    options,
  );
}

interface SettledRow {
  readonly cluster: string;
  readonly seconds: number;
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
