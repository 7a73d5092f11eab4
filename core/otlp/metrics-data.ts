/**
 * OTLP MetricsData, the record format on the log, as far as metering reads or writes it.
 *
 * The shape is that of OTLP/JSON (lowerCamelCase, a `oneof` is a set of optional fields of which at most one
 * is there). Left out on purpose, because no usage depends on them: exemplars, schema URLs, dropped-attribute
 * counts. An absent field and `undefined` are the same; presence is kept where the format has it (`asDouble`,
 * `sum`, ...).
 */

/** A 64-bit integer without loss: OTLP/JSON writes them as strings; a number must be a safe integer. */
export type Integer64 = bigint | number | string;

/** At most one field is there; none at all is OTLP's empty value. */
export interface AnyValue {
  readonly stringValue?: string | undefined;
  readonly boolValue?: boolean | undefined;
  readonly intValue?: Integer64 | undefined;
  readonly doubleValue?: number | undefined;
  readonly arrayValue?: ArrayValue | undefined;
  readonly kvlistValue?: KeyValueList | undefined;
  readonly bytesValue?: Uint8Array | undefined;
}

export interface ArrayValue {
  readonly values?: readonly AnyValue[] | undefined;
}

export interface KeyValueList {
  readonly values?: readonly KeyValue[] | undefined;
}

export interface KeyValue {
  readonly key: string;
  readonly value?: AnyValue | undefined;
}

/** Bit 0 of `flags`: the point carries no value; the series ended here (a staleness marker). */
export const FLAG_NO_RECORDED_VALUE = 1;

export const TEMPORALITY_UNSPECIFIED = 0;
export const TEMPORALITY_DELTA = 1;
export const TEMPORALITY_CUMULATIVE = 2;

interface DataPoint {
  readonly attributes?: readonly KeyValue[] | undefined;
  readonly startTimeUnixNano?: Integer64 | undefined;
  readonly timeUnixNano?: Integer64 | undefined;
  readonly flags?: number | undefined;
}

/** At most one of `asDouble` and `asInt`; neither says that there is no value, which is not 0. */
export interface NumberDataPoint extends DataPoint {
  readonly asDouble?: number | undefined;
  readonly asInt?: Integer64 | undefined;
}

export interface HistogramDataPoint extends DataPoint {
  readonly count?: Integer64 | undefined;
  readonly sum?: number | undefined;
  readonly bucketCounts?: readonly Integer64[] | undefined;
  readonly explicitBounds?: readonly number[] | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
}

export interface ExponentialBuckets {
  readonly offset?: number | undefined;
  readonly bucketCounts?: readonly Integer64[] | undefined;
}

export interface ExponentialHistogramDataPoint extends DataPoint {
  readonly count?: Integer64 | undefined;
  readonly sum?: number | undefined;
  readonly scale?: number | undefined;
  readonly zeroCount?: Integer64 | undefined;
  readonly positive?: ExponentialBuckets | undefined;
  readonly negative?: ExponentialBuckets | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly zeroThreshold?: number | undefined;
}

export interface QuantileValue {
  readonly quantile?: number | undefined;
  readonly value?: number | undefined;
}

export interface SummaryDataPoint extends DataPoint {
  readonly count?: Integer64 | undefined;
  readonly sum?: number | undefined;
  readonly quantileValues?: readonly QuantileValue[] | undefined;
}

export interface Gauge {
  readonly dataPoints?: readonly NumberDataPoint[] | undefined;
}

export interface Sum extends Gauge {
  readonly aggregationTemporality?: number | undefined;
  readonly isMonotonic?: boolean | undefined;
}

export interface Histogram {
  readonly dataPoints?: readonly HistogramDataPoint[] | undefined;
  readonly aggregationTemporality?: number | undefined;
}

export interface ExponentialHistogram {
  readonly dataPoints?: readonly ExponentialHistogramDataPoint[] | undefined;
  readonly aggregationTemporality?: number | undefined;
}

export interface Summary {
  readonly dataPoints?: readonly SummaryDataPoint[] | undefined;
}

/** At most one of the five kinds of data. */
export interface Metric {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly unit?: string | undefined;
  readonly gauge?: Gauge | undefined;
  readonly sum?: Sum | undefined;
  readonly histogram?: Histogram | undefined;
  readonly exponentialHistogram?: ExponentialHistogram | undefined;
  readonly summary?: Summary | undefined;
  readonly metadata?: readonly KeyValue[] | undefined;
}

export interface InstrumentationScope {
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly attributes?: readonly KeyValue[] | undefined;
}

export interface ScopeMetrics {
  readonly scope?: InstrumentationScope | undefined;
  readonly metrics?: readonly Metric[] | undefined;
}

export interface Resource {
  readonly attributes?: readonly KeyValue[] | undefined;
}

export interface ResourceMetrics {
  readonly resource?: Resource | undefined;
  readonly scopeMetrics?: readonly ScopeMetrics[] | undefined;
}

export interface MetricsData {
  readonly resourceMetrics?: readonly ResourceMetrics[] | undefined;
}
