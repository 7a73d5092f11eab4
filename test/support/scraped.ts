/** Scrapes of one pod in a few words, and a pipeline that takes them in whatever order a test wants. */
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import type { SpanBounds } from '../../aggregator/rollup/span-planner.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { ModelSettings } from '../model/record.ts';
import { fullSettings, logRecord } from './pipeline.ts';
import { metricsData, onLog, type Row, type RowValue } from '../vectors/otlp-json.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';

const DAY = Date.parse('2026-10-01T00:00:00Z');
const TARGET = { job: 'kubelet-cadvisor', instance: 'n1' };
const POD = { cluster: 'rt1', node: 'n1', namespace: 'shop', pod: 'web-0' };
const LABELS = { ...POD, id: '/kubepods/pod04261a93-336a-4f8b-a8ed-d55c474ab25c', interface: 'eth0' };

export const SETTINGS: ModelSettings = VECTOR_SETTINGS;
const QUIET: FactSink = { event: () => undefined };

/** ms of 'hh:mm' on the day of these tests. */
export function at(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return DAY + (hours * 60 + minutes) * 60_000;
}

let offset = 0n;

interface Scraped {
  /** What the pod had transmitted and received by then. */
  readonly bytes?: number;
  readonly received?: number;
  /**
   * A failed scrape, the target's removal, or nothing about it: a late `up` makes later hours be rolled up again,
   * which hides what else does.
   */
  readonly up?: 1 | 0 | 'removed' | 'untold';
  readonly cluster?: string;
}

/** A successful scrape, unless it says otherwise. */
export function scraped(time: string, { bytes, received, up = 1, cluster = 'rt1' }: Scraped = {}): LogRecord {
  const timeMs = at(time);
  const row = (name: string, labels: Readonly<Record<string, string>>, value: RowValue): Row => ({
    name,
    labels: { ...labels, cluster },
    timeMs,
    value,
  });
  const counter = (direction: string, value: number | undefined): Row[] =>
    value === undefined
      ? []
      : [row(`container_network_${direction}_bytes_total`, LABELS, { asDouble: value })];
  const told = up === 'untold' ? [] : [row('up', {}, up === 'removed' ? { flags: 1 } : { asDouble: up })];
  const rows = [...told, ...counter('transmit', bytes), ...counter('receive', received)];
  const data = metricsData(TARGET, rows);
  const [record] = onLog([{ timestampMs: timeMs + 1_500, metricsData: data }], 'usage', 1);
  if (record === undefined) throw new Error('one scrape is one record');
  return { ...logRecord(record), offset: offset++ };
}

/** A roll-up as a process of its own. */
export function rollUpOf(
  store: UsageStore,
  { spans = {}, settings = {} }: { spans?: SpanBounds; settings?: Partial<ModelSettings> } = {},
): RollUp {
  const config = { settings: fullSettings({ ...SETTINGS, ...settings }), spans };
  return new RollUp(config, { store, clock: new SystemClock(), facts: QUIET });
}
