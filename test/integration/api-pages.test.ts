/**
 * Pages, over real HTTP and with names as long as there can be: in every form a page says that there is more,
 * and whatever the API hands out (a name, a cursor, an address) it takes back.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { MeteringClient, type Told } from '../../aggregator/api/client/client.ts';
import type { Api } from '../../aggregator/api/server.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { apiOver, markOpen, partRow, seconds, type RolledPart } from '../support/rolled-usage.ts';

const HOUR = '2026-03-28T10:00Z';
const RANGE = { from: HOUR, to: '2026-03-28T12:00Z' } as const;
const CSV = 'text/csv';
const NDJSON = 'application/x-ndjson';

/** A name of so many characters, the last of them its own. */
const named = (length: number, n: number): string => 'n'.repeat(length - 1) + String(n);
const workload = (n: number): string => `${'K'.repeat(63)}/${named(253, n)}`;
const destination = (n: number): string => `${'K'.repeat(63)}/${named(63, n)}/${named(253, n)}`;

let testStore: TestStore;
let api: Api;
let client: MeteringClient;

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  const parts = [0, 1, 2, 3, 4].map((n): RolledPart => {
    const key = { tenant: named(63, n), cluster: named(200, n), namespace: named(63, n) };
    return { ...key, hour: HOUR, meter: 'egress_internal', quarters: [1n, 0n, 0n, BigInt(n)] };
  });
  await store.insert('usage_parts', parts.map(partRow));
  await markOpen(store, parts);
  const keys = parts.map((part, n) => ({
    ...{ ...partRow(part), storage_class: named(253, n) },
    ...{ workload: workload(n), destination: destination(n) },
  }));
  const details = keys.map(
    ({ missing_ms: _, samples: __, flags: ___, ...detail }: Record<string, unknown>) => detail,
  );
  await store.insert('detail_parts', details);
  const day = { day: '2026-03-28', meter: 'cpu', quantity: 1, missing_ms: 0, samples: 1, flags: 0, seq: 1 };
  const sums = { attributed: 1, platform: 0, unattributed: 0, measured: 1, difference: -1, version: 1 };
  for (const { tenant, cluster, namespace } of parts) {
    await store.insert('usage_day', [{ ...day, tenant, cluster, namespace }]);
    await store.insert('reconciliation', [{ ...sums, cluster, hour: seconds(HOUR), meter: 'cpu' }]);
  }
  api = apiOver(store, Date.parse('2026-03-28T12:40Z'));
  await api.start();
  client = new MeteringClient({ baseUrl: api.url });
});

afterAll(async () => {
  await api.stop();
  await testStore.dispose();
});

const params = { meter: 'egress_internal' } as const;
const groupBy = ['tenant', 'cluster', 'namespace', 'workload', 'destination', 'storageClass'];

/** Rows of a text: lines, without the header of CSV. */
function linesOf(accept: string, text: string): string[] {
  return text
    .trimEnd()
    .split(/\r?\n/)
    .slice(accept === CSV ? 1 : 0);
}

describe.each([CSV, NDJSON] as const)('a page as %s', (accept) => {
  const query = { ...RANGE, windowSize: 'HOUR', groupBy, limit: 3 } as const;

  test('by GET says where it goes on, and pages are together all of it', async () => {
    const { limit: _, ...unlimited } = query;
    const all = linesOf(
      accept,
      (await client.call('queryMeter', { params, query: unlimited }, { accept })).text,
    );
    expect(all).toHaveLength(10);
    const pages: string[][] = [];
    let page: Told<'queryMeter', typeof accept> = await client.call(
      'queryMeter',
      { params, query },
      { accept },
    );
    for (;;) {
      pages.push(linesOf(accept, page.text));
      expect(page.next === undefined).toBe(page.nextCursor === undefined);
      if (page.next === undefined) break;
      page = await client.follow('queryMeter', page.next, { accept });
    }
    expect(pages.map(({ length }) => length)).toEqual([3, 3, 3, 1]);
    expect(pages.flat()).toEqual(all);
  });

  test('by POST does so too, and its cursor is good in any form', async () => {
    const first = await client.call('queryMeterByPost', { params, body: query }, { accept });
    expect([linesOf(accept, first.text).length, first.next]).toEqual([3, undefined]);
    const body = { ...query, cursor: first.nextCursor ?? '' };
    const second = await client.call('queryMeterByPost', { params, body });
    expect(second.json.data).toHaveLength(3);
    expect(second.nextCursor).toBe(second.json.nextCursor);
    const last = await client.call('queryMeterByPost', { params, body: { ...body, limit: 100 } }, { accept });
    expect([linesOf(accept, last.text).length, last.nextCursor]).toEqual([7, undefined]);
  });

  test('takes no cursor that is none', async () => {
    const asked = client.call('queryMeter', { params, query: { ...query, cursor: 'garbage' } }, { accept });
    await expect(asked).rejects.toMatchObject({
      problem: { problems: [{ parameter: 'cursor', code: 'invalid_cursor' }] },
    });
  });
});

describe('names as long as there can be', () => {
  test('are taken back as filters, as answers have them', async () => {
    const { json } = await client.call('queryMeter', { params, query: { ...RANGE, groupBy } });
    expect(json.data).toHaveLength(5);
    for (const { groupBy: group, value } of json.data) {
      const filters = Object.fromEntries(Object.entries(group).map(([name, text]) => [name, [text]]));
      const { json: one } = await client.call('queryMeter', { params, query: { ...RANGE, ...filters } });
      expect(one.data.map((row) => row.value)).toEqual([value]);
    }
  });

  test.each([
    ['queryMeter', `/api/v1/meters/egress_internal/query?from=${HOUR}&groupBy=${groupBy.join(',')}`],
    ['listTenants', '/api/v1/tenants?'],
    ['listReconciliation', `/api/v1/reconciliation?from=${HOUR}`],
  ] as const)('stand in cursors of %s that are followed to the end', async (operation, address) => {
    let page = await client.follow(operation, `${address}&limit=1`);
    let pages = 1;
    for (; page.next !== undefined; pages++) page = await client.follow(operation, page.next);
    expect(pages).toBe(5);
  });

  test('in an address that leaves no room for a cursor are told, rather than a page without a next one', async () => {
    const long = [named(200, 1), ...Array.from({ length: 57 }, (_, i) => named(200, 100 + i))];
    const query = { ...RANGE, limit: 1, windowSize: 'HOUR', cluster: long } as const;
    const asked = client.call('queryMeter', { params, query });
    await expect(asked).rejects.toMatchObject({ problem: { code: 'METER_HEADERS_TOO_LARGE' } });
    const posted = await client.call('queryMeterByPost', { params, body: query });
    expect(posted.nextCursor).toBeDefined();
  });
});

test('every list that goes on says so in a header, and the document declares it', async () => {
  const document = (await (await fetch(`${api.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { operationId: string; responses: { 200: { headers?: object } } }>>;
  };
  const declaring = Object.values(document.paths)
    .flatMap((methods) => Object.values(methods))
    .filter(({ responses }) => 'next-cursor' in (responses[200].headers ?? {}))
    .map(({ operationId }) => operationId);
  expect(declaring.sort()).toEqual([
    ...['explainNumber', 'listBreaches', 'listLedger', 'listQuotas', 'listReconciliation', 'listTenants'],
    ...['queryMeter', 'queryMeterByPost'],
  ]);
  const first = await client.call('listTenants', { query: { limit: 1 } });
  expect(first.nextCursor).toBe(first.json.next);
  expect((await client.call('listTenants', {})).nextCursor).toBeUndefined();
  const ledger = await client.call('listLedger', {});
  expect(ledger.nextCursor).toBe(ledger.json.next);
});
