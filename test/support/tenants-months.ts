/**
 * Months of one tenant, alone or among others, as records that are taken in, settled and closed. What comes
 * late changes what everybody was told before.
 */
import { quotaSchema, type Quota } from '../../aggregator/ledger/quota.ts';
import { Scrapes, type AccountsBench } from './accounts.ts';
import { DAY, HOUR, NOVEMBER } from './closed-month.ts';

export const MINE = 'acme';

/** An hour of October, one of November, and both closed but the second. */
export const TIMES = [
  NOVEMBER - 3 * HOUR,
  NOVEMBER - 2 * HOUR,
  NOVEMBER - HOUR,
  NOVEMBER + 5 * HOUR,
  NOVEMBER + 3 * DAY,
];

export async function liveMonths(bench: AccountsBench, isAmongOthers: boolean): Promise<void> {
  const scrapes = new Scrapes();
  const records = TIMES.map((t, i) => scrapes.at(t, { cpu: { 'web/a': i * 60 }, owners: { web: MINE } }));
  if (isAmongOthers) {
    for (const [i, t] of TIMES.entries()) {
      const cpu = { 'db/b': i * 7, 'kube-system/x': i, 'loose/y': i * 3 };
      records.push(scrapes.at(t, { cpu, owners: { db: 'globex' } }));
      const west = { cluster: 'west', cpu: { 'shop/c': i * 11 }, owners: { shop: 'initech' } };
      records.push(scrapes.at(t, west));
    }
    // A month and a day in which only others have something.
    for (const t of [NOVEMBER - 3 * DAY, NOVEMBER + 30 * DAY + HOUR]) {
      records.push(scrapes.at(t, { cluster: 'west', cpu: { 'shop/d': 1 } }));
      records.push(scrapes.at(t + 60_000, { cluster: 'west', cpu: { 'shop/d': 5 } }));
      records.push(scrapes.at(t + 2 * HOUR, { cluster: 'west' }));
    }
  }
  await bench.take(records);
  await bench.passAt(NOVEMBER + 3 * DAY);
  // What changes afterwards, of everybody.
  const late = NOVEMBER - 90 * 60_000;
  const after = [scrapes.at(late, { cpu: { 'web/late': 5 }, delayMs: 4 * DAY })];
  after.push(scrapes.at(late + 60_000, { cpu: { 'web/late': 9 }, delayMs: 4 * DAY }));
  if (isAmongOthers) {
    after.push(scrapes.at(late, { cpu: { 'db/late': 5 }, delayMs: 4 * DAY }));
    after.push(scrapes.at(late + 60_000, { cpu: { 'db/late': 77 }, delayMs: 4 * DAY }));
  }
  // A scrape of an hour that is settled, and then twice what it showed of others: theirs is revised oftener.
  const within = NOVEMBER + 5.5 * HOUR;
  after.push(scrapes.at(within, { cpu: { 'web/a': 185 }, delayMs: 4 * DAY }));
  await bench.take(after);
  await bench.passAt(NOVEMBER + 4 * DAY);
  for (const [i, seconds] of [22, 24].entries()) {
    const shown = scrapes.at(within, { cpu: { 'db/b': seconds }, delayMs: 4 * DAY });
    if (isAmongOthers) await bench.take([shown]);
    await bench.passAt(NOVEMBER + 4 * DAY + (i + 1) * HOUR);
  }
}

export function quotasOf(tenants: readonly string[]): Quota[] {
  return tenants.map((tenant) => quotaSchema.parse({ tenant, meter: 'cpu', window: 'month', limit: '5' }));
}
