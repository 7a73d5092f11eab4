import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Api } from '../../aggregator/api/server.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { apiOver, seconds } from '../support/rolled-usage.ts';

let testStore: TestStore;
let api: Api;

beforeAll(async () => {
  testStore = await openTestStore();
  api = apiOver(testStore.store, Date.parse('2026-03-20T11:00Z'));
});

afterAll(async () => {
  await api.stop();
  await testStore.dispose();
});

/** As ingest and the roll-up leave it of a cluster: its newest scrape, and the newest that is rolled up. */
async function comesIn(cluster: string, seen: string, rolledUp?: string): Promise<void> {
  const { store } = testStore;
  const scrapes = [seen, ...(rolledUp === undefined ? [] : [rolledUp])].map((time) => ({
    ...{ cluster, hour: hourOf(time), t: Date.parse(`${time}Z`), target: 1, version: 2 },
  }));
  await store.insert('scrape', scrapes);
  if (rolledUp !== undefined) {
    const covered = { meter: 'cpu', covered_ms: 3_600_000, expected_ms: 3_600_000, version: 1 };
    await store.insert('coverage', [{ cluster, hour: hourOf(rolledUp), ...covered }]);
  }
  await store.insert('watermark', [{ cluster, t: Date.parse(`${seen}Z`) }]);
}

function hourOf(time: string): number {
  return seconds(`${time.slice(0, 13)}:00Z`);
}

/** A quarter of an hour from then on. */
async function isComplete(from: string): Promise<boolean | undefined> {
  const to = new Date(Date.parse(`${from}Z`) + 900_000).toISOString();
  const response = await api.app.inject({ url: `/api/v1/meters/cpu/query?from=${from}Z&to=${to}` });
  expect(response.statusCode, response.body).toBe(200);
  return response.json<{ data: { complete: boolean }[] }>().data[0]?.complete;
}

test('a cluster whose roll-up is days behind leaves incomplete what it has still to tell', async () => {
  await comesIn('north', '2026-03-20T10:50', '2026-03-20T10:50');
  expect(await isComplete('2026-03-20T10:00')).toBe(true);
  await comesIn('west', '2026-03-20T10:50', '2026-03-15T10:50');
  expect(await isComplete('2026-03-20T10:00')).toBe(false);
  expect(await isComplete('2026-03-15T11:00')).toBe(false);
  expect(await isComplete('2026-03-15T10:00')).toBe(true);
});

test('a cluster that was last seen before anything that is kept is not waited for', async () => {
  await testStore.store.insert('watermark', [{ cluster: 'ancient', t: Date.parse('2025-01-10T09:20Z') }]);
  expect(await isComplete('2026-03-15T10:00')).toBe(true);
});

test('a cluster of which nothing is rolled up yet leaves all incomplete', async () => {
  await comesIn('new', '2026-03-20T10:55');
  expect(await isComplete('2026-03-15T10:00')).toBe(false);
});

test('a closed period is complete, also one that was closed without a cluster that is gone', async () => {
  await comesIn('gone', '2026-02-10T09:20', '2026-02-10T09:20');
  expect(await isComplete('2026-02-28T23:45')).toBe(false);
  await testStore.store.insert('decision', [{ kind: 'close', period: 202602 }]);
  expect(await isComplete('2026-02-28T23:45')).toBe(true);
  expect(await isComplete('2026-02-20T10:00')).toBe(true);
  expect(await isComplete('2026-03-01T00:00')).toBe(false);
});
