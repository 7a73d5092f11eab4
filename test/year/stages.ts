/** The aggregator's stages in one process, on a clock that the year moves on. */
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { Accounts } from '../../aggregator/ledger/accounts.ts';
import { Closer } from '../../aggregator/ledger/closer.ts';
import type { Declared } from '../../aggregator/ledger/declared.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { ONE_PROCESS, Quiet } from '../../aggregator/ledger/quiet.ts';
import { SettingsInForce } from '../../aggregator/ledger/settings-in-force.ts';
import { Settler } from '../../aggregator/ledger/settler.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { Retention } from '../../aggregator/store/retention.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { SystemClock, type Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';

/** As shipped, but that a gauge is held over two scrapes, which are a quarter of an hour apart. */
export const SETTINGS: MeteringSettings = {
  tenantLabel: 'label_gh0stcloud_io_tenant',
  platformNamespaces: ['kube-system', 'monitoring'],
  maxHoldMs: 1_800_000,
  latenessMs: 172_800_000,
  maxCores: 256,
  maxLinkBytesPerSecond: 12_500_000_000,
  networkInterface: 'eth0',
  rawRetentionMs: 3_888_000_000,
  hoursRetentionMs: 34_560_000_000,
};

/** Days pass at a word; who sleeps, sleeps as long as it takes. */
export class DayClock implements Clock {
  readonly #real = new SystemClock();
  #nowMs = 0;

  moveTo(nowMs: number): void {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#real.sleep(ms, signal);
  }
}

export interface Stages {
  readonly ingest: Ingest;
  readonly accounts: Accounts;
  readonly retention: Retention;
}

export function stagesOn(
  deps: { readonly store: UsageStore; readonly clock: Clock; readonly facts: FactSink },
  given: { readonly clusters: readonly string[]; readonly declared: () => Promise<Declared> },
): Stages {
  const quiet = new Quiet(ONE_PROCESS, deps);
  const ledger = new Ledger(deps);
  const settler = new Settler({ ...deps, ledger });
  const clusterOfTopic = (topic: string): string => topic.slice('usage.'.length);
  const ingest = new Ingest({ settings: SETTINGS, clusterOfTopic, maxBatchBytes: 0, pollMs: 0 }, deps);
  const settings = new SettingsInForce(timeline());
  const rollUp = new RollUp({ settings: SETTINGS, settingsAt: (hour) => settings.at(hour) }, deps);
  const stages = { ...deps, ledger, settler, rollUp, settings };
  const closer = new Closer({ clusters: given.clusters }, { ...stages, quiet, declared: given.declared });
  const retention = new Retention(SETTINGS, { ...deps, quiet });
  return { ingest, accounts: new Accounts({ ...stages, closer }), retention };
}

export function timeline(): SettingsTimeline {
  return new SettingsTimeline([{ validFrom: 0, settings: SETTINGS }]);
}
