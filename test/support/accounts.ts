/** The aggregator's stages by hand: records in, passes at chosen moments, and what the ledger says afterwards. */
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { Accounts } from '../../aggregator/ledger/accounts.ts';
import { Closer } from '../../aggregator/ledger/closer.ts';
import { NOTHING_DECLARED, type Declared } from '../../aggregator/ledger/declared.ts';
import { Erasure } from '../../aggregator/ledger/erasure.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { ONE_PROCESS, Quiet } from '../../aggregator/ledger/quiet.ts';
import { SettingsInForce } from '../../aggregator/ledger/settings-in-force.ts';
import { Settler } from '../../aggregator/ledger/settler.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { Retention } from '../../aggregator/store/retention.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { metricsData, type Row } from '../vectors/otlp-json.ts';
import { HandClock } from './hand-clock.ts';
import { logRecord } from './pipeline.ts';

export const SETTINGS: MeteringSettings = {
  tenantLabel: 'label_gh0stcloud_io_tenant',
  platformNamespaces: ['kube-system'],
  maxHoldMs: 300_000,
  latenessMs: 172_800_000,
  maxCores: 256,
  maxLinkBytesPerSecond: 12_500_000_000,
  networkInterface: 'eth0',
  rawRetentionMs: 3_888_000_000,
  hoursRetentionMs: 34_560_000_000,
};

export interface ToldFact {
  readonly name: string;
  readonly fields: unknown;
}

export class AccountsBench {
  readonly store: UsageStore;
  readonly settings: MeteringSettings;
  readonly clock = new HandClock(0);
  readonly told: ToldFact[] = [];
  readonly quiet: Quiet;
  readonly ledger: Ledger;
  readonly settler: Settler;
  readonly retention: Retention;
  readonly erasure: Erasure;
  readonly ingest: Ingest;
  readonly accounts: Accounts;
  readonly inForce: SettingsInForce;
  declared: Declared = NOTHING_DECLARED;
  /** Whether the log has a backlog. */
  isBehind = false;

  constructor(store: UsageStore, clusters: readonly string[], settings: MeteringSettings = SETTINGS) {
    this.store = store;
    this.settings = settings;
    const facts: FactSink = { event: (name, fields) => this.told.push({ name, fields }) };
    const deps = { store, clock: this.clock, facts };
    this.quiet = new Quiet(ONE_PROCESS, deps);
    this.retention = new Retention(settings, { ...deps, quiet: this.quiet });
    this.ledger = new Ledger(deps);
    this.settler = new Settler({ ...deps, ledger: this.ledger });
    const config = { settings, clusterOfTopic: (): undefined => undefined, maxBatchBytes: 0, pollMs: 0 };
    this.ingest = new Ingest(config, deps);
    this.inForce = new SettingsInForce(new SettingsTimeline([{ validFrom: 0, settings }]));
    const { inForce } = this;
    const rollUp = new RollUp({ settings, settingsAt: (hour) => inForce.at(hour) }, deps);
    this.erasure = this.erasureOn(store);
    const stages = { ...deps, ledger: this.ledger, settler: this.settler, rollUp, settings: inForce };
    const closer = new Closer(
      { clusters },
      { ...stages, quiet: this.quiet, declared: () => Promise.resolve(this.declared) },
    );
    this.accounts = new Accounts({ ...stages, closer, isBehind: () => this.isBehind });
  }

  /** An erasure of a process of its own. */
  erasureOn(store: UsageStore): Erasure {
    const facts: FactSink = { event: (name, fields) => this.told.push({ name, fields }) };
    const deps = { store, clock: this.clock, facts };
    const declared = (): Promise<Declared> => Promise.resolve(this.declared);
    return new Erasure({ ...deps, quiet: new Quiet(ONE_PROCESS, deps), settings: this.inForce, declared });
  }

  /** What a start does about settings that were edited. */
  async adopt(): Promise<void> {
    await this.inForce.adopt(this.store, { event: (name, fields) => this.told.push({ name, fields }) });
  }

  /** A pass with the clock at this time. */
  async passAt(nowMs: number): Promise<void> {
    this.clock.advance(nowMs - this.clock.now());
    await this.accounts.pass();
  }

  async take(records: readonly LogRecord[]): Promise<void> {
    await this.ingest.take(records);
  }

  factsNamed(name: string): readonly unknown[] {
    return this.told.filter((fact) => fact.name === name).map((fact) => fact.fields);
  }
}

/** Records of scrapes of small clusters, with offsets as the log would give them. */
export class Scrapes {
  readonly #offsets = new Map<string, bigint>();

  /** One scrape at t: core-seconds by `namespace/pod`, tenants by namespace; the record comes `delayMs` later. */
  at(
    t: number,
    scrape: {
      readonly cluster?: string;
      readonly cpu?: Readonly<Record<string, number>>;
      readonly owners?: Readonly<Record<string, string>>;
      readonly delayMs?: number;
    },
  ): LogRecord {
    const { cluster = 'north', cpu = {}, owners = {}, delayMs = 1_500 } = scrape;
    const rows: Row[] = [{ name: 'up', labels: { cluster }, timeMs: t, value: { asDouble: 1 } }];
    for (const [name, seconds] of Object.entries(cpu)) {
      const [namespace = '', pod = ''] = name.split('/');
      const labels = { cluster, node: 'n1', namespace, pod, id: `/kubepods/pod-${pod}` };
      rows.push({
        name: 'container_cpu_usage_seconds_total',
        labels,
        timeMs: t,
        value: { asDouble: seconds },
      });
    }
    for (const [namespace, tenant] of Object.entries(owners)) {
      const labels = { cluster, namespace, label_gh0stcloud_io_tenant: tenant };
      rows.push({ name: 'kube_namespace_labels', labels, timeMs: t, value: { asDouble: 1 } });
    }
    const topic = `usage.${cluster}`;
    const offset = this.#offsets.get(topic) ?? 0n;
    this.#offsets.set(topic, offset + 1n);
    const target = { job: 'kubelet', instance: 'n1' };
    return logRecord({
      ...{ topic, partition: 0, offset, timestampMs: t + delayMs },
      metricsData: metricsData(target, rows),
    });
  }
}
