/**
 * The states of a period (METERING 12): open while its hours come in, settling once it is over, closed when a
 * close has written its statements. Each is an entry of the ledger, with an id made of the period and the
 * state: whoever writes it again writes nothing.
 */
import { periodName, periodStart, type Period } from '../../core/metering/period.ts';
import type { UsageStore } from '../store/usage-store.ts';
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
  const rows = await store.rows<{ period: number; newest: number }>(
    `SELECT period, max(revision) AS newest FROM ledger WHERE kind = 'period'
     GROUP BY period ORDER BY period`,
  );
  const states = Object.keys(REVISIONS) as PeriodState[];
  return new Map(rows.map((row) => [row.period, states[row.newest - 1] ?? 'open']));
}
