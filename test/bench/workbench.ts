/** What every measurement works on. */
import type { SampleLog } from '../../core/eventlog/sample-log.ts';
import type { LogAppend, LogRecord } from '../../core/eventlog/sample-log.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { loadConfig } from '../../core/runtime/config.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { meteringSettingsSchema } from '../../core/runtime/settings.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { AlloyRecords } from './alloy-records.ts';

export interface Workbench {
  readonly store: UsageStore;
  readonly log: SampleLog;
  readonly clock: Clock;
  readonly records: AlloyRecords;
  /** The hour that is filled and rolled up. */
  readonly hour: number;
}

export const QUIET: FactSink = { event: () => undefined };
export const SCRAPE_MS = 30_000;
export const SETTINGS: MeteringSettings = loadConfig(meteringSettingsSchema, { name: 'bench', values: {} });
export const INGEST_CONFIG = {
  settings: SETTINGS,
  clusterOfTopic: (topic: string): string => topic.slice('usage.'.length),
  // As the aggregator has it.
  maxBatchBytes: 8 * 1024 * 1024,
  pollMs: 500,
};

/** Records as a consumer would get them, without a log. */
export function asLogged(records: readonly LogAppend[], firstOffset: number): LogRecord[] {
  return records.map((record, i) => ({
    topic: record.topic,
    partition: 0,
    offset: BigInt(firstOffset + i),
    timestampMs: record.timestampMs,
    key: record.key,
    headers: {},
    value: record.value,
  }));
}
