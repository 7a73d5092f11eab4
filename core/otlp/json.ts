/**
 * OTLP/JSON bytes -> MetricsData.
 *
 * Input: one JSON object as the OpenTelemetry Collector writes it, from anywhere. Output: the data, or one
 * reason with the path of the first field that does not fit; never an exception, never half of a message.
 *
 * - 64-bit integers are read exactly, as string or as number of any size; a number with a fraction or an
 *   exponent is read as the nearest double first, as JSON numbers are.
 * - Doubles are numbers, decimal strings, or "NaN", "Infinity", "-Infinity". Enums are numbers or names.
 * - `null` is an absent field. Unknown fields are ignored. Two members of a oneof are a contradiction, and
 *   refused.
 * - Work and memory are linear in the bytes: sizes and depths have limits, unknown fields are not walked.
 */
import {
  type AnyValue,
  type ExponentialBuckets,
  type ExponentialHistogramDataPoint,
  type HistogramDataPoint,
  type KeyValue,
  type Metric,
  type MetricsData,
  type NumberDataPoint,
  type QuantileValue,
  type ResourceMetrics,
  type ScopeMetrics,
  type SummaryDataPoint,
  TEMPORALITY_CUMULATIVE,
  TEMPORALITY_DELTA,
  TEMPORALITY_UNSPECIFIED,
} from './metrics-data.ts';
import { MAX_VALUE_DEPTH } from './encode.ts';

export const MAX_JSON_BYTES = 64 * 1024 * 1024;

const UINT64_MAX = (1n << 64n) - 1n;
const INT64_MIN = -(1n << 63n);
const INT64_MAX = (1n << 63n) - 1n;
const UINT32_MAX = (1n << 32n) - 1n;
const INT32_MIN = -(1n << 31n);
const INT32_MAX = (1n << 31n) - 1n;

const TWO_TO_64 = 2 ** 64;

const INTEGER = /^-?\d{1,20}$/;
const DECIMAL = /^-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,5})?$/;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

const TEMPORALITIES: ReadonlyMap<unknown, number> = new Map([
  ['AGGREGATION_TEMPORALITY_UNSPECIFIED', TEMPORALITY_UNSPECIFIED],
  ['AGGREGATION_TEMPORALITY_DELTA', TEMPORALITY_DELTA],
  ['AGGREGATION_TEMPORALITY_CUMULATIVE', TEMPORALITY_CUMULATIVE],
]);

export type DecodeResult =
  { readonly ok: true; readonly data: MetricsData } | { readonly ok: false; readonly reason: string };

export function decodeJsonMetricsData(bytes: Uint8Array): DecodeResult {
  if (bytes.length > MAX_JSON_BYTES) return refused(`larger than ${MAX_JSON_BYTES} bytes`);
  const text = utf8(bytes);
  if (text === undefined) return refused('not UTF-8');
  try {
    return { ok: true, data: readText(text) };
  } catch (error) {
    if (error instanceof Misfit) return refused(error.describe());
    if (error instanceof SyntaxError) return refused('not JSON');
    if (error instanceof RangeError) return refused('nested too deeply');
    throw error;
  }
}

function refused(reason: string): DecodeResult {
  return { ok: false, reason };
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Real exporters write big integers as strings; only who writes them as numbers pays for a second, slower
 * parse.
 */
function readText(text: string): MetricsData {
  try {
    return readMetricsData(JSON.parse(text));
  } catch (error) {
    if (!(error instanceof InexactInteger)) throw error;
    return readMetricsData(JSON.parse(text, keepBigIntegers));
  }
}

function keepBigIntegers(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) > TWO_TO_64) return value;
  const source = context?.source ?? '';
  return INTEGER.test(source) ? BigInt(source) : BigInt(value);
}

/** The way out of a message that does not fit; never leaves this file. */
class Misfit extends Error {
  /** Innermost first. */
  readonly path: string[] = [];

  describe(): string {
    const path = this.path.toReversed().join('.');
    return path === '' ? this.message : `${path}: ${this.message}`;
  }
}

class InexactInteger extends Misfit {
  constructor() {
    super('an integer beyond 2^53');
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads one field and, if it does not fit, says which one it was. */
function at<T>(fields: Fields, name: string, read: (value: unknown) => T): T | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  try {
    return read(value);
  } catch (error) {
    if (error instanceof Misfit) error.path.push(name);
    throw error;
  }
}

function listOf<T>(read: (value: unknown) => T): (value: unknown) => readonly T[] {
  return (value) => {
    if (!Array.isArray(value)) throw new Misfit(`expected a list, found ${kindOf(value)}`);
    let index = 0;
    try {
      const items: T[] = [];
      for (; index < value.length; index++) items.push(read(value[index]));
      return items;
    } catch (error) {
      if (error instanceof Misfit) error.path.push(String(index));
      throw error;
    }
  };
}

function object(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Misfit(`expected an object, found ${kindOf(value)}`);
  }
  return value as Fields;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : typeof value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Misfit(`expected a string, found ${kindOf(value)}`);
  if (!value.isWellFormed()) throw new Misfit('half of a surrogate pair is no text');
  return value;
}

function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Misfit(`expected true or false, found ${kindOf(value)}`);
  return value;
}

function double(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  if (typeof value === 'string' && DECIMAL.test(value)) return Number(value);
  throw new Misfit('not a double');
}

function integer(value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'string' && INTEGER.test(value)) return BigInt(value);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === 'number' && Number.isInteger(value)) throw new InexactInteger();
  throw new Misfit('not an integer');
}

function within(value: unknown, low: bigint, high: bigint, what: string): bigint {
  const read = integer(value);
  if (read < low || read > high) throw new Misfit(`not ${what}`);
  return read;
}

const uint64 = (value: unknown): bigint => within(value, 0n, UINT64_MAX, 'an unsigned 64-bit integer');
const int64 = (value: unknown): bigint => within(value, INT64_MIN, INT64_MAX, 'a signed 64-bit integer');
const uint32 = (value: unknown): number =>
  Number(within(value, 0n, UINT32_MAX, 'an unsigned 32-bit integer'));
const int32 = (value: unknown): number =>
  Number(within(value, INT32_MIN, INT32_MAX, 'a signed 32-bit integer'));

function temporality(value: unknown): number {
  return TEMPORALITIES.get(value) ?? uint32(value);
}

function base64(value: unknown): Uint8Array {
  if (typeof value !== 'string' || !BASE64.test(value)) throw new Misfit('not base64');
  return Uint8Array.from(Buffer.from(value, 'base64'));
}

/** Of the members of a oneof, one at most. */
function oneOf(fields: Fields, members: readonly string[]): void {
  const there = members.filter((name) => fields[name] !== undefined && fields[name] !== null);
  if (there.length > 1) throw new Misfit(`${there.join(' and ')} exclude each other`);
}

const NUMBERS = ['asDouble', 'asInt'];
const KINDS = ['gauge', 'sum', 'histogram', 'exponentialHistogram', 'summary'];
const VALUES = [
  'stringValue',
  'boolValue',
  'intValue',
  'doubleValue',
  'arrayValue',
  'kvlistValue',
  'bytesValue',
];

function readMetricsData(value: unknown): MetricsData {
  return { resourceMetrics: at(object(value), 'resourceMetrics', listOf(readResourceMetrics)) };
}

function readResourceMetrics(value: unknown): ResourceMetrics {
  const fields = object(value);
  return {
    resource: at(fields, 'resource', (it) => ({ attributes: readAttributes(object(it)) })),
    scopeMetrics: at(fields, 'scopeMetrics', listOf(readScopeMetrics)),
  };
}

function readScopeMetrics(value: unknown): ScopeMetrics {
  const fields = object(value);
  return {
    scope: at(fields, 'scope', (it) => {
      const scope = object(it);
      return {
        name: at(scope, 'name', text),
        version: at(scope, 'version', text),
        attributes: readAttributes(scope),
      };
    }),
    metrics: at(fields, 'metrics', listOf(readMetric)),
  };
}

function readMetric(value: unknown): Metric {
  const fields = object(value);
  oneOf(fields, KINDS);
  return {
    name: at(fields, 'name', text),
    description: at(fields, 'description', text),
    unit: at(fields, 'unit', text),
    gauge: at(fields, 'gauge', (it) => ({ dataPoints: at(object(it), 'dataPoints', listOf(readNumber)) })),
    sum: at(fields, 'sum', (it) => ({
      ...readAggregated(it, readNumber),
      isMonotonic: at(object(it), 'isMonotonic', boolean),
    })),
    histogram: at(fields, 'histogram', (it) => readAggregated(it, readHistogram)),
    exponentialHistogram: at(fields, 'exponentialHistogram', (it) => readAggregated(it, readExponential)),
    summary: at(fields, 'summary', (it) => ({
      dataPoints: at(object(it), 'dataPoints', listOf(readSummary)),
    })),
    metadata: at(fields, 'metadata', readKeyValues),
  };
}

function readAggregated<T>(value: unknown, read: (point: unknown) => T) {
  const fields = object(value);
  return {
    dataPoints: at(fields, 'dataPoints', listOf(read)),
    aggregationTemporality: at(fields, 'aggregationTemporality', temporality),
  };
}

/** What points of every kind have. */
function readPoint(fields: Fields) {
  return {
    attributes: readAttributes(fields),
    startTimeUnixNano: at(fields, 'startTimeUnixNano', uint64),
    timeUnixNano: at(fields, 'timeUnixNano', uint64),
    flags: at(fields, 'flags', uint32),
  };
}

function readNumber(value: unknown): NumberDataPoint {
  const fields = object(value);
  oneOf(fields, NUMBERS);
  return {
    ...readPoint(fields),
    asDouble: at(fields, 'asDouble', double),
    asInt: at(fields, 'asInt', int64),
  };
}

function readHistogram(value: unknown): HistogramDataPoint {
  const fields = object(value);
  return {
    ...readPoint(fields),
    count: at(fields, 'count', uint64),
    sum: at(fields, 'sum', double),
    bucketCounts: at(fields, 'bucketCounts', listOf(uint64)),
    explicitBounds: at(fields, 'explicitBounds', listOf(double)),
    min: at(fields, 'min', double),
    max: at(fields, 'max', double),
  };
}

function readExponential(value: unknown): ExponentialHistogramDataPoint {
  const fields = object(value);
  return {
    ...readPoint(fields),
    count: at(fields, 'count', uint64),
    sum: at(fields, 'sum', double),
    scale: at(fields, 'scale', int32),
    zeroCount: at(fields, 'zeroCount', uint64),
    positive: at(fields, 'positive', readBuckets),
    negative: at(fields, 'negative', readBuckets),
    min: at(fields, 'min', double),
    max: at(fields, 'max', double),
    zeroThreshold: at(fields, 'zeroThreshold', double),
  };
}

function readBuckets(value: unknown): ExponentialBuckets {
  const fields = object(value);
  return { offset: at(fields, 'offset', int32), bucketCounts: at(fields, 'bucketCounts', listOf(uint64)) };
}

function readSummary(value: unknown): SummaryDataPoint {
  const fields = object(value);
  return {
    ...readPoint(fields),
    count: at(fields, 'count', uint64),
    sum: at(fields, 'sum', double),
    quantileValues: at(fields, 'quantileValues', listOf(readQuantile)),
  };
}

function readQuantile(value: unknown): QuantileValue {
  const fields = object(value);
  return { quantile: at(fields, 'quantile', double), value: at(fields, 'value', double) };
}

function readAttributes(fields: Fields): readonly KeyValue[] | undefined {
  return at(fields, 'attributes', readKeyValues);
}

function readKeyValues(value: unknown): readonly KeyValue[] {
  return listOf((pair) => readKeyValue(pair, 0))(value);
}

function readKeyValue(value: unknown, depth: number): KeyValue {
  const fields = object(value);
  return { key: at(fields, 'key', text) ?? '', value: at(fields, 'value', (it) => readAnyValue(it, depth)) };
}

function readAnyValue(value: unknown, depth: number): AnyValue {
  if (depth >= MAX_VALUE_DEPTH) throw new Misfit(`values nest deeper than ${MAX_VALUE_DEPTH}`);
  const fields = object(value);
  // Nearly every value is a string alone: it skips the other six look-ups.
  if (typeof fields['stringValue'] === 'string' && Object.keys(fields).length === 1) {
    return { stringValue: at(fields, 'stringValue', text) };
  }
  oneOf(fields, VALUES);
  return {
    stringValue: at(fields, 'stringValue', text),
    boolValue: at(fields, 'boolValue', boolean),
    intValue: at(fields, 'intValue', int64),
    doubleValue: at(fields, 'doubleValue', double),
    arrayValue: at(fields, 'arrayValue', (it) => ({
      values: at(
        object(it),
        'values',
        listOf((item) => readAnyValue(item, depth + 1)),
      ),
    })),
    kvlistValue: at(fields, 'kvlistValue', (it) => ({
      values: at(
        object(it),
        'values',
        listOf((pair) => readKeyValue(pair, depth + 1)),
      ),
    })),
    bytesValue: at(fields, 'bytesValue', base64),
  };
}
