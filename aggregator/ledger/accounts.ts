/**
 * Samples -> usage -> ledger -> statements, one pass after the other, for as long as the aggregator runs.
 * Each stage finds in the store what there is to do and leaves it marked until it is done, so a pass may end
 * anywhere and any number of processes may run.
 */
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import type { RollUp } from '../rollup/roll-up.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { Closer } from './closer.ts';
import type { SettingsInForce } from './settings-in-force.ts';
import type { Settler } from './settler.ts';
import { readWatermarks } from './watermarks.ts';

/** What a pass may take of the time: after one of 2 s the next waits 4 s. */
const REST_PER_WORK = 2;
const MIN_REST_MS = 1_000;
const MAX_REST_MS = 30_000;

export interface AccountsDeps {
  readonly store: UsageStore;
  readonly rollUp: RollUp;
  readonly settler: Settler;
  readonly closer: Closer;
  readonly settings: SettingsInForce;
  readonly clock: Clock;
  readonly facts: FactSink;
}

export class Accounts {
  readonly #deps: AccountsDeps;
  readonly #watermarks = new Map<string, number>();

  constructor(deps: AccountsDeps) {
    this.#deps = deps;
  }

  async pass(signal?: AbortSignal): Promise<void> {
    const { rollUp, settler, closer } = this.#deps;
    await this.#deps.settings.refresh(this.#deps.store);
    await rollUp.pass(signal);
    await this.#tellWatermarks();
    await settler.pass({ signal });
    if (signal?.aborted !== true) await closer.pass();
  }

  /**
   * Passes until the signal aborts, leaving the machine to others most of the time. Waits for a store that is
   * away.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, facts } = this.#deps;
    const retrying = { operation: 'roll up and settle', clock, facts, signal };
    while (!signal.aborted) {
      const begin = clock.now();
      await retried(() => this.pass(signal), retrying);
      const rest = (clock.now() - begin) * REST_PER_WORK;
      await clock.sleep(Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, rest)), signal);
    }
  }

  async #tellWatermarks(): Promise<void> {
    for (const [cluster, watermarkMs] of await readWatermarks(this.#deps.store)) {
      if (this.#watermarks.get(cluster) === watermarkMs) continue;
      this.#watermarks.set(cluster, watermarkMs);
      this.#deps.facts.event('watermarkMoved', { cluster, watermarkMs });
    }
  }
}
