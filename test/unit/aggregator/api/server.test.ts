import { afterEach, describe, expect, test } from 'vitest';

import { ENDPOINTS } from '../../../../aggregator/api/endpoints.ts';
import type { Readiness, ReadinessCheck } from '../../../../aggregator/api/health.ts';
import { readersOf } from '../../../../aggregator/api/readers.ts';
import { createApi, type Api, type ApiConfig } from '../../../../aggregator/api/server.ts';
import type { UsageReader } from '../../../../aggregator/api/usage-reader.ts';
import { METERS } from '../../../../core/metering/catalogue.ts';
import { SystemClock } from '../../../../core/runtime/clock.ts';
import { MeteringError } from '../../../../core/runtime/errors.ts';
import { AWAY_STORE } from '../../../support/away-store.ts';
import { checkAnswers } from '../../../support/checked-answers.ts';
import { NOBODYS_USAGE } from '../../../support/nobodys-usage.ts';

interface Stated {
  readonly name: string;
  readonly fields: object;
}

/** A reader with nothing in it, or one that fails or waits as told: what the frame has to stand. */
function reader(usage: () => Promise<readonly never[]> = async () => []): UsageReader {
  return { ...NOBODYS_USAGE, usage };
}

interface Options {
  readonly config?: Partial<ApiConfig>;
  readonly reader?: UsageReader;
  readonly checks?: readonly ReadinessCheck[];
}

let open: Api[] = [];
let facts: Stated[] = [];

function api(options: Options = {}): Api {
  const config = { port: 0, requestTimeoutMs: 2_000, answerTimeoutMs: 2_000, checkTimeoutMs: 50 };
  const made = createApi(
    { ...config, ...options.config },
    {
      clock: new SystemClock(),
      facts: { event: (name, fields) => facts.push({ name, fields }) },
      ...readersOf({ queryTimeoutMs: 1_000 }, { store: AWAY_STORE }),
      reader: options.reader ?? reader(),
      checks: options.checks ?? [],
      metricsText: async () => 'gh0stmeter_test_total 1\n',
    },
  );
  checkAnswers(made.app);
  open.push(made);
  return made;
}

function named(name: string): readonly Stated[] {
  return facts.filter((fact) => fact.name === name);
}

afterEach(async () => {
  await Promise.all(open.map((one) => one.stop()));
  open = [];
  facts = [];
});

const QUERY = '/api/v1/meters/cpu/query';

describe('health', () => {
  const check = (name: string, run: () => Promise<Readiness>): ReadinessCheck => ({ name, check: run });
  const fine = check('store', async () => ({ ready: true, detail: 'answers' }));

  test('the process is alive whatever it depends on', async () => {
    const response = await api({ checks: [check('store', () => Promise.reject(new Error()))] }).app.inject(
      '/healthz',
    );
    expect([response.statusCode, response.json()]).toEqual([200, { status: 'alive' }]);
  });

  test('ready lists every check and says that only the loopback is served', async () => {
    const response = await api({ checks: [fine] }).app.inject('/readyz');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      status: 'ready',
      checks: [
        { name: 'store', ready: true, detail: 'answers' },
        { name: 'api', ready: true, detail: 'serves' },
      ],
    });
    expect(response.json<{ notices: string[] }>().notices[0]).toContain('127.0.0.1 only');
  });

  test('one check that is not ready, fails or hangs makes it 503, with all of them listed', async () => {
    const down = new MeteringError('METER_LOG_UNAVAILABLE', 'broker kafka-0:9092 refused');
    const response = await api({
      checks: [
        fine,
        check('roll-up', async () => ({ ready: false, detail: '3 h behind' })),
        check('log', () => Promise.reject(down)),
        check('ledger', () => Promise.reject(new Error('password=secret'))),
        check('quotas', () => new Promise(() => undefined)),
      ],
    }).app.inject('/readyz');
    expect(response.statusCode).toBe(503);
    const { checks } = response.json<{ checks: (Readiness & { name: string })[] }>();
    expect(checks.map((one) => [one.name, one.ready, one.detail])).toEqual([
      ['store', true, 'answers'],
      ['roll-up', false, '3 h behind'],
      ['log', false, 'METER_LOG_UNAVAILABLE'],
      ['ledger', false, 'failed; the log tells why'],
      ['quotas', false, 'no answer within 50 ms'],
      ['api', true, 'serves'],
    ]);
  });

  test('a check that hangs is started once, however often it is probed, and again after it ended', async () => {
    let started = 0;
    let release: (readiness: Readiness) => void = () => undefined;
    const hanging = check('store', () => {
      started += 1;
      return new Promise((resolve) => (release = resolve));
    });
    const { app } = api({ checks: [hanging] });
    await app.inject('/readyz');
    await app.inject('/readyz');
    expect(started).toBe(1);
    release({ ready: true, detail: '' });
    await app.inject('/readyz');
    await app.inject('/readyz');
    expect(started).toBe(2);
  });
});

describe('resources', () => {
  test('every meter of the catalogue is listed with its units', async () => {
    const { data } = (await api().app.inject('/api/v1/meters')).json<{ data: Record<string, unknown>[] }>();
    expect(data.map((meter) => meter['name'])).toEqual(METERS.map((meter) => meter.name));
    expect(data.find((meter) => meter['name'] === 'cpu')).toMatchObject({
      kind: 'counter',
      unit: 'core-ns',
      presentedUnit: 'core-hour',
      baseUnitsPerPresentedUnit: '3600000000000',
    });
  });

  test('metrics are the text that the program gives', async () => {
    const response = await api().app.inject('/metrics');
    expect(response.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(response.body).toBe('gh0stmeter_test_total 1\n');
  });
});

describe('the document', () => {
  test('is there for everybody and names every endpoint', async () => {
    const response = await api().app.inject('/openapi.json');
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    const { openapi, paths } = response.json<{ openapi: string; paths: Record<string, object> }>();
    expect(openapi).toMatch(/^3\.1/);
    const named = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(named).toEqual(ENDPOINTS.map(({ declaration: { method, path } }) => `${method} ${path}`));
  });
});

describe('the documentation', () => {
  test('is a page whose every asset comes from here, and which may fetch nothing from elsewhere', async () => {
    const { app } = api();
    const page = await app.inject('/docs');
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const targets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, target = '']) => target);
    expect(targets).toHaveLength(4);
    for (const target of targets) {
      expect(target).toMatch(/^\/docs\//);
      const { statusCode, headers } = await app.inject(target);
      expect([target, statusCode, headers['content-security-policy']]).toEqual([
        target,
        200,
        page.headers['content-security-policy'],
      ]);
    }
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; /);
    expect(page.headers['content-security-policy']).not.toMatch(/unsafe|https:|\*/);
    expect(page.body).not.toMatch(/<script>|<style>| on[a-z]+=| style=/);
    expect((await app.inject('/docs/start.js')).body).toContain("url: '/openapi.json'");
  });
});

describe('problems', () => {
  test('are problem+json with code, instance, request id and every problem of the request', async () => {
    const response = await api().app.inject({
      url: `${QUERY}?from=now&windowSize=SECOND`,
      headers: { 'x-request-id': 'from-the-caller.1' },
    });
    expect(response.statusCode).toBe(400);
    expect(response.headers['content-type']).toBe('application/problem+json');
    expect(response.headers['x-request-id']).toBe('from-the-caller.1');
    expect(response.json()).toMatchObject({
      type: 'urn:gh0stmeter:problem:METER_REQUEST_INVALID',
      title: 'The request is not valid',
      status: 400,
      code: 'METER_REQUEST_INVALID',
      instance: `${QUERY}?from=now&windowSize=SECOND`,
      requestId: 'from-the-caller.1',
      problems: [
        { parameter: 'from', code: 'not_a_time' },
        { parameter: 'windowSize', code: 'unknown_window_size' },
      ],
    });
  });

  test.each([
    ['/nowhere', 404],
    [`${QUERY}?from=now`, 400],
    ['/api/v1/statements/1999-01/acme', 404],
    ['/healthz', 200],
    ['/openapi.json', 200],
    ['/api/v1/meters', 200],
  ])('%s, %i, is kept by nobody', async (url, status) => {
    const { statusCode, headers } = await api().app.inject(url);
    expect([statusCode, headers['cache-control']]).toEqual([status, 'no-store']);
  });

  test('a trace that the caller has comes back, and nothing else does', async () => {
    const { app } = api();
    const answered = async (traceparent: string): Promise<unknown> =>
      (await app.inject({ url: '/healthz', headers: { traceparent } })).headers['traceparent'];
    const good = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    expect(await answered(good)).toBe(good);
    for (const wrong of [
      '',
      'x',
      `ff${good.slice(2)}`,
      good.replace(/4bf\w+/, '0'.repeat(32)),
      `${good}-x`,
    ]) {
      expect(await answered(wrong), wrong).toBeUndefined();
    }
  });

  test('a request id that could break a log line is replaced', async () => {
    const response = await api().app.inject({ url: '/healthz', headers: { 'x-request-id': 'a b\tc' } });
    expect(response.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  test.each([
    ['GET', '/nowhere', 404, 'METER_NOT_FOUND'],
    ['GET', '/api/v1/meters/cpuu/query', 404, 'METER_UNKNOWN_METER'],
    ['GET', '/api/v1/%zz', 400, 'METER_REQUEST_MALFORMED'],
    ['GET', `/api/v1/meters/${'%F0%9F%90%98'.repeat(100)}/query`, 404, 'METER_UNKNOWN_METER'],
    ['DELETE', '/api/v1/meters', 405, 'METER_METHOD_NOT_ALLOWED'],
    ['PUT', '/nowhere', 404, 'METER_NOT_FOUND'],
    ['DELETE', '/api/v1/nowhere', 404, 'METER_NOT_FOUND'],
    ['OPTIONS', '/api/v1/:nowhere', 404, 'METER_NOT_FOUND'],
  ] as const)('%s %s is %i %s', async (method, url, status, code) => {
    const response = await api().app.inject({ method, url });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toMatchObject({ status, code });
  });

  test.each([
    ['POST', '/api/v1/meters', 'GET, HEAD'],
    ['OPTIONS', '/api/v1/meters', 'GET, HEAD'],
    ['DELETE', QUERY, 'GET, HEAD, POST'],
    ['PUT', QUERY, 'GET, HEAD, POST'],
    ['DELETE', '/openapi.json?x=1', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
  ] as const)('%s %s is refused with what is allowed there', async (method, url, allow) => {
    const headers = { 'content-type': 'text/plain' };
    for (const request of [{}, ...(method === 'PUT' ? [{ payload: 'x', headers }] : [])]) {
      const response = await api().app.inject({ method, url, ...request });
      expect([response.statusCode, response.headers.allow]).toEqual([405, allow]);
    }
  });

  test('a parameter of an endpoint that takes none is a problem too', async () => {
    const response = await api().app.inject('/api/v1/meters?meter=cpu');
    expect(response.json()).toMatchObject({ problems: [{ parameter: 'meter', code: 'unknown_parameter' }] });
  });

  test('an unknown meter is told the one that was meant', async () => {
    const response = await api().app.inject('/api/v1/meters/memry/query');
    expect(response.json<{ detail: string }>().detail).toContain('did you mean "memory"?');
  });

  test('a representation that there is not is 406', async () => {
    const response = await api().app.inject({ url: QUERY, headers: { accept: 'text/html' } });
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([
      406,
      'METER_NOT_ACCEPTABLE',
    ]);
  });

  test.each([
    ['{"from":', 'application/json', 400, 'METER_REQUEST_MALFORMED'],
    ['', 'application/json', 400, 'METER_REQUEST_MALFORMED'],
    ['from=x', 'application/x-www-form-urlencoded', 415, 'METER_MEDIA_TYPE_UNSUPPORTED'],
    [JSON.stringify({ tenant: 'x'.repeat(200_000) }), 'application/json', 413, 'METER_BODY_TOO_LARGE'],
    ['[]', 'application/json', 400, 'METER_REQUEST_INVALID'],
  ])('a body that cannot be taken is refused (%#)', async (payload, type, status, code) => {
    const request = { method: 'POST', url: QUERY, payload, headers: { 'content-type': type } } as const;
    const response = await api().app.inject(request);
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([status, code]);
  });

  test('a request under a foreign name is misdirected: no page can reach the loopback by its own name', async () => {
    const { app } = api();
    const response = await app.inject({ url: '/metrics', headers: { host: 'evil.example:8080' } });
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([421, 'METER_MISDIRECTED']);
    expect(response.body).not.toContain('gh0stmeter_test_total');
    expect(named('requestDenied')).toHaveLength(1);
    for (const host of ['127.0.0.1:8080', 'LOCALHOST', '[::1]:8080']) {
      expect((await app.inject({ url: '/healthz', headers: { host } })).statusCode).toBe(200);
    }
  });
});

describe('faults', () => {
  test.each([
    ['METER_STORE_UNAVAILABLE', 503, 'METER_UNAVAILABLE', '5'],
    ['METER_STORE_BUSY', 503, 'METER_UNAVAILABLE', '5'],
    ['METER_QUERY_TIMEOUT', 503, 'METER_TIMEOUT', undefined],
    ['METER_QUERY_LIMIT', 503, 'METER_TIMEOUT', undefined],
    ['METER_STORE_REJECTED', 500, 'METER_INTERNAL', undefined],
  ] as const)(
    '%s of the store is %i %s, and its text stays in our log',
    async (fault, status, code, retryAfter) => {
      const error = new MeteringError(fault, 'clickhouse-3.internal: secret');
      const response = await api({ reader: reader(() => Promise.reject(error)) }).app.inject(QUERY);
      expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([status, code]);
      expect(response.headers['retry-after']).toBe(retryAfter);
      expect(response.body).not.toContain('secret');
      expect(named('requestFailed')).toEqual([
        { name: 'requestFailed', fields: { route: '/api/v1/meters/:meter/query', error } },
      ]);
    },
  );

  test('a bug is 500 and nothing of it is told', async () => {
    const response = await api({
      reader: reader(() => Promise.reject(new TypeError('x is undefined'))),
    }).app.inject(QUERY);
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([500, 'METER_INTERNAL']);
    expect(response.body).not.toContain('undefined');
  });

  test('an answer that takes too long is given up', async () => {
    const slow = reader(() => new Promise(() => undefined));
    const response = await api({ reader: slow, config: { answerTimeoutMs: 50 } }).app.inject(QUERY);
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([503, 'METER_TIMEOUT']);
  });

  test('after a fault the next request is answered', async () => {
    let calls = 0;
    const flaky = reader(async () => {
      calls += 1;
      if (calls === 1) throw new MeteringError('METER_STORE_UNAVAILABLE', 'away');
      return [];
    });
    const { app } = api({ reader: flaky });
    expect((await app.inject(QUERY)).statusCode).toBe(503);
    expect((await app.inject(QUERY)).statusCode).toBe(200);
  });
});

describe('listening', () => {
  test('is on the loopback only, over real HTTP, and is stated', async () => {
    const part = api();
    await part.start();
    expect(part.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const response = await fetch(`${part.url}${QUERY}`, { headers: { accept: 'text/csv' } });
    expect(response.status).toBe(200);
    expect((await response.text()).split('\r\n')).toHaveLength(3);
    expect(named('listening')).toEqual([{ name: 'listening', fields: { name: 'api', url: part.url } }]);
    expect(named('notice')[0]?.fields).toMatchObject({
      text: expect.stringContaining('no issuer') as string,
    });
    expect(named('requestServed')[0]?.fields).toMatchObject({
      route: '/api/v1/meters/:meter/query',
      method: 'GET',
      status: 200,
    });
  });

  test('on a port that is taken fails with what to do', async () => {
    const first = api();
    await first.start();
    const second = api({ config: { port: Number(new URL(first.url).port) } });
    await expect(second.start()).rejects.toMatchObject({ code: 'METER_CONFIG_INVALID' });
    await expect(second.start()).rejects.toThrow(/free the port/);
  });

  test('a stop lets a running request end', async () => {
    let release: (rows: readonly never[]) => void = () => undefined;
    const arrived = Promise.withResolvers<undefined>();
    const slow = reader(() => {
      arrived.resolve(undefined);
      return new Promise((resolve) => (release = resolve));
    });
    const part = api({ reader: slow });
    await part.start();
    const answer = fetch(`${part.url}${QUERY}`);
    await arrived.promise;
    const stopped = part.stop();
    release([]);
    expect((await answer).status).toBe(200);
    await stopped;
  });
});
