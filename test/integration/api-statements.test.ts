/** Periods, statements and what stands behind a number, over HTTP, of a closed month on a real store. */
import { readFileSync } from 'node:fs';
import { hash } from 'node:crypto';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ENDPOINTS } from '../../aggregator/api/endpoints.ts';
import { usageReader } from '../../aggregator/api/usage/remembering-reader.ts';
import { statementBytes } from '../../aggregator/ledger/commands.ts';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import { quotaSchema } from '../../aggregator/ledger/quota.ts';
import { statementHash } from '../../aggregator/ledger/statements/canonical.ts';
import { parseStatement } from '../../aggregator/ledger/statements/json.ts';
import type { Parameters, ReadOptions, UsageStore } from '../../aggregator/store/usage-store.ts';
import { AccountsBench } from '../support/accounts.ts';
import { clientOf } from '../support/api-client.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, FIRST_DAY, NOVEMBER } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';
import { TokenServer } from '../support/token-server.ts';
import { guardedApi, type GuardedApi } from '../support/token-server-api.ts';

const JSON_TYPE = 'application/json';
const FOCUS_TYPE = 'application/vnd.gh0stcloud.focus+csv';
const PARQUET_TYPE = 'application/vnd.apache.parquet';

let opened: TestStore;
let bench: AccountsBench;
let month: ClosedMonth;
let server: TokenServer;
let guarded: GuardedApi;
let everything: string;
let acme: string;

async function tokenOf(...members: readonly string[]): Promise<string> {
  return await server.memberToken(members, 'metering-billing');
}

beforeAll(async () => {
  server = await TokenServer.start();
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north', 'south']);
  month = new ClosedMonth();
  await month.playOn(bench);
  const quota = { tenant: 'acme', meter: 'cpu', window: 'month', limit: '0.5' };
  const quotas = [quota, { ...quota, tenant: 'globex', window: 'day', limit: '100', unit: 'base' }];
  const declared = quotas.map((one) => quotaSchema.parse(one));
  guarded = guardedApi(server, { store: opened.store, usageClock: bench.clock, quotas: declared });
  everything = await server.serviceToken();
  acme = await tokenOf('acme');
});
afterAll(async () => {
  await guarded.api.stop();
  await opened.dispose();
  await server.stop();
});

type Response = Awaited<ReturnType<GuardedApi['api']['app']['inject']>>;

interface Asking {
  readonly accept?: string;
  readonly known?: string;
  readonly method?: 'GET' | 'HEAD';
}

async function get(token: string, path: string, asking: Asking = {}): Promise<Response> {
  const { accept = JSON_TYPE, known, method = 'GET' } = asking;
  const headers = { authorization: `Bearer ${token}`, accept, 'x-request-id': 'one' };
  return await guarded.api.app.inject({
    ...{ url: `/api/v1${path}`, method },
    headers: known === undefined ? headers : { ...headers, 'if-none-match': known },
  });
}

async function json<Body>(token: string, path: string): Promise<Body> {
  const response = await get(token, path);
  expect(response.statusCode, response.body).toBe(200);
  return response.json<Body>();
}

describe('a closed statement', () => {
  const path = '/statements/2026-10/acme';
  const stored = (format: 'json' | 'csv' | 'focus' | 'parquet'): Promise<Uint8Array> =>
    statementBytes(opened.store, { period: '2026-10', tenant: 'acme', format });

  test.each([
    [JSON_TYPE, 'json'],
    ['text/csv', 'csv'],
    [FOCUS_TYPE, 'focus'],
    [PARQUET_TYPE, 'parquet'],
  ] as const)('is handed out as %s as its close wrote it, and may be kept for ever', async (type, format) => {
    const response = await get(everything, path, { accept: type });
    expect(response.statusCode).toBe(200);
    const bytes = Buffer.from(await stored(format));
    expect(response.rawPayload.equals(bytes)).toBe(true);
    expect(response.headers['content-type']).toMatch(new RegExp(`^${type.replace('+', '\\+')}`));
    expect(response.headers['cache-control']).toBe('private, immutable, max-age=31536000');
    expect(response.headers.vary).toBe('accept, authorization');
    const { etag } = response.headers;
    const ofBytes = hash('sha256', bytes);
    const own = format === 'json' ? statementHash(parseStatement(bytes.toString())) : ofBytes;
    expect(etag).toBe(`"${own}"`);
    const again = await get(everything, path, { accept: type, known: `"other", W/${String(etag)}` });
    expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', etag]);
    expect((await get(everything, path, { accept: type, known: '"other"' })).statusCode).toBe(200);
    const head = await get(everything, path, { accept: type, method: 'HEAD' });
    expect([head.statusCode, head.body, head.headers.etag]).toEqual([200, '', etag]);
    expect(head.headers['content-length']).toBe(String(bytes.length));
    const ofTenant = await get(acme, path, { accept: type });
    expect(ofTenant.rawPayload.equals(bytes)).toBe(true);
  });

  test('in Parquet is read by others', async () => {
    const { bytes } = await clientOf(guarded.api, everything).call(
      'getStatement',
      { params: { period: '2026-10', tenant: 'acme' } },
      { accept: PARQUET_TYPE },
    );
    const rows = await parquetReadObjects({ file: Uint8Array.from(bytes).buffer });
    expect(rows.filter((row) => row['record'] === 'line').length).toBeGreaterThan(0);
  });

  test('in another form than there is, is not acceptable', async () => {
    expect((await get(everything, path, { accept: 'image/png' })).statusCode).toBe(406);
  });

  test('that may not be read looks as one that there is not', async () => {
    const shown = async (token: string, of: string): Promise<unknown> => {
      const { statusCode, headers, body } = await get(token, `/statements/${of}`, { known: '*' });
      const told = JSON.parse(body) as Record<string, unknown>;
      return { statusCode, length: headers['content-length'], ...told, instance: '' };
    };
    const unknown = await shown(acme, '2026-10/nobody');
    expect(unknown).toMatchObject({ statusCode: 404, code: 'METER_NOT_FOUND' });
    // As long as `nobody`, so that the addresses do not differ.
    expect(await shown(acme, '2026-10/globex')).toEqual(unknown);
    expect(await shown(acme, '2027-05/globex')).toEqual(unknown);
    expect(await shown(everything, '2026-10/nobody')).toEqual(unknown);
    expect(await shown(acme, '2016-10/globex')).toEqual(unknown);
    expect(await shown(acme, '2026-13/globex')).toEqual(unknown);
  });

  test('is not read again from the store', async () => {
    await get(everything, path);
    const { store } = opened;
    const rows = store.rows.bind(store);
    let queries = 0;
    store.rows = async (...given) => {
      queries++;
      return await rows(...given);
    };
    try {
      for (const token of [everything, acme]) expect((await get(token, path)).statusCode).toBe(200);
    } finally {
      store.rows = rows;
    }
    expect(queries).toBe(0);
  });
});

interface Line {
  readonly meter: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly quantity: string;
  readonly hoursHash: string;
}

interface Provisional {
  readonly provisional: true;
  readonly state: string;
  readonly lines: readonly Line[];
  readonly corrections: readonly { readonly id: string; readonly quantity: string }[];
  readonly coverage: readonly unknown[];
}

describe('an open period', () => {
  test('has a provisional statement, which nobody keeps, and which its close confirms', async () => {
    const response = await get(acme, '/statements/2026-11/acme');
    expect(response.statusCode, response.body).toBe(200);
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.headers.etag).toBeUndefined();
    expect((await get(acme, '/statements/2026-11/acme', { accept: 'text/csv' })).statusCode).toBe(406);
    const now = response.json<Provisional>();
    expect(now).toMatchObject({ provisional: true, state: 'open' });
    expect(now.corrections.length).toBeGreaterThan(0);
    await bench.take(month.untilDecember());
    await bench.passAt(NOVEMBER + 31 * DAY);
    const settling = (await get(acme, '/statements/2026-11/acme')).json<Provisional>();
    expect(settling.state).toBe('settling');
    await bench.passAt(NOVEMBER + 33 * DAY);
    const then = JSON.parse((await get(acme, '/statements/2026-11/acme')).body) as Provisional;
    expect(then.provisional).toBeUndefined();
    const { lines, corrections, coverage } = then;
    expect(settling).toMatchObject({ lines, corrections, coverage });
    // The hour that went on was in no line yet.
    expect(now.lines).not.toEqual(lines);
    expect(now.lines.map(({ meter }) => meter)).toEqual(lines.map(({ meter }) => meter));
  });

  test('in which a tenant has nothing has no statement of it', async () => {
    expect((await get(everything, '/statements/2026-12/acme')).statusCode).toBe(404);
  });
});

describe('periods', () => {
  interface Listed {
    readonly period: string;
    readonly state: string;
    readonly close?: { readonly hash: string; readonly previousHash: string; readonly cut: unknown[] };
    readonly data: readonly { readonly tenant: string; readonly hash: string; readonly href: string }[];
  }

  test('are told with their states, and the chain to who reads everything', async () => {
    const { data } = await json<{ data: Listed[] }>(everything, '/periods');
    expect(data.map(({ period, state }) => `${period} ${state}`)).toEqual([
      '2026-10 closed',
      '2026-11 closed',
    ]);
    const [october, november] = await readCloses(opened.store);
    expect(data.map(({ close }) => [close?.hash, close?.previousHash])).toEqual([
      [october?.hash, ''],
      [november?.hash, october?.hash],
    ]);
    const mine = await json<{ data: Listed[] }>(acme, '/periods');
    expect(mine.data.map(({ period, close }) => [period, close])).toEqual([
      ['2026-10', undefined],
      ['2026-11', undefined],
    ]);
    expect(await json(await tokenOf('nobody'), '/periods')).toEqual({ data: [] });
  });

  test('list their statements, with what makes the hash of the close', async () => {
    const listed = await json<Listed>(everything, '/statements/2026-10');
    const [close] = await readCloses(opened.store);
    expect(listed.data.map(({ tenant, hash: ofTenant }) => [tenant, ofTenant])).toEqual(close?.statements);
    expect(listed.close).toMatchObject({ hash: close?.hash, statements: close?.statements.length });
    expect(listed.close?.cut.length).toBeGreaterThan(0);
    for (const { href, hash: ofTenant } of listed.data) {
      const response = await get(everything, href.replace('/api/v1', ''));
      expect(response.headers.etag).toBe(`"${ofTenant}"`);
    }
    const response = await get(everything, '/statements/2026-10');
    expect(response.headers).toMatchObject({
      etag: `"${String(close?.hash)}"`,
      vary: 'accept, authorization',
    });
    expect(
      (await get(everything, '/statements/2026-10', { known: `"${String(close?.hash)}"` })).statusCode,
    ).toBe(304);
    const own = await get(acme, '/statements/2026-10');
    expect(own.json<Listed>().data.map(({ tenant }) => tenant)).toEqual(['acme']);
    expect(own.json<Listed>().close).toBeUndefined();
    expect(own.headers.etag).not.toContain(close?.hash);
    expect((await get(await tokenOf('nobody'), '/statements/2026-10')).statusCode).toBe(404);
    expect((await get(everything, '/statements/2027-01')).statusCode).toBe(404);
  });
});

describe('a number', () => {
  interface Explained {
    readonly quantity: string;
    readonly equal: boolean;
    readonly keys: readonly {
      readonly tenant: string;
      readonly namespace: string;
      readonly series: unknown[];
    }[];
    readonly intervals: { readonly shown: number; readonly total: number };
    readonly next?: string;
  }
  // The namespace `db` moves from acme to globex in this hour.
  const hour = new Date(FIRST_DAY + 3_600_000).toISOString();
  const ask = async (token: string, more = ''): Promise<Explained> =>
    await json<Explained>(token, `/explain?meter=cpu&hour=${hour}${more}`);
  const intervalsIn = ({ keys }: Explained): string[] =>
    keys.flatMap(({ series }) =>
      (series as { series: string; intervals: { at: { t: string } }[] }[]).flatMap((one) =>
        one.intervals.map(({ at }) => `${one.series} ${at.t}`),
      ),
    );

  test('is walked down to its samples, and a tenant sees its own alone', async () => {
    const all = await ask(everything);
    expect(new Set(all.keys.map(({ tenant }) => tenant))).toEqual(new Set(['acme', 'globex', 'initech']));
    expect(all.equal).toBe(true);
    const own = await ask(acme);
    expect(new Set(own.keys.map(({ tenant }) => tenant))).toEqual(new Set(['acme']));
    const ofAcme = JSON.stringify(await ask(everything, '&tenant=acme'));
    expect(ofAcme).toContain('"log":{"topic":"usage.north"');
    const withoutLog: unknown = JSON.parse(ofAcme.replaceAll(/,"log":\{[^}]*\}/g, ''));
    expect(own).toEqual(withoutLog);
    expect(JSON.stringify(own)).not.toMatch(/globex|initech|south|usage\.north/);
  });

  test('of others is as one of nobody', async () => {
    const [other, nobody] = [await ask(acme, '&tenant=globex'), await ask(acme, '&tenant=nobody')];
    expect(other).toMatchObject({ quantity: '0', keys: [] });
    expect({ ...other, asked: {} }).toEqual({ ...nobody, asked: {} });
    const both = await tokenOf('acme', 'globex');
    expect((await get(both, `/explain?meter=cpu&hour=${hour}`)).statusCode).toBe(400);
    expect((await ask(both, '&tenant=globex')).keys.length).toBeGreaterThan(0);
  });

  test('with many intervals is told page by page', async () => {
    const whole = intervalsIn(await ask(everything, '&limit=1000'));
    const paged: string[] = [];
    for (let after = ''; ;) {
      const page = await ask(everything, `&limit=20${after}`);
      paged.push(...intervalsIn(page));
      if (page.next === undefined) break;
      after = `&after=${page.next}`;
    }
    expect(whole.length).toBeGreaterThan(10);
    expect([...paged].sort()).toEqual([...whole].sort());
  });
});

describe('clusters', () => {
  test('say how far they were seen, to those who have something in them', async () => {
    interface Watermarks {
      readonly data: readonly {
        readonly cluster: string;
        readonly watermark: string;
        readonly settledBefore: string;
      }[];
    }
    const all = await json<Watermarks>(everything, '/watermarks');
    expect(all.data.map(({ cluster }) => cluster)).toEqual(['north', 'south']);
    for (const { watermark, settledBefore } of all.data) expect(watermark > settledBefore).toBe(true);
    const own = await json<Watermarks>(acme, '/watermarks');
    expect(own.data).toEqual(all.data.slice(0, 1));
  });

  test('reconcile, for who reads everything, page by page', async () => {
    interface Page {
      readonly data: readonly {
        readonly hour: string;
        readonly difference: string;
        readonly cluster: string;
      }[];
      readonly next?: string;
    }
    const range = '/reconciliation?from=2026-10-01T00:00:00Z&to=2026-12-01T00:00:00Z';
    const whole = await json<Page>(everything, `${range}&limit=10000`);
    expect(whole.data.length).toBeGreaterThan(20);
    expect(new Set(whole.data.map(({ difference }) => difference))).toEqual(new Set(['0']));
    const paged: unknown[] = [];
    for (let after = ''; ;) {
      const page = await json<Page>(everything, `${range}&limit=9${after}`);
      paged.push(...page.data);
      if (page.next === undefined) break;
      after = `&after=${page.next}`;
    }
    expect(paged).toEqual(whole.data);
    const south = await json<Page>(everything, `${range}&cluster=south`);
    expect(south.data).toEqual(whole.data.filter(({ cluster }) => cluster === 'south').slice(0, 1_000));
    const hours = async (from: string, to: string): Promise<string[]> => {
      const { data } = await json<Page>(
        everything,
        `/reconciliation?from=${from}&to=${to}&meter=cpu&cluster=north`,
      );
      return data.map(({ hour }) => hour);
    };
    const [first = '', second = ''] = whole.data
      .filter(({ cluster }) => cluster === 'north')
      .map(({ hour }) => hour)
      .filter((hour, i, all) => all.indexOf(hour) === i);
    expect(await hours(first, second)).toEqual([first]);
    const off = await get(
      everything,
      `/reconciliation?from=${first.replace(':00:00Z', ':45Z')}&to=${second}`,
    );
    expect(off.json()).toMatchObject({ problems: [{ parameter: 'from', code: 'off_grain' }] });
    expect((await get(acme, '/reconciliation')).statusCode).toBe(403);
    expect((await get(everything, `${range}&after=e30`)).statusCode).toBe(400);
  });
});

describe('a list as CSV', () => {
  type Rows = readonly Readonly<Record<string, unknown>>[];

  /** Of a row, by the name of a column. */
  function cell(row: Rows[number], column: string): string {
    const value = column
      .split('.')
      .reduce<unknown>((at, name) => (at as Rows[number] | undefined)?.[name], row);
    const text = [value ?? '']
      .flat()
      .map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
      .join(' ');
    return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  test.each([
    ['/meters', 10],
    ['/tenants', 3],
    ['/tenants/acme/usage?period=2026-10', 3],
    ['/quotas', 2],
    ['/periods', 2],
    ['/statements/2026-10', 2],
    ['/reconciliation?from=2026-10-01T00:00:00Z&to=2026-12-01T00:00:00Z', 20],
    ['/watermarks', 2],
    ['/breaches', 0],
  ])('has the rows that it has as JSON: %s', async (path, atLeast) => {
    const { data } = await json<{ data: Rows }>(everything, path);
    const response = await get(everything, path, { accept: 'text/csv' });
    expect(response.headers['content-type']).toBe('text/csv; charset=utf-8; header=present');
    const [header = '', ...lines] = response.body.trimEnd().split('\r\n');
    expect(lines).toEqual(
      data.map((row) =>
        header
          .split(',')
          .map((column) => cell(row, column))
          .join(','),
      ),
    );
    expect(lines.length).toBeGreaterThanOrEqual(atLeast);
  });

  test('comes in pages, by the address or the cursor in the header', async () => {
    const first = await get(everything, '/tenants?limit=2', { accept: 'text/csv' });
    const next = String(first.headers['next-cursor']);
    expect(first.headers['link']).toBe(`</api/v1/tenants?limit=2&after=${next}>; rel="next"`);
    const second = await get(everything, `/tenants?limit=2&after=${next}`, { accept: 'text/csv' });
    const tenants = [first, second].flatMap(({ body }) => body.trimEnd().split('\r\n').slice(1));
    expect(tenants.map((line) => line.split(',')[0])).toEqual(['acme', 'globex', 'initech']);
    expect(second.headers['next-cursor']).toBeUndefined();
  });

  test('is kept under a tag of its own', async () => {
    const path = '/statements/2026-10';
    const [inJson, inCsv] = [await get(acme, path), await get(acme, path, { accept: 'text/csv' })];
    const etag = String(inCsv.headers['etag']);
    expect(etag).not.toBe(inJson.headers['etag']);
    expect((await get(acme, path, { accept: 'text/csv', known: etag })).statusCode).toBe(304);
    expect((await get(acme, path, { known: etag })).statusCode).toBe(200);
  });

  test('is not had of the ledger, whose entries are of several kinds', async () => {
    expect((await get(everything, '/ledger', { accept: 'text/csv' })).statusCode).toBe(406);
  });
});

describe('whatever is wrong with a question', () => {
  const both = (): Promise<string> => tokenOf('acme', 'globex');

  test.each([
    [
      '/reconciliation?from=2026-10-01T12:00Z&to=2026-10-01T12:00Z&meter=cpuu&after=garbage&foo=1',
      ['after: invalid_cursor', 'foo: unknown_parameter', 'from: empty_range', 'meter: unknown_meter'],
    ],
    [
      '/reconciliation?from=2020-10-01T12:00Z&to=2026-10-01T12:00Z&limit=0',
      ['from: range_too_long', 'limit: out_of_bounds'],
    ],
    ['/tenants/acme/usage?period=October&foo=1', ['foo: unknown_parameter', 'period: bad_format']],
    [
      '/explain?meter=cpuu&hour=2026-10-01T09:15Z&after=garbage',
      ['after: invalid_cursor', 'hour: off_grain', 'meter: unknown_meter'],
    ],
    ['/tenants?limit=0&after=garbage', ['after: invalid_cursor', 'limit: out_of_bounds']],
    [
      '/ledger?limit=0&after=garbage&wait=5',
      ['after: invalid_cursor', 'limit: out_of_bounds', 'wait: bad_format'],
    ],
  ])('is told at once: %s', async (path, expected) => {
    const response = await get(everything, path);
    expect(response.statusCode).toBe(400);
    const { problems } = response.json<{ problems: { parameter: string; code: string }[] }>();
    expect(problems.map(({ parameter, code }) => `${parameter}: ${code}`).sort()).toEqual(expected);
  });

  test('has in it that a member of several organizations named none of them', async () => {
    const response = await get(await both(), '/explain?meter=cpuu&hour=yesterday');
    expect(response.json()).toMatchObject({
      problems: [
        { parameter: 'meter', code: 'unknown_meter' },
        { parameter: 'hour', code: 'not_a_time' },
        { parameter: 'tenant', code: 'missing_parameter' },
      ],
    });
  });
});

describe('tenants', () => {
  test('are listed, each to itself', async () => {
    const all = await json<{ data: { tenant: string; kind: string }[] }>(everything, '/tenants');
    expect(all.data.map(({ tenant }) => tenant)).toEqual(['acme', 'globex', 'initech']);
    const first = await json<{ data: unknown[]; next: string }>(everything, '/tenants?limit=2');
    const second = await json<{ data: unknown[]; next?: string }>(
      everything,
      `/tenants?limit=2&after=${first.next}`,
    );
    expect([...first.data, ...second.data]).toEqual(all.data);
    expect(second.next).toBeUndefined();
    const own = await json<{ data: unknown[] }>(acme, '/tenants');
    expect(own.data).toEqual(all.data.filter(({ tenant }) => tenant === 'acme'));
  });

  test('have a month that is the lines of its statement', async () => {
    interface Usage {
      readonly data: readonly {
        readonly meter: string;
        readonly quantity: string;
        readonly settledQuantity: string;
      }[];
    }
    const { lines } = JSON.parse((await get(acme, '/statements/2026-10/acme')).body) as Provisional;
    const totals = Map.groupBy(lines, ({ meter }) => meter);
    const { data } = await json<Usage>(acme, '/tenants/acme/usage?period=2026-10');
    expect(Object.fromEntries(data.map(({ meter, quantity }) => [meter, quantity]))).toEqual(
      Object.fromEntries(
        [...totals].map(([meter, ofMeter]) => [
          meter,
          ofMeter.reduce((sum, { quantity }) => sum + BigInt(quantity), 0n).toString(),
        ]),
      ),
    );
    expect(data.every(({ quantity, settledQuantity }) => quantity === settledQuantity)).toBe(true);
    const others = await json<Usage>(acme, '/tenants/globex/usage?period=2026-10');
    expect(others.data).toEqual([]);
    expect((await get(acme, '/tenants/acme/usage?period=October')).statusCode).toBe(400);
  });

  test('see their quotas, and what is used of them', async () => {
    const { data } = await json<{ data: unknown[] }>(everything, '/quotas');
    expect(data).toMatchObject([
      {
        tenant: 'acme',
        limit: '1800000000000',
        presentedLimit: '0.5',
        thresholds: [80, 100],
        window: 'month',
      },
      { tenant: 'globex', limit: '100', window: 'day', used: '0' },
    ]);
    const own = await json<{ data: unknown[] }>(acme, '/quotas');
    expect(own.data).toEqual(data.slice(0, 1));
    const paged = await json<{ data: unknown[]; next: string }>(everything, '/quotas?limit=1');
    expect((await json<{ data: unknown[] }>(everything, `/quotas?after=${paged.next}`)).data).toEqual(
      data.slice(1),
    );
  });
});

describe('every look-up in the store', () => {
  /** Notes how long each may take, and what it is. */
  function noting(store: UsageStore, told: Map<string, number | undefined>): UsageStore {
    return new Proxy(store, {
      get(target, name: keyof UsageStore) {
        if (name !== 'rows' && name !== 'rowBinary') return target[name];
        return (sql: string, parameters?: Parameters, options?: ReadOptions) => {
          told.set(sql.replaceAll(/\s+/g, ' ').slice(0, 120), options?.timeoutMs);
          return target[name](sql, parameters, options);
        };
      },
    });
  }

  test('of whatever is asked for has an end', async () => {
    const told = new Map<string, number | undefined>();
    const store = noting(opened.store, told);
    const reader = usageReader({ queryTimeoutMs: 10_000 }, { store });
    const quotas = [quotaSchema.parse({ tenant: 'acme', meter: 'cpu', window: 'month', limit: '1' })];
    const other = guardedApi(server, { store, reader, usageClock: bench.clock, quotas });
    const hour = new Date(FIRST_DAY + 3_600_000).toISOString();
    const paths = [
      ...['/meters', '/meters/cpu/query?from=2026-10-01T00:00Z&groupBy=tenant,workload&windowSize=DAY'],
      ...['/tenants', '/tenants/acme/usage?period=2026-11', '/quotas', '/breaches', '/periods'],
      ...['/statements/2026-10', '/statements/2026-10/acme', '/statements/2026-11/acme', '/ledger'],
      ...[`/explain?meter=cpu&hour=${hour}&tenant=acme`, '/reconciliation', '/watermarks'],
    ];
    for (const token of [everything, acme])
      for (const path of paths) {
        const headers = { authorization: `Bearer ${token}` };
        const { statusCode, body } = await other.api.app.inject({ url: `/api/v1${path}`, headers });
        expect([200, 403], `${path}: ${body}`).toContain(statusCode);
      }
    await other.api.stop();
    expect(told.size).toBeGreaterThan(20);
    expect([...told].filter(([, timeoutMs]) => timeoutMs === undefined)).toEqual([]);
    const asked = paths.map((path) => path.split('?')[0]?.split('/')[1]);
    const all = ENDPOINTS.map(({ declaration: { path } }) => path.split('/')[3]);
    expect(new Set(asked)).toEqual(new Set(all));
  });
});

test('the reference names every address', () => {
  const document = readFileSync(new URL('../../docs/reference/openapi.json', import.meta.url), 'utf8');
  for (const path of ['ledger', 'statements/{period}/{tenant}', 'explain', 'breaches'])
    expect(document).toContain(`"/api/v1/${path}"`);
});
