import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Api } from '../../aggregator/api/server.ts';
import { clientOf } from '../support/api-client.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { apiOver, markOpen, partRow, seconds, type RolledPart } from '../support/rolled-usage.ts';

/** Usage of three days in two clusters, written as the roll-up writes it; figures past 2^63 on purpose. */
const DAY = '2026-03-28';
const HUGE = 2n ** 126n;

let testStore: TestStore;
let api: Api;

const PARTS: readonly RolledPart[] = [
  { hour: `${DAY}T10:00Z`, tenant: 'acme', quarters: [1n, 2n, 3n, 4n] },
  // The same hour from a later unit: usage of an hour is the sum over units.
  { hour: `${DAY}T10:00Z`, unit: `${DAY}T11:00Z`, tenant: 'acme', quarters: [0n, 0n, 0n, 10n] },
  // A unit rolled up again: only its newest version counts.
  { hour: `${DAY}T11:00Z`, tenant: 'acme', quarters: [999n, 0n, 0n, 0n], version: 1 },
  { hour: `${DAY}T11:00Z`, tenant: 'acme', quarters: [100n, 0n, 0n, 0n], version: 2 },
  { hour: `${DAY}T10:00Z`, tenant: 'acme', namespace: 'acme-db', quarters: [5n, 0n, 0n, 0n] },
  { hour: `${DAY}T10:00Z`, tenant: 'globex', quarters: [7n, 0n, 0n, 0n] },
  { hour: `${DAY}T22:00Z`, tenant: 'globex', quarters: [0n, 0n, 0n, 50n] },
  { hour: `${DAY}T23:00Z`, tenant: 'globex', quarters: [60n, 0n, 0n, 0n] },
  { hour: `${DAY}T10:00Z`, tenant: 'acme', cluster: 'south', quarters: [1000n, 0n, 0n, 0n] },
  { hour: `${DAY}T10:00Z`, tenant: 'acme', meter: 'memory', quarters: [HUGE, HUGE, HUGE, HUGE] },
  {
    hour: `${DAY}T10:00Z`,
    tenant: 'acme',
    namespace: 'acme-db',
    meter: 'memory',
    quarters: [HUGE, HUGE, HUGE, HUGE],
  },
  { hour: `${DAY}T11:00Z`, tenant: 'o\'tool\\x,"y"', meter: 'storage', quarters: [1n, 1n, 1n, 1n] },
];

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  // Neither an insert nor a merge in the background may drop the older versions before they are asked for.
  await store.command('SYSTEM STOP MERGES');
  for (const part of [...PARTS].reverse()) await store.insert('usage_parts', [partRow(part)]);
  await markOpen(store, PARTS);
  const hours = ['10:00', '11:00', '12:00', '22:00', '23:00'].map((time) => `${DAY}T${time}Z`);
  const coverage = (cluster: string, hour: string, covered: number): Record<string, unknown> => ({
    ...{
      cluster,
      hour: seconds(hour),
      meter: 'cpu',
      covered_ms: covered,
      expected_ms: 3_600_000,
      version: 1,
    },
  });
  await store.insert('coverage', [
    ...hours.map((hour) => coverage('north', hour, hour.includes('T12') ? 0 : 3_600_000)),
    coverage('south', `${DAY}T10:00Z`, 1_800_000),
  ]);
  await store.insert('coverage', [{ ...coverage('north', `${DAY}T10:00Z`, 1), version: 0 }]);
  const scrape = (cluster: string, time: string, version: number): Record<string, unknown> => ({
    ...{ cluster, hour: seconds(`${time.slice(0, 13)}:00Z`), target: 1, t: Date.parse(time), version },
  });
  await store.insert('scrape', [
    scrape('north', `${DAY}T22:30:00Z`, 2),
    scrape('north', `${DAY}T23:20:00Z`, 2),
    scrape('north', `${DAY}T23:50:00Z`, 1),
    scrape('south', `${DAY}T10:40:00Z`, 2),
  ]);
  await store.insert('watermark', [
    { cluster: 'north', t: Date.parse(`${DAY}T23:20:00Z`) },
    { cluster: 'south', t: Date.parse(`${DAY}T10:40:00Z`) },
  ]);
  api = apiOver(store, Date.parse('2026-03-29T10:40:00Z'));
});

afterAll(async () => {
  await api.stop();
  await testStore.dispose();
});

interface Row {
  readonly value: string | null;
  readonly unit: string;
  readonly windowStart: string;
  readonly windowEnd: string;
  readonly tenant?: string;
  readonly cluster?: string;
  readonly namespace?: string;
  readonly groupBy: Readonly<Record<string, string>>;
  readonly complete: boolean;
  readonly coverage: { readonly coveredMs: number; readonly expectedMs: number };
}

async function rowsOf(meter: string, query: string): Promise<readonly Row[]> {
  const response = await api.app.inject({ url: `/api/v1/meters/${meter}/query?${query}` });
  expect(response.statusCode, response.body).toBe(200);
  return response.json<{ data: Row[] }>().data;
}

const WHOLE_DAY = `from=${DAY}T00:00Z&to=2026-03-29T00:00Z`;

describe('sums', () => {
  test('are taken over units, newest versions, namespaces and clusters', async () => {
    const [row] = await rowsOf('cpu', WHOLE_DAY);
    expect(row).toMatchObject({
      value: String(10 + 10 + 100 + 5 + 7 + 50 + 60 + 1000),
      unit: 'core-ns',
      groupBy: {},
    });
  });

  test('of one window follow its edges to the quarter', async () => {
    const values = async (from: string, to: string): Promise<(string | null)[]> =>
      (await rowsOf('cpu', `from=${DAY}T${from}Z&to=${DAY}T${to}Z&cluster=north&tenant=acme`)).map(
        (r) => r.value,
      );
    expect(await values('10:15', '10:45')).toEqual(['5']);
    expect(await values('10:45', '11:15')).toEqual(['114']);
    expect(await values('11:15', '11:30')).toEqual(['0']);
  });

  test('past 128 bits are exact', async () => {
    const [row] = await rowsOf('memory', WHOLE_DAY);
    expect(row?.value).toBe(String(8n * HUGE));
  });

  test('of days in a zone put each quarter on its local day', async () => {
    const rows = await rowsOf(
      'cpu',
      `from=${DAY}T00:00%2B01:00&to=2026-03-30T00:00%2B02:00&windowSize=DAY&windowTimeZone=Europe/Berlin&tenant=globex`,
    );
    expect(rows.map((row) => [row.windowStart, row.windowEnd, row.value])).toEqual([
      ['2026-03-27T23:00:00Z', '2026-03-28T23:00:00Z', '57'],
      ['2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', '60'],
    ]);
  });

  test('of windows add up to the total of the range, in every zone and size', async () => {
    for (const zone of ['UTC', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/St_Johns', 'Asia/Beirut']) {
      for (const size of ['HOUR', 'DAY', 'MONTH']) {
        const rows = await rowsOf('cpu', `${WHOLE_DAY}&windowSize=${size}&windowTimeZone=${zone}`);
        const sum = rows.reduce((total, row) => total + BigInt(row.value ?? 0), 0n);
        expect(sum, `${size} in ${zone}`).toBe(1242n);
      }
    }
  });
});

describe('groups and filters', () => {
  test('tell usage apart by every dimension, in order', async () => {
    const rows = await rowsOf('cpu', `${WHOLE_DAY}&groupBy=namespace,tenant&groupBy=cluster`);
    expect(rows.map((row) => [row.tenant, row.cluster, row.namespace, row.value])).toEqual([
      ['acme', 'north', 'acme-db', '5'],
      ['acme', 'north', 'acme-web', '120'],
      ['acme', 'south', 'acme-web', '1000'],
      ['globex', 'north', 'globex-web', '117'],
    ]);
    expect(rows[0]?.groupBy).toEqual({ tenant: 'acme', cluster: 'north', namespace: 'acme-db' });
  });

  test('a filter keeps what has one of its values, and all filters hold', async () => {
    const total = async (query: string): Promise<string | null | undefined> =>
      (await rowsOf('cpu', `${WHOLE_DAY}&${query}`))[0]?.value;
    expect(await total('tenant=acme')).toBe('1125');
    expect(await total('tenant=acme&tenant=globex')).toBe('1242');
    expect(await total('tenant=acme&cluster=north&filterGroupBy[namespace]=acme-db')).toBe('5');
    expect(await total('tenant=acme&filterGroupBy[tenant]=globex')).toBe('0');
  });

  test('names with quotes, commas and backslashes are found and come back as they are', async () => {
    const name = 'o\'tool\\x,"y"';
    const rows = await rowsOf('storage', `${WHOLE_DAY}&groupBy=tenant&tenant=${encodeURIComponent(name)}`);
    expect(rows.map((row) => [row.tenant, row.value])).toEqual([[name, '4']]);
  });

  test('POST with a JSON body asks the same', async () => {
    const { json } = await clientOf(api).call('queryMeterByPost', {
      params: { meter: 'cpu' },
      body: {
        from: `${DAY}T00:00Z`,
        to: '2026-03-29T00:00Z',
        tenant: ['acme'],
        groupBy: ['tenant'],
        filterGroupBy: { cluster: 'north' },
      },
    });
    expect(json.data.map((row) => [row.tenant, row.value])).toEqual([['acme', '125']]);
  });
});

describe('completeness', () => {
  test('a scraped window without usage is 0, one that was not scraped has no value', async () => {
    const query = `from=${DAY}T10:00Z&to=${DAY}T14:00Z&windowSize=HOUR&cluster=north&groupBy=tenant&tenant=globex`;
    const rows = await rowsOf('cpu', query);
    expect(rows.map((row) => [row.value, row.coverage.coveredMs, row.coverage.expectedMs])).toEqual([
      ['7', 3_600_000, 3_600_000],
      ['0', 3_600_000, 3_600_000],
      [null, 0, 3_600_000],
      [null, 0, 0],
    ]);
  });

  test('coverage is that of the clusters in question', async () => {
    const query = `from=${DAY}T10:00Z&to=${DAY}T11:00Z`;
    const byCluster = await rowsOf('cpu', `${query}&groupBy=cluster`);
    expect(byCluster.map((row) => [row.cluster, row.coverage.coveredMs])).toEqual([
      ['north', 3_600_000],
      ['south', 1_800_000],
    ]);
    const [total] = await rowsOf('cpu', query);
    expect(total?.coverage).toEqual({ coveredMs: 5_400_000, expectedMs: 7_200_000 });
  });

  test('a window is complete once every cluster in question was scraped 5 minutes past it', async () => {
    const complete = async (from: string, to: string, cluster: string): Promise<boolean | undefined> =>
      (await rowsOf('cpu', `from=${DAY}T${from}Z&to=${DAY}T${to}Z${cluster}`))[0]?.complete;
    // north was last scraped with success at 23:20, south at 10:40.
    expect(await complete('23:00', '23:15', '&cluster=north')).toBe(true);
    expect(await complete('23:00', '23:30', '&cluster=north')).toBe(false);
    expect(await complete('10:00', '10:30', '')).toBe(true);
    expect(await complete('10:00', '10:45', '')).toBe(false);
    expect(await complete('10:00', '10:30', '&cluster=east')).toBe(false);
  });

  test('a meter that nobody reports has no value, not 0', async () => {
    const [row] = await rowsOf('storage_used', WHOLE_DAY);
    expect(row).toMatchObject({ value: null, coverage: { coveredMs: 0, expectedMs: 0 } });
  });
});

describe('the answer', () => {
  test('without a range is the last 24 hours, the running one among them', async () => {
    const response = await api.app.inject({ url: '/api/v1/meters/cpu/query' });
    expect(response.json()).toMatchObject({
      from: '2026-03-28T11:00:00Z',
      to: '2026-03-29T11:00:00Z',
      windowTimeZone: 'UTC',
      data: [{ value: '210' }],
    });
    expect(response.headers['cache-control']).toBe('no-store');
  });

  test('as CSV has the same figures', async () => {
    const response = await api.app.inject({
      url: `/api/v1/meters/storage/query?${WHOLE_DAY}&groupBy=tenant`,
      headers: { accept: 'text/csv' },
    });
    expect(response.headers['content-type']).toBe('text/csv; charset=utf-8; header=present');
    expect(response.body).toBe(
      'windowStart,windowEnd,tenant,value,unit,complete,coveredMs,expectedMs,state,revision\r\n' +
        '2026-03-28T00:00:00Z,2026-03-29T00:00:00Z,"o\'tool\\x,""y""",4,byte-ms,false,0,0,open,0\r\n',
    );
  });

  test('as CSV has no name that a spreadsheet takes for a formula, and negative figures as they are', async () => {
    const { store } = testStore;
    const row = { cluster: 'north', unit: seconds('2025-05-01T00:00Z'), hour: seconds('2025-05-01T00:00Z') };
    const quarters = { q0: 9, q1: 0, q2: 0, q3: 0, version: 1 };
    const key = { ...row, tenant: 'acme', namespace: 'acme-web', meter: 'egress', storage_class: '' };
    await store.insert('detail_parts', [
      { ...key, ...quarters, workload: '=HYPERLINK("x")', destination: '' },
    ]);
    const response = await api.app.inject({
      url: '/api/v1/meters/egress/query?from=2025-05-01T00:00Z&to=2025-05-02T00:00Z&groupBy=workload',
      headers: { accept: 'text/csv' },
    });
    const fields = response.body.split('\r\n').map((line) => line.split(',').slice(2, 4));
    expect(fields).toEqual([['workload', 'value'], ['', '-9'], [`"'=HYPERLINK(""x"")"`, '9'], []]);
  });

  test('of more rows than the limit is refused whole', async () => {
    const { store } = testStore;
    const namespaces = Array.from({ length: 21 }, (_, index) => `many-${index}`);
    const parts = namespaces.map((namespace) => ({
      ...{ hour: '2025-06-01T00:00Z', tenant: 'many', namespace, quarters: [1n, 0n, 0n, 0n] as const },
    }));
    await store.insert('usage_parts', parts.map(partRow));
    await markOpen(store, parts);
    // 21 namespaces x 4,800 hours.
    const range = 'from=2025-06-01T00:00Z&to=2025-12-18T00:00Z&windowSize=HOUR';
    const response = await api.app.inject({ url: `/api/v1/meters/cpu/query?${range}&groupBy=namespace` });
    expect(response.statusCode).toBe(413);
    expect(response.json()).toMatchObject({ code: 'METER_RESULT_TOO_LARGE' });
    const fewer = await rowsOf('cpu', `${range}&groupBy=namespace&namespace=many-7`);
    expect(fewer).toHaveLength(4_800);
    expect(fewer[0]).toMatchObject({ value: '1', namespace: 'many-7' });
  });
});

describe('long answers', () => {
  const range = 'from=2025-06-01T00:00Z&to=2025-12-18T00:00Z&windowSize=HOUR&groupBy=namespace&tenant=many';

  test('come in pages that follow each other, and together are all of it', async () => {
    const short = 'from=2025-06-01T00:00Z&to=2025-06-01T05:00Z&windowSize=HOUR&groupBy=namespace&tenant=many';
    const all = await rowsOf('cpu', short);
    const client = clientOf(api);
    let page = await client.follow('queryMeter', `/api/v1/meters/cpu/query?${short}&limit=16`);
    const pages: (typeof page.json.data)[] = [page.json.data];
    while (page.next !== undefined) {
      expect(page.json.nextCursor).toBeDefined();
      page = await client.follow('queryMeter', page.next);
      pages.push(page.json.data);
    }
    expect(page.json.nextCursor).toBeUndefined();
    expect(all).toHaveLength(21 * 5);
    expect(pages.map((page) => page.length)).toEqual([16, 16, 16, 16, 16, 16, 9]);
    expect(pages.flat()).toEqual(all);
  });

  test('have cursors that are of no use for another question', async () => {
    const url = (query: string): string => `/api/v1/meters/cpu/query?${query}`;
    const first = await api.app.inject({ url: url(`${WHOLE_DAY}&groupBy=tenant,namespace&limit=1`) });
    const { nextCursor } = first.json<{ nextCursor: string }>();
    const other = await api.app.inject({
      url: url(`${WHOLE_DAY}&groupBy=tenant&limit=1&cursor=${nextCursor}`),
    });
    expect(other.statusCode).toBe(400);
    expect(other.json()).toMatchObject({ problems: [{ parameter: 'cursor', code: 'invalid_cursor' }] });
  });

  test('are streamed as NDJSON and as CSV, every row once', async () => {
    const url = `/api/v1/meters/cpu/query?${range}`;
    const lines = (await api.app.inject({ url, headers: { accept: 'application/x-ndjson' } })).body
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(21 * 4_800);
    const rows = lines.map((line) => JSON.parse(line) as Row);
    expect(new Set(rows.map(({ windowStart, namespace }) => `${windowStart} ${namespace ?? ''}`)).size).toBe(
      21 * 4_800,
    );
    expect(rows.reduce((sum, { value }) => sum + BigInt(value ?? 0), 0n)).toBe(21n);
    const csv = (await api.app.inject({ url, headers: { accept: 'text/csv' } })).body.trimEnd().split('\r\n');
    expect(csv[0]).toBe(
      'windowStart,windowEnd,namespace,value,unit,complete,coveredMs,expectedMs,state,revision',
    );
    expect(csv).toHaveLength(1 + 21 * 4_800);
    expect(csv.filter((line) => line.startsWith('windowStart'))).toHaveLength(1);
  });
});

describe('what is told of a window', () => {
  const hours = `from=${DAY}T10:00Z&to=${DAY}T14:00Z&cluster=north`;

  test.each([
    // 10:00 has 10 + 10 + 5 + 7, 11:00 has 100, 12:00 was not scraped, nor was 13:00.
    ['sum', '132', 'core-ns'],
    ['max', '100', 'core-ns/h'],
    ['p95', '100', 'core-ns/h'],
    ['avg', '66', 'core-ns/h'],
  ])('as %s is %s', async (aggregation, value, unit) => {
    const [row] = await rowsOf('cpu', `${hours}&aggregation=${aggregation}`);
    expect([row?.value, row?.unit]).toEqual([value, unit]);
  });

  test('as a rate counts hours that were scraped and idle, and no others', async () => {
    const rows = await rowsOf('cpu', `${hours}&aggregation=avg&groupBy=tenant`);
    expect(rows.map((row) => [row.tenant, row.value])).toEqual([
      ['acme', '62'],
      ['globex', '4'],
    ]);
    const [none] = await rowsOf('cpu', `from=${DAY}T13:00Z&to=${DAY}T14:00Z&cluster=north&aggregation=max`);
    expect(none?.value).toBeNull();
  });

  test('in the unit people read is a decimal, with the exact figure beside it', async () => {
    const [row] = await rowsOf('memory', `${WHOLE_DAY}&unit=presented`);
    expect(row).toMatchObject({ unit: 'GiB-hour', baseValue: String(8n * HUGE), baseUnit: 'byte-ms' });
    expect(row?.value).toMatch(/^\d+\.\d{1,9}$/);
    const [wholly] = await rowsOf('cpu', `${WHOLE_DAY}&unit=presented&aggregation=max`);
    expect(wholly).toMatchObject({ unit: 'core-hour/h', baseUnit: 'core-ns/h' });
  });

  test('of the groups that used most are those alone, the largest first', async () => {
    const rows = await rowsOf('cpu', `${WHOLE_DAY}&groupBy=cluster,tenant&top=2`);
    expect(rows.map((row) => [row.tenant, row.cluster, row.value])).toEqual([
      ['acme', 'south', '1000'],
      ['acme', 'north', '125'],
    ]);
    const both = await api.app.inject({
      url: `/api/v1/meters/cpu/query?${WHOLE_DAY}&top=2&groupBy=tenant&limit=1`,
    });
    expect(both.json()).toMatchObject({ problems: [{ parameter: 'top', code: 'conflicting_parameters' }] });
  });
});
