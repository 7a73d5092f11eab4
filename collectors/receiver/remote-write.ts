/**
 * What of a remote write is taken: samples become records of OTLP MetricsData, as Alloy and the built-in
 * scraper write it. Every sample is a gauge point (the catalogue decides kinds by name), `job` and `instance`
 * are the resource, the other labels attributes, a staleness marker is a point without a value. Every
 * timestamp of a series survives, and every value bit by bit.
 *
 * Values that are no numbers pass: they are evidence, and the aggregator counts them by reason.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { uncompressSnappy } from '../../core/compression/snappy-block.ts';
import type { MetricSlice } from '../../core/otlp/metric-slices.ts';
import { bytesField, textField } from '../../core/protobuf/message-writer.ts';
import type { Labels } from '../../core/remote-write/labels.ts';
import {
  readWriteRequest,
  type PushedSample,
  type PushedSeries,
  type WriteVersion,
} from '../../core/remote-write/write-request.ts';
import { Scratch } from '../../core/runtime/scratch.ts';
import { Times, type Admission, type AdmissionOptions } from './admission.ts';
import { FIELD_BYTES, PointBytes, type Named } from './point-bytes.ts';
import { MAX_PART_BYTES, MAX_POINT_BYTES, Records, type ResourceLabels } from './records.ts';
import type { RefusalReason } from './refusals.ts';

const SCOPE = textField(1, 'gh0stmeter/receiver');
const NOTHING = Buffer.alloc(0);
/** Of a resource beside its texts. */
const RESOURCE_BYTES = 64;
/** One request is read at a time, and nothing of it is kept but copies. */
const UNPACKED = new Scratch(8 * 1024 * 1024);
/** A Metric's gauge, and the attributes of its points. */
const GAUGE = 5;
const ATTRIBUTES = 7;

const MESSAGES: ReadonlyMap<string, WriteVersion> = new Map([
  ['prometheus.WriteRequest', '1.0'],
  ['io.prometheus.write.v2.Request', '2.0'],
]);

/** The message of the body, by the headers alone; undefined: none that is taken here. */
export function writeVersionOf(headers: IncomingHttpHeaders): WriteVersion | undefined {
  if ((headers['content-encoding'] ?? 'snappy').trim().toLowerCase() !== 'snappy') return undefined;
  const [type = '', ...parameters] = (headers['content-type'] ?? '').split(';').map((part) => part.trim());
  if (type.toLowerCase() !== 'application/x-protobuf') return undefined;
  const proto = parameters.find((parameter) => parameter.toLowerCase().startsWith('proto='));
  return proto === undefined ? '1.0' : MESSAGES.get(proto.slice('proto='.length).replace(/^"(.*)"$/, '$1'));
}

/** Synchronous: one request is admitted at a time, so memory does not grow with the number of senders. */
export function admitWrite(body: Uint8Array, version: WriteVersion, options: AdmissionOptions): Admission {
  const { limits } = options.cluster;
  const unpacked = uncompressSnappy(body, limits.unpackedBytes, (bytes) => UNPACKED.take(bytes));
  if (!unpacked.ok) {
    return unpacked.reason === 'too_large'
      ? { ok: false, reason: 'too_large', detail: `more than ${limits.unpackedBytes} bytes unpacked` }
      : { ok: false, reason: 'malformed', detail: 'the body is no snappy block' };
  }
  const write = new Write(unpacked.bytes, options);
  const read = readWriteRequest(unpacked.bytes, { version, limits }, (series) => write.take(series));
  if (!read.ok) return read;
  // Labels stand once per series in the request and once per point in a record: a short body may be long.
  if (write.isTooLarge) {
    const detail = `its points with their labels are more than ${limits.unpackedBytes} bytes`;
    return { ok: false, reason: 'too_large', detail };
  }
  return { ok: true, ...write.done() };
}

/** A target, and what is said of it. */
interface Target {
  readonly job: Buffer;
  readonly instance: Buffer;
  readonly resource: ResourceLabels;
  readonly metrics: Map<string, Metric>;
}

interface Metric {
  readonly name: Buffer;
  /** Begin and end of each point. */
  readonly points: number[];
}

/** One request on its way into records. */
class Write {
  readonly #options: AdmissionOptions;
  readonly #times: Times;
  readonly #cluster: Buffer;
  readonly #points: PointBytes;
  readonly #targets = new Map<string, Target>();
  #last: Target | undefined;
  #count = 0;

  constructor(message: Buffer, options: AdmissionOptions) {
    const { cluster, nowMs } = options;
    this.#options = options;
    this.#times = new Times(nowMs, cluster.limits);
    this.#cluster = Buffer.from(cluster.name);
    this.#points = new PointBytes(message, cluster.limits.unpackedBytes);
  }

  get isTooLarge(): boolean {
    return this.#points.isFull;
  }

  take({ labels, samples, histograms, exemplars }: PushedSeries): void {
    const { refusals } = this.#options;
    const named = namesOf(labels);
    const nameOf = (): string => textAt(labels, named.name);
    refusals.add('histogram', histograms, nameOf);
    refusals.add('exemplar', exemplars, nameOf);
    const unfit = labels.problem ?? this.#unfit(labels, named);
    if (unfit !== undefined) {
      refusals.add(unfit, samples.length, () => exampleOf(labels));
      return;
    }
    const taken = samples.filter(({ timeMs }) => {
      const reason = this.#times.problemOf(timeMs);
      if (reason !== undefined) refusals.add(reason, 1, nameOf);
      return reason === undefined;
    });
    if (taken.length > 0) this.#add(labels, named, taken);
  }

  /** The records, and how many points they hold. */
  done(): { readonly records: ReturnType<Records['done']>; readonly points: number } {
    const { cluster, nowMs } = this.#options;
    const records = new Records({ cluster: cluster.name, timestampMs: nowMs });
    for (const { resource, metrics } of this.#targets.values()) {
      for (const { name, points } of metrics.values())
        records.add(resource, this.#slice(resource, name, points), points);
    }
    return { records: records.done(), points: this.#count };
  }

  #unfit(labels: Labels, named: Named): RefusalReason | undefined {
    const { name, job, instance, cluster } = named;
    if (name === NONE) return 'no_name';
    const isOfAnother = cluster !== NONE && !isValue(labels, cluster, this.#cluster);
    if (isOfAnother) return 'wrong_cluster';
    const isLarge =
      valueLength(labels, name) > MAX_PART_BYTES ||
      valueLength(labels, job) + valueLength(labels, instance) > MAX_PART_BYTES - RESOURCE_BYTES ||
      this.#points.begin(labels, named) > MAX_POINT_BYTES - FIELD_BYTES;
    return isLarge ? 'too_large' : undefined;
  }

  #add(labels: Labels, named: Named, samples: readonly PushedSample[]): void {
    const target = this.#targetOf(labels, named);
    const id = latin1At(labels, named.name);
    let metric = target.metrics.get(id);
    if (metric === undefined) {
      metric = { name: Buffer.from(id, 'latin1'), points: [] };
      target.metrics.set(id, metric);
    }
    for (const sample of samples) this.#points.write(sample, metric.points);
    this.#count += samples.length;
  }

  /** Series of a target mostly follow each other. */
  #targetOf(labels: Labels, { job, instance }: Named): Target {
    const last = this.#last;
    if (last !== undefined && isValue(labels, job, last.job) && isValue(labels, instance, last.instance))
      return last;
    const jobId = latin1At(labels, job);
    const instanceId = latin1At(labels, instance);
    // The length tells where one ends: a label may hold any character.
    const id = `${jobId.length} ${jobId}${instanceId}`;
    let target = this.#targets.get(id);
    if (target === undefined) {
      target = {
        job: Buffer.from(jobId, 'latin1'),
        instance: Buffer.from(instanceId, 'latin1'),
        resource: resourceOf(textAt(labels, job), textAt(labels, instance)),
        metrics: new Map(),
      };
      this.#targets.set(id, target);
    }
    this.#last = target;
    return target;
  }

  #slice({ message: resource }: ResourceLabels, name: Buffer, points: readonly number[]): MetricSlice {
    const { bytes } = this.#points;
    const head = { resource, scope: SCOPE, name, description: NOTHING, unit: NOTHING };
    const kind = { kind: GAUGE, temporality: 0, isMonotonic: false, attributes: ATTRIBUTES };
    return { ...head, ...kind, bytes, points };
  }
}

/** There is no such label. */
const NONE = -1;
const NAME = Buffer.from('__name__');
const JOB = Buffer.from('job');
const INSTANCE = Buffer.from('instance');
const CLUSTER = Buffer.from('cluster');

function namesOf(labels: Labels): Named {
  let [name, job, instance, cluster] = [NONE, NONE, NONE, NONE];
  for (let i = 0; i < labels.count; i++) {
    if (isName(labels, i, NAME)) name = i;
    else if (isName(labels, i, JOB)) job = i;
    else if (isName(labels, i, INSTANCE)) instance = i;
    else if (isName(labels, i, CLUSTER)) cluster = i;
  }
  return { name, job, instance, cluster };
}

function isName(labels: Labels, index: number, name: Buffer): boolean {
  return isAt(labels.bytes, labels.nameBegin(index), labels.nameEnd(index), name);
}

/** A label that is not there is empty. */
function isValue(labels: Labels, index: number, value: Buffer): boolean {
  return index === NONE
    ? value.length === 0
    : isAt(labels.bytes, labels.valueBegin(index), labels.valueEnd(index), value);
}

function isAt(bytes: Buffer, begin: number, end: number, text: Buffer): boolean {
  if (end - begin !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[begin + i] !== text[i]) return false;
  return true;
}

function valueLength(labels: Labels, index: number): number {
  return index === NONE ? 0 : labels.valueEnd(index) - labels.valueBegin(index);
}

function textAt(labels: Labels, index: number): string {
  return index === NONE
    ? ''
    : labels.bytes.toString('utf8', labels.valueBegin(index), labels.valueEnd(index));
}

/** A text for each value, cheaper than its own. */
function latin1At(labels: Labels, index: number): string {
  return index === NONE
    ? ''
    : labels.bytes.toString('latin1', labels.valueBegin(index), labels.valueEnd(index));
}

function exampleOf(labels: Labels): string {
  const pairs = Array.from({ length: labels.count }, (_, i) => {
    const name = labels.bytes.toString('utf8', labels.nameBegin(i), labels.nameEnd(i));
    return `${name}=${textAt(labels, i)}`;
  });
  return pairs.join(',');
}

function resourceOf(job: string, instance: string): ResourceLabels {
  const named = [
    ['service.name', job],
    ['service.instance.id', instance],
  ] as const;
  const labels = new Map(named.filter(([, value]) => value !== ''));
  const attributes = [...labels].map(([key, value]) =>
    bytesField(1, Buffer.concat([textField(1, key), bytesField(2, textField(1, value))])),
  );
  return { message: Buffer.concat(attributes), labels };
}
