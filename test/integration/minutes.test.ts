/**
 * Usage by the minute is made from samples when it is asked for: whatever it is grouped by, it sums to what is
 * stored of the hour and of the range, and every tenant is told of its own shares.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { DEFAULT_LIMITS } from '../../aggregator/api/limits/config.ts';
import { apiOf } from '../../aggregator/api/listeners.ts';
import type { Api } from '../../aggregator/api/server.ts';
import { appendErasure } from '../../aggregator/ledger/erasure/decision.ts';
import { appendFloor } from '../../aggregator/ledger/decisions.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import { checkAnswers } from '../support/checked-answers.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, FIRST_DAY, HOUR, MINUTE, NOVEMBER } from '../support/closed-month.ts';
import { logRecord, openFastStore } from '../support/pipeline.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';
import { metricsData, type Row } from '../vectors/otlp-json.ts';

/** In cluster west: a namespace that moves between two samples, and then an interval over hours. */
const MOVES = FIRST_DAY + 3 * HOUR;

/** More than are told apart of an hour. */
const DESTINATIONS = 103;
const scrapes = new Scrapes();
const month = new ClosedMonth();

let opened: TestStore;
let bench: AccountsBench;
let server: TokenServer;
let guarded: GuardedApi;

function west(): LogRecord[] {
  const at = (t: number, cpu: Record<string, number>, owners: Record<string, string> = {}): LogRecord =>
    scrapes.at(t, { cluster: 'west', cpu, owners });
  return [
    at(MOVES - 10 * MINUTE, { 'shift/p': 10 }, { shift: 'acme', still: 'acme' }),
    at(MOVES, { 'shift/p': 100, 'still/q': 1 }),
    at(MOVES + 20.5 * MINUTE, {}, { shift: 'globex' }),
    at(MOVES + 30 * MINUTE, { 'shift/p': 190, 'still/q': 1 }),
    at(MOVES + 130 * MINUTE, { 'shift/p': 290 }),
    at(FIRST_DAY + 3 * DAY, {}),
  ];
}

/**
 * Bytes to every destination, half of them across an hour: more to each than to the one before, and when the
 * namespace has changed hands more to each than to the next. So of each owner others are told apart.
 */
function flows(t: number, offset: bigint): LogRecord {
  const rows = Array.from({ length: DESTINATIONS }, (_, i): Row => {
    const from = { k8s_src_namespace: 'web', k8s_src_type: 'Pod', k8s_src_name: 'a' };
    const labels = { cluster: 'east', ...from, dst_address: `203.0.113.${i}`, dst_cidr: '0.0.0.0/0' };
    const [before, after] = offset === 0n ? [0, 0] : [1_000 + i, Number(offset - 1n) * (1_102 - i)];
    const value = { asDouble: before + after };
    return { name: 'beyla_network_flow_bytes_total', labels, timeMs: t, value };
  });
  const label_gh0stcloud_io_tenant = offset === 0n ? 'acme' : 'globex';
  const owner = { cluster: 'east', namespace: 'web', label_gh0stcloud_io_tenant };
  rows.push({ name: 'kube_namespace_labels', labels: owner, timeMs: t, value: { asDouble: 1 } });
  const up: Row = { name: 'up', labels: { cluster: 'east' }, timeMs: t, value: { asDouble: 1 } };
  const data = metricsData({ job: 'beyla', instance: 'n1' }, [up, ...rows]);
  return logRecord({ topic: 'usage.east', partition: 0, offset, timestampMs: t, metricsData: data });
}

/** Five customers, a hundred requests of each within a minute: then, a minute, an hour and a day later. */
const CUSTOMERS = [1, 2, 3, 4, 5].map((n) => `customer-${n}`);
const ASKED = FIRST_DAY + 10 * HOUR;
const LATER = [0, MINUTE, HOUR, DAY];

function requests(): LogRecord[] {
  const owned = CUSTOMERS.map((tenant): Row => {
    const labels = { cluster: 'suite', namespace: tenant, label_gh0stcloud_io_tenant: tenant };
    return { name: 'kube_namespace_labels', labels, timeMs: ASKED - HOUR, value: { asDouble: 1 } };
  });
  const asked = LATER.map((after) =>
    CUSTOMERS.map((tenant): Row => {
      const timeMs = ASKED + after + 50_000;
      const labels = { cluster: 'suite', k8s_namespace_name: tenant };
      const point = { timeMs, startMs: timeMs - 40_000, value: { asDouble: 100 }, type: 'delta' as const };
      return { name: 'http_server_request_duration_seconds_count', labels, ...point };
    }),
  );
  return [owned, ...asked].map((rows, i) => {
    const timestampMs = (rows[0]?.timeMs ?? 0) + 1_000;
    const data = metricsData({ job: 'beyla', instance: 'n1' }, rows);
    const place = { topic: 'usage.suite', partition: 0, offset: BigInt(i) };
    return logRecord({ ...place, timestampMs, metricsData: data });
  });
}

beforeAll(async () => {
  server = await TokenServer.start();
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north', 'south', 'west']);
  const east = [0, 10, 20, 35].map((minute, i) => flows(MOVES + 33 * MINUTE + minute * MINUTE, BigInt(i)));
  await bench.take([...month.october(), ...west(), ...east, ...requests()]);
  await bench.passAt(FIRST_DAY + DAY);
  await bench.take(month.late());
  await bench.passAt(FIRST_DAY + 3 * DAY);
  guarded = guardedApi(server, {
    store: opened.store,
    reader: usageReader({ queryTimeoutMs: 10_000 }, opened),
    usageClock: bench.clock,
  });
}, 120_000);
afterAll(async () => {
  await guarded.api.stop();
  await opened.dispose();
  await server.stop();
});

interface Told {
  readonly windowStart: string;
  readonly value: string | null;
  readonly groupBy: Readonly<Record<string, string>>;
  readonly coverage: { readonly coveredMs: number; readonly expectedMs: number };
  readonly complete: boolean;
  readonly state: string;
  readonly revision: number;
}

const text = (ms: number): string => new Date(ms).toISOString();

function rangeOf(fromMs: number, toMs: number): string {
  return `from=${text(fromMs)}&to=${text(toMs)}`;
}

async function everybody(): Promise<string> {
  return await server.serviceToken();
}

async function member(...tenants: readonly string[]): Promise<string> {
  return await server.memberToken(tenants, 'metering-viewer');
}

async function send(token: string, meter: string, query: string, accept = 'application/json') {
  const headers = { authorization: `Bearer ${token}`, accept };
  return await guarded.api.app.inject({ url: `/api/v1/meters/${meter}/query?${query}`, headers });
}

async function rowsOf(token: string, meter: string, query: string): Promise<readonly Told[]> {
  const response = await send(token, meter, query);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<{ data: Told[] }>().data;
}

/** By hour, or by nothing, and group; sums of nothing are left out. */
function sums(rows: readonly Told[], lengthMs: number): Map<string, bigint> {
  const found = new Map<string, bigint>();
  for (const { windowStart, groupBy, value } of rows) {
    const start = Math.floor(Date.parse(windowStart) / lengthMs) * lengthMs;
    const key = JSON.stringify([start, groupBy]);
    found.set(key, (found.get(key) ?? 0n) + BigInt(value ?? 0));
  }
  return new Map([...found].filter(([, sum]) => sum !== 0n));
}

const ALL_TIME = 1e15;
const GROUPS = ['', 'tenant', 'tenant,cluster,namespace', 'cluster,workload'];
const METERS = ['cpu', 'memory', 'http_requests'];
const RANGES = [
  [FIRST_DAY, FIRST_DAY + 6 * HOUR],
  [FIRST_DAY + 2 * HOUR + 15 * MINUTE, FIRST_DAY + 5 * HOUR + 45 * MINUTE],
  [FIRST_DAY + 2 * DAY - 2 * HOUR, FIRST_DAY + 2 * DAY + HOUR],
] as const;

test('of OpenMeter’s suite, by MINUTE: what five customers used, in the minutes that they used it in', async () => {
  const tenants = CUSTOMERS.map((tenant) => `&tenant=${tenant}`).join('');
  const used = async (fromMs: number, size: string) => {
    const asked = `${rangeOf(fromMs, fromMs + 2 * HOUR)}&windowSize=${size}${tenants}`;
    const rows = await rowsOf(await everybody(), 'http_requests', asked);
    return rows.flatMap(({ windowStart, value }) =>
      BigInt(value ?? 0) === 0n ? [] : [[Date.parse(windowStart), value]],
    );
  };
  expect([...(await used(ASKED, 'MINUTE')), ...(await used(ASKED + DAY, 'MINUTE'))]).toEqual(
    LATER.map((after) => [ASKED + after, '500']),
  );
  expect(await used(ASKED, 'HOUR')).toEqual([
    [ASKED, '1000'],
    [ASKED + HOUR, '500'],
  ]);
});

describe('minutes', () => {
  test.each(METERS)(
    'of %s sum to the hours and to the range, by whatever they are grouped',
    async (meter) => {
      const token = await everybody();
      let groups = 0;
      for (const [from, to] of RANGES) {
        for (const group of GROUPS) {
          const query = `${rangeOf(from, to)}${group === '' ? '' : `&groupBy=${group}`}`;
          const minutes = await rowsOf(token, meter, `${query}&windowSize=MINUTE`);
          const hours = await rowsOf(token, meter, `${query}&windowSize=HOUR`);
          expect(sums(minutes, HOUR), query).toEqual(sums(hours, HOUR));
          expect(sums(minutes, ALL_TIME), query).toEqual(sums(await rowsOf(token, meter, query), ALL_TIME));
          groups += sums(minutes, ALL_TIME).size;
        }
      }
      expect(groups).toBeGreaterThanOrEqual(GROUPS.length * 2);
    },
  );

  test('of many destinations sum to those that are told apart in the hour, and to the others', async () => {
    const token = await everybody();
    const query = `${rangeOf(MOVES, MOVES + 2 * HOUR)}&groupBy=destination`;
    const minutes = sums(await rowsOf(token, 'egress', `${query}&windowSize=MINUTE`), HOUR);
    expect(minutes).toEqual(sums(await rowsOf(token, 'egress', `${query}&windowSize=HOUR`), HOUR));
    const byOwner = `${query},tenant&windowSize=`;
    const ofOwners = sums(await rowsOf(token, 'egress', `${byOwner}MINUTE`), HOUR);
    expect(ofOwners).toEqual(sums(await rowsOf(token, 'egress', `${byOwner}HOUR`), HOUR));
    for (const [tenant, first, last] of [
      ['acme', false, true],
      ['globex', true, false],
    ] as const) {
      const isTold = (i: number): boolean =>
        ofOwners.has(JSON.stringify([MOVES, { tenant, destination: `203.0.113.${i}` }]));
      expect([isTold(0), isTold(DESTINATIONS - 1)]).toEqual([first, last]);
    }
    expect(minutes.get(JSON.stringify([MOVES, { destination: '(other)' }]))).toBeGreaterThan(0n);
    const other = `${query}&windowSize=MINUTE&destination=(other)&destination=203.0.113.102`;
    const filtered = sums(await rowsOf(token, 'egress', other), HOUR);
    const wanted = [...minutes].filter(([key]) => /other|\.102"/.test(key));
    expect(filtered).toEqual(new Map(wanted));
  });

  test('have the groups, revisions and states of their hours, and coverage that sums to theirs', async () => {
    const token = await everybody();
    const query = `${rangeOf(FIRST_DAY, FIRST_DAY + 6 * HOUR)}&groupBy=cluster`;
    const minutes = await rowsOf(token, 'cpu', `${query}&windowSize=MINUTE`);
    const hours = await rowsOf(token, 'cpu', `${query}&windowSize=HOUR`);
    expect(minutes).toHaveLength(60 * hours.length);
    for (const hour of hours) {
      const own = minutes.filter(
        ({ windowStart, groupBy }) =>
          windowStart.startsWith(hour.windowStart.slice(0, 13)) &&
          groupBy['cluster'] === hour.groupBy['cluster'],
      );
      const covered = own.reduce((sum, { coverage }) => sum + coverage.coveredMs, 0);
      const expected = own.reduce((sum, { coverage }) => sum + coverage.expectedMs, 0);
      expect({ coveredMs: covered, expectedMs: expected }).toEqual(hour.coverage);
      expect(new Set(own.map(({ state }) => state))).toEqual(new Set([hour.state]));
      const used = own.filter(({ value }) => value !== null && value !== '0');
      if (used.length > 0)
        expect(new Set(used.map(({ revision }) => revision))).toEqual(new Set([hour.revision]));
    }
    expect(Math.max(...hours.map(({ revision }) => revision))).toBeGreaterThan(1);
  });

  test('that nobody scraped have no value, and those before and after are told', async () => {
    // The last of the scrapes, seven seconds past the minute: a gauge is held for five minutes.
    const last = FIRST_DAY + 36 * 5 * MINUTE;
    const query = `${rangeOf(last - 5 * MINUTE, last + 10 * MINUTE)}&windowSize=MINUTE&cluster=north`;
    const rows = await rowsOf(await everybody(), 'memory', query);
    const shown = rows.map(({ value, coverage }) => [value === null, coverage.coveredMs]);
    expect(shown.slice(0, 5)).toEqual(Array(5).fill([false, 60_000]));
    expect(shown[5]?.[0]).toBe(false);
    expect(shown[10]).toEqual([false, 0]);
    expect(shown.slice(11)).toEqual(Array(4).fill([true, 0]));
  });

  test('lie where they are asked for, also off the quarters', async () => {
    const token = await everybody();
    const range = rangeOf(MOVES + 7 * MINUTE, MOVES + 23 * MINUTE);
    const rows = await rowsOf(token, 'cpu', `${range}&windowSize=MINUTE&cluster=west&groupBy=tenant`);
    // 90 core-s on half an hour; whose it is changes after 20 and a half. Nobody scraped in between.
    const of = (tenant: string): (string | null)[] =>
      rows.filter(({ groupBy }) => groupBy['tenant'] === tenant).map(({ value }) => value);
    expect(of('acme')).toEqual([...Array<string>(13).fill('3000000000'), '1500000000', null, null]);
    expect(of('globex')).toEqual([
      ...Array<null>(13).fill(null),
      ...['1500000000', '3000000000', '3000000000'],
    ]);
    expect(rows[0]?.windowStart).toBe('2026-10-28T03:07:00Z');
  });
});

describe('groups', () => {
  const namesIn = (rows: readonly Told[]): string[] =>
    [...new Set(rows.map(({ groupBy }) => JSON.stringify(groupBy)))].sort();

  test.each([
    // 20 and a half minutes past the hour the one is followed by the other, within a quarter.
    ['before it', 3, 14, ['acme']],
    ['before it, within its quarter', 16, 20, ['acme']],
    ['across it', 16, 27, ['acme', 'globex']],
    ['behind it', 22, 29, ['globex']],
    ['behind it, over whole quarters', 22, 118, ['globex']],
    ['far behind it, on quarters', 30, 60, ['globex']],
  ])('are those that used something in the range, %s', async (_, from, to, tenants) => {
    const token = await everybody();
    const query = `${rangeOf(MOVES + from * MINUTE, MOVES + to * MINUTE)}&windowSize=MINUTE&cluster=west`;
    const rows = await rowsOf(token, 'cpu', `${query}&groupBy=tenant`);
    expect(namesIn(rows)).toEqual(tenants.map((tenant) => JSON.stringify({ tenant })));
    expect(rows).toHaveLength(tenants.length * (to - from));
  });

  test.each(GROUPS.slice(1))('are the same as with `top`, by %s', async (group) => {
    const token = await everybody();
    const ranges = [3, 17, 45, 60].flatMap((from) =>
      [19, 75].map((length) => [from, from + length] as const),
    );
    for (const [from, to] of ranges) {
      const query = `${rangeOf(MOVES + from * MINUTE, MOVES + to * MINUTE)}&windowSize=MINUTE&groupBy=${group}`;
      const rows = await rowsOf(token, 'cpu', query);
      expect(namesIn(rows), query).toEqual(namesIn(await rowsOf(token, 'cpu', `${query}&top=100`)));
    }
  });
});

describe('a tenant', () => {
  const hours = `${rangeOf(FIRST_DAY, FIRST_DAY + 6 * HOUR)}&windowSize=MINUTE`;

  test.each([['acme'], ['globex'], ['initech'], ['acme', 'globex']])(
    'is told of its own shares, of a namespace that changed hands too (%s %s)',
    async (...tenants) => {
      const mine = tenants.map((tenant) => `&tenant=${tenant}`).join('');
      for (const group of ['&groupBy=tenant,cluster,namespace', '']) {
        const told = await rowsOf(await member(...tenants), 'cpu', `${hours}${group}`);
        const wanted = await rowsOf(await everybody(), 'cpu', `${hours}${group}${mine}`);
        expect(sums(told, MINUTE)).toEqual(sums(wanted, MINUTE));
        expect(sums(told, MINUTE).size).toBeGreaterThan(0);
        const seen = new Set(told.map(({ groupBy }) => groupBy['tenant'] ?? tenants[0]));
        expect([...seen].filter((tenant) => !tenants.includes(tenant))).toEqual([]);
      }
    },
  );

  test('has nothing of what others have, whatever it names', async () => {
    const token = await member('initech');
    for (const filter of ['tenant=acme', 'namespace=shift', 'cluster=west', 'filterGroupBy[tenant]=globex']) {
      const rows = await rowsOf(token, 'cpu', `${hours}&${filter}&groupBy=tenant,namespace`);
      expect(rows).toEqual([]);
    }
    const [first] = await rowsOf(token, 'cpu', `${hours}&cluster=west`);
    expect(first).toMatchObject({ value: null, coverage: { coveredMs: 0, expectedMs: 0 } });
  });
});

describe('the answer', () => {
  const query = `${rangeOf(FIRST_DAY + 30 * MINUTE, FIRST_DAY + 100 * MINUTE)}&windowSize=MINUTE&groupBy=tenant,namespace`;

  test('comes in pages that are together all of it', async () => {
    const token = await everybody();
    const all = await rowsOf(token, 'cpu', query);
    const pages: Told[] = [];
    for (let at = ''; pages.length === 0 || at !== '';) {
      const response = await send(token, 'cpu', `${query}&limit=100${at}`);
      expect(response.statusCode, response.body).toBe(200);
      const { data, nextCursor } = response.json<{ data: Told[]; nextCursor?: string }>();
      pages.push(...data);
      at = nextCursor === undefined ? '' : `&cursor=${nextCursor}`;
    }
    expect(pages).toEqual(all);
    expect(all.length).toBeGreaterThan(250);
  });

  test('is the same as CSV and as NDJSON, and by POST', async () => {
    const token = await everybody();
    const all = await rowsOf(token, 'cpu', query);
    const lines = (await send(token, 'cpu', query, 'application/x-ndjson')).body.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as Told)).toEqual(all);
    const limited = await send(token, 'cpu', `${query}&limit=1`, 'application/x-ndjson');
    expect(
      limited.body
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Told),
    ).toEqual([all[0]]);
    expect(limited.headers['next-cursor']).toBeDefined();
    const csv = (await send(token, 'cpu', query, 'text/csv')).body.trimEnd().split('\r\n').slice(1);
    expect(csv.map((line) => line.split(',').slice(0, 5).join())).toEqual(
      all.map(({ windowStart, groupBy: { tenant, namespace }, value }) =>
        [
          windowStart,
          text(Date.parse(windowStart) + MINUTE).replace('.000Z', 'Z'),
          tenant,
          namespace,
          value ?? '',
        ].join(),
      ),
    );
    const [from, to] = [FIRST_DAY + 30 * MINUTE, FIRST_DAY + 100 * MINUTE].map(text);
    const payload = { from, to, windowSize: 'MINUTE', groupBy: ['tenant', 'namespace'] };
    const headers = { authorization: `Bearer ${token}` };
    const url = '/api/v1/meters/cpu/query';
    const posted = await guarded.api.app.inject({ method: 'POST', url, headers, payload });
    expect(posted.json<{ data: Told[] }>().data).toEqual(all);
  });

  test('is of the groups that used most, or in the unit people read', async () => {
    const token = await everybody();
    const range = rangeOf(FIRST_DAY + 3 * MINUTE, FIRST_DAY + 100 * MINUTE);
    const top = await rowsOf(token, 'cpu', `${range}&windowSize=MINUTE&groupBy=tenant&top=1`);
    const all = await rowsOf(token, 'cpu', `${range}&windowSize=MINUTE&groupBy=tenant`);
    const totals = [...sums(all, ALL_TIME)].sort(([, a], [, b]) => (a < b ? 1 : -1));
    expect(JSON.stringify([0, top[0]?.groupBy])).toBe(totals[0]?.[0]);
    expect(top).toEqual(all.filter(({ groupBy }) => groupBy['tenant'] === top[0]?.groupBy['tenant']));
    const [row] = await rowsOf(token, 'cpu', `${range}&windowSize=MINUTE&unit=presented&tenant=initech`);
    expect(row).toMatchObject({ unit: 'core-hour', baseUnit: 'core-ns' });
  });

  test('has minutes of the running hour up to the newest scrape, of which nothing is settled', async () => {
    const end = FIRST_DAY + 3 * DAY + 2 * HOUR;
    const running = { cluster: 'running', owners: { live: 'acme' } };
    const records = [7, 8, 9].map((minute) =>
      scrapes.at(end + minute * MINUTE, { ...running, cpu: { 'live/r': minute * 6 } }),
    );
    await bench.take(records);
    await bench.passAt(end + 9 * MINUTE + 5_000);
    const rows = await rowsOf(await everybody(), 'cpu', 'windowSize=MINUTE&cluster=running');
    expect(rows).toHaveLength(60);
    const last = rows
      .slice(-4)
      .map(({ windowStart, value, complete, revision, coverage }) => [
        ...[windowStart.slice(11, 16), value, complete, revision, coverage.coveredMs],
      ]);
    expect(last).toEqual([
      ['02:06', null, false, 0, 0],
      ['02:07', '6000000000', false, 0, 60_000],
      ['02:08', '6000000000', false, 0, 60_000],
      ['02:09', null, false, 0, 0],
    ]);
  });
});

describe('what may be asked', () => {
  async function withLimits<Result>(
    minutes: Partial<(typeof DEFAULT_LIMITS)['minutes']>,
    work: (api: Api) => Promise<Result>,
  ): Promise<Result> {
    const limits = { ...DEFAULT_LIMITS, minutes: { ...DEFAULT_LIMITS.minutes, ...minutes } };
    const facts = { event: () => undefined, metricsText: async () => '' };
    const deps = { store: opened.store, clock: bench.clock, facts, checks: [] };
    const api = apiOf({ host: '127.0.0.1', port: 0, limits }, deps);
    checkAnswers(api.app);
    try {
      return await work(api);
    } finally {
      await api.app.close();
    }
  }
  const url = `/api/v1/meters/cpu/query?${rangeOf(FIRST_DAY, FIRST_DAY + 2 * HOUR)}&windowSize=MINUTE`;

  test('is so much in samples, and in hours', async () => {
    const many = await withLimits({ maxSamples: 1_000 }, (api) => api.app.inject(url));
    expect(many.statusCode).toBe(200);
    const refused = await withLimits({ maxSamples: 100 }, (api) => api.app.inject(url));
    expect(refused.statusCode).toBe(400);
    expect(refused.json()).toMatchObject({ problems: [{ parameter: 'from', code: 'too_many_samples' }] });
    const narrow = await withLimits({ maxSamples: 100 }, (api) => api.app.inject(`${url}&namespace=nothing`));
    expect(narrow.statusCode).toBe(200);
    const long = await withLimits({ rangeHours: 1 }, (api) => api.app.inject(url));
    expect(long.json()).toMatchObject({ problems: [{ parameter: 'to', code: 'range_too_long' }] });
  });

  test('is as much at once as may run, and for as long as it may take', async () => {
    const both = await withLimits({ running: 1 }, (api) =>
      Promise.all([api.app.inject(url), api.app.inject(url)]),
    );
    const turnedAway = both.find(({ statusCode }) => statusCode === 503);
    expect(both.map(({ statusCode }) => statusCode).sort()).toEqual([200, 503]);
    expect(turnedAway?.json()).toMatchObject({ code: 'METER_OVERLOADED' });
    expect(turnedAway?.headers['retry-after']).toBe('10');
    const late = await withLimits({ timeoutMs: 0 }, (api) => api.app.inject(url));
    expect([late.statusCode, late.json<{ code: string }>().code]).toEqual([503, 'METER_TIMEOUT']);
  });
});

describe('minutes that cannot be made any more', () => {
  async function refusal(
    token: string,
    query: string,
  ): Promise<{ code: string; detail: string } | undefined> {
    const response = await send(token, 'cpu', `${query}&windowSize=MINUTE`);
    return response.json<{ problems?: { code: string; detail: string }[] }>().problems?.[0];
  }

  test('are told of with the hour from which there are any: erased, past their retention, closed', async () => {
    const token = await everybody();
    const before = rangeOf(FIRST_DAY, FIRST_DAY + HOUR);
    const after = rangeOf(FIRST_DAY + 2 * HOUR, FIRST_DAY + 3 * HOUR);
    expect(await refusal(token, before)).toBeUndefined();
    const stretches = [{ cluster: 'north', namespace: 'web', from: FIRST_DAY, to: FIRST_DAY + 2 * HOUR }];
    const erased = {
      tenant: 'acme',
      through: 202610,
      reason: 'asked for',
      samples: 1n,
      series: 1,
      stretches,
    };
    await appendErasure(opened.store, { kind: 'erasure', ...erased, cut: [] });
    expect(await refusal(token, before)).toMatchObject({ code: 'minutes_not_kept' });
    expect((await refusal(token, before))?.detail).toContain('from 2026-10-28T02:00:00Z on');
    // Whoever has nothing in the namespace is not told of it.
    expect(await refusal(await member('initech'), before)).toBeUndefined();
    expect(await refusal(token, after)).toBeUndefined();

    await appendFloor(opened.store, { kind: 'floor', floor: FIRST_DAY + 3 * HOUR, cut: [] });
    expect((await refusal(token, after))?.detail).toContain('from 2026-10-28T03:00:00Z on');

    const west = scrapes.at(NOVEMBER + 2 * DAY, { cluster: 'west' });
    await bench.take([...month.november(), west]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    const closed = await refusal(token, rangeOf(NOVEMBER - HOUR, NOVEMBER));
    expect(closed).toMatchObject({ code: 'minutes_not_kept' });
    expect(closed?.detail).toContain('from 2026-11-01T00:00:00Z on. Before that take HOUR.');
  });
});
