import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OtlpWalker } from '../../core/otlp/walker.ts';
import { bytesField } from '../../core/protobuf/message-writer.ts';
import { publishedMetricsData } from '../support/published-otlp.ts';
import { encodeWrite1, encodeWrite2, type SentSeries, snappy } from '../support/remote-write.ts';
import { post, postWrite, startReceiver, stopReceivers } from '../support/receiver.ts';

const MIB = 1024 * 1024;
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

describe('what is made to take memory or time', () => {
  /** A block that announces so many bytes and then repeats one, up to `limit`. */
  function bomb(announced: number, limit = announced): Buffer {
    const header: number[] = [];
    for (let rest = announced; ; rest = Math.floor(rest / 128)) {
      header.push(rest < 128 ? rest : (rest % 128) | 0x80);
      if (rest < 128) break;
    }
    const copies = Buffer.alloc(3 * Math.floor(limit / 64), Buffer.from([0xfe, 0x01, 0x00]));
    return Buffer.concat([Buffer.from(header), Buffer.from([0x00, 0x0a]), copies]);
  }
  const repeated = (bytes: readonly number[], count: number): Buffer =>
    Buffer.alloc(bytes.length * count, Buffer.from(bytes));
  const nested = (depth: number): string => `{"resourceMetrics":${'[{"resourceMetrics":'.repeat(depth)}`;
  const values = (depth: number): string =>
    [
      '{"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":',
      ...['{"arrayValue":{"values":['.repeat(depth), ']}}'.repeat(depth)],
      '}]}}]}',
    ].join('');
  const cases: [string, number, () => Promise<{ status: number }>][] = [
    [
      'a snappy block of 4 GiB',
      413,
      () => post(`${receiver.url}/api/v1/write`, bomb(2 ** 32 - 1, 32 * MIB), { headers: V2 }),
    ],
    [
      'a snappy block at the limit, full of one byte',
      400,
      () => post(`${receiver.url}/api/v1/write`, bomb(32 * MIB), { headers: V2 }),
    ],
    [
      'a literal of snappy that would go back',
      400,
      () =>
        post(`${receiver.url}/api/v1/write`, Buffer.from([0x0a, 0xfc, 0xfa, 0xff, 0xff, 0xff, 0]), {
          headers: V2,
        }),
    ],
    [
      'a gzip of 1 GiB',
      413,
      () =>
        post(`${receiver.url}/v1/metrics`, GZIP_BOMB, { headers: { ...OTLP, 'content-encoding': 'gzip' } }),
    ],
    ['a million empty series', 413, () => postWrite(receiver.url, repeated([0x0a, 0x00], 1_000_000), '1.0')],
    [
      'millions of empty symbols',
      413,
      () => postWrite(receiver.url, repeated([0x22, 0x00], 4_000_000), '2.0'),
    ],
    [
      'a series of millions of empty samples',
      413,
      () => {
        const samples = repeated([0x12, 0x00], 8_000_000);
        return postWrite(receiver.url, bytesField(1, samples), '1.0');
      },
    ],
    [
      'a million empty labels',
      400,
      () =>
        postWrite(
          receiver.url,
          Buffer.concat([
            Buffer.from([0x0a, 0x84, 0x89, 0x7a]),
            repeated([0x0a, 0x00], 1_000_000),
            Buffer.from([0x12, 0x02, 0x10, 0x01]),
          ]),
          '1.0',
        ),
    ],
    [
      'a million empty resources',
      413,
      () => post(`${receiver.url}/v1/metrics`, repeated([0x0a, 0x00], 1_000_000), { headers: OTLP }),
    ],
    [
      'a million empty scopes',
      200,
      () =>
        post(
          `${receiver.url}/v1/metrics`,
          Buffer.concat([Buffer.from([0x0a, 0x80, 0x89, 0x7a]), repeated([0x12, 0x00], 1_000_000)]),
          { headers: OTLP },
        ),
    ],
    [
      'JSON nested without end',
      400,
      () => post(`${receiver.url}/v1/metrics`, Buffer.from(nested(100_000)), { headers: OTLP_JSON }),
    ],
    [
      'values nested a hundred deep',
      400,
      () => post(`${receiver.url}/v1/metrics`, Buffer.from(values(100)), { headers: OTLP_JSON }),
    ],
    [
      'JSON of nothing but empty points',
      413,
      () =>
        post(
          `${receiver.url}/v1/metrics`,
          Buffer.from(
            `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[${'{},'.repeat(600_000)}{}]}}]}]}]}`,
          ),
          { headers: OTLP_JSON },
        ),
    ],
  ];
  const GZIP_BOMB = gzipSync(Buffer.alloc(1024 * MIB));

  it.each(cases)('%s is answered with %i, soon and in little memory', async (_, expected, send) => {
    const before = process.memoryUsage().rss;
    const startedMs = Date.now();
    expect((await send()).status).toBe(expected);
    expect(Date.now() - startedMs).toBeLessThan(20_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * MIB);
    expect((await fetch(`${receiver.url}/healthz`)).status).toBe(200);
  });
});
