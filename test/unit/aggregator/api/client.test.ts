import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { MeteringClient, MeteringProblem } from '../../../../aggregator/api/client/client.ts';
import { openApiDocument } from '../../../../aggregator/api/endpoint/document.ts';
import { ENDPOINTS } from '../../../../aggregator/api/endpoints.ts';
import { readersOf } from '../../../../aggregator/api/readers.ts';
import { createApi, type Api } from '../../../../aggregator/api/server.ts';
import { SystemClock } from '../../../../core/runtime/clock.ts';
import { CLIENT_TYPES, clientTypes, type OpenApi } from '../../../reference/client-types.ts';
import { ROOT } from '../../../reference/reference.ts';
import { AWAY_STORE } from '../../../support/away-store.ts';
import { NOBODYS_USAGE } from '../../../support/nobodys-usage.ts';

test('the types of the client are what `npm run generate` writes', async () => {
  const expected = await clientTypes(openApiDocument(ENDPOINTS) as unknown as OpenApi);
  expect(readFileSync(join(ROOT, CLIENT_TYPES), 'utf8')).toBe(expected);
});

describe('the client, over HTTP', () => {
  let api: Api;
  let client: MeteringClient;

  beforeAll(async () => {
    api = createApi(
      { port: 0, checkTimeoutMs: 1_000 },
      {
        clock: new SystemClock(),
        facts: { event: () => undefined },
        ...readersOf({ queryTimeoutMs: 1_000 }, { store: AWAY_STORE }),
        reader: NOBODYS_USAGE,
        checks: [],
        metricsText: async () => '',
      },
    );
    await api.start();
    client = new MeteringClient({ baseUrl: api.url, token: () => 'any' });
  });

  afterAll(() => api.stop());

  test('asks by name and is given what the document says', async () => {
    const { json, status } = await client.call('listMeters', {});
    expect(status).toBe(200);
    expect(json.data.find(({ name }) => name === 'cpu')?.presentedUnit).toBe('core-hour');
    const range = { from: '2026-03-28T00:00:00+01:00', to: '2026-03-29T00:00:00+01:00' };
    const params = { meter: 'cpu' } as const;
    const query = {
      ...range,
      windowSize: 'HOUR',
      tenant: ['a&b', 'c d'],
      'filterGroupBy[cluster]': ['x'],
    } as const;
    const asked = await client.call('queryMeter', { params, query });
    expect(asked.json.data).toHaveLength(24);
    const { 'filterGroupBy[cluster]': cluster, ...rest } = query;
    const body = { ...rest, filterGroupBy: { cluster } };
    const posted = await client.call('queryMeterByPost', { params, body });
    expect(posted.json).toEqual(asked.json);
  });

  test('gives other media types as text', async () => {
    const { text, json } = await client.call(
      'queryMeter',
      { params: { meter: 'cpu' } },
      { accept: 'text/csv' },
    );
    expect(text.split('\r\n')[0]).toContain('windowStart,windowEnd');
    expect(json).toBeUndefined();
  });

  test('gives bytes as bytes where the document says that a form is no text', async () => {
    const statement = Uint8Array.from({ length: 256 }, (_, i) => i);
    const type = 'application/vnd.apache.parquet';
    const fetched = new MeteringClient({
      baseUrl: api.url,
      fetch: async () => new Response(statement, { headers: { 'content-type': type } }),
    });
    const params = { period: '2026-10', tenant: 'acme' };
    const { bytes, text } = await fetched.call('getStatement', { params }, { accept: type });
    expect(bytes).toEqual(statement);
    expect(text).toBeUndefined();
  });

  test('of a form that is no text and has not changed there are no bytes', async () => {
    const asked = new MeteringClient({
      baseUrl: api.url,
      fetch: async () => new Response(null, { status: 304 }),
    });
    const params = { period: '2026-10', tenant: 'acme' };
    const accept = 'application/vnd.apache.parquet';
    const { status, bytes } = await asked.call('getStatement', { params }, { accept });
    expect([status, bytes.length]).toEqual([304, 0]);
  });

  test('throws a problem with its code and what is wrong', async () => {
    const asked = client.call('queryMeter', { params: { meter: 'cpu' }, query: { from: 'yesterday' } });
    await expect(asked).rejects.toBeInstanceOf(MeteringProblem);
    await expect(asked).rejects.toMatchObject({
      problem: { code: 'METER_REQUEST_INVALID', problems: [{ parameter: 'from', code: 'not_a_time' }] },
      retryAfterSeconds: undefined,
    });
  });

  test('takes what a proxy says in place of an answer for a problem, with when to come again', async () => {
    const proxied = new MeteringClient({
      baseUrl: api.url,
      fetch: async () =>
        new Response('<h1>Bad Gateway</h1>', { status: 502, headers: { 'retry-after': '3' } }),
    });
    await expect(proxied.call('listMeters', {})).rejects.toMatchObject({
      problem: { status: 502, detail: '<h1>Bad Gateway</h1>' },
      retryAfterSeconds: 3,
    });
  });
});
