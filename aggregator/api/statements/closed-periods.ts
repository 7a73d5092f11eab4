/**
 * Closed periods, kept in memory once they are known: a closed period stays closed, and its close stays what
 * it was. A period is closed when the ledger says so, which is after the close has been decided and only for
 * the decision that counts. One that is not closed yet is asked for again each time.
 */
import type { Period } from '../../../core/metering/period.ts';
import { invariant } from '../../../core/runtime/errors.ts';
import { readClose, type Close } from '../../ledger/decisions.ts';
import { readClosedHash } from '../../ledger/periods.ts';
import type { UsageStore } from '../../store/usage-store.ts';

/** Twenty years; whoever asks for older ones again waits for the store again. */
const KEPT_PERIODS = 240;

export interface ClosedPeriod extends Close {
  /** Hash of the statement by tenant. */
  readonly hashes: ReadonlyMap<string, string>;
}

export class ClosedPeriods {
  readonly #store: UsageStore;
  readonly #timeoutMs: number;
  readonly #known = new Map<Period, ClosedPeriod>();

  constructor(config: { readonly queryTimeoutMs: number }, deps: { readonly store: UsageStore }) {
    this.#store = deps.store;
    this.#timeoutMs = config.queryTimeoutMs;
  }

  /** Undefined where it is not closed, or nobody asked for it. */
  known(period: Period): ClosedPeriod | undefined {
    return this.#known.get(period);
  }

  /** Undefined where it is not closed. */
  async find(period: Period): Promise<ClosedPeriod | undefined> {
    const known = this.known(period);
    if (known !== undefined) return known;
    const options = { timeoutMs: this.#timeoutMs };
    const hash = await readClosedHash(this.#store, period, options);
    if (hash === undefined) return undefined;
    const close = await readClose(this.#store, { period, hash }, options);
    invariant(close !== undefined, `the close of ${period} that the ledger names was decided`);
    const closed = { ...close, hashes: new Map(close.statements) };
    const [oldest] = this.#known.keys();
    if (this.#known.size >= KEPT_PERIODS && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(period, closed);
    return closed;
  }
}
