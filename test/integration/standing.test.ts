import { afterAll, beforeAll, expect, test } from 'vitest';

import { StandingReader, type Standing } from '../../aggregator/api/usage/standing.ts';
import { VersionReader } from '../../aggregator/api/usage/versions.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { seconds } from '../support/rolled-usage.ts';

const OPTIONS = { timeoutMs: 10_000 };
const HOUR = seconds('2026-10-05T09:00:00Z');
const NEXT_HOUR = HOUR + 3_600;

let testStore: TestStore;

beforeAll(async () => {
  testStore = await openTestStore();
});

afterAll(async () => {
  await testStore.dispose();
});

interface Step {
  readonly what: string;
  readonly table: string;
  readonly row: Readonly<Record<string, unknown>>;
}

const key = { cluster: 'north', hour: HOUR };
const next = { ...key, hour: NEXT_HOUR };
const covered = { meter: 'cpu', covered_ms: 3_600_000, expected_ms: 3_600_000, version: 1 };

/** Each changes what is said, by one table alone. */
const STEPS: readonly Step[] = [
  { what: 'a cluster is seen', table: 'watermark', row: { cluster: 'north', t: NEXT_HOUR * 1000 } },
  { what: 'a scrape comes in', table: 'scrape', row: { ...key, target: 1, t: HOUR * 1000, version: 2 } },
  { what: 'what was used is marked', table: 'hour_mark', row: { ...key, source: 'test', marked: 1 } },
  { what: 'the next hour is rolled up', table: 'coverage', row: { ...next, ...covered } },
  { what: 'a period has begun', table: 'ledger', row: periodEntry(1) },
  { what: 'it settles', table: 'ledger', row: periodEntry(2) },
  { what: 'an hour is settled', table: 'usage_current', row: { ...key, tenant: 'acme', meter: 'cpu' } },
  { what: 'the next is marked', table: 'hour_mark', row: { ...next, source: 'test', marked: 2 } },
  { what: 'the first is done with', table: 'hour_mark', row: { ...key, source: 'test', settled: 1 } },
  { what: 'a month is closed', table: 'decision', row: { kind: 'close', period: 202610 } },
];

function periodEntry(revision: number): Step['row'] {
  const period = { period: 202610, hour: seconds('2026-10-01T00:00:00Z') };
  return { ...period, kind: 'period', seq: revision, revision };
}

test('is never older than the store, whichever table changes of those that it is read from', async () => {
  const { store } = testStore;
  const versions = new VersionReader(store, OPTIONS);
  const remembering = new StandingReader(store, OPTIONS);
  const told = async (reader: StandingReader): Promise<Omit<Standing, 'versions'>> => {
    const { versions: _, ...standing } = await reader.read(await versions.read());
    return standing;
  };
  await store.insert('coverage', [{ ...key, ...covered }]);
  await store.insert('scrape', [{ ...next, target: 1, t: NEXT_HOUR * 1000, version: 2 }]);
  let before = await told(remembering);
  for (const { what, table, row } of STEPS) {
    await store.insert(table, [row]);
    const after = await told(remembering);
    expect(after, what).toEqual(await told(new StandingReader(store, OPTIONS)));
    expect(after, what).not.toEqual(before);
    expect(await told(remembering), what).toEqual(after);
    before = after;
  }
  expect(before).toMatchObject({ open: [], unsure: [], closedBefore: Date.UTC(2026, 10, 1) });
});
