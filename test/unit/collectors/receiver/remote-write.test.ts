import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiverConfig } from '../../../../collectors/receiver/config.ts';
import { Refusals } from '../../../../collectors/receiver/refusals.ts';
import { admitWrite } from '../../../../collectors/receiver/remote-write.ts';
import type { WriteVersion } from '../../../../core/remote-write/write-request.ts';
import { rowsOf } from '../../../support/receiver.ts';
import { encodeWrite1, encodeWrite2, snappy, type SentSeries } from '../../../support/remote-write.ts';

const NOW = 1_790_000_000_000;
const versions = [
  { version: '1.0', encode: encodeWrite1 },
  { version: '2.0', encode: encodeWrite2 },
] as const;

function admitted(message: Uint8Array, version: WriteVersion, limits = {}) {
  const [cluster] = receiverConfig({
    clusters: { rt1: { tokens: ['token-of-cluster-rt1'], limits } },
  }).clusters;
  const refusals = new Refusals();
  return {
    refusals,
    admission: admitWrite(snappy(message), version, { cluster: cluster!, nowMs: NOW, refusals }),
  };
}

/** One in each way that a label is written: short, long, not ASCII, empty. */
const text = fc.oneof(
  fc.string({ maxLength: 6, unit: 'grapheme' }),
  fc.constantFrom('', 'é', 'x'.repeat(39), 'x'.repeat(41), 'ü'.repeat(90), 'y'.repeat(300)),
);
const own = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }).filter((name) => name !== 'cluster'),
  text,
  { maxKeys: 5, noNullPrototype: true },
);
const sample = fc.record({
  timestamp: fc.integer({ min: NOW - 100_000, max: NOW }),
  value: fc.oneof(fc.double(), fc.constant('stale' as const)),
});
const sent = fc.array(
  fc.record({
    name: fc.constantFrom('m', 'n', 'größe'),
    job: fc.constantFrom('', 'j', 'k'),
    instance: fc.constantFrom('', 'a', 'b'),
    own,
    samples: fc.array(sample, { maxLength: 3 }),
  }),
  { maxLength: 12 },
);

function lines(rows: readonly object[]): string[] {
  return rows
    .map((row) => JSON.stringify(row, (_, value: unknown) => (Object.is(value, -0) ? '-0' : value)))
    .sort();
}

describe.each(versions)('a remote write of $version', ({ version, encode }) => {
  it('is on the log sample by sample, whatever its labels and in whatever order they come', () => {
    fc.assert(
      fc.property(sent, (list) => {
        const series = list.map(({ name, job, instance, own: labels, samples }): SentSeries => {
          return { labels: { ...labels, job, __name__: name, instance }, samples };
        });
        const { admission } = admitted(encode(series), version);
        if (!admission.ok) throw new Error(admission.detail);
        const expected = list.flatMap(({ name, job, instance, own: labels, samples }) =>
          samples.map(({ timestamp, value }) => ({
            name,
            timeMs: timestamp,
            value: String(value),
            labels: Object.fromEntries(
              Object.entries(labels)
                .filter(([, told]) => told !== '')
                .sort(),
            ),
            target: [job, instance],
          })),
        );
        const arrived = rowsOf(admission.records).map(({ name, timeMs, value, labels, resource }) => ({
          name,
          timeMs,
          value: String(value),
          labels: Object.fromEntries(Object.entries(labels).sort()),
          target: [resource['service.name'] ?? '', resource['service.instance.id'] ?? ''],
        }));
        expect(lines(arrived)).toEqual(lines(expected));
        expect(admission.points).toBe(expected.length);
      }),
    );
  });

  it('of points that take more than a request may is refused, however short it was', () => {
    const samples = Array.from({ length: 200 }, (_, i) => ({ timestamp: NOW - i }));
    const series = [{ labels: { __name__: 'm', long: 'x'.repeat(1_000) }, samples }];
    expect(admitted(encode(series), version, { unpackedBytes: 150_000 }).admission).toMatchObject({
      ok: false,
      reason: 'too_large',
      detail: 'its points with their labels are more than 150000 bytes',
    });
    expect(admitted(encode(series), version, { unpackedBytes: 300_000 }).admission).toMatchObject({
      points: 200,
    });
  });

  it('whose labels are larger than a point may be loses that series alone', () => {
    const long = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`l${i}`, 'x'.repeat(100_000)]));
    const samples = [{ timestamp: NOW }];
    const series = [
      { labels: { __name__: 'm', ...long }, samples },
      { labels: { __name__: 'm'.repeat(70_000) }, samples },
      { labels: { __name__: 'm', job: 'j'.repeat(70_000) }, samples },
      { labels: { __name__: 'm' }, samples },
    ];
    const { admission, refusals } = admitted(encode(series), version, { labelValueBytes: 200_000 });
    expect(admission).toMatchObject({ ok: true, points: 1 });
    expect(refusals.counts()).toEqual([{ reason: 'too_large', count: 3 }]);
  });
});

it('what was admitted stays as it was while others are, in whatever size', () => {
  const series = (name: string, count: number): SentSeries[] => [
    {
      labels: [
        ['__name__', 'm'],
        ['pod', name],
      ],
      samples: Array.from({ length: count }, (_, i) => ({ timestamp: NOW - i, value: i })),
    },
  ];
  const sizes = [1, 5_000, 3, 45_000, 2];
  const records = sizes.map((count, i) => {
    const { admission } = admitted(encodeWrite2(series(`pod-${i}`, count)), '2.0');
    if (!admission.ok) throw new Error(admission.detail);
    return admission.records;
  });
  sizes.forEach((count, i) => {
    const rows = rowsOf(records[i] ?? []);
    expect(rows).toHaveLength(count);
    expect(new Set(rows.map((row) => JSON.stringify(row).includes(`pod-${i}`)))).toEqual(new Set([true]));
  });
});
