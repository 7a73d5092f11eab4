import { metrics } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import protobuf from 'protobufjs';
import { afterEach, describe, expect, it } from 'vitest';
import { gzipSync } from 'node:zlib';
import { publishedMetricsData } from '../support/published-otlp.ts';
import {
  openOutageLog,
  OTHER_TOKEN,
  post,
  startReceiver,
  stopReceivers,
  TOKEN,
} from '../support/receiver.ts';

const NOW = Date.now();
const NANOS = '000000';

afterEach(async () => {
  await stopReceivers();
  for (const name of Object.keys(process.env))
    if (name.startsWith('OTEL_')) Reflect.deleteProperty(process.env, name);
});

const answers = protobuf.parse(`
syntax = "proto3";
message Response { PartialSuccess partialSuccess = 1; }
message PartialSuccess { int64 rejectedDataPoints = 1; string errorMessage = 2; }
message Status { int32 code = 1; string message = 2; }
`).root;

function answered(type: 'Response' | 'Status', bytes: Uint8Array): unknown {
  const message = answers.lookupType(type);
  return message.toObject(message.decode(bytes), { longs: String });
}

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const RESOURCE = { attributes: [text('service.name', 'shop'), text('service.instance.id', 'web-0')] };

function point(timeMs: number, attributes: readonly object[] = [], asInt = '7') {
  return {
    timeUnixNano: `${timeMs}${NANOS}`,
    startTimeUnixNano: `${timeMs - 60_000}${NANOS}`,
    attributes,
    asInt,
  };
}

function sum(name: string, dataPoints: readonly object[], resource: object = RESOURCE): object {
  const metric = { name, unit: 'By', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints } };
  return { resource, scopeMetrics: [{ scope: { name: 'test' }, metrics: [metric] }] };
}

const encodings = [
  {
    encoding: 'application/x-protobuf',
    encode: (data: object) =>
      Buffer.from(publishedMetricsData.encode(publishedMetricsData.fromObject(data)).finish()),
    read: answered,
  },
  {
    encoding: 'application/json',
    encode: (data: object) => Buffer.from(JSON.stringify(data)),
    read: (_: string, bytes: Buffer): unknown => JSON.parse(bytes.toString()),
  },
] as const;

describe.each(['http/protobuf', 'http/json'])('an OpenTelemetry SDK over %s', (protocol) => {
  it('exports its instruments, with their kinds, starts and attributes', async () => {
    const { url, rows, of } = await startReceiver();
    process.env['OTEL_METRICS_EXPORTER'] = 'otlp';
    process.env['OTEL_TRACES_EXPORTER'] = 'none';
    process.env['OTEL_LOGS_EXPORTER'] = 'none';
    process.env['OTEL_EXPORTER_OTLP_PROTOCOL'] = protocol;
    process.env['OTEL_EXPORTER_OTLP_COMPRESSION'] = 'gzip';
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = url;
    process.env['OTEL_EXPORTER_OTLP_HEADERS'] = `authorization=Bearer ${TOKEN}`;
    process.env['OTEL_RESOURCE_ATTRIBUTES'] = 'service.instance.id=web-0';
    const sdk = new NodeSDK({ serviceName: 'shop' });
    sdk.start();
    const beganMs = Date.now();
    const meter = metrics.getMeter('test');
    meter.createCounter('orders').add(3, { k8s_namespace_name: 'shop' });
    meter.createHistogram('http.server.request.duration').record(0.2, { k8s_namespace_name: 'shop' });
    await sdk.shutdown();
    metrics.disable();

    const exported = (await rows()).filter(({ name }) => !name.startsWith('otel.'));
    expect(exported.map(({ name, kind, value }) => [name, kind, Number(value)])).toEqual([
      ['orders', 'sum', 3],
      ['http.server.request.duration', 'histogram', 1],
    ]);
    for (const row of exported) {
      expect(row.labels).toEqual({ k8s_namespace_name: 'shop' });
      expect(row.resource).toMatchObject({ 'service.name': 'shop', 'k8s.cluster.name': 'rt1' });
      expect(row.timeMs).toBeGreaterThanOrEqual(beganMs);
      expect(row.startMs).toBeGreaterThan(beganMs - 60_000);
    }
    expect(of('pushAccepted').every((fact) => fact.protocol === 'otlp')).toBe(true);
    expect(of('pushRefused')).toEqual([]);
  });
});

describe.each(encodings)('OTLP as $encoding', ({ encoding, encode, read }) => {
  const headers = { 'content-type': encoding };

  it.each(['identity', 'gzip'])('in %s is on the log when the answer is 200', async (packing) => {
    const { url, rows } = await startReceiver();
    const body = encode({ resourceMetrics: [sum('a_total', [point(NOW, [text('pod', 'p')])])] });
    const answer = await post(`${url}/v1/metrics`, packing === 'gzip' ? gzipSync(body) : body, {
      headers: { ...headers, 'content-encoding': packing },
    });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, encoding]);
    expect(read('Response', answer.bytes)).toEqual({});
    expect(await rows()).toEqual([
      {
        name: 'a_total',
        kind: 'sum',
        timeMs: NOW,
        startMs: NOW - 60_000,
        value: '7',
        labels: { pod: 'p' },
        resource: { 'service.name': 'shop', 'service.instance.id': 'web-0', 'k8s.cluster.name': 'rt1' },
      },
    ]);
  });

  it('tells in a partial success what was refused, and keeps the rest', async () => {
    const { url, rows, of } = await startReceiver();
    const foreign = { attributes: [...RESOURCE.attributes, text('k8s.cluster.name', 'rt2')] };
    const many = Array.from({ length: 65 }, (_, i) => text(`l${i}`, 'x'));
    const resourceMetrics = [
      sum('a_total', [
        point(NOW),
        point(NOW + 11 * 60_000),
        point(NOW - 46 * 86_400_000),
        { asInt: '1' },
        point(NOW, [text('cluster', 'rt2')]),
        point(NOW, [{ key: 'cluster', value: { arrayValue: { values: [] } } }]),
        point(NOW, many),
        point(NOW, [text('pod', 'p'.repeat(3_000))]),
        point(NOW, [text('p'.repeat(300), 'x')]),
        point(NOW, [text('cluster', 'rt1')]),
      ]),
      sum('', [point(NOW)]),
      sum('b_total', [point(NOW), point(NOW + 1, [text('cluster', 'rt1')])], foreign),
    ];
    const answer = await post(`${url}/v1/metrics`, encode({ resourceMetrics }), { headers });
    expect(answer.status).toBe(200);
    const { partialSuccess } = read('Response', answer.bytes) as { partialSuccess: Record<string, unknown> };
    expect(partialSuccess['rejectedDataPoints']).toBe('10');
    const refused = Object.fromEntries(of('pushPointsRefused').map(({ reason, count }) => [reason, count]));
    expect(refused).toEqual({
      ...{ future: 1, too_old: 1, no_time: 1, wrong_cluster: 2, bad_label: 1, too_many_labels: 1 },
      ...{ label_too_long: 2, no_name: 1 },
    });
    expect(partialSuccess['errorMessage']).toContain('2 wrong_cluster (');
    // METERING: the point's own label is asked first.
    expect((await rows()).map(({ name, timeMs }) => [name, timeMs])).toEqual([
      ['a_total', NOW],
      ['a_total', NOW],
      ['b_total', NOW + 1],
    ]);
  });

  it('answers errors with a status in the encoding of the request', async () => {
    const log = openOutageLog();
    const { url } = await startReceiver({}, log);
    const body = encode({ resourceMetrics: [sum('a_total', [point(NOW)])] });
    const cut = await post(`${url}/v1/metrics`, body.subarray(0, -1), { headers });
    expect([cut.status, read('Status', cut.bytes)]).toMatchObject([400, { code: 3 }]);
    const stranger = await post(`${url}/v1/metrics`, body, { headers, token: 'nobody' });
    expect([stranger.status, read('Status', stranger.bytes)]).toMatchObject([401, { code: 16 }]);
    await log.takeAway();
    const away = await post(`${url}/v1/metrics`, body, { headers });
    expect([away.status, away.headers.get('retry-after')]).toEqual([503, '5']);
    expect(read('Status', away.bytes)).toMatchObject({ code: 14 });
    log.bringBack();
  });

  it('goes to the cluster of its token', async () => {
    const { url, rows } = await startReceiver();
    const body = encode({ resourceMetrics: [sum('a_total', [point(NOW)])] });
    expect((await post(`${url}/v1/metrics`, body, { headers, token: OTHER_TOKEN })).status).toBe(200);
    expect([await rows('usage.rt1'), (await rows('usage.rt2')).length]).toEqual([[], 1]);
  });
});
