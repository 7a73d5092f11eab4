/**
 * Tenants, and what they have used so far in a running window. Input: whose usage may be read. Output: what
 * is in the ledger of the window, and beside it what open hours have given until now. Nothing is written.
 *
 * Sums are those of the query of a meter, of all meters at once, so both say the same.
 */
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { tenantConditions } from '../identity/tenant-conditions.ts';
import { keyOf } from '../usage/dimensions.ts';
import { mergedSums } from '../usage/sums.ts';
import { StoreUsageReader } from '../usage-reader.ts';

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
  /** On quarters of an hour. */
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
  readonly #reader: StoreUsageReader;
  readonly #timeoutMs: number;

  constructor(config: { readonly queryTimeoutMs: number }, deps: { readonly store: UsageStore }) {
    this.#store = deps.store;
    this.#reader = new StoreUsageReader(config, deps);
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
    const asked = {
      windows: [{ startMs: fromMs, endMs: toMs }],
      groupBy: KEYS,
      filters: tenants === undefined ? {} : { tenant: tenants },
      standing: await this.#reader.sumsStanding(),
      limit: MOST_ROWS,
    };
    const [settled, open] = await Promise.all([
      this.#reader.sums(scope, { ...asked, part: 'settled' }),
      this.#reader.sums(scope, { ...asked, part: 'open' }),
    ]);
    const growing = new Map(open.map(({ group, value }) => [keyOf(KEYS, group), value]));
    return mergedSums(KEYS, settled, open).flatMap(({ group, value }) => {
      const { tenant = '', meter = '' } = group;
      const ofOpen = growing.get(keyOf(KEYS, group)) ?? 0n;
      // What the roll-up gives to nobody is settled for nobody.
      return tenant === '' ? [] : [{ tenant, meter, settled: value - ofOpen, open: ofOpen }];
    });
  }
}

const KEYS = ['tenant', 'meter'] as const;
/** Of each tenant there are as many as meters. */
const MOST_ROWS = 2 ** 32 - 1;
