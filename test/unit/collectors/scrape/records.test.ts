import { describe, expect, it } from 'vitest';
import type { Point } from '../../../../collectors/scrape/points.ts';
import { MAX_RECORD_BYTES, toRecords } from '../../../../collectors/scrape/records.ts';
import { instanceOf, recordKey, resourceAttributes } from '../../../../collectors/scrape/target.ts';
import { decodePublished } from '../../../support/published-otlp.ts';

const OPTIONS = { topic: 'usage.dev', scheme: 'http', scopeVersion: '1.2.3', timestampMs: 99 };

function point(fields: Partial<Point> & { pod?: string; job?: string } = {}): Point {
  const { pod = 'p', job = 'kubelet', ...rest } = fields;
  const series = { job, instance: '10.0.0.1:10250', name: 'm', labels: [['pod', pod] as const] };
  return { series, timeMs: 1_700_000_000_123, value: 1.5, startMs: undefined, ...rest };
}

interface Decoded {
  resourceMetrics: { scopeMetrics: { metrics: { name: string; gauge: { dataPoints: unknown[] } }[] }[] }[];
}

function pointsOf(value: Uint8Array): unknown[] {
  const { resourceMetrics } = decodePublished(value) as Decoded;
  return resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) => metrics.flatMap(({ gauge }) => gauge.dataPoints)),
  );
}

describe('records of a scrape', () => {
  it('are what Alloy writes: gauges by name, times in ns, markers without a value', () => {
    const [record, ...more] = toRecords(
      [point(), point({ pod: 'q', startMs: 5 }), point({ pod: 'r', value: undefined })],
      OPTIONS,
    );
    expect(more).toEqual([]);
    const pod = (stringValue: string) => [{ key: 'pod', value: { stringValue } }];
    const timeUnixNano = '1700000000123000000';
    expect(decodePublished(record?.value ?? new Uint8Array())).toEqual({
      resourceMetrics: [
        {
          resource: {
            attributes: [
              { key: 'service.name', value: { stringValue: 'kubelet' } },
              { key: 'server.address', value: { stringValue: '10.0.0.1' } },
              { key: 'service.instance.id', value: { stringValue: '10.0.0.1:10250' } },
              { key: 'server.port', value: { stringValue: '10250' } },
              { key: 'url.scheme', value: { stringValue: 'http' } },
            ],
          },
          scopeMetrics: [
            {
              scope: { name: 'gh0stmeter/scrape', version: '1.2.3' },
              metrics: [
                {
                  name: 'm',
                  gauge: {
                    dataPoints: [
                      { attributes: pod('p'), timeUnixNano, asDouble: 1.5 },
                      { attributes: pod('q'), timeUnixNano, startTimeUnixNano: '5000000', asDouble: 1.5 },
                      { attributes: pod('r'), timeUnixNano, flags: 1 },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    });
    expect(record).toMatchObject({ topic: 'usage.dev', timestampMs: 99 });
  });

  it('are one for each resource, with a key of 16 bytes that depends on nothing else', () => {
    const records = toRecords([point(), point({ job: 'other' }), point({ pod: 'q' })], OPTIONS);
    expect(records.map(({ value }) => pointsOf(value).length)).toEqual([2, 1]);
    const keys = records.map(({ key }) => Buffer.from(key ?? []).toString('hex'));
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[1]).not.toBe(keys[0]);
    const [again] = toRecords([point({ value: 7, timeMs: 1 })], { ...OPTIONS, timestampMs: 100 });
    expect(Buffer.from(again?.key ?? []).toString('hex')).toBe(keys[0]);
    const attributes = resourceAttributes({ job: 'kubelet', instance: '10.0.0.1:10250' }, 'http');
    expect(recordKey(attributes.toReversed())).toEqual(recordKey(attributes));
  });

  it('are split below the limit without losing a point', () => {
    const pods = Array.from({ length: 5_000 }, (_, i) => `${i}-${'x'.repeat(1_000)}`);
    const records = toRecords(
      pods.map((pod) => point({ pod })),
      OPTIONS,
    );
    expect(records.length).toBeGreaterThan(5);
    for (const { value } of records) expect(value.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
    const seen = records.flatMap(({ value }) => pointsOf(value));
    expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(pods.length);
    expect(seen).toHaveLength(pods.length);
  });

  it('may be larger for the sake of a single point, and are none for no points', () => {
    const records = toRecords([point({ pod: 'x'.repeat(MAX_RECORD_BYTES) }), point()], OPTIONS);
    expect(records.map(({ value }) => pointsOf(value).length)).toEqual([1, 1]);
    expect(toRecords([], OPTIONS)).toEqual([]);
  });
});

describe('the resource of a target', () => {
  const addressOf = (instance: string) =>
    Object.fromEntries(
      resourceAttributes({ job: 'j', instance }, 'http').map(({ key, value }) => [key, value?.stringValue]),
    );

  it.each([
    ['10.0.0.1:9100', '10.0.0.1', '9100'],
    ['127.0.0.1:9100', undefined, '9100'],
    ['[::1]:9100', undefined, '9100'],
    ['localhost:80', 'localhost', '80'],
    ['node-1', 'node-1', ''],
    ['[2001:db8::1]:443', '2001:db8::1', '443'],
  ])('of %s has the address %s and the port %s', (instance, address, port) => {
    expect(addressOf(instance)['server.address']).toBe(address);
    expect(addressOf(instance)['server.port']).toBe(port);
  });

  it('has an instance with a port, also where the URL has none', () => {
    const instance = (url: string) => instanceOf({ url, instance: undefined });
    expect(instance('https://node/metrics')).toBe('node:443');
    expect(instance('http://node/metrics')).toBe('node:80');
    expect(instance('http://[2001:db8::1]:8080/metrics')).toBe('[2001:db8::1]:8080');
    expect(instanceOf({ url: 'http://node/', instance: 'mine' })).toBe('mine');
  });
});
