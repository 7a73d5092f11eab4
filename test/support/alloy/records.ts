/**
 * Records as `otelcol.receiver.prometheus` and `otelcol.exporter.kafka` write them, by another encoder than
 * the program's: every sample a gauge of unknown type without a start, job and instance only in the resource,
 * empty labels gone, a marker a point with a flag and no value.
 */
import type { LogRecord } from '../../../core/eventlog/sample-log.ts';
import { publishedMetricsData } from '../published-otlp.ts';
import type { Labels } from './relabel.ts';

export interface AlloyPoint {
  /** As they reach the sink, `__name__` among them. */
  readonly labels: Labels;
  readonly timeUnixNano: string;
  /** Undefined: a staleness marker. */
  readonly value: number | undefined;
}

export interface AlloyRecord {
  readonly topic: string;
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly resource: ReadonlyMap<string, string>;
  readonly points: readonly AlloyPoint[];
}

const NOT_ATTRIBUTES: ReadonlySet<string> = new Set(['__name__', 'job', 'instance']);

export function alloyRecord({ topic, offset, timestampMs, resource, points }: AlloyRecord): LogRecord {
  const byName = Map.groupBy(points, ({ labels }) => labels.get('__name__') ?? '');
  const metrics = [...byName].map(([name, list]) => ({
    name,
    gauge: { dataPoints: list.map(dataPoint) },
    metadata: attributesOf(new Map([['prometheus.type', 'unknown']])),
  }));
  const scope = { name: 'otelcol/prometheusreceiver', version: 'v1.18.1' };
  const data = {
    resourceMetrics: [
      { resource: { attributes: attributesOf(resource) }, scopeMetrics: [{ scope, metrics }] },
    ],
  };
  const value = publishedMetricsData.encode(publishedMetricsData.fromObject(data)).finish();
  return { topic, partition: 0, offset, timestampMs, key: null, headers: {}, value };
}

function dataPoint({ labels, timeUnixNano, value }: AlloyPoint): object {
  const own = [...labels].filter(([name, text]) => !NOT_ATTRIBUTES.has(name) && text !== '');
  const point = { attributes: attributesOf(new Map(own)), timeUnixNano };
  return value === undefined ? { ...point, flags: 1 } : { ...point, asDouble: value };
}

function attributesOf(labels: ReadonlyMap<string, string>): object[] {
  return [...labels].map(([key, stringValue]) => ({ key, value: { stringValue } }));
}

interface DecodedPoint {
  readonly attributes?: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
  readonly timeUnixNano: string;
  readonly asDouble?: number;
  readonly flags?: number;
}

interface DecodedMetrics {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: DecodedPoint['attributes'] };
    readonly scopeMetrics: readonly {
      readonly metrics?: readonly {
        readonly name: string;
        readonly gauge?: { readonly dataPoints: readonly DecodedPoint[] };
        readonly sum?: { readonly dataPoints: readonly DecodedPoint[] };
      }[];
    }[];
  }[];
}

/**
 * The points of a captured record, each with the labels it had as a series: job and instance are back on it.
 */
export function seriesIn(value: Uint8Array): AlloyPoint[] {
  const isJson = value[0] === '{'.charCodeAt(0);
  const decoded = (
    isJson
      ? JSON.parse(Buffer.from(value).toString())
      : publishedMetricsData.toObject(publishedMetricsData.decode(value), { longs: String })
  ) as DecodedMetrics;
  return decoded.resourceMetrics.flatMap(({ resource, scopeMetrics }) => {
    const target = labelsOf(resource.attributes);
    const identity = [
      ['job', target.get('service.name') ?? ''],
      ['instance', target.get('service.instance.id') ?? ''],
    ] as const;
    const metrics = scopeMetrics.flatMap((scope) => scope.metrics ?? []);
    return metrics.flatMap(({ name, gauge, sum }) =>
      (gauge ?? sum)!.dataPoints.map(({ attributes, timeUnixNano, asDouble, flags = 0 }) => ({
        labels: new Map([['__name__', name], ...labelsOf(attributes), ...identity]),
        timeUnixNano,
        value: flags === 1 ? undefined : (asDouble ?? 0),
      })),
    );
  });
}

function labelsOf(attributes: DecodedPoint['attributes'] = []): Map<string, string> {
  return new Map(attributes.map(({ key, value }) => [key, value.stringValue]));
}
