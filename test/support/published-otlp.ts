import protobuf from 'protobufjs';

/** The published field numbers, in the published language, read by a decoder that is not ours. */
const PUBLISHED = `
syntax = "proto3";
message MetricsData { repeated ResourceMetrics resourceMetrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scopeMetrics = 2; }
message Resource { repeated KeyValue attributes = 1; uint32 droppedAttributesCount = 2; }
message ScopeMetrics { InstrumentationScope scope = 1; repeated Metric metrics = 2; string schemaUrl = 3; }
message InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string stringValue = 1; bool boolValue = 2; int64 intValue = 3;
  double doubleValue = 4; ArrayValue arrayValue = 5; KeyValueList kvlistValue = 6; bytes bytesValue = 7; } }
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message Metric { string name = 1; string description = 2; string unit = 3;
  oneof data { Gauge gauge = 5; Sum sum = 7; Histogram histogram = 9;
    ExponentialHistogram exponentialHistogram = 10; Summary summary = 11; }
  repeated KeyValue metadata = 12; }
message Gauge { repeated NumberDataPoint dataPoints = 1; }
message Sum { repeated NumberDataPoint dataPoints = 1; uint32 aggregationTemporality = 2;
  bool isMonotonic = 3; }
message Histogram { repeated HistogramDataPoint dataPoints = 1; uint32 aggregationTemporality = 2; }
message ExponentialHistogram { repeated ExponentialHistogramDataPoint dataPoints = 1;
  uint32 aggregationTemporality = 2; }
message Summary { repeated SummaryDataPoint dataPoints = 1; }
message NumberDataPoint { fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3;
  oneof value { double asDouble = 4; sfixed64 asInt = 6; }
  repeated KeyValue attributes = 7; uint32 flags = 8; }
message HistogramDataPoint { fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; fixed64 count = 4;
  optional double sum = 5; repeated fixed64 bucketCounts = 6; repeated double explicitBounds = 7;
  repeated KeyValue attributes = 9; uint32 flags = 10; optional double min = 11; optional double max = 12; }
message ExponentialHistogramDataPoint { repeated KeyValue attributes = 1; fixed64 startTimeUnixNano = 2;
  fixed64 timeUnixNano = 3; fixed64 count = 4; optional double sum = 5;
  sint32 scale = 6; fixed64 zeroCount = 7;
  Buckets positive = 8; Buckets negative = 9; uint32 flags = 10; optional double min = 12;
  optional double max = 13; double zeroThreshold = 14; }
message Buckets { sint32 offset = 1; repeated uint64 bucketCounts = 2; }
message SummaryDataPoint { fixed64 startTimeUnixNano = 2; fixed64 timeUnixNano = 3; fixed64 count = 4;
  double sum = 5; repeated ValueAtQuantile quantileValues = 6; repeated KeyValue attributes = 7;
  uint32 flags = 8; }
message ValueAtQuantile { double quantile = 1; double value = 2; }
`;

/** MetricsData as another library reads and writes it. */
export const publishedMetricsData = protobuf.parse(PUBLISHED).root.resolveAll().lookupType('MetricsData');

/** 64-bit integers as strings, absent fields absent. */
export function decodePublished(bytes: Uint8Array): unknown {
  return publishedMetricsData.toObject(publishedMetricsData.decode(bytes), { longs: String });
}
