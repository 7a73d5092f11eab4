/**
 * Work that folds samples again while somebody waits for it. Input: a store, and the work. Output: what the
 * work gives, or that as many run as may. Few run at once, each has its time, and nothing is written.
 */
import type { SettingsTimeline } from '../../../core/metering/settings-timeline.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import { readAdoptedTimeline, SettingsInForce } from '../../ledger/settings-in-force.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { ReadsUntil } from './reads-until.ts';

export interface OnDemandConfig {
  readonly timeoutMs: number;
  readonly maxRunning: number;
  /** Where the store does not say with which settings open months are made. */
  readonly defaults: SettingsTimeline;
}

export interface Demand {
  /** Readable until the time is over. */
  readonly store: UsageStore;
  /** As the aggregator rolled up: pinned by closes, and adopted for what is open. */
  readonly settings: SettingsInForce;
}

/** Seconds after which somebody who was turned away may find room. */
export const BUSY_RETRY_SECONDS = 10;

export class OnDemand {
  readonly #config: OnDemandConfig;
  readonly #deps: { readonly store: UsageStore; readonly clock: Clock };
  #running = 0;

  /** `clock` is the machine's: it bounds how long somebody waits. */
  constructor(config: OnDemandConfig, deps: { readonly store: UsageStore; readonly clock: Clock }) {
    this.#config = config;
    this.#deps = deps;
  }

  /** `busy`: as many run as may. Whoever aborts the signal waits no more, and makes room for others. */
  async run<Result>(
    work: (demand: Demand) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result | 'busy'> {
    const { maxRunning, timeoutMs, defaults } = this.#config;
    if (this.#running >= maxRunning) return 'busy';
    this.#running++;
    try {
      const store = new ReadsUntil(this.#deps.clock.now() + timeoutMs, { ...this.#deps, signal });
      const settings = new SettingsInForce((await readAdoptedTimeline(store)) ?? defaults);
      await settings.refresh(store);
      return await work({ store, settings });
    } finally {
      this.#running--;
    }
  }
}
