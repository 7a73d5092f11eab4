/** Statements on the shelf, of a real store: each is of the one that was asked for, whatever lies beside it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StatementShelf, type WantedStatement } from '../../aggregator/api/statements/statement-shelf.ts';
import { ordersOf } from '../support/asked-in-turn.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';

const CONFIG = { maxBytes: 1024 ** 2, queryTimeoutMs: 10_000 };
const ACME = { period: 202610, tenant: 'acme', hash: 'a1', format: 'json' } as const;
/** Each differs from the first in one thing alone. */
const STORED: readonly WantedStatement[] = [
  ACME,
  { ...ACME, tenant: 'globex' },
  { ...ACME, period: 202611 },
  { ...ACME, hash: 'b2' },
];

let opened: TestStore;

function bodyOf({ period, tenant, hash }: WantedStatement): string {
  return JSON.stringify({ period, tenant, hash });
}

async function taken(shelf: StatementShelf, wanted: WantedStatement): Promise<string> {
  return (await shelf.take(wanted)).body.toString();
}

beforeAll(async () => {
  opened = await openFastStore();
  const rows = STORED.map((one) => ({
    period: one.period,
    tenant: one.tenant,
    hash: one.hash,
    body: bodyOf(one),
  }));
  await opened.store.insert('statement', rows);
});
afterAll(() => opened.dispose());

test('each is handed out as it is stored, in whatever order they are asked for, and again', async () => {
  for (const order of ordersOf(STORED)) {
    const shelf = new StatementShelf(CONFIG, opened);
    for (const wanted of [...order, ...order]) expect(await taken(shelf, wanted)).toBe(bodyOf(wanted));
  }
});

test('so it is where they are asked for at once', async () => {
  const shelf = new StatementShelf(CONFIG, opened);
  const wanted = [...STORED, ...STORED];
  expect(await Promise.all(wanted.map((one) => taken(shelf, one)))).toEqual(wanted.map(bodyOf));
});

test("who has the hash of another one's has nothing by it", async () => {
  const shelf = new StatementShelf(CONFIG, opened);
  await shelf.take({ ...ACME, hash: 'b2' });
  const wanted = { ...ACME, hash: 'b2', tenant: 'globex' };
  await expect(shelf.take(wanted)).rejects.toMatchObject({ code: 'METER_STORE_REJECTED' });
});
