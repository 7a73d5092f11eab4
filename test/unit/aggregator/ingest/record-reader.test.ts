import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../../../../core/eventlog/sample-log.ts';
import { encodeMetricsData } from '../../../../core/otlp/encode.ts';
import type { Metric } from '../../../../core/otlp/metrics-data.ts';
import type { Batch } from '../../../../aggregator/ingest/batch.ts';
import { milliseconds } from '../../../../aggregator/ingest/point-reading.ts';
import { RecordReader } from '../../../../aggregator/ingest/record-reader.ts';
import { VECTOR_SETTINGS } from '../../../vectors/vectors.ts';
import { fullSettings } from '../../../support/pipeline.ts';

const T = Date.parse('2026-10-01T09:00:30Z');
const LOG_TIME = T + 1_500;
const MINUTE = 60_000;

function reader(cluster?: string): RecordReader {
  return new RecordReader({ settings: fullSettings(VECTOR_SETTINGS), clusterOfTopic: () => cluster });
}

function record(value: Uint8Array, offset = 0n): LogRecord {
  return { topic: 'usage', partition: 2, offset, timestampMs: LOG_TIME, key: null, headers: {}, value };
}

interface PointFields {
  readonly asDouble?: number;
  readonly asInt?: number | string;
  readonly flags?: number;
  readonly t?: number;
  readonly start?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly cluster?: string;
}

function metric(name: string, fields: PointFields): Metric {
  const { t = T, start, labels = {}, cluster = 'rt1', ...value } = fields;
  const attributes = Object.entries({ cluster, ...labels }).map(([key, stringValue]) => ({
    key,
    value: { stringValue },
  }));
  const startTimeUnixNano = start === undefined ? undefined : `${start}000000`;
  const dataPoints = [
    { attributes, timeUnixNano: t === 0 ? undefined : `${t}000000`, startTimeUnixNano, ...value },
  ];
  return { name, gauge: { dataPoints } };
}

const UP = metric('up', { asDouble: 1 });
const POD = { namespace: 'shop', pod: 'web-0', id: '/kubepods/pod1', node: 'n1' };

function cpu(fields: PointFields): Metric {
  return metric('container_cpu_usage_seconds_total', { ...fields, labels: { ...POD, ...fields.labels } });
}

function message(...metrics: Metric[]): Uint8Array {
  return encodeMetricsData({
    resourceMetrics: [
      {
        resource: {
          attributes: [
            { key: 'service.name', value: { stringValue: 'kubelet' } },
            { key: 'service.instance.id', value: { stringValue: 'n1' } },
          ],
        },
        scopeMetrics: [{ scope: { name: 's', version: '1' }, metrics }],
      },
    ],
  });
}

function read(...metrics: Metric[]): Batch {
  return reader().read([record(message(...metrics))]);
}

function rejected(batch: Batch): Record<string, number> {
  return Object.fromEntries(batch.partition('usage', 2).rejected);
}

describe('a sample', () => {
  test('is taken in as an integer with its time, start and place in the log', () => {
    const batch = reader().read([record(message(cpu({ asDouble: 1.5, start: T - MINUTE })), 7n)]);
    const { t, value, start, offset, partition } = batch.samples.columns();
    expect([t, value, start, offset, partition].map((column) => column[0])).toEqual([
      ...[BigInt(T), 1_500_000_000n, BigInt(T - MINUTE), 7n],
      2,
    ]);
    expect(batch.series).toHaveLength(1);
    expect(batch.sightings).toMatchObject([{ t: T, rejected: false }]);
    expect(batch.feeds).toMatchObject([{ meter: 'cpu' }]);
    expect(batch.targets).toMatchObject([{ cluster: 'rt1', job: 'kubelet', instance: 'n1' }]);
  });

  test('that says again what is known is only a sample', () => {
    const known = reader();
    known.read([record(message(cpu({ asDouble: 1 })))]);
    const batch = known.read([record(message(cpu({ asDouble: 2, t: T + 30_000 })), 1n)]);
    expect(batch.samples.length).toBe(1);
    expect([batch.series, batch.sightings, batch.feeds, batch.targets]).toEqual([[], [], [], []]);
  });

  test('after others may have read: series are not told again, what is newest of a target is asked anew', () => {
    const known = reader();
    const before = known.read([record(message(UP, cpu({ asDouble: 1 })))]);
    const [target] = before.targets;
    Object.assign(target ?? {}, { settled: true, newestUp: T, newestBirth: T });
    known.forgetTargets();
    const later = { t: T + 30_000 };
    const batch = known.read([
      record(message(metric('up', { asDouble: 1, ...later }), cpu({ asDouble: 2, ...later })), 1n),
    ]);
    expect([batch.samples.length, batch.series, batch.sightings, batch.feeds]).toEqual([1, [], [], []]);
    expect(batch.targets).toMatchObject([{ settled: false, newestUp: -Infinity, newestBirth: -Infinity }]);
    expect(batch.targets[0]).not.toBe(target);
    expect(batch.facts.scrapes[0]?.target).toBe(batch.targets[0]);
    // One that is earlier than what was told is news, whoever told more meanwhile.
    const early = known.read([record(message(cpu({ asDouble: 1, t: T - 30_000 })), 2n)]);
    expect(early.sightings).toMatchObject([{ t: T - 30_000, target: batch.targets[0] }]);
  });

  test('of a later day registers its series again, with all that its labels say', () => {
    const DAY = 1_440 * MINUTE;
    const one = reader();
    const at = (t: number, value: Uint8Array): Batch =>
      one.read([{ ...record(value), timestampMs: t + 1_500 }]);
    const [first] = at(T, message(cpu({ asDouble: 5 }))).series;
    expect(first?.labels.map(([name]) => name)).toEqual(['id', 'namespace', 'node', 'pod']);
    expect(at(T + MINUTE, message(cpu({ asDouble: 6, t: T + MINUTE }))).series).toEqual([]);
    const later = message(cpu({ asDouble: 7, t: T + DAY }));
    // What a malformed record said of it is taken back, and told anew with the next one.
    expect(at(T + DAY, later.subarray(0, -1)).series).toEqual([]);
    const again = at(T + DAY, later).series;
    expect(again).toEqual([{ ...first, day: (first?.day ?? 0) + 1 }]);
  });

  test('from before the first sighting is an earlier one', () => {
    const known = reader();
    known.read([record(message(cpu({ asDouble: 1 })))]);
    const batch = known.read([record(message(cpu({ asDouble: 1, t: T - 1 })), 1n)]);
    expect(batch.sightings).toMatchObject([{ t: T - 1, rejected: false }]);
  });

  test('with a start after its time has none; one at its time keeps it', () => {
    expect(read(cpu({ asDouble: 1, start: T + 1 })).samples.columns().start[0]).toBe(0n);
    expect(read(cpu({ asDouble: 1, start: T })).samples.columns().start[0]).toBe(BigInt(T));
  });

  test('from ten minutes ahead of the log is taken in, one ms later is the future', () => {
    const at = (t: number): Batch => read(cpu({ asDouble: 1, t }));
    expect(at(LOG_TIME + 10 * MINUTE).samples.length).toBe(1);
    expect(rejected(at(LOG_TIME + 10 * MINUTE + 1))).toEqual({ future: 1 });
    expect(at(LOG_TIME + 10 * MINUTE + 1).sightings).toEqual([]);
  });

  test('as old as the retention is taken in, one ms older is too old', () => {
    const oldest = LOG_TIME - 45 * 24 * 60 * MINUTE;
    expect(read(cpu({ asDouble: 1, t: oldest })).samples.length).toBe(1);
    expect(rejected(read(cpu({ asDouble: 1, t: oldest - 1 })))).toEqual({ too_old: 1 });
  });

  test.each([
    ['no_time', { asDouble: 1, t: 0 }, 0],
    ['no_value', {}, 1],
    ['nan', { asDouble: Number.NaN }, 1],
    ['infinite', { asDouble: Infinity }, 1],
    ['infinite', { asDouble: -Infinity }, 1],
    ['negative', { asDouble: -1e-9 }, 1],
    ['negative', { asInt: -1 }, 1],
    ['overflow', { asDouble: 9_223_372_037 }, 1],
    ['overflow', { asInt: '9223372037' }, 1],
  ] as const)('is rejected as %s: %o', (reason, fields, sightings) => {
    const batch = read(cpu(fields));
    expect(rejected(batch)).toEqual({ [reason]: 1 });
    expect(batch.samples.length).toBe(0);
    expect(batch.sightings).toHaveLength(sightings);
    expect(batch.quarantine).toMatchObject([{ reason, n: 1, offset: 0n }]);
  });

  test('of -0 is 0, and the largest of all is no overflow', () => {
    expect(read(cpu({ asDouble: -0 })).samples.columns().value[0]).toBe(0n);
    expect(read(cpu({ asInt: 9_223_372_036 })).samples.columns().value[0]).toBe(9_223_372_036_000_000_000n);
  });

  test('with a marker is none for a counter, and ends the hold of a gauge, whatever is beside it', () => {
    expect(read(cpu({ flags: 1, asDouble: 5 })).samples.length).toBe(0);
    const gauge = read(metric('container_memory_working_set_bytes', { flags: 1, asDouble: 5, labels: POD }));
    expect(gauge.samples.columns().value[0]).toBe(-1n);
  });

  test('of a delta series needs a start before its time', () => {
    const delta = (start: number | undefined): Batch => {
      const { name, gauge } = cpu({ asDouble: 1, ...(start === undefined ? {} : { start }) });
      return read({ name, sum: { ...gauge, aggregationTemporality: 1 } });
    };
    expect(delta(T - 1).samples.length).toBe(1);
    for (const start of [undefined, T, T + 1])
      expect(rejected(delta(start))).toEqual({ delta_without_start: 1 });
  });
});

describe('a cluster', () => {
  test('that a topic belongs to is the only one its records may name', () => {
    const batch = reader('rt2').read([record(message(cpu({ asDouble: 1 }), UP))]);
    expect(rejected(batch)).toEqual({ wrong_cluster: 2 });
    expect([batch.samples.length, batch.facts.scrapes, batch.sightings]).toEqual([0, [], []]);
    expect(reader('rt1').read([record(message(cpu({ asDouble: 1 })))]).samples.length).toBe(1);
  });
});

describe('a malformed record', () => {
  /** A whole record, and behind it a frame that ends too early. */
  const whole = message(UP, cpu({ asDouble: 1 }), cpu({ asDouble: -1 }));
  const broken = Uint8Array.from([...whole, 0x0a, 0x05, 0x12]);
  const good = message(cpu({ asDouble: 2, t: T + 1 }), metric('up', { asDouble: 1, t: T + 1 }));

  test('leaves nothing behind but a line in the quarantine', () => {
    const batch = reader().read([record(broken)]);
    expect(batch.samples.length).toBe(0);
    expect(Object.values(batch.facts).flat()).toEqual([]);
    expect([batch.sightings, batch.series, batch.feeds]).toEqual([[], [], []]);
    expect(batch.quarantine).toMatchObject([{ reason: 'undecodable', n: 0 }]);
    expect(batch.partition('usage', 2)).toMatchObject({ records: 1, points: 0, samples: 0 });
    expect(rejected(batch)).toEqual({ undecodable: 1 });
  });

  test('between good ones changes nothing of what they say', () => {
    const without = reader().read([record(good)]);
    const after = reader().read([record(broken), record(good, 1n)]);
    expect(after.samples.length).toBe(1);
    expect(after.sightings).toEqual(without.sightings);
    expect(after.series).toEqual(without.series);
    expect(after.feeds).toEqual(without.feeds);
    expect(new Set(after.targets)).toEqual(new Set(without.targets));
    expect(after.facts).toEqual(without.facts);
  });

  test('that comes after good ones of its batch takes none of them back', () => {
    const batch = reader().read([record(good), record(broken, 1n)]);
    expect(batch.samples.length).toBe(1);
    expect(batch.facts.scrapes).toHaveLength(1);
    expect(batch.partition('usage', 2)).toMatchObject({ records: 2, samples: 1, points: 2, lastOffset: 1n });
  });

  test('may be JSON that is none, and JSON that is cut off', () => {
    for (const text of ['{', '{"resourceMetrics":7}', '{}x']) {
      expect(rejected(reader().read([record(Buffer.from(text))])), text).toEqual({ undecodable: 1 });
    }
  });
});

test('nanoseconds become whole ms, truncated, for every 64-bit value', () => {
  const values = [0n, 999_999n, 1_000_000n, 1_790_846_430_123_999_999n, (1n << 32n) - 1n, 1n << 32n];
  for (const nanos of [...values, (1n << 63n) - 1n, (1n << 64n) - 1n]) {
    const [low, high] = [Number(nanos & 0xffffffffn), Number(nanos >> 32n)];
    expect(milliseconds(low, high)).toBe(Number(nanos / 1_000_000n));
  }
});
