/**
 * Points of a push -> records for the log. Output: OTLP MetricsData, one resource per record, keyed by its
 * target, so that a series stays on one partition. Guarantee: every point that was added is in exactly one
 * record, as it was sent, and no record is larger than `MAX_RECORD_BYTES`, given that what was added keeps
 * `MAX_PART_BYTES` and `MAX_POINT_BYTES`.
 */
import { createHash } from 'node:crypto';
import type { LogAppend } from '../../core/eventlog/sample-log.ts';
import { usageTopic } from '../../core/eventlog/usage-topic.ts';
import { EncodedSlice, type MetricSlice } from '../../core/otlp/metric-slices.ts';
import {
  bytesField,
  frameLength,
  textField,
  writeBytes,
  writeHeader,
} from '../../core/protobuf/message-writer.ts';

/** Kafka's default limit is 1 MB for a batch with its overhead. */
export const MAX_RECORD_BYTES = 900_000;
/** A resource; a scope; a metric's name, unit and description together: each is repeated by every record. */
export const MAX_PART_BYTES = 64 * 1024;
export const MAX_POINT_BYTES = 512 * 1024;
/** Tags and lengths around a part or a point. */
const FRAME_BYTES = 12;
const KEY_BYTES = 16;

export interface RecordsOptions {
  readonly cluster: string;
  readonly timestampMs: number;
}

export interface ResourceLabels {
  /** The Resource message. */
  readonly message: Buffer;
  /** Its attributes that are text. */
  readonly labels: ReadonlyMap<string, string>;
}

interface Scope {
  readonly message: Buffer;
  readonly metrics: EncodedSlice[];
}

/** The record that is being filled for a resource. */
interface Filling {
  readonly key: Uint8Array;
  readonly resource: Buffer;
  scopes: Scope[];
  bytes: number;
}

export class Records {
  readonly #options: RecordsOptions;
  readonly #fillings = new Map<string, Filling>();
  readonly #full: LogAppend[] = [];

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** `points` are places in the slice's bytes. Nothing is copied before `done`. */
  add(resource: ResourceLabels, slice: MetricSlice, points: readonly number[]): void {
    const filling = this.#fillingFor(resource);
    const headBytes = slice.name.length + slice.description.length + slice.unit.length + 4 * FRAME_BYTES;
    const around = headBytes + slice.scope.length + FRAME_BYTES;
    let chunk: number[] = [];
    let chunkBytes = around;
    for (let i = 0; i < points.length; i += 2) {
      const begin = points[i] ?? 0;
      const end = points[i + 1] ?? 0;
      const bytes = end - begin + FRAME_BYTES;
      if (filling.bytes + chunkBytes + bytes > MAX_RECORD_BYTES) {
        put(filling, slice, chunk, chunkBytes);
        this.#close(filling);
        chunk = [];
        chunkBytes = around;
      }
      chunk.push(begin, end);
      chunkBytes += bytes;
    }
    put(filling, slice, chunk, chunkBytes);
  }

  done(): readonly LogAppend[] {
    for (const filling of this.#fillings.values()) this.#close(filling);
    return this.#full;
  }

  #fillingFor({ message, labels }: ResourceLabels): Filling {
    const id = message.toString('latin1');
    let filling = this.#fillings.get(id);
    if (filling === undefined) {
      const resource = bytesField(1, this.#named(message, labels));
      filling = { key: keyOf(message, labels), resource, scopes: [], bytes: resource.length + FRAME_BYTES };
      this.#fillings.set(id, filling);
    }
    return filling;
  }

  /** The resource says which cluster it is of, where it does not do so itself. */
  #named(message: Buffer, labels: ReadonlyMap<string, string>): Buffer {
    if (labels.has('k8s.cluster.name')) return message;
    const value = bytesField(2, textField(1, this.#options.cluster));
    return Buffer.concat([message, bytesField(1, Buffer.concat([textField(1, 'k8s.cluster.name'), value]))]);
  }

  #close(filling: Filling): void {
    if (filling.scopes.length === 0) return;
    const { key, resource, scopes } = filling;
    const { cluster, timestampMs } = this.#options;
    const value = encodeRecord(resource, scopes);
    this.#full.push({ topic: usageTopic(cluster), timestampMs, key, value });
    filling.scopes = [];
    filling.bytes = resource.length + FRAME_BYTES;
  }
}

function put(filling: Filling, slice: MetricSlice, points: readonly number[], bytes: number): void {
  if (points.length === 0) return;
  const last = filling.scopes.at(-1);
  const metric = new EncodedSlice(slice, points);
  if (last?.message.equals(slice.scope) === true) last.metrics.push(metric);
  else filling.scopes.push({ message: slice.scope, metrics: [metric] });
  filling.bytes += bytes;
}

/** MetricsData of one resource, written in one go: every point is copied once. */
function encodeRecord(resource: Buffer, scopes: readonly Scope[]): Buffer {
  const lengths = scopes.map(({ message, metrics }) =>
    metrics.reduce((sum, { length }) => sum + frameLength(2, length), frameLength(1, message.length)),
  );
  const length = lengths.reduce((sum, ofScope) => sum + frameLength(2, ofScope), resource.length);
  const out = Buffer.allocUnsafeSlow(frameLength(1, length));
  let at = writeHeader(out, 0, { field: 1, length });
  at += resource.copy(out, at);
  scopes.forEach(({ message, metrics }, i) => {
    at = writeHeader(out, at, { field: 2, length: lengths[i] ?? 0 });
    at = writeBytes(out, at, 1, message);
    for (const metric of metrics) {
      at = writeHeader(out, at, { field: 2, length: metric.length });
      at = metric.write(out, at);
    }
  });
  return out;
}

/** Of the target; where nothing names one, of the resource as it is. */
function keyOf(message: Buffer, labels: ReadonlyMap<string, string>): Uint8Array {
  const job = labels.get('service.name') ?? '';
  const instance = labels.get('service.instance.id') ?? '';
  const identity = job === '' && instance === '' ? message : JSON.stringify([job, instance]);
  return Uint8Array.prototype.slice.call(createHash('sha256').update(identity).digest(), 0, KEY_BYTES);
}
