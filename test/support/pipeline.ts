/** The production pipeline on a store of its own: records in, usage rows out. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { encodeMetricsData } from '../../core/otlp/encode.ts';
import type { MetricsData } from '../../core/otlp/metrics-data.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import type { SpanBounds } from '../../aggregator/rollup/span-planner.ts';
import { readUsageRows, type UsageRow } from '../../aggregator/rollup/usage-rows.ts';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { ModelRecord, ModelSettings } from '../model/record.ts';
import { SCHEMA_DIRECTORY, type TestStore } from './chdb.ts';

const QUIET: FactSink = { event: (): void => undefined };
/** Thousands of small parts are written and dropped again; in memory an insert takes a tenth of the time. */
const IN_MEMORY = '/dev/shm';

/** A store for what needs speed, not durability. */
export async function openFastStore(): Promise<TestStore> {
  const path = await mkdtemp(join(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir(), 'metering-store-'));
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true });
  try {
    const store = await ChdbStore.open({ path, threads: 1, readers: 2 });
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    return { store, path, dispose: () => store.close().then(remove) };
  } catch (error) {
    await remove();
    throw error;
  }
}

export function fullSettings(settings: ModelSettings): MeteringSettings {
  return { rawRetentionMs: 45 * 86_400_000, hoursRetentionMs: 400 * 86_400_000, ...settings };
}

/** Ingests and roll-ups of two processes; one of them reads at a time, and they cut the hours into different spans. */
export class Pipeline {
  readonly store: UsageStore;
  readonly #settings: MeteringSettings;
  readonly #spans: SpanBounds;
  #ingests!: readonly [Ingest, Ingest];
  #reading: 0 | 1 = 0;
  #rollUps!: readonly [RollUp, RollUp];

  /** `spans`: those of the second roll-up. */
  constructor(store: UsageStore, settings: ModelSettings, spans: SpanBounds = { hours: 3 }) {
    this.store = store;
    this.#settings = fullSettings(settings);
    this.#spans = spans;
    this.restart();
  }

  /** New processes with empty memories. */
  restart(): void {
    const config = {
      settings: this.#settings,
      clusterOfTopic: (): undefined => undefined,
      maxBatchBytes: 1 << 20,
      pollMs: 10,
    };
    const deps = { store: this.store, clock: new SystemClock(), facts: QUIET };
    this.#ingests = [new Ingest(config, deps), new Ingest(config, deps)];
    const settings = this.#settings;
    this.#rollUps = [new RollUp({ settings }, deps), new RollUp({ settings, spans: this.#spans }, deps)];
  }

  async take(records: readonly LogRecord[]): Promise<void> {
    await this.#ingests[this.#reading].take(records);
  }

  /** The other process reads on, with what it remembers of before. */
  handOver(): void {
    this.#reading = this.#reading === 0 ? 1 : 0;
    this.#ingests[this.#reading].reassigned();
  }

  /** A pass of the one or of the other process. */
  async rollUp(process: 0 | 1 = 0): Promise<number> {
    return await this.#rollUps[process].pass();
  }

  async usage(): Promise<UsageRow[]> {
    await this.rollUp();
    return await readUsageRows(this.store);
  }
}

/** What was taken in, and what the roll-up made of it. */
const TABLES_OF_SAMPLES = [
  ...['samples', 'series', 'target', 'scrape', 'feed', 'sightings', 'births', 'process_start'],
  ...['container_start', 'label_history', 'host_network', 'pod_phase', 'batch', 'quarantine'],
  'detail_history',
];
const TABLES_OF_USAGE = [
  ...['usage_parts', 'detail_parts', 'measured', 'closings', 'coverage', 'unit_mark', 'hour_mark'],
];
/** What was settled and decided. */
const TABLES_OF_LEDGER = [
  ...['ledger', 'usage_current', 'usage_day', 'reconciliation', 'decision', 'statement', 'hold', 'watermark'],
];

export async function emptyStore(store: UsageStore): Promise<void> {
  for (const table of [...TABLES_OF_SAMPLES, ...TABLES_OF_USAGE, ...TABLES_OF_LEDGER])
    await store.command(`TRUNCATE TABLE ${table}`);
}

/** As if nothing had ever been rolled up: every hour that was ever marked is marked afresh. */
export async function forgetUsage(store: UsageStore): Promise<void> {
  const marked = await store.rows<{ cluster: string; hour: number }>(
    'SELECT DISTINCT cluster, toUnixTimestamp(hour) AS hour FROM unit_mark',
  );
  for (const table of TABLES_OF_USAGE) await store.command(`TRUNCATE TABLE ${table}`);
  await store.insert(
    'unit_mark',
    marked.map((unit) => ({ ...unit, source: 'rollup:afresh', marked: 1, rolled: 0 })),
  );
}

const TRUNCATED = Uint8Array.of(0x0a, 0xff, 0x01, 0x12);

/** A model's record as it stands in the log: protobuf, or JSON, which the collector may write as well. */
export function logRecord(record: ModelRecord, encoding: 'protobuf' | 'json' = 'protobuf'): LogRecord {
  const { topic, partition, offset, timestampMs, metricsData } = record;
  return { topic, partition, offset, timestampMs, key: null, headers: {}, value: valueOf() };

  function valueOf(): Uint8Array {
    if (metricsData === null) return TRUNCATED;
    if (encoding === 'json') return Buffer.from(JSON.stringify(metricsData));
    const data: unknown = metricsData;
    return encodeMetricsData(data as MetricsData);
  }
}
