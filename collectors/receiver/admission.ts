/**
 * What of OTLP is taken. Input: MetricsData in protobuf, from anywhere. Output: records for the log with
 * every point that may be judged by the metering rule, and how many were refused why; or why the message
 * cannot be used at all. Guarantee: every record names the token's cluster and no other, is well-formed, and
 * holds no time that the aggregator would refuse. What a point means is not judged here: a value that is not
 * a number is evidence, and goes to the log.
 */
import type { LogAppend } from '../../core/eventlog/sample-log.ts';
import { decodeLabels, decodeResource } from '../../core/otlp/attributes.ts';
import { metricSlices, type MetricSlice } from '../../core/otlp/metric-slices.ts';
import { OtlpWalker } from '../../core/otlp/walker.ts';
import { I64, LEN, MessageReader, tag, type Frame } from '../../core/protobuf/message-reader.ts';
import type { ClusterConfig, ReceiverLimits } from './config.ts';
import { MAX_PART_BYTES, MAX_POINT_BYTES, Records, type ResourceLabels } from './records.ts';
import type { RefusalReason, Refusals } from './refusals.ts';

const NANOS_PER_MS = 1_000_000n;
const CLUSTER = Buffer.from('cluster');
/** Around a text within an attribute's value: what kind it is, and its length. */
const VALUE_HEADER_BYTES = 6;
const SEED = new Int32Array(4);

export interface AdmissionOptions {
  readonly cluster: Pick<ClusterConfig, 'name' | 'limits'>;
  readonly nowMs: number;
  /** Filled. */
  readonly refusals: Refusals;
}

export type Admission =
  { readonly ok: true; readonly records: readonly LogAppend[]; readonly points: number } | Unreadable;

/** Nothing of it is taken. */
export interface Unreadable {
  readonly ok: false;
  readonly reason: 'malformed' | 'too_large';
  readonly detail: string;
}

export function admit(message: Uint8Array, options: AdmissionOptions): Admission {
  const { cluster, nowMs, refusals } = options;
  const problem = problemOf(message, cluster.limits);
  if (problem !== undefined) return problem;
  const judge = new Judge(message, options);
  const records = new Records({ cluster: cluster.name, timestampMs: nowMs });
  let points = 0;
  for (const slice of metricSlices(message)) {
    const resource = judge.resource(slice);
    const unfit = typeof resource === 'string' ? resource : unfitHead(slice);
    if (unfit !== undefined || typeof resource === 'string') {
      refusals.add(unfit ?? 'bad_label', slice.points.length / 2, () => nameOf(slice));
      continue;
    }
    const taken: number[] = [];
    for (let i = 0; i < slice.points.length; i += 2) {
      const place = { begin: slice.points[i] ?? 0, end: slice.points[i + 1] ?? 0 };
      const reason = judge.point(place, { slice, resource });
      if (reason === undefined) taken.push(place.begin, place.end);
      else refusals.add(reason, 1, () => nameOf(slice));
    }
    points += taken.length / 2;
    records.add(resource, slice, taken);
  }
  return { ok: true, records: records.done(), points };
}

/** Counted before anything is made of it. */
function problemOf(message: Uint8Array, limits: ReceiverLimits): Unreadable | undefined {
  let resources = 0;
  let metrics = 0;
  let points = 0;
  const walker = new OtlpWalker(
    {
      resource: () => resources++,
      metric: () => ++metrics > 0,
      point: () => points++,
    },
    SEED,
  );
  if (!walker.walk(message)) {
    return { ok: false, reason: 'malformed', detail: 'the body is no well-formed MetricsData message' };
  }
  const detail =
    resources > limits.series
      ? `more than ${limits.series} resources`
      : points > limits.samples
        ? `more than ${limits.samples} points`
        : undefined;
  return detail === undefined ? undefined : { ok: false, reason: 'too_large', detail };
}

function unfitHead({ name, description, unit, scope }: MetricSlice): RefusalReason | undefined {
  if (name.length === 0) return 'no_name';
  const isLarge =
    name.length + description.length + unit.length > MAX_PART_BYTES || scope.length > MAX_PART_BYTES;
  return isLarge ? 'too_large' : undefined;
}

function nameOf({ name }: MetricSlice): string {
  return name.subarray(0, 512).toString('utf8');
}

interface PointContext {
  readonly slice: MetricSlice;
  readonly resource: ResourceLabels;
}

class Judge {
  readonly #reader: MessageReader;
  readonly #cluster: string;
  readonly #limits: ReceiverLimits;
  readonly #times: Times;
  /** Metrics of a resource follow each other. */
  #known: { readonly message: Buffer; readonly found: ResourceLabels | RefusalReason } | undefined;

  constructor(message: Uint8Array, { cluster, nowMs }: AdmissionOptions) {
    this.#reader = new MessageReader(message);
    this.#cluster = cluster.name;
    this.#limits = cluster.limits;
    this.#times = new Times(nowMs, cluster.limits);
  }

  resource({ resource: message }: MetricSlice): ResourceLabels | RefusalReason {
    if (this.#known?.message !== message) this.#known = { message, found: readResource(message) };
    return this.#known.found;
  }

  /** Undefined: it is taken. */
  point({ begin, end }: Frame, { slice, resource }: PointContext): RefusalReason | undefined {
    if (end - begin > MAX_POINT_BYTES) return 'too_large';
    const reader = this.#reader;
    reader.begin(begin);
    let timeMs = 0;
    let labels = 0;
    let cluster = resource.labels.get('k8s.cluster.name');
    while (reader.more(end)) {
      const found = reader.varint();
      if (found === tag(3, I64)) timeMs = millisecondsAt(reader, reader.fixed64(end));
      else if (found === tag(slice.attributes, LEN)) {
        const label = this.#label(reader, reader.frame(end));
        if (++labels > this.#limits.labels) return 'too_many_labels';
        if (label.reason !== undefined) return label.reason;
        cluster = label.cluster ?? cluster;
      } else reader.skip(found, end);
    }
    if (cluster !== undefined && cluster !== this.#cluster) return 'wrong_cluster';
    return this.#times.problemOf(timeMs);
  }

  /** Only sizes are judged, and what the cluster's label says. */
  #label(reader: MessageReader, end: number): { reason?: RefusalReason; cluster?: string } {
    const begin = reader.at;
    let isCluster = false;
    while (reader.more(end)) {
      const found = reader.varint();
      if (found === tag(1, LEN)) {
        const key = reader.take(end);
        if (key.length > this.#limits.labelNameBytes) return { reason: 'label_too_long' };
        isCluster = key.equals(CLUSTER);
      } else if (found === tag(2, LEN)) {
        const value = reader.take(end);
        if (value.length > this.#limits.labelValueBytes + VALUE_HEADER_BYTES)
          return { reason: 'label_too_long' };
      } else reader.skip(found, end);
    }
    if (reader.isBad) return { reason: 'bad_label' };
    if (!isCluster) return {};
    const cluster = decodeLabels([reader.bytes.subarray(begin, end)]);
    if (cluster === undefined) return { reason: 'bad_label' };
    const name = cluster.get('cluster');
    return name === undefined ? {} : { cluster: name };
  }
}

/** Which times are taken. */
export class Times {
  readonly #oldestMs: number;
  readonly #newestMs: number;

  constructor(nowMs: number, { sampleAgeMs, futureMs }: Pick<ReceiverLimits, 'sampleAgeMs' | 'futureMs'>) {
    this.#oldestMs = nowMs - sampleAgeMs;
    this.#newestMs = nowMs + futureMs;
  }

  problemOf(timeMs: number): RefusalReason | undefined {
    if (timeMs <= 0) return 'no_time';
    return timeMs > this.#newestMs ? 'future' : timeMs < this.#oldestMs ? 'too_old' : undefined;
  }
}

function readResource(message: Buffer): ResourceLabels | RefusalReason {
  if (message.length > MAX_PART_BYTES) return 'too_large';
  const labels = decodeResource(message);
  return labels === undefined ? 'bad_label' : { message, labels };
}

function millisecondsAt(reader: MessageReader, begin: number): number {
  return reader.isBad ? 0 : Number(reader.view.getBigUint64(begin, true) / NANOS_PER_MS);
}
