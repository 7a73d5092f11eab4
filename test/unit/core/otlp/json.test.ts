import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeMetricsData } from '../../../../core/otlp/encode.ts';
import { decodeJsonMetricsData, MAX_JSON_BYTES } from '../../../../core/otlp/json.ts';
import type { MetricsData } from '../../../../core/otlp/metrics-data.ts';

const CAPTURE = new URL('../../../../../shared/captures/A-otlp-json.jsonl.gz', import.meta.url);

function read(json: string) {
  return decodeJsonMetricsData(Buffer.from(json));
}

function point(fields: string): string {
  return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{${fields}}]}}]}]}]}`;
}

function readPoint(fields: string) {
  const result = read(point(fields));
  if (!result.ok) throw new Error(result.reason);
  return result.data.resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.[0]?.gauge?.dataPoints?.[0];
}

function reason(json: string): string {
  const result = read(json);
  return result.ok ? 'accepted' : result.reason;
}

const POINT = 'resourceMetrics.0.scopeMetrics.0.metrics.0.gauge.dataPoints.0';

describe('decodeJsonMetricsData', () => {
  it.each([
    ['"timeUnixNano":"1795360332745000001"', { timeUnixNano: 1795360332745000001n }],
    ['"timeUnixNano":1795360332745000001', { timeUnixNano: 1795360332745000001n }],
    ['"timeUnixNano":18446744073709551615', { timeUnixNano: (1n << 64n) - 1n }],
    ['"timeUnixNano":1.795360332745e18', { timeUnixNano: 1795360332744999936n }],
    ['"asInt":"-9223372036854775808"', { asInt: -(1n << 63n) }],
    ['"asInt":-9223372036854775807', { asInt: -(1n << 63n) + 1n }],
    ['"asInt":5', { asInt: 5n }],
    ['"asDouble":0', { asDouble: 0 }],
    ['"asDouble":-0', { asDouble: -0 }],
    [
      '"asDouble":1e300,"timeUnixNano":1795360332745000001',
      { asDouble: 1e300, timeUnixNano: 1795360332745000001n },
    ],
    [
      '"asDouble":9007199254740993,"timeUnixNano":9007199254740993',
      { asDouble: 2 ** 53, timeUnixNano: 2n ** 53n + 1n },
    ],
    ['"asDouble":"1.5e3"', { asDouble: 1500 }],
    ['"asDouble":"NaN"', { asDouble: NaN }],
    ['"asDouble":"-Infinity"', { asDouble: -Infinity }],
    ['"flags":1', { flags: 1 }],
    ['"flags":1,"asDouble":null', { flags: 1 }],
    ['"asDouble":1,"fromTheFuture":{"a":[1,2]}', { asDouble: 1 }],
    [
      '"attributes":[{"key":"a","value":{"bytesValue":"AQI="}}]',
      { attributes: [{ key: 'a', value: { bytesValue: new Uint8Array([1, 2]) } }] },
    ],
    [
      '"attributes":[{"key":"a","value":{"intValue":"3"}},{"value":{}}]',
      {
        attributes: [
          { key: 'a', value: { intValue: 3n } },
          { key: '', value: {} },
        ],
      },
    ],
  ])('reads %s', (fields, expected) => {
    expect(readPoint(fields)).toEqual(expected);
  });

  it('keeps an absent value absent', () => {
    expect(readPoint('"flags":1')?.asDouble).toBeUndefined();
    expect(readPoint('"flags":1')?.asInt).toBeUndefined();
  });

  it('reads every kind of metric with temporality as number or name', () => {
    const json = `{"resourceMetrics":[{
      "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"j"}}]},
      "scopeMetrics":[{"scope":{"name":"s","version":"1"},"metrics":[
      {"name":"a","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"1"}]}},
      {"name":"b","sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","dataPoints":[]}},
      {"name":"c","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"3","sum":1.5,
        "bucketCounts":["1","2"],"explicitBounds":[0.5],"min":0,"max":1}]}},
      {"name":"d","exponentialHistogram":{"dataPoints":[{
        "count":3,"scale":-2,"zeroCount":"1","zeroThreshold":0.1,
        "positive":{"offset":-4,"bucketCounts":["7"]},"negative":{"bucketCounts":[1]}}]}},
      {"name":"e","summary":{"dataPoints":[{
        "count":"2","sum":4,"quantileValues":[{"quantile":0.5,"value":2}]}]}}
      ]}]}]}`;
    const result = read(json);
    expect(result).toEqual({ ok: true, data: expect.anything() as MetricsData });
    const metrics = result.ok ? result.data.resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics : undefined;
    expect(metrics).toEqual([
      { name: 'a', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: [{ asInt: 1n }] } },
      { name: 'b', sum: { aggregationTemporality: 1, dataPoints: [] } },
      {
        name: 'c',
        histogram: {
          aggregationTemporality: 2,
          dataPoints: [
            { count: 3n, sum: 1.5, bucketCounts: [1n, 2n], explicitBounds: [0.5], min: 0, max: 1 },
          ],
        },
      },
      {
        name: 'd',
        exponentialHistogram: {
          dataPoints: [
            {
              count: 3n,
              scale: -2,
              zeroCount: 1n,
              zeroThreshold: 0.1,
              positive: { offset: -4, bucketCounts: [7n] },
              negative: { bucketCounts: [1n] },
            },
          ],
        },
      },
      {
        name: 'e',
        summary: { dataPoints: [{ count: 2n, sum: 4, quantileValues: [{ quantile: 0.5, value: 2 }] }] },
      },
    ]);
  });

  it.each([
    ['[]', 'expected an object, found a list'],
    ['null', 'expected an object, found null'],
    ['{', 'not JSON'],
    ['', 'not JSON'],
    ['{"resourceMetrics":{}}', 'resourceMetrics: expected a list, found object'],
    ['{"resourceMetrics":[null]}', 'resourceMetrics.0: expected an object, found null'],
    [point('"timeUnixNano":"-1"'), `${POINT}.timeUnixNano: not an unsigned 64-bit integer`],
    [point('"timeUnixNano":"18446744073709551616"'), `${POINT}.timeUnixNano: not an unsigned 64-bit integer`],
    [point('"timeUnixNano":1.5'), `${POINT}.timeUnixNano: not an integer`],
    [point('"timeUnixNano":"1e3"'), `${POINT}.timeUnixNano: not an integer`],
    [point('"timeUnixNano":1e300'), `${POINT}.timeUnixNano: an integer beyond 2^53`],
    [point('"asInt":9223372036854775808'), `${POINT}.asInt: not a signed 64-bit integer`],
    [point('"asInt":true'), `${POINT}.asInt: not an integer`],
    [point('"asDouble":"nan"'), `${POINT}.asDouble: not a double`],
    [point('"asDouble":""'), `${POINT}.asDouble: not a double`],
    [point('"asDouble":"0x10"'), `${POINT}.asDouble: not a double`],
    [point('"asDouble":1,"asInt":"1"'), `${POINT}: asDouble and asInt exclude each other`],
    [point('"flags":4294967296'), `${POINT}.flags: not an unsigned 32-bit integer`],
    [point('"attributes":[{"key":1}]'), `${POINT}.attributes.0.key: expected a string, found number`],
    [
      point('"attributes":[{"key":"\\ud800"}]'),
      `${POINT}.attributes.0.key: half of a surrogate pair is no text`,
    ],
    [
      point('"attributes":[{"key":"a","value":"b"}]'),
      `${POINT}.attributes.0.value: expected an object, found string`,
    ],
    [
      point('"attributes":[{"key":"a","value":{"bytesValue":"*"}}]'),
      `${POINT}.attributes.0.value.bytesValue: not base64`,
    ],
    [
      point('"attributes":[{"key":"a","value":{"stringValue":"b","boolValue":true}}]'),
      `${POINT}.attributes.0.value: stringValue and boolValue exclude each other`,
    ],
    [
      '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{},"sum":{}}]}]}]}',
      'resourceMetrics.0.scopeMetrics.0.metrics.0: gauge and sum exclude each other',
    ],
    [
      '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"aggregationTemporality":"DELTA"}}]}]}]}',
      'resourceMetrics.0.scopeMetrics.0.metrics.0.sum.aggregationTemporality: not an integer',
    ],
  ])('refuses %s and says why', (json, expected) => {
    expect(reason(json)).toBe(expected);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(decodeJsonMetricsData(new Uint8Array([0x22, 0xff, 0x22]))).toEqual({
      ok: false,
      reason: 'not UTF-8',
    });
  });

  it('refuses more bytes than its limit before it reads any', () => {
    const result = decodeJsonMetricsData(new Uint8Array(MAX_JSON_BYTES + 1));
    expect(result).toEqual({ ok: false, reason: `larger than ${MAX_JSON_BYTES} bytes` });
  });

  it('answers deep nesting with a reason, in what it reads and in what it ignores', () => {
    const depth = 200_000;
    const list = '{"arrayValue":{"values":['.repeat(depth) + ']}}'.repeat(depth);
    expect(reason(point(`"attributes":[{"key":"a","value":${list}}]`))).toContain(
      'values nest deeper than 16',
    );
    const ignored = '['.repeat(depth) + ']'.repeat(depth);
    expect(reason(point(`"unknown":${ignored},"timeUnixNano":1795360332745000001`))).toBe(
      'nested too deeply',
    );
  });

  it('never throws, whatever the JSON, and what it accepts can always be encoded', () => {
    const names = [
      'resourceMetrics',
      'scopeMetrics',
      'metrics',
      'gauge',
      'sum',
      'dataPoints',
      'attributes',
      'key',
      'value',
      'asInt',
      'asDouble',
      'flags',
      'arrayValue',
      'values',
      'timeUnixNano',
    ];
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'large', maxDepth: 12 },
        fc.oneof(fc.constantFrom('1', 'NaN', ''), fc.double(), fc.integer(), fc.constant(null), fc.boolean()),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(json.value, (value) => {
        const result = read(JSON.stringify({ resourceMetrics: value }));
        if (result.ok) encodeMetricsData(result.data);
        else expect(result.reason).not.toBe('');
      }),
      { numRuns: 2_000 },
    );
  });

  it.skipIf(!existsSync(CAPTURE))(
    'decodes every record of the real capture (skipped without the captures)',
    () => {
      const lines = gunzipSync(readFileSync(CAPTURE)).toString().trim().split('\n');
      let points = 0;
      let markers = 0;
      for (const line of lines) {
        const value = Buffer.from((JSON.parse(line) as { value: string }).value, 'base64');
        const result = decodeJsonMetricsData(value);
        if (!result.ok) expect.fail(result.reason);
        encodeMetricsData(result.data);
        for (const one of allPoints(result.data)) {
          points++;
          if (one.flags === 1 && one.asDouble === undefined) markers++;
        }
      }
      expect({ points, markers }).toEqual({ points: 61_182, markers: 783 });
    },
  );
});

function allPoints(data: MetricsData) {
  const scopes = (data.resourceMetrics ?? []).flatMap((resource) => resource.scopeMetrics ?? []);
  const metrics = scopes.flatMap((scope) => scope.metrics ?? []);
  return metrics.flatMap((metric) => metric.gauge?.dataPoints ?? []);
}
