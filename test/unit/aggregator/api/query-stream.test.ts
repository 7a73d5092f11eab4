import { once } from 'node:events';
import * as http from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';

import { readersOf } from '../../../../aggregator/api/readers.ts';
import { createApi, type Api, type ApiConfig } from '../../../../aggregator/api/server.ts';
import { SystemClock } from '../../../../core/runtime/clock.ts';
import { MeteringError } from '../../../../core/runtime/errors.ts';
import { AWAY_STORE } from '../../../support/away-store.ts';
import { NOBODYS_USAGE } from '../../../support/nobodys-usage.ts';
import { until } from '../../../support/waiting.ts';

const clock = new SystemClock();
const NDJSON = 'application/x-ndjson';
/** By the hour: 8,016 rows of a group. */
const RANGE = 'from=2025-01-01T00:00Z&to=2025-12-01T00:00Z&windowSize=HOUR&groupBy=tenant';
const HOURS = 334 * 24;
const QUERY = '/api/v1/meters/cpu/query';
const PATH = `${QUERY}?${RANGE}`;

interface Told {
  readonly name: string;
  readonly fields: object;
}

interface Usage {
  /** Which reading of a batch fails. */
  readonly failingAt?: number;
  /** How long each takes. */
  readonly batchMs?: number;
  readonly groups?: number;
}

let api: Api;
let asked: number;
let told: Told[];
let isStopped: boolean;

async function serving(
  { failingAt = 0, batchMs = 0, groups = 1 }: Usage = {},
  config: Partial<ApiConfig> = {},
): Promise<void> {
  [asked, told, isStopped] = [0, [], false];
  const met = Array.from({ length: groups }, (_, i) => ({ tenant: `acme-${i}` }));
  const windowStartMs = Date.parse('2025-01-01T00:00Z');
  const reader = {
    ...NOBODYS_USAGE,
    groups: async () => met,
    usage: async () => {
      asked++;
      await clock.sleep(batchMs);
      if (asked === failingAt) throw new MeteringError('METER_STORE_UNAVAILABLE', 'the store went away');
      return met.map((group) => ({ windowStartMs, group, value: 1n, revision: 0 }));
    },
  };
  api = createApi(
    { port: 0, checkTimeoutMs: 100, ...config },
    {
      ...readersOf({ queryTimeoutMs: 1_000 }, { store: AWAY_STORE }),
      ...{ clock, reader, checks: [], metricsText: async () => '' },
      facts: { event: (name, fields) => told.push({ name, fields }) },
    },
  );
  await api.start();
}

afterEach(async () => {
  if (!isStopped) await api.stop();
});

const ask = (accept = NDJSON): Promise<Response> => fetch(`${api.url}${PATH}`, { headers: { accept } });
const post = (accept: string): Promise<Response> =>
  fetch(`${api.url}${QUERY}`, {
    method: 'POST',
    headers: { accept, 'content-type': 'application/json' },
    body: JSON.stringify(Object.fromEntries(new URLSearchParams(RANGE))),
  });

const linesOf = (text: string): number => text.trimEnd().split('\n').length;
const factsNamed = (name: string): readonly Told[] => told.filter((fact) => fact.name === name);
const connections = (): Promise<number> =>
  new Promise((resolve) => api.app.server.getConnections((_, count) => resolve(count)));

/** Somebody who asks and does not read. */
async function unread(accept: string): Promise<http.IncomingMessage> {
  const request = http.get(`${api.url}${PATH}`, { headers: { accept }, agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  response.on('error', () => undefined);
  return response;
}

describe('a stream', () => {
  test('that fails on the way is broken off, so that nobody takes it for all of it, and that is told', async () => {
    await serving({ failingAt: 2 });
    const response = await ask();
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    expect(factsNamed('requestFailed')).toMatchObject([{ fields: { route: '/api/v1/meters/:meter/query' } }]);
  });

  test('that fails before its first row is a problem', async () => {
    await serving({ failingAt: 1 });
    const response = await ask();
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: 'METER_UNAVAILABLE' });
  });

  test('that does not fail ends with its last row', async () => {
    await serving();
    expect(linesOf(await (await ask()).text())).toBe(HOURS);
  });

  test.each([
    ['GET', NDJSON, ask, 4],
    ['POST', NDJSON, post, 4],
    // Fewer rows of it are sent as a whole.
    ['GET', 'text/csv', ask, 13],
  ])('by %s as %s may take longer than an answer may take to begin', async (_, accept, send, groups) => {
    await serving({ batchMs: 100, groups }, { answerTimeoutMs: 400 });
    const begin = clock.now();
    const text = await (await send(accept)).text();
    expect(linesOf(text)).toBe(HOURS * groups + (accept === NDJSON ? 0 : 1));
    expect(clock.now() - begin).toBeGreaterThan(600);
  });

  test('asked for by HEAD is not read for nobody', async () => {
    await serving({ groups: 13 });
    const response = await fetch(`${api.url}${PATH}`, { method: 'HEAD', headers: { accept: NDJSON } });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, NDJSON]);
    await clock.sleep(200);
    expect(asked).toBe(1);
  });
});

test.each([
  ['GET', ask],
  ['POST', post],
])('an answer by %s that takes too long to begin is given up', async (_, send) => {
  await serving({ batchMs: 60_000 }, { answerTimeoutMs: 100 });
  const response = await send(NDJSON);
  expect([response.status, await response.json()]).toMatchObject([503, { code: 'METER_TIMEOUT' }]);
});

describe('who does not read', () => {
  test.each([
    ['a stream', NDJSON, 60],
    ['a whole answer', 'application/json', 12],
  ])('is cut off from %s, and nothing is read or held for them any more', async (_, accept, groups) => {
    await serving({ groups }, { answerTimeoutMs: 500 });
    const response = await unread(accept);
    const wasAsked = await until('a reader that waits', () => (asked > 0 ? asked : undefined));
    await until('nobody', async () => ((await connections()) === 0 ? true : undefined), { forMs: 10_000 });
    expect(factsNamed('requestShed')).toEqual([
      { name: 'requestShed', fields: { route: '/api/v1/meters/:meter/query', reason: 'stalled' } },
    ]);
    const then = asked;
    await clock.sleep(300);
    expect(asked).toBe(then);
    expect(then - wasAsked).toBeLessThan(30);
    response.destroy();
  });

  test('and who reads slowly, but reads, is not', async () => {
    const groups = 8;
    await serving({ groups }, { answerTimeoutMs: 400 });
    const response = await unread(NDJSON);
    const begin = clock.now();
    let bytes = 0;
    let lines = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      lines += chunk.toString('latin1').split('\n').length - 1;
      if (bytes > 512 * 1024) {
        bytes = 0;
        await clock.sleep(50);
      }
    }
    expect(lines).toBe(HOURS * groups);
    expect(clock.now() - begin).toBeGreaterThan(800);
    expect(factsNamed('requestShed')).toEqual([]);
  });
});

test('a stop breaks off what goes on longer than it may take', async () => {
  await serving({ batchMs: 200, groups: 60 }, { stopTimeoutMs: 1_600 });
  const text = (await ask()).text();
  text.catch(() => undefined);
  isStopped = true;
  const begin = clock.now();
  await api.stop();
  const tookMs = clock.now() - begin;
  expect(tookMs).toBeGreaterThan(500);
  expect(tookMs).toBeLessThan(1_600);
  await expect(text).rejects.toThrow();
  expect(factsNamed('notice').at(-1)?.fields).toMatchObject({
    text: expect.stringContaining('broken off') as string,
  });
});
