import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Api } from '../../aggregator/api/server.ts';
import { StoreTenantReader } from '../../aggregator/api/tenants/tenant-reader.ts';
import { fingerprint, NO_QUARTERS, NOTHING, type LedgerEntry } from '../../aggregator/ledger/entry.ts';
import { Ledger } from '../../aggregator/ledger/ledger.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { GatedStore } from '../support/gated-store.ts';
import { apiOver, markOpen, partRow, type RolledPart } from '../support/rolled-usage.ts';

/** Two hours of a day: the first is settled, the second is about to be. */
const FIRST = part('2026-10-05T09:00:00Z', [1n, 2n, 3n, 4n]);
const SECOND = part('2026-10-05T10:00:00Z', [10n, 20n, 30n, 40n]);
const DAY = { fromMs: Date.UTC(2026, 9, 5), toMs: Date.UTC(2026, 9, 6) };

let testStore: TestStore;
let api: Api;

function part(hour: string, quarters: RolledPart['quarters']): RolledPart {
  return { hour, tenant: 'acme', quarters };
}

function entryOf({ hour, tenant, quarters }: RolledPart): LedgerEntry {
  const at = Date.parse(hour);
  return {
    ...{ ...NOTHING, kind: 'usage', meter: 'cpu', hour: at, period: 202610, tenant, quarters },
    ...{ cluster: 'north', namespace: `${tenant}-web`, id: fingerprint(hour, 1), revision: 1, final: false },
    ...{ before: NO_QUARTERS, inputHash: Buffer.alloc(16), body: '' },
  };
}

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  await store.insert('usage_parts', [FIRST, SECOND].map(partRow));
  const ledger = new Ledger({ store });
  await ledger.append([entryOf(FIRST)]);
  await ledger.project(0n);
  await markOpen(store, [SECOND]);
  api = apiOver(store, Date.parse('2026-10-05T12:00:00Z'));
});

afterAll(async () => {
  await api.stop();
  await testStore.dispose();
});

/** Together, and of it in the ledger. */
async function month(period: string): Promise<unknown> {
  const response = await api.app.inject({ url: `/api/v1/tenants/acme/usage?period=${period}` });
  expect(response.statusCode, response.body).toBe(200);
  const { data } = response.json<{ data: { quantity: string; settledQuantity: string }[] }>();
  return data.map(({ quantity, settledQuantity }) => [quantity, settledQuantity]);
}

test('what is in the ledger counts, also while daily totals are behind it', async () => {
  expect(await month('2026-10')).toEqual([['110', '10']]);
  const gated = new GatedStore(testStore.store);
  const ledger = new Ledger({ store: gated });
  const head = await ledger.head();
  await ledger.append([entryOf(SECOND)]);
  const reached = gated.stopBefore((call) => call.includes('INSERT INTO usage_day'));
  const projected = ledger.project(head);
  const goOn = await reached;
  expect(await month('2026-10')).toEqual([['110', '110']]);
  const tenants = new StoreTenantReader({ queryTimeoutMs: 10_000 }, testStore);
  const used = { tenant: 'acme', meter: 'cpu', settled: 110n, open: 0n };
  expect(await tenants.usage({ kind: 'all' }, DAY)).toEqual([used]);
  const hour = { fromMs: Date.parse(SECOND.hour), toMs: Date.parse(SECOND.hour) + 3_600_000 };
  expect(await tenants.usage({ kind: 'all' }, hour)).toEqual([{ ...used, settled: 100n }]);
  goOn();
  await projected;
  expect(await month('2026-10')).toEqual([['110', '110']]);
});

test('of a closed month nothing grows that came too late for it', async () => {
  const late = part('2026-09-30T10:00:00Z', [7n, 0n, 0n, 0n]);
  await testStore.store.insert('usage_parts', [partRow(late)]);
  await markOpen(testStore.store, [late]);
  expect(await month('2026-09')).toEqual([['7', '0']]);
  await testStore.store.insert('decision', [{ kind: 'close', period: 202609 }]);
  expect(await month('2026-09')).toEqual([]);
});
