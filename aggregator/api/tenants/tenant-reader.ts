/**
 * Tenants, and what they have used so far in a running window. Input: whose usage may be read. Output: what
 * is in the ledger of the window, and beside it what open hours have given until now. Nothing is written.
 *
 * Settled days are summed when they are settled, so a month of all tenants is a few rows for each.
 */
import { DAY_MS } from '../../../core/metering/hour.ts';
import { openHours } from '../../ledger/hour-marks.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { tenantConditions } from '../identity/tenant-conditions.ts';

export interface KnownTenant {
  readonly tenant: string;
  /** Of the first and the last day with usage, `2026-10-01`. */
  readonly firstDay: string;
  readonly lastDay: string;
}

export interface TenantUsage {
  readonly tenant: string;
  readonly meter: string;
  /** Base units, in the ledger. */
  readonly settled: bigint;
  /** Of hours that are not settled yet: grows. */
  readonly open: bigint;
}

export interface TenantUsageRequest {
  /** Whole days, or one hour. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly tenants?: readonly string[];
}

export interface TenantReader {
  /** By name; those that have or had usage. At most `limit`, behind `after`. */
  tenants(scope: TenantScope, page: TenantPage): Promise<readonly KnownTenant[]>;
  /** By tenant and meter. */
  usage(scope: TenantScope, request: TenantUsageRequest): Promise<readonly TenantUsage[]>;
}

export interface TenantPage {
  readonly after: string;
  readonly limit: number;
}

export class StoreTenantReader implements TenantReader {
  readonly #store: UsageStore;
  readonly #timeoutMs: number;

  constructor(config: { readonly queryTimeoutMs: number }, deps: { readonly store: UsageStore }) {
    this.#store = deps.store;
    this.#timeoutMs = config.queryTimeoutMs;
  }

  async tenants(scope: TenantScope, { after, limit }: TenantPage): Promise<readonly KnownTenant[]> {
    const { rows, parameters } = tenantConditions(scope);
    const where = ['tenant > {after:String}', ...rows].join(' AND ');
    const found = await this.#store.rows<{ name: string; first: string; last: string }>(
      `SELECT toString(tenant) AS name, toString(min(day)) AS first, toString(max(day)) AS last
       FROM usage_day WHERE ${where} GROUP BY tenant ORDER BY name LIMIT {limit:UInt32}`,
      { ...parameters, after, limit },
      { timeoutMs: this.#timeoutMs },
    );
    return found.map(({ name, first, last }) => ({ tenant: name, firstDay: first, lastDay: last }));
  }

  async usage(scope: TenantScope, request: TenantUsageRequest): Promise<readonly TenantUsage[]> {
    const { fromMs, toMs, tenants } = request;
    const { rows, parameters } = tenantConditions(scope);
    const mine = [...rows, ...(tenants === undefined ? [] : ['tenant IN {asked:Array(String)}'])];
    const isDays = fromMs % DAY_MS === 0 && toMs % DAY_MS === 0;
    const marks = await openHours(this.#store, { timeoutMs: this.#timeoutMs });
    const open = marks.filter(({ hour }) => hour >= fromMs && hour < toMs);
    const found = await this.#store.rows<UsageRow>(
      `SELECT toString(tenant) AS name, toString(meter) AS of, toString(sum(inLedger)) AS settled,
         toString(sum(growing)) AS open
       FROM (
         ${isDays ? settledDays(mine) : settledHours(mine)}
         UNION ALL
         ${openParts(mine)}
       )
       GROUP BY tenant, meter ORDER BY name, of`,
      {
        ...parameters,
        ...{ asked: tenants ?? [], first: fromMs / 1000, end: toMs / 1000 },
        openClusters: open.map(({ cluster }) => cluster),
        openHours: open.map(({ hour }) => hour / 1000),
      },
      { timeoutMs: this.#timeoutMs },
    );
    return found.map((row) => ({
      ...{ tenant: row.name, meter: row.of, settled: BigInt(row.settled), open: BigInt(row.open) },
    }));
  }
}

interface UsageRow {
  readonly name: string;
  readonly of: string;
  readonly settled: string;
  readonly open: string;
}

function settledDays(mine: readonly string[]): string {
  const range = `day >= toDate(toDateTime({first:Int64}, 'UTC'))
    AND day < toDate(toDateTime({end:Int64}, 'UTC'))`;
  return `SELECT tenant, meter, quantity AS inLedger, toInt256(0) AS growing
    FROM usage_day FINAL WHERE ${[range, ...mine].join(' AND ')}`;
}

const HOURS = "hour >= toDateTime({first:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')";

function settledHours(mine: readonly string[]): string {
  return `SELECT tenant, meter, toInt256(q0) + q1 + q2 + q3 AS inLedger, toInt256(0) AS growing
    FROM usage_current FINAL WHERE ${[HOURS, ...mine].join(' AND ')}`;
}

/** An hour that is settled, and is to be settled again, counts as the ledger has it. */
function openParts(mine: readonly string[]): string {
  const isOpen = `(cluster, toUnixTimestamp(hour)) IN (
      SELECT tupleElement(o, 1), toUInt32(tupleElement(o, 2)) FROM (
        SELECT arrayJoin(arrayZip({openClusters:Array(String)}, {openHours:Array(UInt32)})) AS o))`;
  const isNew = `(cluster, hour) NOT IN (SELECT DISTINCT cluster, hour FROM usage_current
      WHERE ${HOURS} AND toUnixTimestamp(hour) IN {openHours:Array(UInt32)})`;
  return `SELECT tenant, meter, toInt256(0) AS inLedger, toInt256(q0) + q1 + q2 + q3 AS growing
    FROM usage_parts FINAL WHERE ${[HOURS, isOpen, isNew, "tenant != ''", ...mine].join(' AND ')}`;
}
