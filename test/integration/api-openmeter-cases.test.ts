/**
 * The cases of OpenMeter's query suite that apply to a grain of quarters of an hour (its ingest and
 * entitlements do not, and minutes are made from samples: `minutes.test.ts`): the same usage, the same
 * questions, the same figures.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Api } from '../../aggregator/api/server.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { apiOver, markOpen, partRow, type RolledPart } from '../support/rolled-usage.ts';

const HOUR_MS = 3_600_000;
const T0 = '2025-02-10T10:00Z';
/** As the zone's clock shows them, at 10:00. */
const SPRING = ['18:00', '18:00', '18:00', '17:00', '17:00', '17:00', '17:00'];
const FALL = ['17:00', '17:00', '17:00', '18:00', '18:00', '18:00', '18:00'];
const QUOTED = `"; DROP TABLE usage_parts; -- '`;
const CUSTOMERS = [1, 2, 3, 4, 5].map((n) => `customer-${n}`);

const one = (
  hour: string,
  tenant: string,
  quarters: RolledPart['quarters'] = [1n, 0n, 0n, 0n],
): RolledPart => ({
  ...{ hour, tenant, quarters },
});

function daily(first: string, times: readonly string[], tenant: string): readonly RolledPart[] {
  const days = times.map((_, i) => new Date(Date.parse(first) + i * 24 * HOUR_MS).toISOString().slice(0, 10));
  return days.map((day, i) => one(`${day}T${times[i] ?? ''}Z`, tenant));
}

const PARTS: readonly RolledPart[] = [
  ...CUSTOMERS.flatMap((tenant) => [
    one(T0, tenant, [100n, 100n, 0n, 0n]),
    one('2025-02-10T11:00Z', tenant, [100n, 0n, 0n, 0n]),
    one('2025-02-11T10:00Z', tenant, [100n, 0n, 0n, 0n]),
  ]),
  ...daily('2025-03-06', SPRING, 'spring'),
  ...daily('2025-10-30', FALL, 'fall'),
  { ...one(T0, 'owner'), namespace: 'plain' },
  { ...one(T0, 'owner'), namespace: QUOTED },
  { ...one(T0, QUOTED), namespace: QUOTED },
];

let testStore: TestStore;
let api: Api;

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  await store.insert('usage_parts', PARTS.map(partRow));
  await markOpen(store, PARTS);
  api = apiOver(store, Date.parse('2025-12-01T00:00Z'));
});
afterAll(async () => {
  await api.stop();
  await testStore.dispose();
});

interface Row {
  readonly value: string | null;
  readonly windowStart: string;
  readonly windowEnd: string;
  readonly tenant?: string;
  readonly namespace?: string;
}

type Asking = Readonly<Record<string, string | readonly string[]>>;
const QUERY = '/api/v1/meters/cpu/query';

function urlOf(asking: Asking): string {
  const parameters = new URLSearchParams();
  for (const [name, values] of Object.entries(asking))
    for (const value of [values].flat()) parameters.append(name, value);
  return `${QUERY}?${parameters.toString()}`;
}

async function rowsOf(asking: Asking): Promise<readonly Row[]> {
  const response = await api.app.inject(urlOf(asking));
  expect(response.statusCode, response.body).toBe(200);
  return response.json<{ data: Row[] }>().data;
}

/** Of windows in which nothing was scraped there is no value, where another suite has no row. */
async function used(asking: Asking): Promise<readonly (readonly [string, string])[]> {
  const rows = await rowsOf(asking);
  return rows.flatMap(({ windowStart, value }) => (value === null ? [] : [[windowStart, value] as const]));
}

describe('query', () => {
  const range = { from: '2025-02-10T10:00:00Z', to: '2025-02-11T10:15:00Z', tenant: CUSTOMERS };

  test('total', async () => {
    expect(await rowsOf(range)).toMatchObject([
      { value: '2000', windowStart: range.from, windowEnd: range.to },
    ]);
  });

  test('by HOUR', async () => {
    expect(await used({ ...range, windowSize: 'HOUR' })).toEqual([
      ['2025-02-10T10:00:00Z', '1000'],
      ['2025-02-10T11:00:00Z', '500'],
      ['2025-02-11T10:00:00Z', '500'],
    ]);
  });

  test('by DAY', async () => {
    expect(await used({ ...range, windowSize: 'DAY' })).toEqual([
      ['2025-02-10T10:00:00Z', '1500'],
      ['2025-02-11T00:00:00Z', '500'],
    ]);
  });

  test('filter by two subjects of five', async () => {
    const rows = await rowsOf({ ...range, tenant: CUSTOMERS.slice(1, 3), groupBy: 'tenant' });
    expect(rows.map(({ tenant, value }) => [tenant, value])).toEqual([
      ['customer-2', '400'],
      ['customer-3', '400'],
    ]);
  });

  test('POST, as JSON and as CSV, with the same row', async () => {
    const post = (accept: string) =>
      api.app.inject({ url: QUERY, method: 'POST', payload: range, headers: { accept } });
    expect((await post('application/json')).json()).toMatchObject({ data: await rowsOf(range) });
    const [header, row, ...more] = (await post('text/csv')).body.split('\r\n');
    expect(header).toMatch(/^windowStart,windowEnd,value,/);
    expect(row).toMatch(/^2025-02-10T10:00:00Z,2025-02-11T10:15:00Z,2000,/);
    expect(more).toEqual(['']);
  });

  test('an empty POST is the last day', async () => {
    const response = await api.app.inject({ url: QUERY, method: 'POST', payload: {} });
    expect(response.json()).toMatchObject({ from: '2025-11-30T01:00:00Z', to: '2025-12-01T01:00:00Z' });
  });
});

describe('windows in America/Los_Angeles over a change of the clock, by DAY', () => {
  test.each([
    ['spring', '2025-03-06T08:00:00Z', '2025-03-13T07:00:00Z', ['2025-03-09', 23]],
    ['fall', '2025-10-30T07:00:00Z', '2025-11-06T08:00:00Z', ['2025-11-02', 25]],
  ])('%s', async (tenant, from, to, changed) => {
    const zone = 'America/Los_Angeles';
    const rows = await rowsOf({ from, to, tenant, windowSize: 'DAY', windowTimeZone: zone });
    expect(rows.map(({ value }) => value)).toEqual(Array(7).fill('1'));
    expect(rows[0]?.windowStart).toBe(from);
    expect(rows.at(-1)?.windowEnd).toBe(to);
    expect(rows.slice(1).map(({ windowStart }) => windowStart)).toEqual(
      rows.slice(0, -1).map(({ windowEnd }) => windowEnd),
    );
    const local = new Intl.DateTimeFormat('sv-SE', {
      timeZone: zone,
      dateStyle: 'short',
      timeStyle: 'short',
    });
    const long = rows.map(({ windowStart, windowEnd }) => {
      const [day = '', time] = local.format(new Date(windowStart)).split(' ');
      expect(time).toBe('00:00');
      return [day, (Date.parse(windowEnd) - Date.parse(windowStart)) / HOUR_MS] as const;
    });
    expect(long.filter(([, length]) => length !== 24)).toEqual([changed]);
    const [total] = await rowsOf({ from, to, tenant });
    expect(total?.value).toBe('7');
  });
});

describe('a customer with two subjects, one with quotes in its name', () => {
  const range = { from: '2025-02-10T00:00:00Z', to: '2025-02-11T00:00:00Z' };

  test('by customer is both, by each subject its own', async () => {
    const total = async (asking: Asking): Promise<unknown> =>
      (await rowsOf({ ...range, ...asking }))[0]?.value;
    expect(await total({ tenant: 'owner' })).toBe('2');
    expect(await total({ tenant: 'owner', namespace: 'plain' })).toBe('1');
    expect(await total({ tenant: 'owner', namespace: QUOTED })).toBe('1');
    expect(await total({ tenant: 'owner', 'filterGroupBy[namespace]': ['plain', QUOTED] })).toBe('2');
    expect(await total({ tenant: QUOTED })).toBe('1');
  });

  test.each([
    QUOTED,
    `' OR 1=1 --`,
    `\\' OR ''='`,
    '{tenant:String}',
    '%',
    '_wner',
    'owner\u0000',
    '*/ owner /*',
  ])('what is SQL to others is a name: %j', async (tenant) => {
    const [row] = await rowsOf({ ...range, tenant });
    expect(row?.value).toBe(tenant === QUOTED ? '1' : null);
    const rows = await rowsOf({ ...range, namespace: QUOTED, groupBy: 'tenant,namespace' });
    expect(rows.map((each) => [each.tenant, each.namespace, each.value])).toEqual([
      [QUOTED, QUOTED, '1'],
      ['owner', QUOTED, '1'],
    ]);
  });
});

describe('validation', () => {
  const at = '2025-02-10T10:00:00Z';

  test.each([
    ['from == to', { from: at, to: at }, ['from', 'empty_range']],
    ['from > to', { from: '2025-02-10T10:15:00Z', to: at }, ['from', 'empty_range']],
    ['a window size that there is not', { windowSize: 'FORTNIGHT' }, ['windowSize', 'unknown_window_size']],
    [
      'a time zone that there is not',
      { windowTimeZone: 'America/Atlantis' },
      ['windowTimeZone', 'unknown_time_zone'],
    ],
    ['a group that there is not', { groupBy: 'subject' }, ['groupBy', 'unknown_group']],
  ])('%s', async (_, asking, [parameter, code]) => {
    const response = await api.app.inject(urlOf(asking));
    expect([response.statusCode, response.json()]).toMatchObject([400, { problems: [{ parameter, code }] }]);
    expect((await api.app.inject('/api/v1/meters/nothing/query')).statusCode).toBe(404);
  });
});

test('an empty range of usage has a row without a value where nothing was scraped', async () => {
  const range = { from: '2024-01-01T00:00:00Z', to: '2024-01-02T00:00:00Z' };
  expect(await rowsOf(range)).toMatchObject([{ value: null, coverage: { coveredMs: 0, expectedMs: 0 } }]);
  expect(await rowsOf({ ...range, groupBy: 'tenant' })).toEqual([]);
});
