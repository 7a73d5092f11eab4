/**
 * OTLP MetricsData -> protobuf bytes, as `opentelemetry/proto/metrics/v1/metrics.proto` publishes it.
 *
 * Guarantee: nothing is rounded and nothing is made up. 64-bit integers come from bigint, decimal string or
 * safe integer; a double is written bit by bit, NaN payloads included; a field with presence (`asDouble`,
 * `asInt`, `sum`, `min`, `max`, every kind of AnyValue) is written whenever it is there, also as 0; a field
 * without presence is left out when it is 0, which is what every other encoder of the format does. Order of
 * lists is kept.
 *
 * A value outside its field's range is a bug of the caller: readers of foreign data check ranges (see
 * json.ts).
 *
 * The message is written from its end to its beginning: a length is known once its content stands, so one
 * pass without patching is enough, and fields still come out in ascending order.
 */
import { invariant } from '../runtime/errors.ts';
import type {
  AnyValue,
  ExponentialBuckets,
  ExponentialHistogramDataPoint,
  HistogramDataPoint,
  Integer64,
  KeyValue,
  Metric,
  MetricsData,
  NumberDataPoint,
  Resource,
  ResourceMetrics,
  ScopeMetrics,
  SummaryDataPoint,
} from './metrics-data.ts';

const INITIAL_BYTES = 16 * 1024;
/** Values nest (arrays, maps); real ones do not go below two. The same bound as in json.ts. */
export const MAX_VALUE_DEPTH = 16;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;

const UINT64_MAX = (1n << 64n) - 1n;
const INT64_MIN = -(1n << 63n);
const INT64_MAX = (1n << 63n) - 1n;
const UINT32_MAX = 2 ** 32 - 1;

export function encodeMetricsData(data: MetricsData): Uint8Array {
  const writer = new BackwardWriter();
  writeEach(writer, 1, data.resourceMetrics, writeResourceMetrics);
  return writer.finish();
}

/** Fills a growing buffer from its end. Every `write…` call lands before what was written so far. */
class BackwardWriter {
  private buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  private view = viewOf(this.buffer);
  private start = INITIAL_BYTES;

  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.buffer, this.start);
  }

  /** Bytes written so far: the difference of two marks is the length of what stands between them. */
  get mark(): number {
    return this.buffer.length - this.start;
  }

  length(field: number, mark: number): void {
    this.varint(this.mark - mark);
    this.tag(field, LENGTH_DELIMITED);
  }

  string(field: number, text: string): void {
    const bytes = Buffer.byteLength(text);
    this.reserve(bytes);
    this.start -= bytes;
    this.buffer.write(text, this.start, bytes, 'utf8');
    this.varint(bytes);
    this.tag(field, LENGTH_DELIMITED);
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.start -= bytes.length;
    this.buffer.set(bytes, this.start);
    this.varint(bytes.length);
    this.tag(field, LENGTH_DELIMITED);
  }

  double(field: number, value: number): void {
    this.rawDouble(value);
    this.tag(field, FIXED64);
  }

  fixed64(field: number, value: bigint): void {
    this.rawFixed64(value);
    this.tag(field, FIXED64);
  }

  rawDouble(value: number): void {
    this.reserve(8);
    this.start -= 8;
    this.view.setFloat64(this.start, value, true);
  }

  /** Two's complement: signed and unsigned values have the same 64 bits. */
  rawFixed64(value: bigint): void {
    this.reserve(8);
    this.start -= 8;
    this.view.setBigUint64(this.start, value, true);
  }

  varint64Field(field: number, value: bigint): void {
    this.varint64(value);
    this.tag(field, VARINT);
  }

  varintField(field: number, value: number): void {
    this.varint(value);
    this.tag(field, VARINT);
  }

  /** 0 <= value < 2^53. */
  varint(value: number): void {
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
    this.reserve(size);
    this.start -= size;
    let rest = value;
    for (let at = this.start; at < this.start + size - 1; at++) {
      this.buffer[at] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.buffer[this.start + size - 1] = rest;
  }

  /** `value` as its 64 bits, so that a negative int64 takes ten bytes, as the format wants. */
  varint64(value: bigint): void {
    const bits = BigInt.asUintN(64, value);
    if (bits <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.varint(Number(bits));
      return;
    }
    const groups: number[] = [];
    let rest = bits;
    for (; rest >= 0x80n; rest >>= 7n) groups.push(Number(rest & 0x7fn) | 0x80);
    groups.push(Number(rest));
    this.reserve(groups.length);
    this.start -= groups.length;
    this.buffer.set(groups, this.start);
  }

  tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  private reserve(bytes: number): void {
    if (this.start >= bytes) return;
    const used = this.mark;
    let capacity = this.buffer.length * 2;
    while (capacity - used < bytes) capacity *= 2;
    const grown = Buffer.allocUnsafe(capacity);
    this.buffer.copy(grown, capacity - used, this.start);
    this.buffer = grown;
    this.view = viewOf(grown);
    this.start = capacity - used;
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

type WriteMessage<T> = (writer: BackwardWriter, value: T) => void;

function writeMessage<T>(
  writer: BackwardWriter,
  field: number,
  value: T | undefined,
  write: WriteMessage<T>,
): void {
  if (value === undefined) return;
  const mark = writer.mark;
  write(writer, value);
  writer.length(field, mark);
}

function writeEach<T>(
  writer: BackwardWriter,
  field: number,
  values: readonly T[] | undefined,
  write: WriteMessage<T>,
): void {
  if (values === undefined) return;
  for (let i = values.length - 1; i >= 0; i--) writeMessage(writer, field, values[i] as T, write);
}

function writeAttributes(
  writer: BackwardWriter,
  field: number,
  pairs: readonly KeyValue[] | undefined,
): void {
  writeEach(writer, field, pairs, (to, pair) => writeKeyValue(to, pair, 0));
}

function writeResourceMetrics(writer: BackwardWriter, value: ResourceMetrics): void {
  writeEach(writer, 2, value.scopeMetrics, writeScopeMetrics);
  writeMessage(writer, 1, value.resource, writeResource);
}

function writeResource(writer: BackwardWriter, value: Resource): void {
  writeAttributes(writer, 1, value.attributes);
}

function writeScopeMetrics(writer: BackwardWriter, value: ScopeMetrics): void {
  writeEach(writer, 2, value.metrics, writeMetric);
  writeMessage(writer, 1, value.scope, (to, scope) => {
    writeAttributes(to, 3, scope.attributes);
    writeText(to, 2, scope.version);
    writeText(to, 1, scope.name);
  });
}

function writeMetric(writer: BackwardWriter, metric: Metric): void {
  writeAttributes(writer, 12, metric.metadata);
  writeMessage(writer, 11, metric.summary, (to, summary) => {
    writeEach(to, 1, summary.dataPoints, writeSummaryPoint);
  });
  writeMessage(writer, 10, metric.exponentialHistogram, (to, histogram) => {
    writeUint32(to, 2, histogram.aggregationTemporality);
    writeEach(to, 1, histogram.dataPoints, writeExponentialPoint);
  });
  writeMessage(writer, 9, metric.histogram, (to, histogram) => {
    writeUint32(to, 2, histogram.aggregationTemporality);
    writeEach(to, 1, histogram.dataPoints, writeHistogramPoint);
  });
  writeMessage(writer, 7, metric.sum, (to, sum) => {
    if (sum.isMonotonic === true) to.varintField(3, 1);
    writeUint32(to, 2, sum.aggregationTemporality);
    writeEach(to, 1, sum.dataPoints, writeNumberPoint);
  });
  writeMessage(writer, 5, metric.gauge, (to, gauge) => writeEach(to, 1, gauge.dataPoints, writeNumberPoint));
  writeText(writer, 3, metric.unit);
  writeText(writer, 2, metric.description);
  writeText(writer, 1, metric.name);
}

function writeNumberPoint(writer: BackwardWriter, point: NumberDataPoint): void {
  writeUint32(writer, 8, point.flags);
  writeAttributes(writer, 7, point.attributes);
  invariant(point.asInt === undefined || point.asDouble === undefined, 'a point has one value at most');
  if (point.asInt !== undefined) writer.fixed64(6, int64(point.asInt));
  if (point.asDouble !== undefined) writer.double(4, point.asDouble);
  writeUnsigned(writer, 3, point.timeUnixNano);
  writeUnsigned(writer, 2, point.startTimeUnixNano);
}

function writeHistogramPoint(writer: BackwardWriter, point: HistogramDataPoint): void {
  writePresentDouble(writer, 12, point.max);
  writePresentDouble(writer, 11, point.min);
  writeUint32(writer, 10, point.flags);
  writeAttributes(writer, 9, point.attributes);
  writePacked(writer, 7, point.explicitBounds, (bound) => writer.rawDouble(bound));
  writePacked(writer, 6, point.bucketCounts, (count) => writer.rawFixed64(uint64(count)));
  writePresentDouble(writer, 5, point.sum);
  writeUnsigned(writer, 4, point.count);
  writeUnsigned(writer, 3, point.timeUnixNano);
  writeUnsigned(writer, 2, point.startTimeUnixNano);
}

function writeExponentialPoint(writer: BackwardWriter, point: ExponentialHistogramDataPoint): void {
  writeDouble(writer, 14, point.zeroThreshold);
  writePresentDouble(writer, 13, point.max);
  writePresentDouble(writer, 12, point.min);
  writeUint32(writer, 10, point.flags);
  writeMessage(writer, 9, point.negative, writeBuckets);
  writeMessage(writer, 8, point.positive, writeBuckets);
  writeUnsigned(writer, 7, point.zeroCount);
  writeZigZag(writer, 6, point.scale);
  writePresentDouble(writer, 5, point.sum);
  writeUnsigned(writer, 4, point.count);
  writeUnsigned(writer, 3, point.timeUnixNano);
  writeUnsigned(writer, 2, point.startTimeUnixNano);
  writeAttributes(writer, 1, point.attributes);
}

function writeBuckets(writer: BackwardWriter, buckets: ExponentialBuckets): void {
  writePacked(writer, 2, buckets.bucketCounts, (count) => writer.varint64(uint64(count)));
  writeZigZag(writer, 1, buckets.offset);
}

function writeSummaryPoint(writer: BackwardWriter, point: SummaryDataPoint): void {
  writeUint32(writer, 8, point.flags);
  writeAttributes(writer, 7, point.attributes);
  writeEach(writer, 6, point.quantileValues, (to, at) => {
    writeDouble(to, 2, at.value);
    writeDouble(to, 1, at.quantile);
  });
  writeDouble(writer, 5, point.sum);
  writeUnsigned(writer, 4, point.count);
  writeUnsigned(writer, 3, point.timeUnixNano);
  writeUnsigned(writer, 2, point.startTimeUnixNano);
}

function writeKeyValue(writer: BackwardWriter, pair: KeyValue, depth: number): void {
  if (pair.value !== undefined) writeValueField(writer, 2, pair.value, depth);
  writeText(writer, 1, pair.key);
}

function writeValueField(writer: BackwardWriter, field: number, value: AnyValue, depth: number): void {
  invariant(depth < MAX_VALUE_DEPTH, `attribute values nest at most ${MAX_VALUE_DEPTH} deep`);
  writeMessage(writer, field, value, (to) => writeAnyValue(to, value, depth));
}

function writeAnyValue(writer: BackwardWriter, value: AnyValue, depth: number): void {
  const { stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue, bytesValue } = value;
  if (stringValue !== undefined) writer.string(1, stringValue);
  else if (boolValue !== undefined) writer.varintField(2, boolValue ? 1 : 0);
  else if (intValue !== undefined) writer.varint64Field(3, int64(intValue));
  else if (doubleValue !== undefined) writer.double(4, doubleValue);
  else if (bytesValue !== undefined) writer.bytes(7, bytesValue);
  writeMessage(writer, 5, arrayValue, (to, array) => {
    for (const item of (array.values ?? []).toReversed()) writeValueField(to, 1, item, depth + 1);
  });
  writeMessage(writer, 6, kvlistValue, (to, list) => {
    writeEach(to, 1, list.values, (inner, pair) => writeKeyValue(inner, pair, depth + 1));
  });
}

function writeText(writer: BackwardWriter, field: number, text: string | undefined): void {
  if (text !== undefined && text !== '') writer.string(field, text);
}

function writePresentDouble(writer: BackwardWriter, field: number, value: number | undefined): void {
  if (value !== undefined) writer.double(field, value);
}

/** Without presence: only +0 is the default, -0 is another value. */
function writeDouble(writer: BackwardWriter, field: number, value: number | undefined): void {
  if (value !== undefined && !Object.is(value, 0)) writer.double(field, value);
}

function writeUnsigned(writer: BackwardWriter, field: number, value: Integer64 | undefined): void {
  if (value === undefined) return;
  const bits = uint64(value);
  if (bits !== 0n) writer.fixed64(field, bits);
}

function writeUint32(writer: BackwardWriter, field: number, value: number | undefined): void {
  if (value === undefined || value === 0) return;
  invariant(
    Number.isInteger(value) && value > 0 && value <= UINT32_MAX,
    `not an unsigned 32-bit integer: ${value}`,
  );
  writer.varintField(field, value);
}

/** sint32: small negative numbers stay short. */
function writeZigZag(writer: BackwardWriter, field: number, value: number | undefined): void {
  if (value === undefined || value === 0) return;
  invariant((value | 0) === value, `not a signed 32-bit integer: ${value}`);
  writer.varintField(field, ((value << 1) ^ (value >> 31)) >>> 0);
}

function writePacked<T>(
  writer: BackwardWriter,
  field: number,
  values: readonly T[] | undefined,
  write: (value: T) => void,
): void {
  if (values === undefined || values.length === 0) return;
  const mark = writer.mark;
  for (let i = values.length - 1; i >= 0; i--) write(values[i] as T);
  writer.length(field, mark);
}

function uint64(value: Integer64): bigint {
  const integer = exact(value);
  invariant(integer >= 0n && integer <= UINT64_MAX, `not an unsigned 64-bit integer: ${value}`);
  return integer;
}

function int64(value: Integer64): bigint {
  const integer = exact(value);
  invariant(integer >= INT64_MIN && integer <= INT64_MAX, `not a signed 64-bit integer: ${value}`);
  return integer;
}

function exact(value: Integer64): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') {
    invariant(Number.isSafeInteger(value), `not an exact integer: ${value}`);
    return BigInt(value);
  }
  invariant(/^-?\d{1,20}$/.test(value), `not a decimal integer: ${value.slice(0, 40)}`);
  return BigInt(value);
}
