/**
 * What a tenant is told of ledger, statements and what stands behind them is a function of its own usage: the
 * same months are lived twice, alone and among others, each on a store of its own, and no byte of any answer
 * may differ.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { ENDPOINTS } from '../../aggregator/api/endpoints.ts';
import { AccountsBench } from '../support/accounts.ts';
import { HOUR } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';
import { liveMonths, MINE, quotasOf, TIMES } from '../support/tenants-months.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi } from '../support/token-server-api.ts';

const NAMES = [MINE, 'globex', 'initech', 'nobody', 'ACME', 'platform', "acme' OR '1'='1"] as const;

/** Of a correction, and of an open month. */
const hours = [TIMES[1]!, TIMES[3]!].map((t) => new Date(Math.floor(t / HOUR) * HOUR).toISOString());

/** Of which minutes can be made. */
const OPEN_HOURS = 'from=2026-11-01T05:00:00Z&to=2026-11-01T07:00:00Z';

/** By path as it is declared; `{cursor}` stands for `next` of the first answer of the same address. */
const REQUESTS: Readonly<Record<string, readonly string[]>> = {
  '/api/v1/tenants': ['?', '?limit=1', '?limit=1&after={cursor}'],
  '/api/v1/tenants/{tenant}/usage': NAMES.flatMap((name) =>
    ['2026-10', '2026-11', '2026-12'].map((period) => `/${encodeURIComponent(name)}/usage?period=${period}`),
  ),
  '/api/v1/quotas': ['?', '?limit=1', '?limit=1&after={cursor}'],
  '/api/v1/breaches': ['?', '?after={cursor}'],
  '/api/v1/periods': ['?'],
  '/api/v1/statements/{period}': ['/2026-07?', '/2026-10?', '/2026-11?', '/2026-12?', '/2027-01?'],
  '/api/v1/statements/{period}/{tenant}': NAMES.flatMap((name) =>
    ['2026-10', '2026-11', '2026-12'].map((period) => `/${period}/${encodeURIComponent(name)}?`),
  ),
  '/api/v1/ledger': [
    ...['?', '?limit=1', '?limit=1&after={cursor}', '?limit=2&after={cursor}', '?kind=period&kind=coverage'],
    ...['?kind=correction', '?kind=usage&limit=1', '?kind=usage&after={cursor}', '?wait=1s&after={cursor}'],
  ],
  '/api/v1/explain': hours.flatMap((hour) => [
    `?meter=cpu&hour=${hour}`,
    ...NAMES.map((name) => `?meter=cpu&hour=${hour}&tenant=${encodeURIComponent(name)}`),
    ...['north', 'west', 'nowhere'].map((cluster) => `?meter=cpu&hour=${hour}&cluster=${cluster}`),
    ...['web', 'db', 'shop'].map((namespace) => `?meter=cpu&hour=${hour}&namespace=${namespace}&limit=1`),
  ]),
  '/api/v1/meters/{meter}/query': [
    '',
    '&groupBy=namespace',
    '&groupBy=tenant&top=1',
    '&cluster=west',
  ].flatMap((more) => ['MINUTE', 'HOUR'].map((size) => `/cpu/query?${OPEN_HOURS}&windowSize=${size}${more}`)),
  '/api/v1/reconciliation': ['?', '?cluster=west'],
  '/api/v1/watermarks': ['?'],
};

let server: TokenServer;
let alone: ReadonlyMap<string, string>;
let among: ReadonlyMap<string, string>;

async function told(isAmongOthers: boolean): Promise<Map<string, string>> {
  const opened = await openFastStore();
  const bench = new AccountsBench(opened.store, isAmongOthers ? ['north', 'west'] : ['north']);
  await liveMonths(bench, isAmongOthers);
  const quotas = quotasOf(isAmongOthers ? [MINE, 'globex', 'initech'] : [MINE]);
  const guarded = guardedApi(server, {
    ...{ store: opened.store, reader: usageReader({ queryTimeoutMs: 10_000 }, opened) },
    ...{ usageClock: bench.clock, quotas },
  });
  const token = await server.memberToken([MINE], 'metering-billing');
  const headers = { authorization: `Bearer ${token}`, 'x-request-id': 'one' };
  const answers = new Map<string, string>();
  for (const [declared, requests] of Object.entries(REQUESTS)) {
    const base = declared.replace(/\/\{.*$/, '');
    let next = '';
    for (const request of requests) {
      const url = `${base}${request.replace('{cursor}', next)}`;
      const response = await guarded.api.app.inject({ url, headers });
      const named = ['content-type', 'etag', 'link', 'cache-control', 'retry-after'];
      const { statusCode, headers: given, body } = response;
      // When something was written is a matter of the clock, not of others.
      const text = body.replaceAll(/"writtenAt":"[^"]+"/g, '"writtenAt":""');
      answers.set(
        `${declared} ${request}`,
        JSON.stringify([statusCode, named.map((name) => given[name]), text]),
      );
      if (next === '' && statusCode === 200) next = response.json<{ next?: string }>().next ?? '';
    }
  }
  await guarded.api.stop();
  await opened.dispose();
  return answers;
}

beforeAll(async () => {
  server = await TokenServer.start();
  alone = await told(false);
  among = await told(true);
}, 240_000);
afterAll(() => server.stop());

describe('a tenant among others', () => {
  test.each(Object.keys(REQUESTS))(
    'is told by %s the same, to the byte, as when it was alone',
    (declared) => {
      const asked = [...alone.keys()].filter((key) => key.startsWith(`${declared} `));
      expect(asked).toHaveLength(REQUESTS[declared]?.length ?? 0);
      for (const key of asked) expect(among.get(key), key).toBe(alone.get(key));
    },
  );

  test('is told something: the comparison is not of refusals', () => {
    const answered = [...alone].filter(([, answer]) => answer.startsWith('[200'));
    const paths = new Set(answered.map(([key]) => key.split(' ')[0]));
    expect([...Object.keys(REQUESTS)].filter((path) => !paths.has(path))).toEqual(['/api/v1/reconciliation']);
    const text = [...alone.values()].join();
    for (const part of [
      '\\"kind\\":\\"correction\\"',
      '\\"rule\\":\\"difference\\"',
      '\\"provisional\\":true',
      '\\"windowSize\\":\\"MINUTE\\"',
      '\\"revision\\":2',
    ])
      expect(text).toContain(part);
  });

  test('of every endpoint beside the catalogue', () => {
    const paths = ENDPOINTS.map(({ declaration }) => declaration.path);
    const others = [...new Set(paths)].filter((path) => path !== '/api/v1/meters');
    expect(others.sort()).toEqual(Object.keys(REQUESTS).sort());
  });
});
