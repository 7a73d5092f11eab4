/**
 * Samples -> usage -> ledger -> statements, one pass after the other, for as long as the aggregator runs.
 * Each stage finds in the store what there is to do and leaves it marked until it is done, so a pass may end
 * anywhere and any number of processes may run: each of them rolls up its share, the writer of the ledger
 * settles and closes.
 */
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { retried } from '../../core/runtime/retry.ts';
import type { IsMine } from '../coordination/members.ts';
import type { RollUp } from '../rollup/roll-up.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { Closer } from './closer.ts';
import type { SettingsInForce } from './settings-in-force.ts';
import type { Settler } from './settler.ts';
import { readWatermarks } from './watermarks.ts';

/** What a pass may take of the time: after one of 2 s the next waits 4 s, after one of 20 s it waits 80 s. */
const REST_PER_WORK = 2;
const REST_PER_LONG_WORK = 4;
const LONG_WORK_MS = 5_000;
const MIN_REST_MS = 1_000;
/** For so long what waits in the log goes before: an hour is not rolled up again for each piece of it. */
const MAX_WAIT_MS = 300_000;
const MAX_REST_MS = 240_000;

/** How long no pass follows one that took so long. */
export function restAfterMs(workMs: number): number {
  const rest = workMs * (workMs < LONG_WORK_MS ? REST_PER_WORK : REST_PER_LONG_WORK);
  return Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, rest));
}

export interface AccountsDeps {
  readonly store: UsageStore;
  readonly rollUp: RollUp;
  readonly settler: Settler;
  readonly closer: Closer;
  /** Where the store is shared: whether this process settles and closes. */
  readonly writer?: { holds(): Promise<boolean> } | undefined;
  /** Where the store is shared: which units this process rolls up. */
  readonly members?: { share(): Promise<IsMine> } | undefined;
  /** Whether there is a backlog in the log. */
  readonly isBehind?: () => boolean;
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
    const { rollUp, settler, closer, writer, members } = this.#deps;
    await this.#deps.settings.refresh(this.#deps.store);
    await rollUp.pass(signal, { isMine: await members?.share() });
    await this.#tellWatermarks();
    if ((await writer?.holds()) === false) return;
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
    for (let beforeMs = 0; !signal.aborted;) {
      const begin = clock.now();
      await retried(() => this.pass(signal), retrying);
      const tookMs = clock.now() - begin;
      // One that took long may have waited for a store that was away; two are work.
      await clock.sleep(restAfterMs(Math.min(tookMs, beforeMs)), signal);
      beforeMs = tookMs;
      await this.#backlogOver(signal);
    }
  }

  async #backlogOver(signal: AbortSignal): Promise<void> {
    const { clock, isBehind = () => false } = this.#deps;
    for (let waited = 0; isBehind() && waited < MAX_WAIT_MS && !signal.aborted; waited += MIN_REST_MS)
      await clock.sleep(MIN_REST_MS, signal);
  }

  async #tellWatermarks(): Promise<void> {
    for (const [cluster, watermarkMs] of await readWatermarks(this.#deps.store)) {
      if (this.#watermarks.get(cluster) === watermarkMs) continue;
      this.#watermarks.set(cluster, watermarkMs);
      this.#deps.facts.event('watermarkMoved', { cluster, watermarkMs });
    }
  }
}
