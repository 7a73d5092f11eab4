/**
 * Input: whose rows may be read; a meter, windows on quarters of an hour, filters and groups. Output: sums of
 * usage per window and group, and what stands behind them (coverage, standing). The store sums; parameters
 * are always bound; nothing is written. A crash or a fault loses an answer and nothing else. Rows of open
 * hours are provisional, so two reads may differ.
 */
import type { Window } from '../../core/metering/windows.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { TenantScope } from './identity/access.ts';
import { tenantConditions, type TenantConditions } from './identity/tenant-conditions.ts';
import type { Dimension, Filters, Group } from './usage/dimensions.ts';
import { StandingReader, totalsVersion, type Standing, type SumsStanding } from './usage/standing.ts';
import { VersionReader } from './usage/versions.ts';
import { columnList, coverageStatement, type Part, type Statement } from './usage/statements.ts';
import {
  asOneWindow,
  columnsOf,
  filtersOf,
  groupOf,
  hoursAround,
  isNothing,
  parametersOf,
  readsTotalsOfOpenDays,
  sumsOf,
  type Grain,
  type GroupRow,
  type SumsKey,
  type SumsRequest,
  type SumsRow,
} from './usage/sums.ts';

export interface UsageRequest {
  readonly meter: string;
  /** In order, without gap or overlap, not empty. */
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  /** Read before: says which hours are read from where. */
  readonly standing: SumsStanding;
  /** Of the groups only these. */
  readonly chosen?: readonly Group[] | undefined;
  /** Of a filter by details: the groups that have nothing of it in the range too, for their revision. */
  readonly withIdle?: boolean | undefined;
  /** At most this many rows come back. */
  readonly limit: number;
}

/** Usage of one window and group in the meter's base unit. */
export interface UsageSum {
  readonly windowStartMs: number;
  readonly group: Group;
  readonly value: bigint;
  /** The highest in the ledger behind it; 0 where nothing of it is settled. */
  readonly revision: number;
}

/** The same hour by hour: those of the hours asked for in which something was used. */
export interface UsedHours extends Omit<UsageSum, 'value'> {
  readonly hours: readonly { readonly startMs: number; readonly value: bigint }[];
}

/** Scraped and expected ms of the targets that feed the meter, over the hours that a window touches. */
export interface CoverageSum {
  readonly windowStartMs: number;
  readonly cluster: string;
  readonly coveredMs: number;
  readonly expectedMs: number;
}

export interface UsageReader {
  /** With the watermarks of the clusters that the scope has something in. */
  standing(scope: TenantScope): Promise<Standing>;
  /** Ordered by window, then group. Windows and groups without rows are absent. */
  usage(scope: TenantScope, request: UsageRequest): Promise<readonly UsageSum[]>;
  /** By window, of the hours that are given beside: they lie within the windows. */
  usedHours(
    scope: TenantScope,
    request: UsageRequest & { readonly hours: readonly Window[] },
  ): Promise<readonly UsedHours[]>;
  /** Groups with usage in the range: those with the largest sums first if `largest`, else in order. */
  groups(
    scope: TenantScope,
    request: UsageRequest & { readonly largest?: boolean },
  ): Promise<readonly Group[]>;
  /** Of the clusters that the scope has something in. */
  coverage(scope: TenantScope, request: CoverageRequest): Promise<readonly CoverageSum[]>;
}

export type CoverageRequest = Pick<UsageRequest, 'meter' | 'windows' | 'filters'> & {
  readonly standing: Pick<Standing, 'versions'>;
};

export interface StoreUsageReaderConfig {
  /** The store gives up on one query after this time. */
  readonly queryTimeoutMs: number;
}

export class StoreUsageReader implements UsageReader {
  readonly #config: StoreUsageReaderConfig;
  readonly #store: UsageStore;
  readonly #versions: VersionReader;
  readonly #standing: StandingReader;

  constructor(
    config: StoreUsageReaderConfig,
    deps: { readonly store: UsageStore; readonly versions?: VersionReader },
  ) {
    this.#config = config;
    this.#store = deps.store;
    const options = { timeoutMs: config.queryTimeoutMs };
    this.#versions = deps.versions ?? new VersionReader(deps.store, options);
    this.#standing = new StandingReader(deps.store, options);
  }

  async standing(scope: TenantScope): Promise<Standing> {
    const standing = await this.#standing.read(await this.#versions.read());
    const mine = await this.clusters(scope);
    const watermarks = new Map([...standing.watermarks].filter(([cluster]) => mine.has(cluster)));
    return { ...standing, watermarks };
  }

  /** For sums alone. */
  async sumsStanding(): Promise<SumsStanding> {
    return await this.#standing.readForSums(await this.#versions.read());
  }

  /** Those that the scope has something in. */
  async clusters(scope: TenantScope): Promise<ReadonlySet<string>> {
    const rows = await this.#rows<{ cluster: string }>(scope, ({ clusters }) => ({
      sql: `SELECT DISTINCT cluster FROM watermark WHERE ${['1', ...clusters].join(' AND ')}`,
      parameters: {},
    }));
    return new Set(rows.map(({ cluster }) => cluster));
  }

  async usage(scope: TenantScope, request: UsageRequest, part: Part = 'all'): Promise<readonly UsageSum[]> {
    return await this.sums(scope, { ...ofOneMeter(request), part });
  }

  /** The same of several meters at once. */
  async sums<Key extends SumsKey>(
    scope: TenantScope,
    request: SumsRequest<Key>,
  ): Promise<readonly SumsRow<Key>[]> {
    const { groupBy, limit, limitBy = [] } = request;
    if (isNothing(request)) return [];
    const list = columnList(columnsOf(groupBy));
    const by = limitBy.length === 0 ? '' : ` BY ${columnsOf(limitBy).join(', ')}`;
    const rows = await this.#sums<SumRow>(scope, request, ({ sql, parameters }) => {
      return {
        sql: `SELECT window${list}, toString(amount) AS value, revision
          FROM (${sql}) ORDER BY window${list} LIMIT {limit:UInt32}${by}`,
        parameters: { ...parameters, limit },
      };
    });
    return rows.map((row) => ({
      windowStartMs: Number(row.window),
      group: groupOf(groupBy, row),
      value: BigInt(row.value),
      revision: row.revision,
    }));
  }

  async usedHours(
    scope: TenantScope,
    request: UsageRequest & { readonly hours: readonly Window[] },
  ): Promise<readonly UsedHours[]> {
    const { groupBy, windows, hours, limit } = request;
    const list = columnList(columnsOf(groupBy));
    const order = `outer_window${list}`;
    const hourly = { ...ofOneMeter(request), windows: hours };
    const rows = await this.#rows<HoursRow>(scope, (mine) => {
      const { sql, parameters } = sumsOf(hourly, { mine, grain: 'hours' });
      return {
        sql: `SELECT roundDown(window, {outerStarts:Array(Int64)}) AS outer_window${list},
            groupArray(toString(window)) AS at, groupArray(toString(amount)) AS amounts,
            max(revision) AS newest
          FROM (${sql}) WHERE amount != 0
          GROUP BY ${order} ORDER BY ${order} LIMIT {limit:UInt32}`,
        parameters: { ...parameters, limit, outerStarts: windows.map(({ startMs }) => startMs) },
      };
    });
    return rows.map((row) => ({
      windowStartMs: Number(row.outer_window),
      group: groupOf(groupBy, row),
      revision: row.newest,
      hours: row.at.map((at, i) => ({ startMs: Number(at), value: BigInt(row.amounts[i] ?? 0) })),
    }));
  }

  async groups(
    scope: TenantScope,
    request: UsageRequest & { readonly largest?: boolean },
  ): Promise<readonly Group[]> {
    const { groupBy, limit, largest = false } = request;
    const names = columnsOf(groupBy).join(', ');
    const order = largest ? `sum(amount) DESC, ${names}` : names;
    const whole = asOneWindow(ofOneMeter(request));
    const rows = await this.#sums<SumRow>(scope, whole, ({ sql, parameters }) => {
      return {
        sql: `SELECT ${names} FROM (${sql}) GROUP BY ${names} ORDER BY ${order} LIMIT {limit:UInt32}`,
        parameters: { ...parameters, limit },
      };
    });
    return rows.map((row) => groupOf(groupBy, row));
  }

  async coverage(scope: TenantScope, request: CoverageRequest): Promise<readonly CoverageSum[]> {
    const { windows, meter } = request;
    const { cluster } = request.filters;
    const filters = { meter: [meter], ...(cluster !== undefined && { cluster }) };
    const rows = await this.#rows<CoverageRow>(scope, ({ clusters }) => {
      const conditions = [...filtersOf(filters, ['meter', 'cluster']), ...clusters];
      const { sql, parameters } = coverageStatement(conditions, [hoursAround(windows)]);
      return { sql, parameters: { ...parametersOf({ windows, filters }), ...parameters } };
    });
    return rows.map((row) => ({
      windowStartMs: Number(row.window),
      cluster: row.cluster,
      coveredMs: Number(row.covered),
      expectedMs: Number(row.expected),
    }));
  }

  /** From daily totals where they stand for it; if they changed meanwhile, once more without them. */
  async #sums<Row>(
    scope: TenantScope,
    request: SumsRequest<SumsKey>,
    statement: (sums: Statement) => Statement,
  ): Promise<readonly Row[]> {
    const read = (grain: Grain): Promise<readonly Row[]> =>
      this.#rows<Row>(scope, (mine) => statement(sumsOf(request, { mine, grain })));
    const rows = await read('days');
    if (!readsTotalsOfOpenDays(request)) return rows;
    const before = totalsVersion(request.standing.versions);
    const isSame = totalsVersion(await this.#versions.read()) === before;
    return isSame ? rows : await read('settled days');
  }

  /** The one way to the store: a statement is made from the scope's conditions, or not at all. */
  #rows<Row>(
    scope: TenantScope,
    statement: (conditions: TenantConditions) => Statement,
  ): Promise<readonly Row[]> {
    const conditions = tenantConditions(scope);
    const { sql, parameters } = statement(conditions);
    const bound = { ...parameters, ...conditions.parameters };
    return this.#store.rows<Row>(sql, bound, { timeoutMs: this.#config.queryTimeoutMs });
  }
}

type SumRow = { readonly window: string; readonly value: string; readonly revision: number } & GroupRow;
type HoursRow = {
  readonly outer_window: string;
  readonly at: readonly string[];
  readonly amounts: readonly string[];
  readonly newest: number;
} & GroupRow;

interface CoverageRow {
  readonly window: string;
  readonly cluster: string;
  readonly covered: string;
  readonly expected: string;
}

function ofOneMeter({ meter, filters, ...asked }: UsageRequest): SumsRequest<Dimension> {
  return { ...asked, filters: { ...filters, meter: [meter] }, part: 'all' };
}
