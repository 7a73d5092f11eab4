import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeMetricsData, MAX_VALUE_DEPTH } from '../../../../core/otlp/encode.ts';
import type { AnyValue, KeyValue, MetricsData } from '../../../../core/otlp/metrics-data.ts';
import {
  decodePublished as decode,
  publishedMetricsData as published,
} from '../../../support/published-otlp.ts';

const uint64 = fc.bigInt({ min: 1n, max: (1n << 64n) - 1n });
const int64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
const uint32 = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const nonZero = fc.double().filter((value) => !Object.is(value, 0));
const text = fc.string({ minLength: 1, unit: 'grapheme' });
const some = { requiredKeys: [] };
const anyValue = fc.letrec<{ value: AnyValue; pair: KeyValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.record({ stringValue: fc.string({ unit: 'grapheme' }) }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ intValue: int64 }),
    fc.record({ doubleValue: fc.double() }),
    fc.record({ bytesValue: fc.uint8Array() }),
    fc.constant({}),
    fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { minLength: 1 }) }, some) }),
    fc.record({ kvlistValue: fc.record({ values: fc.array(tie('pair'), { minLength: 1 }) }, some) }),
  ),
  pair: fc.record({ key: text, value: tie('value') }, { requiredKeys: ['key'] }),
}));
const attributes = fc.array(anyValue.pair, { minLength: 1, maxLength: 4 });
const point = { attributes, startTimeUnixNano: uint64, timeUnixNano: uint64, flags: uint32 };
const stats = { count: uint64, sum: fc.double(), min: fc.double(), max: fc.double() };
const buckets = fc.record(
  { offset: fc.integer().filter(Boolean), bucketCounts: fc.array(uint64, { minLength: 1 }) },
  some,
);
const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 4 });
const numbers = listOf(
  fc.oneof(fc.record({ ...point, asDouble: fc.double() }, some), fc.record({ ...point, asInt: int64 }, some)),
);
const temporality = fc.constantFrom(1, 2);
const histograms = listOf(
  fc.record(
    {
      ...point,
      ...stats,
      bucketCounts: fc.array(uint64, { minLength: 1 }),
      explicitBounds: fc.array(fc.double(), { minLength: 1 }),
    },
    some,
  ),
);
const exponentials = listOf(
  fc.record(
    {
      ...point,
      ...stats,
      scale: fc.integer().filter(Boolean),
      zeroCount: uint64,
      zeroThreshold: nonZero,
      positive: buckets,
      negative: buckets,
    },
    some,
  ),
);
const summaries = listOf(
  fc.record(
    {
      ...point,
      count: uint64,
      sum: nonZero,
      quantileValues: listOf(fc.record({ quantile: nonZero, value: nonZero }, some)),
    },
    some,
  ),
);
const named = { name: text, description: text, unit: text, metadata: attributes };
const metric = fc.oneof(
  fc.record({ ...named, gauge: fc.record({ dataPoints: numbers }, some) }, some),
  fc.record(
    {
      ...named,
      sum: fc.record(
        { dataPoints: numbers, aggregationTemporality: temporality, isMonotonic: fc.constant(true) },
        some,
      ),
    },
    some,
  ),
  fc.record(
    { ...named, histogram: fc.record({ dataPoints: histograms, aggregationTemporality: temporality }, some) },
    some,
  ),
  fc.record(
    {
      ...named,
      exponentialHistogram: fc.record(
        { dataPoints: exponentials, aggregationTemporality: temporality },
        some,
      ),
    },
    some,
  ),
  fc.record({ ...named, summary: fc.record({ dataPoints: summaries }, some) }, some),
);
const scopeMetrics = fc.record(
  { scope: fc.record({ name: text, version: text, attributes }, some), metrics: listOf(metric) },
  some,
);
const metricsData: fc.Arbitrary<MetricsData> = fc.record(
  {
    resourceMetrics: listOf(
      fc.record({ resource: fc.record({ attributes }, some), scopeMetrics: listOf(scopeMetrics) }, some),
    ),
  },
  some,
);

/** What the other decoder shows for the same data: 64-bit integers as strings, bytes as Buffer. */
function shown(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shown(item)]));
}

function onePoint(fields: object): MetricsData {
  return { resourceMetrics: [{ scopeMetrics: [{ metrics: [{ gauge: { dataPoints: [fields] } }] }] }] };
}

function firstPoint(bytes: Uint8Array): unknown {
  const data = decode(bytes) as {
    resourceMetrics: [{ scopeMetrics: [{ metrics: [{ gauge: { dataPoints: unknown[] } }] }] }];
  };
  return data.resourceMetrics[0].scopeMetrics[0].metrics[0].gauge.dataPoints[0];
}

describe('encodeMetricsData', () => {
  it('is read back to the last bit by an independent decoder of the published format', () => {
    fc.assert(
      fc.property(metricsData, (data) => {
        expect(decode(encodeMetricsData(data))).toEqual(shown(data));
      }),
      { numRuns: 300 },
    );
  });

  it('writes the very bytes that the independent encoder writes for what it read', () => {
    fc.assert(
      fc.property(metricsData, (data) => {
        const bytes = encodeMetricsData(data);
        const again = published.encode(published.decode(bytes)).finish();
        expect(Buffer.compare(again, bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps "no value" apart from the value 0', () => {
    expect(firstPoint(encodeMetricsData(onePoint({ flags: 1 })))).toEqual({ flags: 1 });
    expect(firstPoint(encodeMetricsData(onePoint({ asDouble: 0 })))).toEqual({ asDouble: 0 });
    expect(firstPoint(encodeMetricsData(onePoint({ asDouble: -0 })))).toEqual({ asDouble: -0 });
    expect(firstPoint(encodeMetricsData(onePoint({ asInt: 0 })))).toEqual({ asInt: '0' });
    expect(firstPoint(encodeMetricsData(onePoint({})))).toEqual({});
  });

  it('takes 64-bit integers as bigint, decimal string or safe number', () => {
    for (const time of [1795360332745000001n, '1795360332745000001']) {
      expect(firstPoint(encodeMetricsData(onePoint({ timeUnixNano: time })))).toEqual({
        timeUnixNano: '1795360332745000001',
      });
    }
    expect(firstPoint(encodeMetricsData(onePoint({ asInt: -7 })))).toEqual({ asInt: '-7' });
    expect(firstPoint(encodeMetricsData(onePoint({ asInt: `-${1n << 63n}` })))).toEqual({
      asInt: `-${1n << 63n}`,
    });
  });

  it('keeps the payload of a NaN, so that the staleness marker stays one, however hot the code is', () => {
    const raw = new DataView(new ArrayBuffer(8));
    raw.setBigUint64(0, 0x7ff0000000000002n);
    const stale = raw.getFloat64(0);
    for (let round = 0; round < 20_000; round++) {
      const bytes = encodeMetricsData(onePoint({ asDouble: stale }));
      const bits = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(bytes.length - 8, true);
      if (bits !== 0x7ff0000000000002n) expect.fail(`round ${round}: 0x${bits.toString(16)}`);
    }
  });

  it('writes messages far larger than its first buffer', () => {
    const label = { key: 'pod', value: { stringValue: 'ü'.repeat(5_000) } };
    const dataPoints = Array.from({ length: 300 }, (_, i) => ({ asInt: i, attributes: [label] }));
    const data: MetricsData = {
      resourceMetrics: [{ scopeMetrics: [{ metrics: [{ gauge: { dataPoints } }] }] }],
    };
    const bytes = encodeMetricsData(data);
    expect(bytes.length).toBeGreaterThan(3_000_000);
    expect(decode(bytes)).toEqual(
      shown(JSON.parse(JSON.stringify(data), (key, v: unknown) => (key === 'asInt' ? String(v) : v))),
    );
  });

  it.each([
    ['an integer that a number cannot hold', { timeUnixNano: 2 ** 60 }],
    ['a negative time', { timeUnixNano: -1n }],
    ['a time beyond 64 bits', { timeUnixNano: 1n << 64n }],
    ['an integer beyond 64 bits', { asInt: 1n << 63n }],
    ['a string that is no integer', { asInt: '1e3' }],
    ['flags beyond 32 bits', { flags: 2 ** 32 }],
    ['two values at once', { asInt: 1, asDouble: 1 }],
  ])('treats %s as a bug of the caller', (_, fields) => {
    expect(() => encodeMetricsData(onePoint(fields))).toThrow('invariant broken');
  });

  it('bounds the depth of values', () => {
    let value: AnyValue = { stringValue: 'x' };
    for (let depth = 0; depth < MAX_VALUE_DEPTH; depth++) value = { arrayValue: { values: [value] } };
    expect(() => encodeMetricsData(onePoint({ attributes: [{ key: 'k', value }] }))).toThrow('nest at most');
  });
});
