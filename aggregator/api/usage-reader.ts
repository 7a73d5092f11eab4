/**
 * Input: whose rows may be read; a meter, windows on quarters of an hour, filters and groups. Output: sums of
 * usage per window and group, and what stands behind them (coverage, watermarks). The store sums; parameters
 * are always bound; nothing is written. A crash or a fault loses an answer and nothing else. Rows of open
 * hours are provisional, so two reads may differ.
 */
import { HOUR_MS, QUARTER_MS, startOfHour } from '../../core/metering/hour.ts';
import type { Window } from '../../core/metering/windows.ts';
import type { Parameters, UsageStore } from '../store/usage-store.ts';
import type { TenantScope } from './identity/access.ts';
import { tenantConditions, type TenantConditions } from './identity/tenant-conditions.ts';

/** What usage can be told apart by; also the columns' names. */
export type Dimension = 'tenant' | 'cluster' | 'namespace';

export const DIMENSIONS: readonly Dimension[] = ['tenant', 'cluster', 'namespace'];

/** Values that a row may have; an absent dimension is not filtered. */
export type Filters = Readonly<Partial<Record<Dimension, readonly string[]>>>;

export type Group = Readonly<Partial<Record<Dimension, string>>>;

export interface UsageRequest {
  readonly meter: string;
  /** In order, without gap or overlap, not empty. */
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  /** At most this many sums come back. */
  readonly limit: number;
}

/** Usage of one window and group in the meter's base unit. */
export interface UsageSum {
  readonly windowStartMs: number;
  readonly group: Group;
  readonly value: bigint;
}

/** Scraped and expected ms of the targets that feed the meter, over the hours that a window touches. */
export interface CoverageSum {
  readonly windowStartMs: number;
  readonly cluster: string;
  readonly coveredMs: number;
  readonly expectedMs: number;
}

export interface UsageReader {
  /** Ordered by window, then group. Windows and groups without rows are absent. */
  usage(scope: TenantScope, request: UsageRequest): Promise<readonly UsageSum[]>;
  /** Of the clusters that the scope has something in. */
  coverage(scope: TenantScope, request: UsageRequest): Promise<readonly CoverageSum[]>;
  /** Of every such cluster that has been rolled up: its newest successful scrape, in ms. */
  watermarks(scope: TenantScope): Promise<ReadonlyMap<string, number>>;
}

const QUARTERS = HOUR_MS / QUARTER_MS;

const HOURS = "hour >= toDateTime({firstHour:Int64}, 'UTC') AND hour < toDateTime({endHour:Int64}, 'UTC')";

/**
 * Settled hours are read as the ledger has them, open ones as the roll-up left them. A settled hour stays
 * what its statement says; corrections of it stand in the period that fixes them.
 *
 * Hours are summed over units first; only then are they taken apart into quarters. `roundDown` finds the
 * window by binary search, so many windows cost as little as one.
 */
function usageSql(columns: readonly string[], conditions: readonly string[]): string {
  const list = columns.map((column) => `, ${column}`).join('');
  const where = conditions.join(' AND ');
  return `
    SELECT roundDown(t, {starts:Array(Int64)}) AS window${list}, toString(sum(quantity)) AS value
    FROM
    (
      SELECT toInt64(toUnixTimestamp(hour)) * 1000 + (quarter - 1) * ${QUARTER_MS} AS t${list}, quantity
      FROM
      (
        SELECT hour${list},
          [sum(toInt256(q0)), sum(toInt256(q1)), sum(toInt256(q2)), sum(toInt256(q3))] AS quantities
        FROM
        (
          SELECT hour${list}, q0, q1, q2, q3 FROM usage_current FINAL WHERE ${where}
          UNION ALL
          SELECT hour${list}, q0, q1, q2, q3 FROM usage_parts FINAL WHERE ${where}
            AND (cluster, hour) NOT IN (SELECT DISTINCT cluster, hour FROM usage_current WHERE ${HOURS})
        )
        GROUP BY hour${list}
      )
      ARRAY JOIN quantities AS quantity, arrayEnumerate(quantities) AS quarter
    )
    WHERE t >= {fromMs:Int64} AND t < {toMs:Int64}
    GROUP BY window${list}
    ORDER BY window${list}
    LIMIT {limit:UInt32}`;
}

/** An hour counts once for each window that it touches. */
function coverageSql(conditions: readonly string[]): string {
  return `
    SELECT window, cluster, toString(sum(covered_ms)) AS covered, toString(sum(expected_ms)) AS expected
    FROM
    (
      SELECT cluster, covered_ms, expected_ms,
        toInt64(toUnixTimestamp(hour)) * 1000 AS begin,
        arrayFilter(t -> t >= {fromMs:Int64} AND t < {toMs:Int64},
          arrayMap(quarter -> begin + quarter * ${QUARTER_MS}, range(${QUARTERS}))) AS quarters
      FROM coverage FINAL
      WHERE ${conditions.join(' AND ')}
    )
    ARRAY JOIN arrayDistinct(arrayMap(t -> roundDown(t, {starts:Array(Int64)}), quarters)) AS window
    GROUP BY window, cluster
    ORDER BY window, cluster`;
}

/** Looked for in the newest hour that is rolled up: a figure is never ahead of what stands behind it. */
function watermarkSql(conditions: readonly string[]): string {
  return `
    SELECT cluster, toString(max(t)) AS watermark
    FROM scrape
    WHERE version = 2 AND (cluster, hour) IN
      (SELECT cluster, max(hour) FROM coverage WHERE ${['expected_ms > 0', ...conditions].join(' AND ')}
       GROUP BY cluster)
    GROUP BY cluster`;
}

export interface StoreUsageReaderConfig {
  /** The store gives up on one query after this time. */
  readonly queryTimeoutMs: number;
}

export class StoreUsageReader implements UsageReader {
  readonly #config: StoreUsageReaderConfig;
  readonly #store: UsageStore;

  constructor(config: StoreUsageReaderConfig, deps: { readonly store: UsageStore }) {
    this.#config = config;
    this.#store = deps.store;
  }

  async usage(scope: TenantScope, request: UsageRequest): Promise<readonly UsageSum[]> {
    const { groupBy, limit } = request;
    const rows = await this.#rows<UsageRow>(
      scope,
      ({ rows: mine }) => usageSql(groupBy, [...conditionsOf(request.filters, DIMENSIONS), ...mine]),
      { ...parametersOf(request), limit },
    );
    return rows.map((row) => ({
      windowStartMs: Number(row.window),
      group: Object.fromEntries(groupBy.map((dimension) => [dimension, row[dimension]])),
      value: BigInt(row.value),
    }));
  }

  async coverage(scope: TenantScope, request: UsageRequest): Promise<readonly CoverageSum[]> {
    const rows = await this.#rows<CoverageRow>(
      scope,
      ({ clusters }) => coverageSql([...conditionsOf(request.filters, ['cluster']), ...clusters]),
      parametersOf(request),
    );
    return rows.map((row) => ({
      windowStartMs: Number(row.window),
      cluster: row.cluster,
      coveredMs: Number(row.covered),
      expectedMs: Number(row.expected),
    }));
  }

  async watermarks(scope: TenantScope): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#rows<{ cluster: string; watermark: string }>(
      scope,
      ({ clusters }) => watermarkSql(clusters),
      {},
    );
    return new Map(rows.map(({ cluster, watermark }) => [cluster, Number(watermark)]));
  }

  /** The one way to the store: a statement is made from the scope's conditions, or not at all. */
  #rows<Row>(
    scope: TenantScope,
    statement: (conditions: TenantConditions) => string,
    parameters: Parameters,
  ): Promise<readonly Row[]> {
    const conditions = tenantConditions(scope);
    const bound = { ...parameters, ...conditions.parameters };
    return this.#store.rows<Row>(statement(conditions), bound, { timeoutMs: this.#config.queryTimeoutMs });
  }
}

type UsageRow = { readonly window: string; readonly value: string } & Readonly<Record<Dimension, string>>;

interface CoverageRow {
  readonly window: string;
  readonly cluster: string;
  readonly covered: string;
  readonly expected: string;
}

/** Names come from a closed union and values are bound, so no text of a request reaches the statement. */
function conditionsOf(filters: Filters, dimensions: readonly Dimension[]): string[] {
  const filtered = dimensions.filter((dimension) => filters[dimension] !== undefined);
  return [
    'meter = {meter:String}',
    HOURS,
    ...filtered.map((dimension) => `${dimension} IN {${dimension}:Array(String)}`),
  ];
}

function parametersOf({ meter, windows, filters }: UsageRequest): Parameters {
  const fromMs = windows[0]?.startMs ?? 0;
  const toMs = windows.at(-1)?.endMs ?? 0;
  return {
    meter,
    fromMs,
    toMs,
    firstHour: startOfHour(fromMs) / 1000,
    endHour: (startOfHour(toMs - 1) + HOUR_MS) / 1000,
    starts: windows.map(({ startMs }) => startMs),
    ...filters,
  };
}
