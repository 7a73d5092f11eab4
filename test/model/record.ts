/**
 * What the model reads: records of the log whose value is OTLP MetricsData in its JSON form, and the
 * settings. `metricsData` is null for a record that cannot be decoded.
 */
export interface ModelRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly metricsData: OtlpMetricsData | null;
}

export interface OtlpMetricsData {
  readonly resourceMetrics: readonly OtlpResourceMetrics[];
}

export interface OtlpResourceMetrics {
  readonly resource: { readonly attributes: readonly OtlpAttribute[] };
  readonly scopeMetrics: readonly {
    readonly scope: { readonly name: string; readonly version: string };
    readonly metrics: readonly OtlpMetric[];
  }[];
}

export interface OtlpMetric {
  readonly name: string;
  readonly gauge?: OtlpPoints;
  readonly sum?: OtlpPoints;
  readonly histogram?: OtlpPoints;
  readonly exponentialHistogram?: OtlpPoints;
  readonly summary?: OtlpPoints;
  readonly metadata?: readonly OtlpAttribute[];
}

export interface OtlpPoints {
  readonly dataPoints: readonly OtlpPoint[];
  readonly aggregationTemporality?: number;
  readonly isMonotonic?: boolean;
}

export interface OtlpPoint {
  readonly attributes?: readonly OtlpAttribute[];
  readonly timeUnixNano?: string;
  readonly startTimeUnixNano?: string;
  readonly asDouble?: number | string;
  readonly asInt?: number | string;
  readonly count?: number | string;
  readonly flags?: number;
}

export interface OtlpAttribute {
  readonly key: string;
  readonly value: OtlpValue;
}

export interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly boolValue?: boolean;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly OtlpValue[] };
}

export interface ModelSettings {
  readonly tenantLabel: string;
  readonly platformNamespaces: readonly string[];
  readonly maxHoldMs: number;
  readonly latenessMs: number;
  readonly maxCores: number;
  readonly maxLinkBytesPerSecond: number;
  readonly networkInterface: string;
  /** 45 days unless it is told. */
  readonly rawRetentionMs?: number;
}
