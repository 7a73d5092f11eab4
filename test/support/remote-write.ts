/** Remote write as others write it: the published messages, encoded by protobufjs and packed by snappyjs. */
import { createRequire } from 'node:module';
import protobuf from 'protobufjs';

/** The published field numbers of both versions, in the published language. */
const PUBLISHED = `
syntax = "proto3";
message WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
message MetricMetadata { uint32 type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3;
  repeated Histogram histograms = 4; }
message Label { string name = 1; string value = 2; }
message Sample { double value = 1; int64 timestamp = 2; }
message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
message Histogram { uint64 count_int = 1; double sum = 3; sint32 schema = 4; int64 timestamp = 15; }
message Request { repeated string symbols = 4; repeated TimeSeries2 timeseries = 5; }
message TimeSeries2 { repeated uint32 labels_refs = 1; repeated Sample2 samples = 2;
  repeated Histogram histograms = 3; repeated Exemplar2 exemplars = 4; Metadata metadata = 5;
  int64 created_timestamp = 6; }
message Sample2 { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
message Exemplar2 { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
message Metadata { uint32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
`;

const { root } = protobuf.parse(PUBLISHED, { keepCase: true });
const WriteRequest = root.lookupType('WriteRequest');
const Request = root.lookupType('Request');

const { compress } = createRequire(import.meta.url)('snappyjs') as {
  readonly compress: (bytes: Uint8Array) => Uint8Array;
};

/** The end of a series, as eight bytes that no arithmetic gives. */
const STALE = Buffer.from('020000000000f07f', 'hex');

export type Labels = Readonly<Record<string, string>>;

export interface SentSample {
  readonly timestamp: number | string;
  readonly value?: number | 'stale';
  readonly start_timestamp?: number;
}

export interface SentSeries {
  readonly labels: Labels | readonly (readonly [string, string])[];
  readonly samples?: readonly SentSample[];
  readonly histograms?: readonly object[];
  readonly exemplars?: readonly object[];
  /** 2.0 alone. */
  readonly created_timestamp?: number;
}

export function snappy(bytes: Uint8Array): Buffer {
  return Buffer.from(compress(Buffer.from(bytes)));
}

export function encodeWrite1(series: readonly SentSeries[], more: object = {}): Buffer {
  const timeseries = series.map(({ labels, samples = [], ...rest }) => ({
    ...rest,
    labels: pairs(labels).map(([name, value]) => ({ name, value })),
    samples: samples.map(plain),
  }));
  return encode(WriteRequest, { timeseries, ...more });
}

export function encodeWrite2(series: readonly SentSeries[], more: object = {}): Buffer {
  const symbols = new Map([['', 0]]);
  const refer = (text: string): number => {
    const known = symbols.get(text) ?? symbols.size;
    symbols.set(text, known);
    return known;
  };
  const timeseries = series.map(({ labels, samples = [], ...rest }) => ({
    ...rest,
    labels_refs: pairs(labels).flat().map(refer),
    samples: samples.map(plain),
  }));
  return encode(Request, { symbols: [...symbols.keys()], timeseries, ...more });
}

/** As a library decodes it: objects, with nothing looked at. */
export function decodeWrite2(bytes: Uint8Array): DecodedWrite2 {
  return Request.decode(bytes) as unknown as DecodedWrite2;
}

export interface DecodedWrite2 {
  readonly symbols: readonly string[];
  readonly timeseries: readonly {
    readonly labels_refs: readonly number[];
    readonly samples: readonly { readonly timestamp: { toString(): string }; readonly value: number }[];
  }[];
}

function pairs(labels: SentSeries['labels']): (readonly [string, string])[] {
  const list = Array.isArray(labels)
    ? (labels as readonly (readonly [string, string])[])
    : Object.entries(labels);
  return [...list];
}

/** JavaScript cannot be trusted with the bits of a NaN: a marker stands as a number that is found again. */
const MARKED = 1.2345678901234567e-300;

function plain(sample: SentSample): object {
  return { ...sample, value: sample.value === 'stale' ? MARKED : (sample.value ?? 0) };
}

function encode(type: protobuf.Type, message: object): Buffer {
  const bytes = Buffer.from(type.encode(type.fromObject(message)).finish());
  const marked = Buffer.alloc(8);
  marked.writeDoubleLE(MARKED);
  for (let at = bytes.indexOf(marked); at !== -1; at = bytes.indexOf(marked, at)) STALE.copy(bytes, at);
  return bytes;
}
