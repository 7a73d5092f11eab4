/**
 * Records as a collector writes them: one scrape of one target, OTLP MetricsData in JSON, resource attributes
 * from the target, every other label on the point. Used by the vectors and by generated worlds.
 */
import type {
  ModelRecord,
  OtlpAttribute,
  OtlpMetric,
  OtlpMetricsData,
  OtlpPoint,
  OtlpValue,
} from '../model/record.ts';

export type WireType = 'gauge' | 'sum' | 'delta' | 'histogram' | 'delta_histogram' | 'summary';

/** What a point carries instead of its value: a marker, nothing at all, or a number of some form. */
export type RowValue =
  | { readonly asDouble: number | string }
  | { readonly asInt: string }
  | { readonly count: string }
  | { readonly flags: 1 }
  | { readonly flags: 1; readonly asDouble: number }
  | { readonly asDouble?: never };

export interface Row {
  readonly name: string;
  /** Labels of the point; a value other than text goes on the wire as it is. */
  readonly labels: Readonly<Record<string, string | OtlpValue>>;
  /** A label given a second time, which no honest exporter does. */
  readonly again?: readonly OtlpAttribute[];
  readonly timeMs: number;
  readonly startMs?: number | undefined;
  readonly value: RowValue;
  readonly type?: WireType;
}

export interface ScrapeTarget {
  readonly job: string;
  readonly instance: string;
  /** Resource attributes beside those of the target, such as `k8s.cluster.name`. */
  readonly resource?: Readonly<Record<string, string>>;
}

const NANOS_PER_MS = '000000';

/** OTLP MetricsData of one scrape. Times are whole ms; a time of 0 is left out. */
export function metricsData(target: ScrapeTarget, rows: readonly Row[]): OtlpMetricsData {
  const families = Map.groupBy(rows, (row) => `${row.name} ${row.type ?? 'gauge'}`);
  const scope = { name: 'otelcol/prometheusreceiver', version: 'v1.18.1' };
  const metrics = [...families.values()].map(metricOf);
  return {
    resourceMetrics: [{ resource: resourceOf(target), scopeMetrics: [{ scope, metrics }] }],
  };
}

function resourceOf(target: ScrapeTarget): { attributes: OtlpAttribute[] } {
  return {
    attributes: attributesOf({
      'service.name': target.job,
      'net.host.name': target.instance,
      'server.address': target.instance,
      'service.instance.id': target.instance,
      'net.host.port': '',
      'http.scheme': 'http',
      'server.port': '',
      'url.scheme': 'http',
      ...target.resource,
    }),
  };
}

function metricOf(rows: readonly Row[]): OtlpMetric {
  const name = rows[0]?.name ?? '';
  const type = rows[0]?.type ?? 'gauge';
  const dataPoints = rows.map(pointOf);
  const told = type === 'gauge' && name !== 'up' ? 'unknown' : type === 'gauge' ? 'gauge' : 'counter';
  const metadata = attributesOf({ 'prometheus.type': told });
  switch (type) {
    case 'gauge':
      return { name, gauge: { dataPoints }, metadata };
    case 'sum':
      return { name, sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints }, metadata };
    case 'delta':
      return { name, sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints }, metadata };
    case 'histogram':
      return { name, histogram: { aggregationTemporality: 2, dataPoints }, metadata };
    case 'delta_histogram':
      return { name, histogram: { aggregationTemporality: 1, dataPoints }, metadata };
    case 'summary':
      return { name, summary: { dataPoints }, metadata };
  }
}

function pointOf(row: Row): OtlpPoint {
  const attributes = [...attributesOf(row.labels), ...(row.again ?? [])];
  const start = row.startMs === undefined ? {} : { startTimeUnixNano: nanos(row.startMs) };
  const time = row.timeMs === 0 ? {} : { timeUnixNano: nanos(row.timeMs) };
  return { attributes, ...start, ...time, ...row.value };
}

function attributesOf(labels: Readonly<Record<string, string | OtlpValue>>): OtlpAttribute[] {
  return Object.entries(labels).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : value,
  }));
}

function nanos(ms: number): string {
  return ms === 0 ? '0' : `${String(ms)}${NANOS_PER_MS}`;
}

/** Records numbered as a log numbers them: partitions in turn, offsets dense within each. */
export function onLog(
  values: readonly { readonly timestampMs: number; readonly metricsData: OtlpMetricsData | null }[],
  topic = 'usage',
  partitions = 3,
): ModelRecord[] {
  return values.map(({ timestampMs, metricsData }, index) => ({
    topic,
    partition: index % partitions,
    offset: BigInt(Math.floor(index / partitions)),
    timestampMs,
    metricsData,
  }));
}
