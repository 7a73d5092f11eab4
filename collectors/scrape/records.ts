/**
 * Points of a scrape -> records for the log. Input: points in any order. Output: OTLP MetricsData as Alloy
 * writes it: every sample a gauge (the catalogue decides kinds by name), one resource per record, its hash
 * the key, so that a target stays on one partition. Guarantee: every point is in exactly one record, and no
 * record is larger than `MAX_RECORD_BYTES` unless a single point is.
 */
import type { LogAppend } from '../../core/eventlog/sample-log.ts';
import { encodeMetricsData } from '../../core/otlp/encode.ts';
import {
  FLAG_NO_RECORDED_VALUE,
  type KeyValue,
  type Metric,
  type MetricsData,
  type NumberDataPoint,
} from '../../core/otlp/metrics-data.ts';
import type { Point } from './points.ts';
import { recordKey, resourceAttributes } from './target.ts';

/** Kafka's default limit is 1 MB for a batch with its overhead. */
export const MAX_RECORD_BYTES = 900_000;
/** About 670 kB of cAdvisor's rows; a first cut that seldom needs a second. */
const POINTS_PER_RECORD = 2_000;
const SCOPE_NAME = 'gh0stmeter/scrape';
const NANOS_PER_MS = 1_000_000n;

export interface RecordOptions {
  readonly topic: string;
  readonly scheme: string;
  readonly scopeVersion: string;
  readonly timestampMs: number;
}

export function toRecords(points: readonly Point[], options: RecordOptions): readonly LogAppend[] {
  return [...byResource(points).values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const attributes = resourceAttributes(first.series, options.scheme);
    const key = recordKey(attributes);
    const values = chunks(group).flatMap((chunk) => encodeWithin(chunk, attributes, options.scopeVersion));
    return values.map((value) => ({ topic: options.topic, timestampMs: options.timestampMs, key, value }));
  });
}

function byResource(points: readonly Point[]): Map<string, Point[]> {
  const groups = new Map<string, Point[]>();
  for (const point of points) {
    const id = JSON.stringify([point.series.job, point.series.instance]);
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [point]);
    else group.push(point);
  }
  return groups;
}

function chunks(points: readonly Point[]): readonly (readonly Point[])[] {
  const parts: (readonly Point[])[] = [];
  for (let from = 0; from < points.length; from += POINTS_PER_RECORD) {
    parts.push(points.slice(from, from + POINTS_PER_RECORD));
  }
  return parts;
}

/** Halves what is too large until it fits. */
function encodeWithin(
  points: readonly Point[],
  attributes: readonly KeyValue[],
  scopeVersion: string,
): readonly Uint8Array[] {
  const value = encodeMetricsData(metricsData(points, attributes, scopeVersion));
  if (value.length <= MAX_RECORD_BYTES || points.length === 1) return [value];
  const middle = points.length >> 1;
  return [points.slice(0, middle), points.slice(middle)].flatMap((half) =>
    encodeWithin(half, attributes, scopeVersion),
  );
}

function metricsData(
  points: readonly Point[],
  attributes: readonly KeyValue[],
  scopeVersion: string,
): MetricsData {
  const dataPoints = new Map<string, NumberDataPoint[]>();
  for (const point of points) {
    const known = dataPoints.get(point.series.name);
    if (known === undefined) dataPoints.set(point.series.name, [dataPoint(point)]);
    else known.push(dataPoint(point));
  }
  const metrics: Metric[] = [...dataPoints].map(([name, list]) => ({ name, gauge: { dataPoints: list } }));
  const scope = { name: SCOPE_NAME, version: scopeVersion };
  return { resourceMetrics: [{ resource: { attributes }, scopeMetrics: [{ scope, metrics }] }] };
}

function dataPoint({ series, timeMs, value, startMs }: Point): NumberDataPoint {
  return {
    attributes: series.labels.map(([key, stringValue]) => ({ key, value: { stringValue } })),
    startTimeUnixNano: startMs === undefined ? undefined : BigInt(startMs) * NANOS_PER_MS,
    timeUnixNano: BigInt(timeMs) * NANOS_PER_MS,
    asDouble: value,
    flags: value === undefined ? FLAG_NO_RECORDED_VALUE : 0,
  };
}
