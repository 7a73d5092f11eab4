import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OtlpWalker } from '../../core/otlp/walker.ts';
import { publishedMetricsData } from '../support/published-otlp.ts';
import { encodeWrite1, encodeWrite2, type SentSeries, snappy } from '../support/remote-write.ts';
import { post, startReceiver, stopReceivers } from '../support/receiver.ts';

const NOW = Date.now();
const V1 = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' };
const V2 = { ...V1, 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request' };
const OTLP = { 'content-type': 'application/x-protobuf' };
const OTLP_JSON = { 'content-type': 'application/json' };
const RUNS = 250;
const SEED = new Int32Array(4);

const SERIES: SentSeries[] = [
  {
    labels: { __name__: 'a_total', job: 'j', instance: 'i', pod: 'p' },
    samples: [
      { timestamp: NOW, value: 1.5, start_timestamp: NOW - 1 },
      { timestamp: NOW + 1, value: 'stale' },
    ],
    exemplars: [{ value: 1, timestamp: NOW }],
  },
  { labels: { __name__: 'h', job: 'j' }, histograms: [{ count_int: 3, timestamp: NOW }] },
];
const DATA = {
  resourceMetrics: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'j' } }] },
      scopeMetrics: [
        {
          scope: { name: 's' },
          metrics: [
            { name: 'g', gauge: { dataPoints: [{ timeUnixNano: `${NOW}000000`, asDouble: 1 }] } },
            {
              name: 's',
              sum: {
                isMonotonic: true,
                dataPoints: [
                  {
                    timeUnixNano: `${NOW}000000`,
                    asInt: '1',
                    attributes: [{ key: 'cluster', value: { stringValue: 'rt1' } }],
                  },
                ],
              },
            },
            {
              name: 'h',
              histogram: { dataPoints: [{ timeUnixNano: `${NOW}000000`, count: '1', bucketCounts: ['1'] }] },
            },
          ],
        },
      ],
    },
  ],
};

let receiver: Awaited<ReturnType<typeof startReceiver>>;

beforeAll(async () => {
  receiver = await startReceiver();
});

afterAll(stopReceivers);

/** A sound message with some of its bytes changed, added or cut off. */
function mutated(message: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: message.length - 1 });
  const change = fc.record({
    at,
    byte: fc.nat({ max: 255 }),
    kind: fc.constantFrom('set', 'insert', 'remove'),
  });
  const changes = fc.array(change, { minLength: 1, maxLength: 6 });
  return fc.tuple(changes, fc.option(at, { nil: message.length })).map(([list, end]) => {
    const bytes = [...message.subarray(0, end)];
    for (const { at: place, byte, kind } of list) {
      if (kind === 'set') bytes[place % Math.max(1, bytes.length)] = byte;
      else bytes.splice(place, kind === 'insert' ? 0 : 1, ...(kind === 'insert' ? [byte] : []));
    }
    return Buffer.from(bytes);
  });
}

async function holds(
  path: string,
  bodies: fc.Arbitrary<Uint8Array>,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const { status } = await post(`${receiver.url}${path}`, body, { headers });
      expect([200, 204, 400, 413]).toContain(status);
    }),
    { numRuns: RUNS },
  );
  expect(receiver.of('requestFailed')).toEqual([]);
}

/** Whatever got through the aggregator can read: it puts aside a whole record for one bad field. */
async function everyRecordCanBeRead(): Promise<void> {
  const walker = new OtlpWalker(
    { resource: () => undefined, metric: () => true, point: () => undefined },
    SEED,
  );
  for (const { value } of await receiver.log.records()) expect(walker.walk(value)).toBe(true);
}

describe('whatever is sent, the answer is one of the sender', () => {
  const write = '/api/v1/write';
  const otlp = Buffer.from(publishedMetricsData.encode(publishedMetricsData.fromObject(DATA)).finish());
  const cases: [string, string, fc.Arbitrary<Uint8Array>, Readonly<Record<string, string>>][] = [
    ['any bytes as snappy', write, fc.uint8Array({ maxLength: 200 }), V2],
    [
      'any bytes within snappy, 1.0',
      write,
      fc.uint8Array({ maxLength: 200 }).map((bytes) => snappy(bytes)),
      V1,
    ],
    [
      'any bytes within snappy, 2.0',
      write,
      fc.uint8Array({ maxLength: 200 }).map((bytes) => snappy(bytes)),
      V2,
    ],
    ['changed snappy', write, mutated(snappy(encodeWrite2(SERIES))), V2],
    ['changed messages of 1.0', write, mutated(encodeWrite1(SERIES)).map((bytes) => snappy(bytes)), V1],
    ['changed messages of 2.0', write, mutated(encodeWrite2(SERIES)).map((bytes) => snappy(bytes)), V2],
    ['messages of 1.0 as 2.0', write, mutated(encodeWrite1(SERIES)).map((bytes) => snappy(bytes)), V2],
    ['any bytes as OTLP', '/v1/metrics', fc.uint8Array({ maxLength: 200 }), OTLP],
    ['changed OTLP', '/v1/metrics', mutated(otlp), OTLP],
    ['changed JSON', '/v1/metrics', mutated(Buffer.from(JSON.stringify(DATA))), OTLP_JSON],
    ['any JSON', '/v1/metrics', fc.json().map((text) => Buffer.from(text)), OTLP_JSON],
    ['any bytes as gzip', '/v1/metrics', fc.uint8Array(), { ...OTLP, 'content-encoding': 'gzip' }],
  ];
  it.each(cases)('%s', async (_, path, bodies, headers) => {
    await holds(path, bodies, headers);
    await everyRecordCanBeRead();
  });
});
