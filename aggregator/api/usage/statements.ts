/**
 * The SQL of usage. Names of dimensions come from a closed union and values are bound, so no text of a
 * request reaches a statement.
 */
import { QUARTER_MS } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';
import type { Parameters } from '../../store/usage-store.ts';
import type { Sources } from './sources.ts';
import type { ClusterHour } from './standing.ts';

/**
 * A key never lies in two partitions: each is merged for itself. Conditions are on columns of the key alone,
 * so what they leave out may be left out before rows are merged (PREWHERE).
 */
export const NO_MERGE_ACROSS = 'SETTINGS do_not_merge_across_partitions_select_final = 1';

/** Which hours: every one, those that are settled, or those that are read as the roll-up left them. */
export type Part = 'all' | 'settled' | 'open';

export interface SumsStatement {
  /** Columns. */
  readonly groupBy: readonly string[];
  /** On the key columns of usage, the scope's among them. */
  readonly conditions: readonly string[];
  readonly sources: Sources;
  /** Hours within the sources' that are read from what the roll-up left. */
  readonly open: readonly ClusterHour[];
  /** `settled`: without those. `open`: they alone, and there are some. */
  readonly part: Part;
}

export interface Statement {
  readonly sql: string;
  readonly parameters: Parameters;
}

/** Rows of `window`, groups, `value`, `revision`; not ordered. Binds `starts`, `fromMs` and `toMs`. */
export function sumsStatement(statement: SumsStatement): Statement {
  const { groupBy, sources, open, part } = statement;
  const list = columnList(groupBy);
  const branches: string[] = [];
  const readsOpen = open.length > 0 && part !== 'settled';
  if (sources.hours.length > 0 || readsOpen) branches.push(quartersSql(statement));
  if (sources.days.length > 0) branches.push(daysSql(statement));
  const openParameters = open.length === 0 ? {} : parametersOfOpen(open);
  return {
    sql: `
    SELECT roundDown(t, {starts:Array(Int64)}) AS window${list}, sum(quantity) AS amount,
      max(newest) AS revision
    FROM (${branches.join(' UNION ALL ')})
    WHERE t >= {fromMs:Int64} AND t < {toMs:Int64}
    GROUP BY window${list}`,
    parameters: {
      days: sources.days.map((day) => new Date(day).toISOString().slice(0, 10)),
      ...runParameters(sources.hours),
      ...openParameters,
    },
  };
}

function parametersOfOpen(open: readonly ClusterHour[]): Parameters {
  const hours = open.map(({ hour }) => hour / 1000);
  return {
    openClusters: open.map(({ cluster }) => cluster),
    openHours: hours,
    firstOpen: hours.reduce((least, hour) => Math.min(least, hour)),
    lastOpen: hours.reduce((most, hour) => Math.max(most, hour)),
  };
}

/**
 * Hours are summed over keys and units first; only then are they taken apart into quarters. `roundDown` finds
 * the window by binary search, so many windows cost as little as one.
 */
function quartersSql({ groupBy, conditions, sources, open, part }: SumsStatement): string {
  const list = columnList(groupBy);
  const columns = `hour${list}, q0, q1, q2, q3`;
  const read: string[] = [];
  if (sources.hours.length > 0) {
    const where = [runsSql(sources.hours), ...conditions];
    if (open.length > 0) where.push(`(cluster, hour) NOT IN (${OPEN})`);
    read.push(
      `SELECT ${columns}, revision FROM usage_current FINAL
          PREWHERE ${where.join(' AND ')} ${NO_MERGE_ACROSS}`,
    );
  }
  if (open.length > 0 && part !== 'settled') {
    const where = [OPEN_RANGE, ...conditions, `(cluster, hour) IN (${OPEN})`];
    read.push(
      `SELECT ${columns}, 0 AS revision FROM usage_parts FINAL
          PREWHERE ${where.join(' AND ')} ${NO_MERGE_ACROSS}`,
    );
  }
  return quartersOf(groupBy, read.join(' UNION ALL '));
}

/** Rows of `t`, groups, `quantity`, `newest` from rows of `hour`, groups, `q0` to `q3`, `revision`. */
export function quartersOf(groupBy: readonly string[], rows: string): string {
  const list = columnList(groupBy);
  return `
      SELECT toInt64(toUnixTimestamp(hour)) * 1000 + (quarter - 1) * ${QUARTER_MS} AS t${list},
        quantity, newest
      FROM
      (
        SELECT hour${list}, max(revision) AS newest,
          [sum(toInt256(q0)), sum(toInt256(q1)), sum(toInt256(q2)), sum(toInt256(q3))] AS quantities
        FROM (${rows})
        GROUP BY hour${list}
      )
      ARRAY JOIN quantities AS quantity, arrayEnumerate(quantities) AS quarter`;
}

/** All hours of the range, in tables of units too. */
export const RANGE = `hour >= toDateTime(intDiv({fromMs:Int64}, 3600000) * 3600, 'UTC')
          AND hour < toDateTime(intDiv({toMs:Int64} + 3599999, 3600000) * 3600, 'UTC')`;

/** A unit gives to its own hour and earlier ones. */
const OPEN_RANGE = `hour >= toDateTime({firstOpen:Int64}, 'UTC')
          AND hour <= toDateTime({lastOpen:Int64}, 'UTC') AND unit >= toDateTime({firstOpen:Int64}, 'UTC')`;

const OPEN = `SELECT toString(pair.1), toDateTime(pair.2, 'UTC')
          FROM (SELECT arrayJoin(arrayZip({openClusters:Array(String)}, {openHours:Array(UInt32)})) AS pair)`;

function daysSql({ groupBy, conditions }: SumsStatement): string {
  const list = columnList(groupBy);
  const where = ['day IN {days:Array(Date)}', ...conditions].join(' AND ');
  return `
      SELECT toInt64(toUnixTimestamp(toDateTime(day, 'UTC'))) * 1000 AS t${list},
        sum(quantity) AS quantity, max(revision) AS newest
      FROM usage_day FINAL PREWHERE ${where} GROUP BY day${list} ${NO_MERGE_ACROSS}`;
}

/** By quarters, as usage is: of an hour that a window cuts, what lies within it. */
export function coverageStatement(conditions: readonly string[], hours: readonly Window[]): Statement {
  return {
    sql: `
    SELECT roundDown(t, {starts:Array(Int64)}) AS window, cluster,
      toString(sum(covered)) AS covered, toString(sum(expected)) AS expected
    FROM
    (
      SELECT cluster, covered, expected,
        toInt64(toUnixTimestamp(hour)) * 1000 + (quarter - 1) * ${QUARTER_MS} AS t
      FROM
      (
        SELECT cluster, hour, [c0, c1, c2, c3] AS quarters, [e0, e1, e2, e3] AS wanted
        FROM coverage FINAL
        PREWHERE ${[runsSql(hours), ...conditions].join(' AND ')} ${NO_MERGE_ACROSS}
      )
      ARRAY JOIN quarters AS covered, wanted AS expected, arrayEnumerate(quarters) AS quarter
    )
    WHERE t >= {fromMs:Int64} AND t < {toMs:Int64}
    GROUP BY window, cluster
    ORDER BY window, cluster`,
    parameters: runParameters(hours),
  };
}

export function columnList(columns: readonly string[]): string {
  return columns.map((column) => `, ${column}`).join('');
}

function runsSql(runs: readonly Window[]): string {
  const each = runs.map(
    (_, i) => `hour >= toDateTime({begin${i}:Int64}, 'UTC') AND hour < toDateTime({end${i}:Int64}, 'UTC')`,
  );
  return each.length === 1 ? (each[0] ?? '') : `(${each.map((one) => `(${one})`).join(' OR ')})`;
}

function runParameters(runs: readonly Window[]): Parameters {
  return Object.fromEntries(
    runs.flatMap(({ startMs, endMs }, i) => [
      [`begin${i}`, startMs / 1000],
      [`end${i}`, endMs / 1000],
    ]),
  );
}
