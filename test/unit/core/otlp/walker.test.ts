import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeLabels } from '../../../../core/otlp/attributes.ts';
import { encodeMetricsData } from '../../../../core/otlp/encode.ts';
import type { Metric } from '../../../../core/otlp/metrics-data.ts';
import { OtlpWalker, type PointCursor, type ValueKind } from '../../../../core/otlp/walker.ts';
import { publishedMetricsData } from '../../../support/published-otlp.ts';
import { fieldsOf, joined, length, varint } from './protobuf-wire.ts';

interface Shown {
  readonly metric: string;
  readonly counts: boolean;
  readonly delta: boolean;
  readonly resource: string;
  readonly kind: ValueKind;
  readonly bits: bigint;
  readonly time: bigint;
  readonly start: bigint;
  readonly flags: number;
  readonly labels: Record<string, string> | undefined;
  readonly hash: string;
}

const SEED = Int32Array.of(1, 2, 3, 4);

/** What a visitor is shown, in order; undefined: the message is malformed. */
function shown(message: Uint8Array, wanted: (metric: string) => boolean = () => true): Shown[] | undefined {
  const points: Shown[] = [];
  let metric = { metric: '', counts: false, delta: false };
  let resource = '';
  const walker: OtlpWalker = new OtlpWalker(
    {
      resource: (bytes) => (resource = Buffer.from(bytes).toString('latin1')),
      metric: (name, counts, delta) => {
        metric = { metric: name, counts, delta };
        return wanted(name);
      },
      point: (cursor) =>
        points.push({ ...metric, resource, ...read(cursor), labels: labels(walker.attributes()) }),
    },
    SEED,
  );
  return walker.walk(message) ? points : undefined;
}

function labels(attributes: Iterable<Uint8Array>): Record<string, string> | undefined {
  const decoded = decodeLabels(attributes);
  return decoded && Object.fromEntries([...decoded].sort());
}

function read(cursor: PointCursor): Omit<Shown, 'metric' | 'counts' | 'delta' | 'resource' | 'labels'> {
  const bits = (high: number, low: number): bigint => (BigInt(high) << 32n) | BigInt(low);
  return {
    kind: cursor.kind,
    bits: bits(cursor.valueHigh, cursor.valueLow),
    time: bits(cursor.timeHigh, cursor.timeLow),
    start: bits(cursor.startHigh, cursor.startLow),
    flags: cursor.flags,
    hash: [cursor.hash0, cursor.hash1, cursor.hash2, cursor.hash3].join(),
  };
}

function message(...metrics: Metric[]): Uint8Array {
  return encodeMetricsData({
    resourceMetrics: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'kubelet' } }] },
        scopeMetrics: [{ scope: { name: 'scope', version: '1' }, metrics }],
      },
    ],
  });
}

function bitsOf(double: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, double);
  return view.getBigUint64(0);
}

const attributes = [
  { key: 'namespace', value: { stringValue: 'shop' } },
  { key: 'code', value: { intValue: 200 } },
];
const times = { startTimeUnixNano: '1790846400000000001', timeUnixNano: '1790846430123456789' };
const point = { attributes, ...times };
const everything = message(
  { name: 'gauge', gauge: { dataPoints: [{ ...point, asDouble: 1.5 }] } },
  { name: 'sum', sum: { aggregationTemporality: 2, dataPoints: [{ ...point, asInt: '-7' }] } },
  { name: 'delta', sum: { aggregationTemporality: 1, dataPoints: [{ ...point, asInt: '7', flags: 1 }] } },
  { name: 'histogram', histogram: { aggregationTemporality: 1, dataPoints: [{ ...point, count: '12' }] } },
  { name: 'exponential', exponentialHistogram: { dataPoints: [{ ...point, count: '13', sum: 2 }] } },
  { name: 'summary', summary: { dataPoints: [{ ...point, count: '14' }, { ...point }] } },
  { name: 'empty', gauge: { dataPoints: [point] } },
);

describe('a well-formed message', () => {
  const points = shown(everything) ?? [];

  test('shows every point with its metric, value, times, flags and labels', () => {
    expect(
      points.map(({ metric, counts, delta, kind, bits, flags }) => [
        metric,
        counts,
        delta,
        kind,
        bits,
        flags,
      ]),
    ).toEqual([
      ['gauge', false, false, 'double', bitsOf(1.5), 0],
      ['sum', false, false, 'integer', 2n ** 64n - 7n, 0],
      ['delta', false, true, 'integer', 7n, 1],
      ['histogram', true, true, 'integer', 12n, 0],
      ['exponential', true, false, 'integer', 13n, 0],
      ['summary', true, false, 'integer', 14n, 0],
      ['summary', true, false, 'integer', 0n, 0],
      ['empty', false, false, 'none', 0n, 0],
    ]);
    for (const each of points) {
      expect(each.time).toBe(1_790_846_430_123_456_789n);
      expect(each.start).toBe(1_790_846_400_000_000_001n);
      expect(each.labels).toEqual({ namespace: 'shop', code: '200' });
      expect(each.resource).toContain('kubelet');
    }
  });

  test('a count of 0 is not on the wire, and still 0; a number that is not there is none', () => {
    const [count, number] = shown(
      message(
        { name: 'h', histogram: { dataPoints: [{ ...times, count: 0 }] } },
        { name: 'g', gauge: { dataPoints: [{ ...times }] } },
      ),
    ) ?? [undefined];
    expect(count).toMatchObject({ kind: 'integer', bits: 0n });
    expect(number).toMatchObject({ kind: 'none' });
  });

  test('a value left behind by one point is not the next one’s', () => {
    const [, second] =
      shown(message({ name: 'g', gauge: { dataPoints: [{ ...point, asDouble: 5, flags: 1 }, {}] } })) ?? [];
    expect(second).toMatchObject({ kind: 'none', flags: 0, time: 0n, start: 0n, labels: {} });
  });

  test('the NaN that says a series has ended keeps its bits', () => {
    const stale = Buffer.from([0x02, 0, 0, 0, 0, 0, 0xf0, 0x7f]);
    const encoded = Buffer.from(message({ name: 'g', gauge: { dataPoints: [{ ...times, asDouble: 1.5 }] } }));
    const at = encoded.indexOf(Buffer.from([0, 0, 0, 0, 0, 0, 0xf8, 0x3f]));
    encoded.set(stale, at);
    expect(shown(encoded)?.[0]).toMatchObject({ kind: 'double', bits: 0x7ff0000000000002n });
  });

  test('points of a metric that is not wanted are not shown', () => {
    const some = shown(everything, (metric) => metric === 'sum' || metric === 'summary');
    expect(some?.map(({ metric }) => metric)).toEqual(['sum', 'summary', 'summary']);
  });

  test('equal attributes have equal hashes, different ones do not', () => {
    expect(new Set(points.map(({ hash }) => hash)).size).toBe(1);
    const differently = [
      [{ key: 'namespace', value: { stringValue: 'shop' } }],
      [{ key: 'namespace', value: { stringValue: 'shoq' } }],
      [{ key: 'namespacf', value: { stringValue: 'shop' } }],
      [{ key: 'n', value: { stringValue: 'amespaceshop' } }],
      [{ key: 'namespace', value: { stringValue: 'shop1' } }],
      [{ key: 'namespace', value: { stringValue: 'shop\0' } }],
      [
        { key: 'a', value: {} },
        { key: 'b', value: {} },
      ],
      [
        { key: 'b', value: {} },
        { key: 'a', value: {} },
      ],
      [],
    ];
    const dataPoints = differently.map((each) => ({ attributes: each, asDouble: 1 }));
    const hashes = shown(message({ name: 'g', gauge: { dataPoints } }))?.map(({ hash }) => hash) ?? [];
    expect(new Set(hashes).size).toBe(differently.length);
  });

  test('an empty message shows nothing', () => {
    expect(shown(new Uint8Array())).toEqual([]);
  });
});

describe('whatever writes it', () => {
  test('fields last to first, as the Collector writes them, show the same', () => {
    const reversed = reverseFields(Buffer.from(everything));
    const comparable = (points: Shown[] | undefined): unknown =>
      points?.map(({ hash: _hash, resource: _resource, ...rest }) => JSON.stringify(rest, bigints)).sort();
    expect(comparable(shown(reversed))).toEqual(comparable(shown(everything)));
    expect(shown(reversed)).toHaveLength(8);
  });

  test('unknown fields are passed over, in every frame', () => {
    const unknown = joined(
      ...[varint((99 << 3) | 0), varint(300)],
      ...[varint((98 << 3) | 1), new Uint8Array(8)],
      ...[varint((97 << 3) | 2), length(Uint8Array.of(1, 2, 3))],
      ...[varint((96 << 3) | 5), new Uint8Array(4)],
    );
    const comparable = (points: Shown[] | undefined): unknown =>
      points?.map((each) => ({ ...each, resource: '' }));
    expect(comparable(shown(inEveryFrame(Buffer.from(everything), unknown)))).toEqual(
      comparable(shown(everything)),
    );
  });

  test('another library’s encoding shows the same', () => {
    const object = publishedMetricsData.toObject(publishedMetricsData.decode(everything));
    expect(shown(publishedMetricsData.encode(publishedMetricsData.fromObject(object)).finish())).toEqual(
      shown(everything),
    );
  });
});

describe('what is malformed', () => {
  test('every truncation is refused or is a shorter whole, and never throws', () => {
    for (let end = 1; end < everything.length; end++)
      expect(shown(everything.subarray(0, end))).toBeUndefined();
  });

  test('garbage never throws and never hangs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const points = shown(bytes);
        expect(points === undefined || Array.isArray(points)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test('a message with some bytes changed never throws and never hangs', () => {
    const change = fc.record({ at: fc.nat(everything.length - 1), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(everything);
        for (const { at, to } of changes) bytes[at] = to;
        const points = shown(bytes);
        expect(points === undefined || Array.isArray(points)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  const inPoint = (...field: Uint8Array[]): Uint8Array => metricWith(dataWith(length(joined(...field))));
  const dataWith = (pointField: Uint8Array): Uint8Array => joined(varint(0x0a), pointField);
  const metricWith = (data: Uint8Array, tagByte = 0x2a): Uint8Array =>
    joined(
      varint(0x0a),
      length(
        joined(varint(0x12), length(joined(varint(0x12), length(joined(varint(tagByte), length(data)))))),
      ),
    );

  test.each([
    ['resource metrics that are a number', joined(varint(0x08), varint(1))],
    ['a resource that is a number', joined(varint(0x0a), length(joined(varint(0x08), varint(1))))],
    ['scope metrics that are a number', joined(varint(0x0a), length(joined(varint(0x10), varint(1))))],
    [
      'a gauge that is a number',
      joined(
        varint(0x0a),
        length(joined(varint(0x12), length(joined(varint(0x12), length(joined(varint(0x28), varint(1))))))),
      ),
    ],
    ['points that are a number', metricWith(joined(varint(0x08), varint(1)))],
    ['a temporality that is text', metricWith(joined(varint(0x12), length(new Uint8Array())), 0x3a)],
    ['a time that is a varint', inPoint(varint(0x18), varint(1))],
    ['a start that is a varint', inPoint(varint(0x10), varint(1))],
    ['a double that is a varint', inPoint(varint(0x20), varint(1))],
    ['an integer that is a varint', inPoint(varint(0x30), varint(1))],
    ['flags that are fixed', inPoint(varint(0x41), new Uint8Array(8))],
    ['attributes that are a number', inPoint(varint(0x38), varint(1))],
    ['a group', inPoint(varint((99 << 3) | 3))],
    ['field number 0', inPoint(varint(0x02), length(new Uint8Array()))],
    [
      'a varint of eleven bytes',
      inPoint(varint((99 << 3) | 0), Uint8Array.of(...Array<number>(10).fill(0x80), 1)),
    ],
    ['a field longer than its frame', inPoint(varint((99 << 3) | 2), varint(100), new Uint8Array(3))],
    ['a fixed field that overruns its frame', inPoint(varint((99 << 3) | 1), new Uint8Array(7))],
    ['a time that overruns its frame', inPoint(varint(0x19), new Uint8Array(7))],
  ])('%s is refused', (_, bytes) => {
    expect(shown(bytes)).toBeUndefined();
  });

  test('the same frames are accepted with what belongs there', () => {
    expect(shown(inPoint(varint(0x19), new Uint8Array(8)))).toHaveLength(1);
    expect(shown(metricWith(joined(varint(0x10), varint(1)), 0x3a))).toEqual([]);
  });
});

function bigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** Frames of MetricsData down to the points, by depth: the field that leads further down. */
const PATH = [[1], [2], [2], [5, 7, 9, 10, 11], [1]];

function reverseFields(bytes: Uint8Array, depth = 0): Uint8Array {
  const fields = fieldsOf(bytes).map(({ number, raw, content }) =>
    content !== undefined && PATH[depth]?.includes(number) === true
      ? joined(varint((number << 3) | 2), length(reverseFields(content, depth + 1)))
      : raw,
  );
  return joined(...fields.reverse());
}

function inEveryFrame(bytes: Uint8Array, added: Uint8Array, depth = 0): Uint8Array {
  const fields = fieldsOf(bytes).map(({ number, raw, content }) =>
    content !== undefined && PATH[depth]?.includes(number) === true
      ? joined(varint((number << 3) | 2), length(inEveryFrame(content, added, depth + 1)))
      : raw,
  );
  return joined(added, ...fields, added);
}
