import { describe, expect, it } from 'vitest';
import { encodeMetricsData } from '../../../../core/otlp/encode.ts';
import type { MetricsData } from '../../../../core/otlp/metrics-data.ts';
import { EncodedSlice, metricSlices, type MetricSlice } from '../../../../core/otlp/metric-slices.ts';
import { bytesField } from '../../../../core/protobuf/message-writer.ts';
import { decodePublished } from '../../../support/published-otlp.ts';

const point = (time: bigint) => ({ timeUnixNano: time, asInt: 1n });
const DATA: MetricsData = {
  resourceMetrics: [
    {
      resource: { attributes: [{ key: 'a', value: { stringValue: 'b' } }] },
      scopeMetrics: [
        {
          scope: { name: 's', version: '1' },
          metrics: [
            { name: 'g', description: 'd', unit: 'By', gauge: { dataPoints: [point(1n), point(2n)] } },
            { name: 's', sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints: [point(3n)] } },
          ],
        },
        {
          metrics: [
            {
              name: 'h',
              histogram: {
                aggregationTemporality: 2,
                dataPoints: [{ timeUnixNano: 4n, count: 2n, bucketCounts: [2n] }],
              },
            },
            {
              name: 'e',
              exponentialHistogram: { dataPoints: [{ timeUnixNano: 5n, zeroCount: 1n, scale: -3 }] },
            },
          ],
        },
      ],
    },
    { scopeMetrics: [{ metrics: [{ name: 'q', summary: { dataPoints: [{ timeUnixNano: 6n, sum: 1 }] } }] }] },
  ],
};

function slicesOf(data: MetricsData): MetricSlice[] {
  return [...metricSlices(encodeMetricsData(data))];
}

/** The message that has one slice only, with the points that are given. */
function messageOf(slice: MetricSlice, points = slice.points): Buffer {
  const encoded = new EncodedSlice(slice, points);
  const metric = Buffer.alloc(encoded.length);
  expect(encoded.write(metric, 0)).toBe(encoded.length);
  const scoped = Buffer.concat([bytesField(1, slice.scope), bytesField(2, metric)]);
  return bytesField(1, Buffer.concat([bytesField(1, slice.resource), bytesField(2, scoped)]));
}

describe('metrics, cut out and put back', () => {
  it('say what they said before, every kind of them', () => {
    const before = decodePublished(encodeMetricsData(DATA)) as {
      resourceMetrics: { scopeMetrics: { metrics: unknown[] }[] }[];
    };
    const metrics = before.resourceMetrics.flatMap(({ scopeMetrics }) =>
      scopeMetrics.flatMap((scope) => scope.metrics),
    );
    const after = slicesOf(DATA).map((slice) => {
      const [resource] = (decodePublished(messageOf(slice)) as typeof before).resourceMetrics;
      return resource?.scopeMetrics[0]?.metrics[0];
    });
    expect(after).toEqual(metrics);
  });

  it('know their resource and scope', () => {
    const [gauge, sum, histogram, , summary] = slicesOf(DATA);
    expect(gauge?.resource).toBe(sum?.resource);
    expect(histogram?.resource.equals(gauge?.resource ?? Buffer.alloc(0))).toBe(true);
    expect([gauge?.scope.length, histogram?.scope.length, summary?.resource.length]).toEqual([6, 0, 0]);
    expect(decodePublished(messageOf(gauge!))).toMatchObject({
      resourceMetrics: [
        {
          resource: { attributes: [{ key: 'a', value: { stringValue: 'b' } }] },
          scopeMetrics: [{ scope: { name: 's', version: '1' } }],
        },
      ],
    });
  });

  it('may keep some of their points', () => {
    const [gauge] = slicesOf(DATA);
    expect(decodePublished(messageOf(gauge!, gauge!.points.slice(2)))).toMatchObject({
      resourceMetrics: [
        { scopeMetrics: [{ metrics: [{ unit: 'By', gauge: { dataPoints: [{ timeUnixNano: '2' }] } }] }] },
      ],
    });
  });
});

describe('fields in an order of their own', () => {
  const name = (text: string) => bytesField(1, Buffer.from(text));
  const gauge = (time: number) =>
    bytesField(5, bytesField(1, Buffer.from([0x19, time, 0, 0, 0, 0, 0, 0, 0])));
  const resource = (text: string) => bytesField(1, bytesField(1, name(text)));

  it('give the same slices: the last resource and the last name count', () => {
    const metric = Buffer.concat([gauge(7), name('first'), gauge(8), name('last')]);
    const scope = bytesField(2, bytesField(2, metric));
    const message = bytesField(
      1,
      Buffer.concat([scope, resource('first'), resource('last'), Buffer.from([0x78, 1])]),
    );
    const slices = [...metricSlices(message)];
    expect(slices.map((slice) => [slice.name.toString(), slice.points.length / 2])).toEqual([
      ['last', 1],
      ['last', 1],
    ]);
    expect(slices[0]?.resource.toString()).toContain('last');
  });
});

it('of a message that is not well-formed are a bug of the caller', () => {
  expect(() => [...metricSlices(Buffer.from([0x0a, 0x05, 0x00]))]).toThrow('invariant broken');
});
