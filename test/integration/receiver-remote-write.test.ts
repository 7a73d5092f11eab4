import { afterEach, describe, expect, it, test } from 'vitest';
import { encodeWrite1, encodeWrite2, type SentSeries } from '../support/remote-write.ts';
import {
  OTHER_TOKEN,
  openOutageLog,
  postWrite,
  startReceiver,
  stopReceivers,
  writtenBy,
} from '../support/receiver.ts';

const NOW = Date.now();
const DAY_MS = 86_400_000;
const LABELS = { __name__: 'cpu_seconds_total', job: 'kubelet', instance: 'n1:10250', pod: 'web-0' };

afterEach(stopReceivers);

const versions = [
  { version: '1.0', encode: encodeWrite1 },
  { version: '2.0', encode: encodeWrite2 },
] as const;

describe.each(versions)('remote write $version', ({ version, encode }) => {
  it('is on the log when the answer is 204, every timestamp of a series with it', async () => {
    const { url, rows } = await startReceiver();
    const samples = [0, 1, 2].map((i) => ({ timestamp: NOW - 30_000 + i * 10_000, value: i + 0.5 }));
    const answer = await postWrite(url, encode([{ labels: LABELS, samples }]), version);
    expect([answer.status, answer.text, writtenBy(answer)]).toEqual([204, '', ['3', '0', '0']]);
    expect(await rows()).toEqual(
      samples.map(({ timestamp, value }) => ({
        name: 'cpu_seconds_total',
        kind: 'gauge',
        timeMs: timestamp,
        startMs: undefined,
        value,
        labels: { pod: 'web-0' },
        resource: {
          'service.name': 'kubelet',
          'service.instance.id': 'n1:10250',
          'k8s.cluster.name': 'rt1',
        },
      })),
    );
  });

  it('keeps the end of a series as a marker, and values that are no numbers as evidence', async () => {
    const { url, rows } = await startReceiver();
    const values = ['stale', Infinity, NaN, -0] as const;
    const samples = values.map((value, i) => ({ timestamp: NOW + i, value }));
    const answer = await postWrite(url, encode([{ labels: LABELS, samples }]), version);
    expect([answer.status, ...writtenBy(answer)]).toEqual([204, '4', '0', '0']);
    expect((await rows()).map(({ value }) => value)).toEqual(values);
  });

  it('keeps a series of a target on one partition, and targets apart in records', async () => {
    const { url, log } = await startReceiver();
    const write = (instance: string, i: number) =>
      postWrite(
        url,
        encode([{ labels: { ...LABELS, instance }, samples: [{ timestamp: NOW + i }] }]),
        version,
      );
    for (let i = 0; i < 4; i++) await Promise.all(['a', 'b', 'c', 'd'].map((instance) => write(instance, i)));
    const records = await log.records();
    expect(records).toHaveLength(16);
    const places = new Map(
      records.map(({ key, partition }) => [Buffer.from(key ?? []).toString('hex'), partition]),
    );
    expect(places.size).toBe(4);
    for (const { key, partition } of records) {
      expect(places.get(Buffer.from(key ?? []).toString('hex'))).toBe(partition);
    }
  });

  it('takes a request without samples: metadata is known from the catalogue', async () => {
    const { url, rows } = await startReceiver();
    const metadata = version === '1.0' ? { metadata: [{ type: 1, metric_family_name: 'x', help: 'y' }] } : {};
    expect((await postWrite(url, encode([], metadata), version)).status).toBe(204);
    expect(await rows()).toEqual([]);
  });

  it('writes what it can of a request, and answers 400 with what was refused and why', async () => {
    const { url, rows, of } = await startReceiver({ limits: { labels: 6, labelValueBytes: 100 } });
    const at = (timestamp: number | string): SentSeries => ({ labels: LABELS, samples: [{ timestamp }] });
    const labelled = (labels: SentSeries['labels']): SentSeries => ({
      labels,
      samples: [{ timestamp: NOW }],
    });
    const many = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`l${i}`, 'x']));
    const series: SentSeries[] = [
      at(NOW),
      { labels: LABELS, histograms: [{ count_int: 1, timestamp: NOW }] },
      { ...at(NOW + 1), exemplars: [{ value: 1, timestamp: NOW }] },
      at(NOW + 11 * 60_000),
      at('9223372036854775807'),
      at(NOW - 46 * DAY_MS),
      at(0),
      at(-5),
      labelled({ pod: 'web-0' }),
      labelled({ ...LABELS, ...many }),
      labelled({ ...LABELS, pod: 'p'.repeat(101) }),
      labelled([...Object.entries(LABELS), ['pod', 'twice']]),
      labelled([...Object.entries(LABELS), ['', 'nameless']]),
      labelled({ ...LABELS, cluster: 'rt2' }),
      labelled({ ...LABELS, cluster: 'rt1', pod: 'mine', empty: '' }),
    ];
    const answer = await postWrite(url, encode(series), version);
    expect([answer.status, writtenBy(answer)]).toEqual([400, ['3', '0', '0']]);
    const refused = Object.fromEntries(of('pushPointsRefused').map(({ reason, count }) => [reason, count]));
    expect(refused).toEqual({
      ...{ histogram: 1, exemplar: 1, future: 2, too_old: 1, no_time: 2, no_name: 1, too_many_labels: 1 },
      ...{ label_too_long: 1, bad_label: 2, wrong_cluster: 1 },
    });
    expect(answer.text).toContain('3 samples written, 13 refused:');
    for (const [reason, count] of Object.entries(refused))
      expect(answer.text).toContain(`${count} ${reason} (`);
    const written = await rows();
    expect(written.map(({ timeMs }) => timeMs)).toEqual([NOW, NOW + 1, NOW]);
    expect(written[2]?.labels).toEqual({ cluster: 'rt1', pod: 'mine' });
    expect(of('pushAccepted')).toEqual([
      { protocol: 'remote_write', cluster: 'rt1', points: 3, bytes: expect.any(Number) as number },
    ]);
  });

  it('answers 503 while the log is away, and takes the same request when it is back', async () => {
    const log = openOutageLog();
    const { url, rows, of } = await startReceiver({}, log);
    const message = encode([{ labels: LABELS, samples: [{ timestamp: NOW, value: 7 }] }]);
    await log.takeAway();
    const away = await postWrite(url, message, version);
    expect([away.status, away.headers.get('retry-after'), writtenBy(away)]).toEqual([
      503,
      '5',
      ['0', '0', '0'],
    ]);
    expect(of('pushRefused')).toMatchObject([{ reason: 'log_away', status: 503, cluster: 'rt1' }]);
    expect(of('pushAccepted')).toEqual([]);
    log.bringBack();
    expect((await postWrite(url, message, version)).status).toBe(204);
    expect((await rows()).map(({ value }) => value)).toEqual([7]);
  });
});

describe('start timestamps of 2.0', () => {
  it('are taken of each sample, and of the series where a sample has none', async () => {
    const { url, rows } = await startReceiver();
    const own = [
      { timestamp: NOW, start_timestamp: NOW - 500 },
      { timestamp: NOW + 1 },
      { timestamp: NOW + 2, start_timestamp: NOW + 60_000 },
      { timestamp: NOW + 3, start_timestamp: -1 },
    ];
    const series: SentSeries[] = [
      { labels: LABELS, samples: own },
      { labels: { ...LABELS, pod: 'web-1' }, samples: own, created_timestamp: NOW - 9_000 },
    ];
    expect((await postWrite(url, encodeWrite2(series), '2.0')).status).toBe(204);
    const starts = (pod: string, all: Awaited<ReturnType<typeof rows>>) =>
      all.filter(({ labels }) => labels['pod'] === pod).map(({ startMs }) => startMs);
    const all = await rows();
    // A start after its sample, or before 1970, says nothing.
    expect(starts('web-0', all)).toEqual([NOW - 500, undefined, undefined, undefined]);
    expect(starts('web-1', all)).toEqual([NOW - 500, NOW - 9_000, undefined, undefined]);
  });
});

test('the token decides the cluster', async () => {
  const { url, rows } = await startReceiver();
  const message = encodeWrite2([{ labels: LABELS, samples: [{ timestamp: NOW }] }]);
  expect((await postWrite(url, message, '2.0', { token: OTHER_TOKEN })).status).toBe(204);
  expect(await rows('usage.rt1')).toEqual([]);
  expect((await rows('usage.rt2')).map(({ resource }) => resource['k8s.cluster.name'])).toEqual(['rt2']);
});
