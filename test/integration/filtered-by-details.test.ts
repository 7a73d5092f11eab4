/**
 * A filter by workload, destination or class leaves rows of those alone that have something of it in the
 * range, and of these in every window, whole or page by page, by the hour as by the minute.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PeersApi, RANGE, type PeersWorld, type Row } from '../support/peers-api.ts';

const to = { type: 'Pod', namespace: 'kube-system', name: 'dns' };
const WORLD: PeersWorld = {
  cluster: 'north',
  owners: [
    { namespace: 'web', tenant: 'acme' },
    { namespace: 'db', tenant: 'globex' },
  ],
  flows: [
    { from: { namespace: 'web', name: 'a' }, to },
    { from: { namespace: 'web', name: 'early' }, to, until: 1 },
    { from: { namespace: 'db', name: 'b' }, to },
  ],
};
const SIZES = ['', '&windowSize=HOUR', '&windowSize=MINUTE'];
const FORMS = ['', '&limit=50000', '&aggregation=max', '&top=2'];

let api: PeersApi;
let operator: string;
beforeAll(async () => {
  api = await PeersApi.start();
  await api.take([WORLD]);
  operator = await api.operator();
}, 120_000);
afterAll(() => api.stop());

function valuesOf(rows: readonly Row[]): unknown[] {
  return rows.map(({ groupBy, value, revision }) => [groupBy['tenant'], value, revision]);
}

describe('who has nothing of what is filtered by', () => {
  const queries = SIZES.flatMap((size) => FORMS.map((form) => `${size}${form}`)).filter(
    (query) => !(query.includes('MINUTE') && query.includes('max')),
  );
  test.each(queries)('has no rows (%s)', async (query) => {
    const nothing = await api.rows(operator, `groupBy=tenant&namespace=nope${query}`);
    expect(nothing).toEqual([]);
    for (const filter of ['workload=Deployment/nope', 'destination=nope', 'storageClass=nope']) {
      expect(await api.rows(operator, `groupBy=tenant&${filter}${query}`)).toEqual([]);
      expect(await api.rows(operator, `groupBy=tenant,workload&${filter}${query}`)).toEqual([]);
    }
    const own = await api.rows(operator, `groupBy=tenant&workload=Pod/early${query}`);
    expect([...new Set(own.map(({ groupBy }) => groupBy['tenant']))]).toEqual(['acme']);
  });

  test('and everybody else has, without groups there is one row as ever', async () => {
    const [row, ...others] = await api.rows(operator, 'workload=Deployment/nope');
    expect(row).toMatchObject({ revision: 0 });
    expect(others).toEqual([]);
    const rows = await api.rows(operator, 'groupBy=tenant&destination=Pod/kube-system/dns');
    expect(rows.map(({ groupBy }) => groupBy['tenant'])).toEqual(['acme', 'globex']);
  });
});

describe('who has something of it in one window', () => {
  const early = 'groupBy=tenant&workload=Pod/early&windowSize=HOUR';

  test('has a row in every other one, with the revision that says whether its 0 is settled', async () => {
    const plain = await api.rows(operator, 'groupBy=tenant&tenant=acme&windowSize=HOUR');
    const rows = await api.rows(operator, early);
    expect(plain.map(({ revision }) => revision)).toEqual([1, 1, 0]);
    expect(valuesOf(rows)).toEqual([
      ['acme', '2000', 1],
      ['acme', '0', 1],
      ['acme', '0', 0],
    ]);
  });

  test('has the same page by page, and as the largest', async () => {
    const all = await api.rows(operator, early);
    const pages: Row[] = [];
    for (let at = ''; pages.length === 0 || at !== '';) {
      const path = `meters/egress_internal/query?${RANGE}&${early}&limit=1${at}`;
      const page = (await api.send(operator, path)).json<{ data: Row[]; nextCursor?: string }>();
      pages.push(...page.data);
      at = page.nextCursor === undefined ? '' : `&cursor=${page.nextCursor}`;
    }
    expect(pages).toEqual(all);
    expect(await api.rows(operator, `${early}&top=2`)).toEqual(all);
  });

  test('has no minutes in a range in which it has nothing, though the hour has', async () => {
    const hour = async (minutes: string): Promise<readonly Row[]> => {
      const range = `from=2026-10-28T08:${minutes.slice(0, 2)}Z&to=2026-10-28T08:${minutes.slice(3)}Z`;
      const path = `meters/egress_internal/query?${range}&groupBy=tenant&workload=Pod/early&windowSize=MINUTE`;
      return (await api.send(operator, path)).json<{ data: Row[] }>().data;
    };
    expect(await hour('00-15')).toHaveLength(15);
    expect(await hour('30-45')).toEqual([]);
  });
});
