/**
 * Remote write -> OTLP MetricsData, as Alloy and the built-in scraper write it: every sample a gauge point
 * (the catalogue decides kinds by name), `job` and `instance` as the resource, the other labels as
 * attributes, a staleness marker as a point without a value. Every timestamp of a series survives.
 *
 * Values that are no numbers pass: they are evidence, and the aggregator counts them by reason.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { encodeMetricsData } from '../../core/otlp/encode.ts';
import {
  FLAG_NO_RECORDED_VALUE,
  type KeyValue,
  type NumberDataPoint,
  type ResourceMetrics,
} from '../../core/otlp/metrics-data.ts';
import { uncompressSnappy } from '../../core/compression/snappy-block.ts';
import {
  decodeWriteRequest,
  type PushedSample,
  type PushedSeries,
  type WriteVersion,
} from '../../core/remote-write/write-request.ts';
import type { ReceiverLimits } from './config.ts';
import type { Refusals } from './refusals.ts';

const SCOPE_NAME = 'gh0stmeter/receiver';
const NANOS_PER_MS = 1_000_000n;
/** Times are carried as unsigned 64-bit nanoseconds. */
const MAX_TIME_MS = 18_446_744_073_709;
/** Of an encoded point beside its labels, and of a label beside its texts. */
const POINT_BYTES = 40;
const LABEL_BYTES = 12;

/** Named beside the points: by the metric, and by the resource. */
const RESOURCE_LABELS: ReadonlySet<string> = new Set(['__name__', 'job', 'instance']);

const MESSAGES: ReadonlyMap<string, WriteVersion> = new Map([
  ['prometheus.WriteRequest', '1.0'],
  ['io.prometheus.write.v2.Request', '2.0'],
]);

/** What was read of a body: MetricsData in protobuf, or why there is none. */
export type ReadBody =
  | { readonly ok: true; readonly message: Uint8Array }
  | { readonly ok: false; readonly reason: 'malformed' | 'too_large'; readonly detail: string };

/** The message of the body, by the headers alone; undefined: none that is taken here. */
export function writeVersionOf(headers: IncomingHttpHeaders): WriteVersion | undefined {
  if ((headers['content-encoding'] ?? 'snappy').trim().toLowerCase() !== 'snappy') return undefined;
  const [type = '', ...parameters] = (headers['content-type'] ?? '').split(';').map((part) => part.trim());
  if (type.toLowerCase() !== 'application/x-protobuf') return undefined;
  const proto = parameters.find((parameter) => parameter.toLowerCase().startsWith('proto='));
  return proto === undefined ? '1.0' : MESSAGES.get(proto.slice('proto='.length).replace(/^"(.*)"$/, '$1'));
}

export interface WriteOptions {
  readonly version: WriteVersion;
  readonly limits: ReceiverLimits;
  /** Filled. */
  readonly refusals: Refusals;
}

export function readWrite(body: Uint8Array, { version, limits, refusals }: WriteOptions): ReadBody {
  const unpacked = uncompressSnappy(body, limits.unpackedBytes);
  if (!unpacked.ok) {
    return unpacked.reason === 'too_large'
      ? { ok: false, reason: 'too_large', detail: `more than ${limits.unpackedBytes} bytes unpacked` }
      : { ok: false, reason: 'malformed', detail: 'the body is no snappy block' };
  }
  const decoded = decodeWriteRequest(unpacked.bytes, version, limits);
  if (!decoded.ok) return decoded;
  if (expandedBytes(decoded.series) > limits.unpackedBytes) {
    const detail = `its points with their labels are more than ${limits.unpackedBytes} bytes`;
    return { ok: false, reason: 'too_large', detail };
  }
  return { ok: true, message: encodeMetricsData({ resourceMetrics: resourcesOf(decoded.series, refusals) }) };
}

/** Labels stand once per series in the request and once per point in a record: a short body may be long. */
function expandedBytes(series: readonly PushedSeries[]): number {
  return series.reduce(
    (sum, { labels, labelBytes, samples }) =>
      sum + samples.length * (POINT_BYTES + labelBytes + LABEL_BYTES * labels.size),
    0,
  );
}

function resourcesOf(series: readonly PushedSeries[], refusals: Refusals): readonly ResourceMetrics[] {
  const targets = new Map<string, Target>();
  for (const one of series) {
    const name = one.labels.get('__name__');
    refusals.add('histogram', one.histograms, () => name ?? '');
    refusals.add('exemplar', one.exemplars, () => name ?? '');
    const problem = one.problem ?? (name === undefined ? 'no_name' : undefined);
    if (problem !== undefined) refusals.add(problem, one.samples.length, () => exampleOf(one.labels));
    if (problem !== undefined || name === undefined) continue;
    const points = pointsOf(one, refusals);
    const job = one.labels.get('job') ?? '';
    const instance = one.labels.get('instance') ?? '';
    const id = JSON.stringify([job, instance]);
    const target = targets.get(id) ?? new Target(job, instance);
    targets.set(id, target);
    target.add(name, points);
  }
  return [...targets.values()].map((target) => target.resourceMetrics());
}

function exampleOf(labels: ReadonlyMap<string, string>): string {
  return [...labels].map(([name, value]) => `${name}=${value}`).join(',');
}

function pointsOf({ labels, samples }: PushedSeries, refusals: Refusals): readonly NumberDataPoint[] {
  const attributes: KeyValue[] = [];
  for (const [key, stringValue] of labels) {
    if (!RESOURCE_LABELS.has(key)) attributes.push({ key, value: { stringValue } });
  }
  return samples.flatMap((sample) => {
    const untimely = sample.timeMs <= 0 ? 'no_time' : sample.timeMs > MAX_TIME_MS ? 'future' : undefined;
    if (untimely === undefined) return [pointOf(sample, attributes)];
    refusals.add(untimely, 1, () => labels.get('__name__') ?? '');
    return [];
  });
}

/** A start after its sample says nothing; before 1970 neither. */
function pointOf(
  { timeMs, value, startMs = 0 }: PushedSample,
  attributes: readonly KeyValue[],
): NumberDataPoint {
  return {
    attributes,
    startTimeUnixNano: startMs > 0 && startMs <= timeMs ? BigInt(startMs) * NANOS_PER_MS : undefined,
    timeUnixNano: BigInt(timeMs) * NANOS_PER_MS,
    asDouble: value,
    flags: value === undefined ? FLAG_NO_RECORDED_VALUE : 0,
  };
}

/** One job and instance, and what is said of it. */
class Target {
  readonly #attributes: readonly KeyValue[];
  readonly #metrics = new Map<string, NumberDataPoint[]>();

  constructor(job: string, instance: string) {
    this.#attributes = [
      { key: 'service.name', value: { stringValue: job } },
      { key: 'service.instance.id', value: { stringValue: instance } },
    ].filter(({ value }) => value.stringValue !== '');
  }

  add(name: string, points: readonly NumberDataPoint[]): void {
    const known = this.#metrics.get(name);
    if (known === undefined) this.#metrics.set(name, [...points]);
    else for (const point of points) known.push(point);
  }

  resourceMetrics(): ResourceMetrics {
    const metrics = [...this.#metrics].map(([name, dataPoints]) => ({ name, gauge: { dataPoints } }));
    const scopeMetrics = [{ scope: { name: SCOPE_NAME }, metrics }];
    return { resource: { attributes: this.#attributes }, scopeMetrics };
  }
}
