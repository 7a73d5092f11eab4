import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { MeteringError } from '../../core/runtime/errors.ts';
import { encodeWrite1, encodeWrite2, snappy } from '../support/remote-write.ts';
import { OTHER_TOKEN, post, postWrite, startReceiver, stopReceivers, TOKEN } from '../support/receiver.ts';

const NOW = Date.now();
const MIB = 1024 * 1024;
const LABELS = { __name__: 'a', job: 'j', instance: 'i' };
const ONE = encodeWrite2([{ labels: LABELS, samples: [{ timestamp: NOW, value: 1 }] }]);
const WRITE = { 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' };
const JSON_TYPE = { 'content-type': 'application/json' };

afterEach(stopReceivers);

/** An append that waits until it is let go. */
function gate() {
  const opened = Promise.withResolvers<undefined>();
  const waiting: number[] = [];
  return {
    waiting,
    open: () => opened.resolve(undefined),
    beforeAppend: async () => {
      waiting.push(1);
      await opened.promise;
    },
  };
}

describe('who may send', () => {
  it.each([
    ['no token', {}],
    ['a token that nobody has', { authorization: 'Bearer token-of-nobody-at-all' }],
    ['another scheme', { authorization: `Basic ${TOKEN}` }],
    ['a part of a token', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
    ['a token and more', { authorization: `Bearer ${TOKEN} x` }],
  ])('%s is answered with 401, and nothing is written', async (_, headers) => {
    const { url, rows, of } = await startReceiver();
    const answer = await postWrite(url, ONE, '2.0', {
      token: '',
      headers: { ...headers },
    });
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="gh0stmeter"',
    ]);
    expect(await rows()).toEqual([]);
    expect(of('pushRefused')).toEqual([
      { protocol: 'remote_write', cluster: '', reason: 'unauthorized', status: 401 },
    ]);
  });

  it('is decided by any of the tokens of a cluster, so that one can take the place of another', async () => {
    const tokens = ['token-that-is-leaving', 'token-that-has-come'];
    const { url, rows } = await startReceiver({ settings: { clusters: { rt1: { tokens } } } });
    for (const token of tokens) expect((await postWrite(url, ONE, '2.0', { token })).status).toBe(204);
    expect(await rows()).toHaveLength(2);
  });

  it('is asked before the body is read', async () => {
    const { url } = await startReceiver();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write('POST /api/v1/write HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1.1 401 /);
    socket.destroy();
  });
});

describe('what may be sent', () => {
  it.each([
    ['another message', { 'content-type': 'application/x-protobuf;proto=some.Other' }],
    ['another type', { 'content-type': 'text/plain' }],
    ['another compression', { 'content-encoding': 'zstd' }],
  ])('%s is answered with 415', async (_, headers) => {
    const { url } = await startReceiver();
    expect(
      (await post(`${url}/api/v1/write`, snappy(ONE), { headers: { ...WRITE, ...headers } })).status,
    ).toBe(415);
  });

  it.each([
    ['another type', { 'content-type': 'text/plain' }],
    ['another compression', { ...JSON_TYPE, 'content-encoding': 'br' }],
  ])('%s is answered with 415 on the way of OTLP', async (_, headers) => {
    const { url } = await startReceiver();
    expect((await post(`${url}/v1/metrics`, Buffer.from('{}'), { headers })).status).toBe(415);
  });

  it('names the message in every way that a header can', async () => {
    const { url, rows } = await startReceiver();
    const types = [
      'application/x-protobuf; proto=io.prometheus.write.v2.Request',
      'application/x-protobuf;proto="io.prometheus.write.v2.Request"',
      'Application/X-Protobuf;PROTO=io.prometheus.write.v2.Request',
    ];
    for (const type of types) {
      const answer = await post(`${url}/api/v1/write`, snappy(ONE), {
        headers: { ...WRITE, 'content-type': type },
      });
      expect(answer.status).toBe(204);
    }
    const one = encodeWrite1([{ labels: LABELS, samples: [{ timestamp: NOW }] }]);
    const explicit = { 'content-type': 'application/x-protobuf;proto=prometheus.WriteRequest' };
    expect((await postWrite(url, one, '1.0', { headers: explicit })).status).toBe(204);
    expect(await rows()).toHaveLength(4);
  });

  it.each([
    ['the body', { bodyBytes: 40 }],
    ['the body unpacked', { unpackedBytes: 40 }],
    ['the series', { series: 1 }],
    ['the samples', { samples: 3 }],
  ])('more than %s may be is answered with 413, and nothing is written', async (_, limits) => {
    const { url, rows } = await startReceiver({ limits });
    const samples = [{ timestamp: NOW }, { timestamp: NOW + 1 }];
    const series = ['x', 'y'].map((instance) => ({ labels: { ...LABELS, instance }, samples }));
    for (const answer of [
      await postWrite(url, encodeWrite1(series), '1.0'),
      await postWrite(url, encodeWrite2(series), '2.0'),
    ]) {
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([413, null]);
    }
    expect(await rows()).toEqual([]);
  });

  it('does not grow on its way to the log: long labels of many samples are answered with 413', async () => {
    const { url, rows } = await startReceiver();
    const samples = Array.from({ length: 40_000 }, (_, i) => ({ timestamp: NOW + i }));
    const message = encodeWrite2([{ labels: { ...LABELS, long: 'x'.repeat(2_000) }, samples }]);
    expect(message.length).toBeLessThan(MIB);
    const answer = await postWrite(url, message, '2.0');
    expect([answer.status, answer.text]).toEqual([413, expect.stringContaining('points with their labels')]);
    expect(await rows()).toEqual([]);
  });

  it('may be chunked; a body that grows too large is answered with 413', async () => {
    const { url, rows } = await startReceiver({ limits: { bodyBytes: 1_000 } });
    const send = (bytes: Uint8Array) =>
      fetch(`${url}/api/v1/write`, {
        method: 'POST',
        body: new Blob([Uint8Array.from(bytes)]).stream(),
        duplex: 'half',
        headers: {
          ...WRITE,
          authorization: `Bearer ${TOKEN}`,
          'content-type': `${WRITE['content-type']};proto=io.prometheus.write.v2.Request`,
        },
      });
    expect((await send(snappy(ONE))).status).toBe(204);
    expect((await send(Buffer.alloc(2_000))).status).toBe(413);
    expect(await rows()).toHaveLength(1);
  });

  it('is read no further than its own cluster may send, although another one may send more', async () => {
    const { url } = await startReceiver({ limits: { bodyBytes: 1_000 } });
    const { port } = new URL(url);
    const socket = connect(Number(port), '127.0.0.1');
    const head = [
      'POST /api/v1/write HTTP/1.1',
      'host: receiver',
      `authorization: Bearer ${TOKEN}`,
      ...Object.entries(WRITE).map(([name, value]) => `${name}: ${value}`),
      'transfer-encoding: chunked',
    ];
    // More would follow: the answer does not wait for it.
    socket.write(`${head.join('\r\n')}\r\n\r\n7d0\r\n${'x'.repeat(2_000)}\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1.1 413 /);
  });

  it.each([
    ['resources', { series: 1 }, [{}, {}]],
    [
      'points',
      { samples: 1 },
      [{ scopeMetrics: [{ metrics: [{ name: 'a', gauge: { dataPoints: [{}, {}] } }] }] }],
    ],
    ['JSON', { jsonBytes: 20 }, [{}]],
  ])('of OTLP more %s than allowed are answered with 413', async (_, limits, resourceMetrics) => {
    const { url } = await startReceiver({ limits });
    const body = Buffer.from(JSON.stringify({ resourceMetrics }));
    expect((await post(`${url}/v1/metrics`, body, { headers: JSON_TYPE })).status).toBe(413);
  });

  it('refuses a point, a name or a resource that no record can hold, and keeps the others', async () => {
    const { url, rows, of } = await startReceiver({ limits: { jsonBytes: 8 * MIB } });
    const dataPoints = [{ timeUnixNano: `${NOW}000000`, asInt: '1' }];
    const metric = (name: string, more: object = {}) => ({ name, gauge: { dataPoints }, ...more });
    const buckets = Array.from({ length: 70_000 }, () => '1');
    const big = {
      histogram: { dataPoints: [{ ...dataPoints[0], asInt: undefined, bucketCounts: buckets }] },
    };
    const scopes = (...list: object[]) => ({ scopeMetrics: [{ metrics: list }] });
    const attributes = [{ key: 'args', value: { stringValue: 'x'.repeat(70_000) } }];
    const resourceMetrics = [
      scopes(metric('a'), { name: 'b', ...big }, metric('c', { description: 'x'.repeat(70_000) })),
      { ...scopes(metric('d')), resource: { attributes } },
      { scopeMetrics: [{ scope: { name: 'x'.repeat(70_000) }, metrics: [metric('e')] }] },
    ];
    const body = Buffer.from(JSON.stringify({ resourceMetrics }));
    const answer = await post(`${url}/v1/metrics`, body, { headers: JSON_TYPE });
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([
      200,
      { partialSuccess: { rejectedDataPoints: '4' } },
    ]);
    expect(of('pushPointsRefused')).toMatchObject([{ reason: 'too_large', count: 4 }]);
    expect((await rows()).map(({ name }) => name)).toEqual(['a']);
  });

  it('is other for a cluster that has limits of its own', async () => {
    const clusters = { rt1: { tokens: [TOKEN], limits: { bodyBytes: 10 } }, rt2: { tokens: [OTHER_TOKEN] } };
    const { url } = await startReceiver({ settings: { clusters } });
    expect((await postWrite(url, ONE, '2.0')).status).toBe(413);
    expect((await postWrite(url, ONE, '2.0', { token: OTHER_TOKEN })).status).toBe(204);
  });
});

describe('much at once', () => {
  it('of one cluster is answered with 429 and Retry-After; others are not touched', async () => {
    const { beforeAppend, waiting, open } = gate();
    const { url, rows, of } = await startReceiver({ limits: { requests: 2 }, beforeAppend });
    const held = [postWrite(url, ONE, '2.0'), postWrite(url, ONE, '2.0')];
    await expect.poll(() => waiting.length).toBe(2);
    const third = await postWrite(url, ONE, '2.0');
    expect([third.status, third.headers.get('retry-after')]).toEqual([429, '5']);
    const other = postWrite(url, ONE, '2.0', { token: OTHER_TOKEN });
    await expect.poll(() => waiting.length).toBe(3);
    open();
    expect((await Promise.all([...held, other])).map(({ status }) => status)).toEqual([204, 204, 204]);
    // What was held is free again.
    expect((await postWrite(url, ONE, '2.0')).status).toBe(204);
    expect(await rows()).toHaveLength(3);
    expect(of('pushRefused')).toMatchObject([{ reason: 'busy', cluster: 'rt1' }]);
  });

  it('of all together, in bytes, is answered with 503 and Retry-After', async () => {
    const { beforeAppend, waiting, open } = gate();
    const samples = Array.from({ length: 200 }, (_, i) => ({ timestamp: NOW + i }));
    const message = encodeWrite2([{ labels: { ...LABELS, pod: 'x'.repeat(200) }, samples }]);
    const limits = { bodyBytes: 10_000, unpackedBytes: 70_000 };
    const { url, of } = await startReceiver({
      limits,
      settings: { bytesInFlight: 80_000, clusters: { rt1: { tokens: [TOKEN], limits } } },
      beforeAppend,
    });
    const held = postWrite(url, message, '2.0');
    await expect.poll(() => waiting.length).toBe(1);
    const second = await postWrite(url, message, '2.0');
    expect([second.status, second.headers.get('retry-after')]).toEqual([503, '5']);
    open();
    expect((await held).status).toBe(204);
    expect((await postWrite(url, message, '2.0')).status).toBe(204);
    expect(of('pushRefused')).toMatchObject([{ reason: 'receiver_full', status: 503 }]);
  });

  it('does not wait for a log that hangs: 503, and what it holds stays counted until it lets go', async () => {
    const { beforeAppend, open } = gate();
    const settings = { appendTimeoutMs: 30, retryAfterMs: 1_500 };
    const { url, rows, of } = await startReceiver({ settings, beforeAppend });
    const answer = await postWrite(url, ONE, '2.0');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
    expect(of('pushRefused')).toMatchObject([{ reason: 'log_away', error: 'not durable within 30 ms' }]);
    expect(of('recordsAppended')).toEqual([]);
    open();
    // It landed after all: the sender sends again, and the set of samples takes it once.
    await expect.poll(async () => (await rows()).length).toBe(1);
  });

  it('is answered with 503 where the log refuses the receiver: a person mends that, and senders keep it', async () => {
    let isMended = false;
    const beforeAppend = async (): Promise<void> => {
      if (!isMended) throw new MeteringError('METER_LOG_UNAVAILABLE', 'no right to append');
    };
    const { url, rows, of } = await startReceiver({ beforeAppend });
    const answer = await postWrite(url, ONE, '2.0');
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
    expect(of('pushRefused')).toMatchObject([{ reason: 'log_away', status: 503 }]);
    isMended = true;
    expect((await postWrite(url, ONE, '2.0')).status).toBe(204);
    expect(await rows()).toHaveLength(1);
  });

  it('that is under way when the receiver stops is appended and answered', async () => {
    const { beforeAppend, waiting, open } = gate();
    const { url, receiver, rows } = await startReceiver({ beforeAppend });
    const held = postWrite(url, ONE, '2.0');
    await expect.poll(() => waiting.length).toBe(1);
    const stopped = receiver.stop();
    await expect
      .poll(() =>
        fetch(`${url}/healthz`).then(
          () => 'answered',
          () => 'refused',
        ),
      )
      .toBe('refused');
    open();
    expect((await held).status).toBe(204);
    await stopped;
    expect(await rows()).toHaveLength(1);
  });
});

describe('a fault', () => {
  it('of the program is told as 500 without its text, and stated as an error', async () => {
    const { url, of } = await startReceiver({
      beforeAppend: () => {
        throw new Error('inner workings');
      },
    });
    const answer = await postWrite(url, ONE, '2.0');
    expect([answer.status, answer.text]).toEqual([500, expect.not.stringContaining('inner workings')]);
    expect(of('requestFailed')).toMatchObject([{ route: '/api/v1/write' }]);
  });

  it('of a sender that hangs up within its body leaves nothing held', async () => {
    const { url, of } = await startReceiver({ limits: { requests: 1 } });
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const head = `POST /api/v1/write HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\n`;
    const type = 'content-type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n';
    socket.write(`${head}${type}content-length: 1000\r\n\r\nabc`);
    await expect.poll(async () => (await postWrite(url, ONE, '2.0')).status).toBe(429);
    socket.destroy();
    await expect.poll(async () => (await postWrite(url, ONE, '2.0')).status).toBe(204);
    expect(of('requestFailed')).toEqual([]);
  });

  it('of a port that is taken is told with what to do', async () => {
    const { url } = await startReceiver();
    const port = Number(new URL(url).port);
    await expect(startReceiver({ settings: { port } })).rejects.toMatchObject({
      code: 'METER_CONFIG_INVALID',
    });
  });
});

it('answers that it is alive, and 404 where there is nothing', async () => {
  const { url } = await startReceiver();
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/api/v1/write`)).status).toBe(404);
  expect((await post(`${url}/v1/traces`, gzipSync('{}'))).status).toBe(404);
});

it('never tells a token, whatever happens', async () => {
  const { url, of } = await startReceiver({ limits: { requests: 1 } });
  await postWrite(url, ONE, '2.0', { token: 'token-of-nobody-at-all' });
  await postWrite(url, Buffer.from('x'), '2.0');
  await sleep(0);
  const told = JSON.stringify([of('pushRefused'), of('requestServed'), of('listening'), of('requestFailed')]);
  expect(told).toContain('malformed');
  expect(told).not.toContain(TOKEN);
  expect(told).not.toContain('nobody');
});
