/**
 * What statements of a period that is not closed would say now. Input: a period and a tenant. Output: the
 * state of the period and its statement; undefined where there is neither. What was read is remembered under
 * the versions of the tables that it was read from, so an answer is never older than the store was when it
 * was asked for: a tenant's lines are read again once something was settled, coverage after every roll-up,
 * for all.
 *
 * Who may read a statement is decided before anybody looks here.
 */
import type { Period } from '../../../core/metering/period.ts';
import { readPeriodsBetween, type PeriodState } from '../../ledger/periods.ts';
import {
  provisionalStatement,
  readCorrected,
  readProvisionalCoverage,
  readProvisionalLines,
  type ProvisionalLines,
} from '../../ledger/provisional-statement.ts';
import type { CoverageLine, ProvisionalStatement } from '../../ledger/statement.ts';
import type { ReadOptions, UsageStore } from '../../store/usage-store.ts';
import { Memory } from '../usage/memory.ts';
import { VersionReader, type VersionedTable, type Versions } from '../usage/versions.ts';

/** Some ten thousands of statements. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Of a line in memory, and of what is about as short, about. */
const LINE_BYTES = 500;
const NAME_BYTES = 100;

const LEDGER: readonly VersionedTable[] = ['ledger', 'decision'];
const SETTLED: readonly VersionedTable[] = ['usage_current'];
const COVERAGE: readonly VersionedTable[] = ['coverage'];
const MARKS: readonly VersionedTable[] = ['hour_mark'];

export interface FoundProvisional {
  readonly state: PeriodState;
  readonly statement: ProvisionalStatement;
}

export class ProvisionalStatements {
  readonly #store: UsageStore;
  readonly #options: ReadOptions;
  readonly #versions: VersionReader;
  readonly #memory = new Memory(MAX_BYTES);

  constructor(config: { readonly queryTimeoutMs: number }, deps: { readonly store: UsageStore }) {
    this.#store = deps.store;
    this.#options = { timeoutMs: config.queryTimeoutMs };
    this.#versions = new VersionReader(deps.store, this.#options);
  }

  /** Of the store now, or later. */
  async versions(): Promise<Versions> {
    return await this.#versions.read();
  }

  /** `read` is what the ledger tells and nothing else. */
  async ofLedger<Result>(versions: Versions, what: string, read: () => Promise<Result>): Promise<Result> {
    return await this.#memory.get(`${what} ${versions.of(LEDGER)}`, read, () => NAME_BYTES);
  }

  async find(
    versions: Versions,
    wanted: { readonly period: Period; readonly tenant: string },
  ): Promise<FoundProvisional | undefined> {
    const state = await this.#state(versions, wanted.period);
    if (state === undefined) return undefined;
    const [own, coverage] = await Promise.all([
      this.#lines(versions, wanted),
      this.#coverage(versions, wanted.period),
    ]);
    if (own.lines.length === 0 && own.corrections.length === 0) return undefined;
    return { state, statement: provisionalStatement(wanted, own, coverage) };
  }

  async #state(versions: Versions, period: Period): Promise<PeriodState | undefined> {
    const bounds = { first: period, last: period };
    const read = () => readPeriodsBetween(this.#store, bounds, this.#options);
    return (await this.ofLedger(versions, `state ${period}`, read)).get(period);
  }

  async #lines(
    versions: Versions,
    { period, tenant }: { readonly period: Period; readonly tenant: string },
  ): Promise<ProvisionalLines> {
    const corrected = await this.#memory.get(
      `corrected ${period} ${versions.of(LEDGER)}`,
      () => readCorrected(this.#store, period, this.#options),
      ({ size }) => NAME_BYTES * (size + 1),
    );
    // Without a correction it is what is settled that tells, and not what else is in the ledger.
    const ledger = corrected.has(tenant) ? versions.of(LEDGER) : '';
    return await this.#memory.get(
      JSON.stringify(['lines', period, tenant, versions.of(SETTLED, [period]), ledger]),
      () => readProvisionalLines(this.#store, { period, tenant, corrected }, this.#options),
      ({ lines, corrections }) => LINE_BYTES * (lines.length + corrections.length + 1),
    );
  }

  #coverage(versions: Versions, period: Period): Promise<readonly CoverageLine[]> {
    return this.#memory.get(
      `coverage ${period} ${versions.of(COVERAGE, [period])} ${versions.of(MARKS)}`,
      () => readProvisionalCoverage(this.#store, period, this.#options),
      (lines) => LINE_BYTES * (lines.length + 1),
    );
  }
}
