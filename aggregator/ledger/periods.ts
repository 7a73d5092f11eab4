/**
 * The states of a period (METERING 12): open while its hours come in, settling once it is over, closed when a
 * close has written its statements. Each is an entry of the ledger, with an id made of the period and the
 * state: whoever writes it again writes nothing.
 */
import { z } from 'zod';
import { nextPeriod, periodName, periodStart, type Period } from '../../core/metering/period.ts';
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';
import { fingerprint, NO_QUARTERS, NOTHING, type LedgerEntry } from './entry.ts';
import type { Ledger } from './ledger.ts';

export type PeriodState = 'open' | 'settling' | 'closed';

const REVISIONS: Readonly<Record<PeriodState, number>> = { open: 1, settling: 2, closed: 3 };

export class PeriodEntries {
  readonly #store: UsageStore;
  readonly #ledger: Ledger;
  #known: Set<Period> | undefined;

  constructor(deps: { readonly store: UsageStore; readonly ledger: Ledger }) {
    this.#store = deps.store;
    this.#ledger = deps.ledger;
  }

  /** Periods that these entries are the first of are opened. */
  async opened(entries: readonly LedgerEntry[]): Promise<void> {
    this.#known ??= new Set((await readPeriods(this.#store)).keys());
    const periods = new Set(entries.filter((entry) => entry.kind === 'usage').map((entry) => entry.period));
    for (const period of [...periods].sort((a, b) => a - b)) {
      if (this.#known.has(period)) continue;
      await this.#ledger.append([periodEntry(period, 'open', {})]);
      this.#known.add(period);
    }
  }
}

export function periodEntry(
  period: Period,
  state: PeriodState,
  about: Readonly<Record<string, unknown>>,
): LedgerEntry {
  return {
    ...NOTHING,
    ...{ id: fingerprint('period', period, state), kind: 'period', period, hour: periodStart(period) },
    ...{ cluster: '', tenant: '', namespace: '', meter: '', revision: REVISIONS[state], final: false },
    ...{ before: NO_QUARTERS, inputHash: Buffer.alloc(16) },
    body: JSON.stringify({ period: periodName(period), state, ...about }),
  };
}

/** The state of every period that was ever opened, oldest first. */
export async function readPeriods(store: UsageStore): Promise<Map<Period, PeriodState>> {
  const rows = await store.rows<StateRow>(
    `SELECT period, max(revision) AS newest FROM ledger WHERE kind = 'period'
     GROUP BY period ORDER BY period`,
  );
  return statesOf(rows);
}

/** Of those from `first` to `last`: found by their first hours, where entries about periods stand. */
export async function readPeriodsBetween(
  store: UsageStore,
  { first, last }: { readonly first: Period; readonly last: Period },
  options: ReadOptions,
): Promise<Map<Period, PeriodState>> {
  const starts: number[] = [];
  for (let period = first; period <= last; period = nextPeriod(period))
    starts.push(periodStart(period) / 1000);
  const rows = await store.rows<StateRow>(
    `SELECT period, max(revision) AS newest FROM ledger
     WHERE kind = 'period' AND hour IN (SELECT toDateTime(arrayJoin({starts:Array(UInt32)}), 'UTC'))
     GROUP BY period ORDER BY period`,
    { starts },
    options,
  );
  return statesOf(rows);
}

interface StateRow {
  readonly period: number;
  readonly newest: number;
}

function statesOf(rows: readonly StateRow[]): Map<Period, PeriodState> {
  const states = Object.keys(REVISIONS) as PeriodState[];
  return new Map(rows.map((row) => [row.period, states[row.newest - 1] ?? 'open']));
}

const closedBodySchema = z.object({ state: z.literal('closed'), hash: z.string() });

/**
 * Of a period whose close is complete: the hash of that close. Of two that decided at the same moment one is
 * completed, and this never changes any more.
 */
export async function readClosedHash(
  store: UsageStore,
  period: Period,
  options?: ReadOptions,
): Promise<string | undefined> {
  const [row] = await store.rows<{ body: string }>(
    `SELECT body FROM ledger
     WHERE kind = 'period' AND revision = {closed:UInt32} AND period = {period:UInt32}
       AND hour = toDateTime({start:Int64}, 'UTC')
     ORDER BY seq LIMIT 1`,
    { period, closed: REVISIONS.closed, start: periodStart(period) / 1000 },
    options,
  );
  return row === undefined ? undefined : closedBodySchema.parse(JSON.parse(row.body)).hash;
}
