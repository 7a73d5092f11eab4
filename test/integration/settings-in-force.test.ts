/** An edit of the settings counts for open periods as a whole, and never re-bills a closed one. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import { AccountsBench, Scrapes, SETTINGS } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOVEMBER = Date.UTC(2026, 10, 1);
const EDITED = { ...SETTINGS, platformNamespaces: ['kube-system', 'web'] };

let opened: TestStore;
beforeEach(async () => {
  opened = await openFastStore();
});
afterEach(() => opened.dispose());

/** Quantities by month and tenant, as queries read them. */
async function usage(): Promise<Record<string, string>> {
  const rows = await opened.store.rows<{ key: string; q: string }>(
    `SELECT concat(toString(toYYYYMM(hour)), ' ', tenant) AS key, toString(sum(q0 + q1 + q2 + q3)) AS q
     FROM usage_current FINAL GROUP BY key HAVING q != '0' ORDER BY key`,
  );
  return Object.fromEntries(rows.map(({ key, q }) => [key, q]));
}

test('a namespace that becomes the platform’s does so for the open months, not for the closed one', async () => {
  const before = new AccountsBench(opened.store, ['north']);
  const scrapes = new Scrapes();
  await before.adopt();
  await before.take([
    scrapes.at(NOVEMBER - HOUR, { cpu: { 'web/a': 0 }, owners: { web: 'acme' } }),
    scrapes.at(NOVEMBER, { cpu: { 'web/a': 1 } }),
    scrapes.at(NOVEMBER + DAY, { cpu: { 'web/a': 3 } }),
    scrapes.at(NOVEMBER + 3 * DAY, { cpu: { 'web/a': 3 } }),
  ]);
  await before.passAt(NOVEMBER + 3 * DAY);
  const asClosed = { '202610 acme': '1000000000', '202611 acme': '2000000000' };
  expect(await usage()).toEqual(asClosed);

  const unchanged = new AccountsBench(opened.store, ['north']);
  await unchanged.adopt();
  await unchanged.passAt(NOVEMBER + 3 * DAY);
  expect(unchanged.factsNamed('settingsChanged')).toEqual([]);
  expect(unchanged.factsNamed('unitRolledUp')).toHaveLength(1);

  const after = new AccountsBench(opened.store, ['north'], EDITED);
  await after.adopt();
  // Something late of October is judged by October's settings.
  await after.take([scrapes.at(NOVEMBER - HOUR / 2, { cpu: { 'web/a': 1 }, delayMs: 3 * DAY })]);
  await after.passAt(NOVEMBER + 3 * DAY);
  expect(after.factsNamed('settingsChanged')).toEqual([{ period: '2026-11' }]);
  expect(await usage()).toEqual({ '202610 acme': '1000000000', '202611 platform': '2000000000' });
  const corrections = await opened.store.rows(
    "SELECT tenant FROM ledger WHERE kind = 'correction' AND tenant != 'acme'",
  );
  expect(corrections).toEqual([]);
  expect((await readCloses(opened.store)).map((close) => close.settings)).toEqual([SETTINGS]);
});
