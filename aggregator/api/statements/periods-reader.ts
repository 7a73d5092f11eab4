/**
 * Periods and their statements. Input: whose statements may be read. Output: states, closes, bytes. Nothing
 * is written. A period in which a tenant has nothing is, for who reads that tenant alone, as one that there
 * is not; and so is a statement that may not be read.
 */
import {
  nextPeriod,
  parsePeriod,
  periodOf,
  periodStart,
  type Period,
} from '../../../core/metering/period.ts';
import { readPeriodsBetween, type PeriodState } from '../../ledger/periods.ts';
import type { ProvisionalStatement } from '../../ledger/statement.ts';
import type { StatementFormat } from '../../ledger/statements/render.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { TenantScope } from '../identity/access.ts';
import { mayRead, tenantConditions } from '../identity/tenant-conditions.ts';
import { ClosedPeriods, type ClosedPeriod } from './closed-periods.ts';
import { ProvisionalStatements } from './provisional-statements.ts';
import { StatementShelf, type ShelvedStatement } from './statement-shelf.ts';

/** Before it no cluster was metered. */
const FIRST_PERIOD: Period = 202_001;

export interface PeriodsConfig {
  readonly queryTimeoutMs: number;
  /** Of statements in memory. */
  readonly maxStatementBytes: number;
}

/** A period as the scope sees it. */
export interface ListedPeriod {
  readonly period: Period;
  readonly state: PeriodState;
  /** Of a closed one. */
  readonly close: ClosedPeriod | undefined;
  /** Those of the scope, of a closed one; sorted by tenant. */
  readonly statements: readonly (readonly [tenant: string, hash: string])[];
}

export type FoundStatement =
  | { readonly kind: 'closed'; readonly etag: string; readonly take: () => Promise<ShelvedStatement> }
  | { readonly kind: 'open'; readonly state: PeriodState; readonly statement: ProvisionalStatement };

export interface PeriodsReader {
  /** Oldest first. */
  periods(scope: TenantScope, nowMs: number): Promise<readonly ListedPeriod[]>;
  period(scope: TenantScope, period: Period): Promise<ListedPeriod | undefined>;
  statement(scope: TenantScope, wanted: AskedStatement): Promise<FoundStatement | undefined>;
}

export interface AskedStatement {
  readonly period: Period;
  readonly tenant: string;
  readonly format: StatementFormat;
}

export class StorePeriodsReader implements PeriodsReader {
  readonly #store: UsageStore;
  readonly #timeoutMs: number;
  readonly #closed: ClosedPeriods;
  readonly #shelf: StatementShelf;
  readonly #provisional: ProvisionalStatements;

  constructor(config: PeriodsConfig, deps: { readonly store: UsageStore }) {
    this.#store = deps.store;
    this.#timeoutMs = config.queryTimeoutMs;
    this.#closed = new ClosedPeriods(config, deps);
    this.#provisional = new ProvisionalStatements(config, deps);
    this.#shelf = new StatementShelf({ ...config, maxBytes: config.maxStatementBytes }, deps);
  }

  async periods(scope: TenantScope, nowMs: number): Promise<readonly ListedPeriod[]> {
    const bounds = { first: FIRST_PERIOD, last: nextPeriod(periodOf(nowMs)) };
    const states = await readPeriodsBetween(this.#store, bounds, { timeoutMs: this.#timeoutMs });
    const own = await this.#periodsWithUsage(scope);
    const listed: ListedPeriod[] = [];
    for (const [period, state] of states) {
      const found = await this.#listed(scope, {
        period,
        state,
        hasUsage: own === undefined || own.has(period),
      });
      if (found !== undefined) listed.push(found);
    }
    return listed;
  }

  async period(scope: TenantScope, period: Period): Promise<ListedPeriod | undefined> {
    if ((await this.#closed.find(period)) !== undefined)
      return await this.#listed(scope, { period, state: 'closed', hasUsage: false });
    const state = await this.#openState(period);
    if (state === undefined) return undefined;
    const own = await this.#periodsWithUsage(scope);
    return await this.#listed(scope, { period, state, hasUsage: own === undefined || own.has(period) });
  }

  async statement(
    scope: TenantScope,
    { period, tenant, format }: AskedStatement,
  ): Promise<FoundStatement | undefined> {
    // Decided before anything is looked for, so that an answer, and when it comes, tells nothing.
    if (!mayRead(scope, tenant)) return undefined;
    const known = this.#closed.known(period);
    if (known !== undefined) return this.#closedStatement(known, { period, tenant, format });
    const versions = await this.#provisional.versions();
    const close = await this.#provisional.ofLedger(versions, `close ${period}`, () =>
      this.#closed.find(period),
    );
    if (close !== undefined) return this.#closedStatement(close, { period, tenant, format });
    const found = await this.#provisional.find(versions, { period, tenant });
    return found && { kind: 'open', ...found };
  }

  #closedStatement(
    close: ClosedPeriod,
    { period, tenant, format }: AskedStatement,
  ): FoundStatement | undefined {
    const hash = close.hashes.get(tenant);
    if (hash === undefined) return undefined;
    const take = (): Promise<ShelvedStatement> => this.#shelf.take({ period, tenant, hash, format });
    return { kind: 'closed', etag: `"${hash}"`, take };
  }

  async #openState(period: Period): Promise<PeriodState | undefined> {
    const bounds = { first: period, last: period };
    const states = await readPeriodsBetween(this.#store, bounds, { timeoutMs: this.#timeoutMs });
    return states.get(period);
  }

  async #listed(
    scope: TenantScope,
    { period, state, hasUsage }: { period: Period; state: PeriodState; hasUsage: boolean },
  ): Promise<ListedPeriod | undefined> {
    const close = state === 'closed' ? await this.#closed.find(period) : undefined;
    const statements = (close?.statements ?? []).filter(([tenant]) => mayRead(scope, tenant));
    if (scope.kind === 'tenants' && statements.length === 0 && !hasUsage) return undefined;
    return { period, state, close, statements };
  }

  /** Undefined where everything may be read. */
  async #periodsWithUsage(scope: TenantScope): Promise<ReadonlySet<Period> | undefined> {
    if (scope.kind === 'all') return undefined;
    const { rows, parameters } = tenantConditions(scope);
    const found = await this.#store.rows<{ period: number }>(
      `SELECT DISTINCT toYYYYMM(day) AS period FROM usage_day WHERE ${rows.join(' AND ')}`,
      parameters,
      { timeoutMs: this.#timeoutMs },
    );
    return new Set(found.map(({ period }) => period));
  }
}

/** `2026-10` of a path; undefined for anything else, and for months before there was metering. */
export function askedPeriod(name: string): Period | undefined {
  const period = parsePeriod(name);
  return period !== undefined && periodStart(period) >= periodStart(FIRST_PERIOD) ? period : undefined;
}
