import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { admit } from '../../../../collectors/receiver/admission.ts';
import { receiverConfig } from '../../../../collectors/receiver/config.ts';
import { MAX_RECORD_BYTES } from '../../../../collectors/receiver/records.ts';
import { Refusals } from '../../../../collectors/receiver/refusals.ts';
import { encodeMetricsData } from '../../../../core/otlp/encode.ts';
import type { MetricsData, ResourceMetrics } from '../../../../core/otlp/metrics-data.ts';
import { OtlpWalker } from '../../../../core/otlp/walker.ts';
import { bytesField, textField } from '../../../../core/protobuf/message-writer.ts';
import { decodePublished } from '../../../support/published-otlp.ts';
import { rowsOf } from '../../../support/receiver.ts';

const NOW = 1_790_000_000_000;
const [cluster] = receiverConfig({ clusters: { rt1: { tokens: ['token-of-cluster-rt1'] } } }).clusters;

function admitted(data: MetricsData) {
  const refusals = new Refusals();
  const admission = admit(encodeMetricsData(data), { cluster: cluster!, nowMs: NOW, refusals });
  if (!admission.ok) throw new Error(admission.detail);
  return { ...admission, refusals };
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });

interface Pushed {
  readonly instance: string;
  readonly metric: string;
  readonly labelBytes: number;
  readonly points: number;
}

function resourceMetrics({ instance, metric, labelBytes, points }: Pushed, i: number): ResourceMetrics {
  const dataPoints = Array.from({ length: points }, (_, n) => ({
    timeUnixNano: BigInt(NOW) * 1_000_000n,
    asInt: BigInt(n),
    attributes: [text('push', String(i)), text('long', 'x'.repeat(labelBytes))],
  }));
  return {
    resource: { attributes: [text('service.name', 'j'), text('service.instance.id', instance)] },
    scopeMetrics: [{ scope: { name: 's' }, metrics: [{ name: metric, gauge: { dataPoints } }] }],
  };
}

describe('what is taken', () => {
  it('is on the log once, point by point, in records within their size and keyed by target', () => {
    const pushed = fc.record({
      instance: fc.constantFrom('a', 'b', ''),
      metric: fc.constantFrom('m', 'n'),
      labelBytes: fc.constantFrom(0, 100, 2_000),
      points: fc.nat({ max: 700 }),
    });
    fc.assert(
      fc.property(fc.array(pushed, { maxLength: 4 }), (list) => {
        const { records, points } = admitted({ resourceMetrics: list.map(resourceMetrics) });
        const sent = list.flatMap(({ instance, metric, points: count }, i) =>
          Array.from({ length: count }, (_, n) => `${instance} ${metric} ${i} ${n}`),
        );
        const arrived = rowsOf(records).map(({ name, value, labels, resource }) =>
          [resource['service.instance.id'] ?? '', name, labels['push'], value ?? 0].join(' '),
        );
        expect(arrived.sort()).toEqual(sent.sort());
        expect(points).toBe(sent.length);
        const keys = new Map<string, Set<unknown>>();
        for (const record of records) {
          expect(record.value.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
          expect(record).toMatchObject({ topic: 'usage.rt1', timestampMs: NOW });
          const key = Buffer.from(record.key ?? []).toString('hex');
          const instances = keys.get(key) ?? new Set();
          keys.set(key, instances);
          for (const { resource } of rowsOf([record])) instances.add(resource['service.instance.id']);
        }
        expect(keys.size).toBe(new Set(list.filter((one) => one.points > 0).map((one) => one.instance)).size);
        for (const instances of keys.values()) expect(instances.size).toBe(1);
      }),
      { numRuns: 40 },
    );
  });

  it('fills records: what is small is not spread over many', () => {
    const list = Array.from({ length: 20 }, (_, i) => ({
      instance: 'a',
      metric: `m${i}`,
      labelBytes: 100,
      points: 100,
    }));
    expect(admitted({ resourceMetrics: list.map(resourceMetrics) }).records).toHaveLength(1);
  });

  it('stands under the scope that it came with', () => {
    const metrics = (name: string) => [
      { name, gauge: { dataPoints: [{ timeUnixNano: BigInt(NOW) * 1_000_000n }] } },
    ];
    const scopes = ['s', 's', 't', ''].map((name, i) => ({ scope: { name }, metrics: metrics(`m${i}`) }));
    const { records } = admitted({ resourceMetrics: [{ scopeMetrics: scopes }] });
    expect(records.map(({ value }) => decodePublished(value))).toMatchObject([
      {
        resourceMetrics: [
          {
            scopeMetrics: [
              { scope: { name: 's' }, metrics: [{ name: 'm0' }, { name: 'm1' }] },
              { scope: { name: 't' }, metrics: [{ name: 'm2' }] },
              { metrics: [{ name: 'm3' }] },
            ],
          },
        ],
      },
    ]);
  });

  it('of a resource that names no target is keyed by the resource as it is', () => {
    const one = (value: string): ResourceMetrics => ({
      ...resourceMetrics({ instance: '', metric: 'm', labelBytes: 0, points: 1 }, 0),
      resource: { attributes: [text('host.name', value)] },
    });
    const { records } = admitted({ resourceMetrics: [one('x'), one('y'), one('x')] });
    expect(new Set(records.map(({ key }) => Buffer.from(key ?? []).toString('hex'))).size).toBe(2);
    expect(records).toHaveLength(2);
  });
});

describe('a resource', () => {
  const named = (value: object): ResourceMetrics => ({
    ...resourceMetrics({ instance: 'a', metric: 'm', labelBytes: 0, points: 1 }, 0),
    resource: { attributes: [{ key: 'k8s.cluster.name', value }] },
  });

  it.each([
    ['names the cluster already', { stringValue: 'rt1' }],
    ['names it by nothing', { stringValue: '' }],
    ['names it by what is no text', { arrayValue: { values: [] } }],
  ])('that %s is of the token’s cluster', (_, value) => {
    const { points, records } = admitted({ resourceMetrics: [named(value)] });
    expect(points).toBe(1);
    const walker = new OtlpWalker(
      { resource: () => undefined, metric: () => true, point: () => undefined },
      new Int32Array(4),
    );
    expect(walker.walk(records[0]!.value)).toBe(true);
    expect(rowsOf(records).map(({ resource }) => resource['k8s.cluster.name'])).toEqual(['rt1']);
  });

  it('that is no message refuses its points, not those of others', () => {
    const good = resourceMetrics({ instance: 'a', metric: 'm', labelBytes: 0, points: 1 }, 0);
    const message = encodeMetricsData({ resourceMetrics: [good] });
    const cut = bytesField(1, Buffer.from([0x0a, 0x05, 0x00]));
    const gauge = bytesField(5, bytesField(1, Buffer.alloc(0)));
    const metric = bytesField(2, Buffer.concat([textField(1, 'm'), gauge]));
    const broken = bytesField(1, Buffer.concat([cut, bytesField(2, metric)]));
    const refusals = new Refusals();
    const admission = admit(Buffer.concat([message, broken]), { cluster: cluster!, nowMs: NOW, refusals });
    expect(admission).toMatchObject({ ok: true, points: 1 });
    expect(refusals.counts()).toEqual([{ reason: 'bad_label', count: 1 }]);
  });
});

it('a refusal tells an example on one line, whatever it is called', () => {
  const refusals = new Refusals();
  refusals.add('too_old', 2, () => `evil\r\n${'x'.repeat(500)}`);
  refusals.add('too_old', 1, () => 'never asked');
  expect(refusals.describe()).toMatch(/^3 too_old \(.*"evil\\r\\nx{114}"\)$/);
  expect(refusals.total).toBe(3);
});
