import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Api } from '../../aggregator/api/server.ts';
import { readCoverage } from '../../aggregator/rollup/coverage.ts';
import { writeCoverage } from '../../aggregator/rollup/usage-writer.ts';
import { HOUR_MS, MINUTE_MS, QUARTER_MS, startOfHour } from '../../core/metering/hour.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { apiOver, markOpen, partRow, seconds, type RolledPart } from '../support/rolled-usage.ts';

/** One target, scraped every minute but from 09:15 to 11:45. */
const DAY = '2026-03-28';
const CLUSTER = 'north';
const at = (time: string): number => Date.parse(`${DAY}T${time}:00Z`);
const PARTS: readonly RolledPart[] = [
  { hour: `${DAY}T08:00Z`, tenant: 'acme', quarters: [0n, 0n, 100n, 100n] },
  { hour: `${DAY}T12:00Z`, tenant: 'acme', quarters: [100n, 100n, 0n, 0n] },
];

let testStore: TestStore;
let api: Api;

beforeAll(async () => {
  testStore = await openTestStore();
  const { store } = testStore;
  const scrapes: number[] = [];
  for (let t = at('08:00'); t <= at('13:00'); t += MINUTE_MS)
    if (t <= at('09:15') || t >= at('11:45')) scrapes.push(t);
  await store.insert('target', [
    { cluster: CLUSTER, target: 1, job: 'kubelet', instance: 'a', first_scrape: at('08:00') },
  ]);
  await store.insert('feed', [{ cluster: CLUSTER, meter: 'cpu', target: 1 }]);
  await store.insert(
    'scrape',
    scrapes.map((t) => ({ cluster: CLUSTER, hour: startOfHour(t) / 1000, target: 1, t, version: 2 })),
  );
  await store.insert('watermark', [{ cluster: CLUSTER, t: at('13:00') }]);
  const span = { cluster: CLUSTER, first: at('08:00'), last: at('12:00') };
  const coverage = await readCoverage(store, span, { latenessMs: 48 * HOUR_MS, isOpen: false });
  await writeCoverage(store, CLUSTER, { coverage, version: 1n });
  await store.insert('usage_parts', PARTS.map(partRow));
  await markOpen(store, PARTS);
  api = apiOver(store, at('13:30'));
});

afterAll(async () => {
  await api.stop();
  await testStore.dispose();
});

interface Row {
  readonly value: string | null;
  readonly coverage: { readonly coveredMs: number; readonly expectedMs: number };
}

async function rows(from: string, to: string, rest = ''): Promise<readonly Row[]> {
  const range = `from=${new Date(at(from)).toISOString()}&to=${new Date(at(to)).toISOString()}`;
  const answer = await api.app.inject(`/api/v1/meters/cpu/query?${range}${rest}`);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<{ data: Row[] }>().data;
}

async function values(from: string, to: string, rest = ''): Promise<readonly (string | null)[]> {
  return (await rows(from, to, rest)).map(({ value }) => value);
}

describe('of an hour that a window cuts', () => {
  test('counts what was scraped within the window: where nothing was, there is no value', async () => {
    expect(await values('09:30', '09:45')).toEqual([null]);
    expect(await values('09:00', '09:15')).toEqual(['0']);
    expect(await values('08:30', '12:30', '&windowSize=HOUR&windowTimeZone=Asia/Kolkata')).toEqual([
      ...['200', null, null, '200'],
    ]);
  });

  test('a rate counts the hours that were scraped, wherever they begin', async () => {
    expect(await values('08:30', '12:30', '&aggregation=avg')).toEqual(['200']);
    expect(await values('08:45', '12:45', '&aggregation=avg')).toEqual(['150']);
    expect(await values('09:30', '11:30', '&aggregation=max')).toEqual([null]);
  });

  test('coverage of windows is that of the range, and of one no more than there is of it', async () => {
    const [range] = await rows('08:15', '12:45');
    expect(range?.coverage).toEqual({ coveredMs: 2 * HOUR_MS, expectedMs: 4.5 * HOUR_MS });
    for (const zone of ['Asia/Kolkata', 'Asia/Kathmandu', 'UTC']) {
      const windows = await rows('08:15', '12:45', `&windowSize=HOUR&windowTimeZone=${zone}`);
      const sum = (of: keyof Row['coverage']) => windows.reduce((all, row) => all + row.coverage[of], 0);
      expect([sum('coveredMs'), sum('expectedMs')], zone).toEqual([2 * HOUR_MS, 4.5 * HOUR_MS]);
      expect(Math.max(...windows.map(({ coverage }) => coverage.expectedMs)), zone).toBe(HOUR_MS);
    }
  });
});

test('hours of which the quarters are not known have a quarter in each', async () => {
  const { store } = testStore;
  const hour = { cluster: CLUSTER, meter: 'memory', hour: seconds(`${DAY}T10:00Z`), version: 1 };
  await store.insert('coverage', [{ ...hour, covered_ms: 1_000_003, expected_ms: 3_600_000 }]);
  const [row] = await store.rows<{ c: string[]; e: string[] }>(
    `SELECT arrayMap(x -> toString(x), [c0, c1, c2, c3]) AS c, arrayMap(x -> toString(x), [e0, e1, e2, e3]) AS e
     FROM coverage WHERE meter = 'memory'`,
  );
  expect(row?.c).toEqual(['250003', '250000', '250000', '250000']);
  expect(row?.e).toEqual(Array(4).fill(String(QUARTER_MS)));
});
