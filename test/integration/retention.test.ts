import { afterEach, beforeEach, expect, test } from 'vitest';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { markUnits, openMarks } from '../../aggregator/rollup/unit-marks.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import { frozenBefore, Retention } from '../../aggregator/store/retention.ts';
import { FastClock, SystemClock, type Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { fullSettings, logRecord, Pipeline } from '../support/pipeline.ts';
import { loadVectors, type VectorCase } from '../vectors/vectors.ts';

const DAY_MS = 86_400_000;
const VECTOR = 'reset_without_start';

function vector(): VectorCase {
  const found = loadVectors().find((one) => one.name === VECTOR);
  if (found === undefined) throw new Error(`there is no vector ${VECTOR}`);
  return found;
}

/** A clock that holds nothing back. */
const FAR: Clock = new FastClock({ startMs: Date.parse('2100-01-01T00:00Z'), speed: 1 });

let opened: TestStore;
const told: string[] = [];
const facts: FactSink = { event: (name) => told.push(name) };
beforeEach(async () => {
  told.length = 0;
  opened = await openTestStore();
});
afterEach(async () => {
  await opened.dispose();
});

async function metered(): Promise<{ pipeline: Pipeline; retention: Retention; newest: number }> {
  const { settings, records } = vector();
  const pipeline = new Pipeline(opened.store, settings);
  await pipeline.take(records.map((record) => logRecord(record)));
  await pipeline.rollUp();
  const retention = new Retention(fullSettings(settings), { store: opened.store, clock: FAR, facts });
  return { pipeline, retention, newest: Math.max(...records.map((record) => record.timestampMs)) };
}

/** The log goes on: a journal row of a later time. */
async function logReaches(timestamp: number): Promise<void> {
  const offsets = { first_offset: 1_000, last_offset: 1_000, records: 1, points: 0, samples: 0 };
  const row = { topic: 'usage', partition: 9, ...offsets, rejected: {}, hash: '', hours: [] };
  await opened.store.insert('batch', [{ ...row, newest_timestamp: timestamp }]);
}

async function count(table: 'samples' | 'scrape' | 'usage_parts'): Promise<number> {
  const [row] = await opened.store.rows<{ n: string }>(`SELECT count() AS n FROM ${table}`);
  return Number(row?.n);
}

test('samples stay while a late record could still change their hour', async () => {
  const { retention, newest } = await metered();
  await logReaches(newest + 46 * DAY_MS);
  await retention.enforce();
  expect(await count('samples')).toBe(4);
  expect(told).toEqual([]);
});

test('samples past their retention go, and usage, births and scrapes outlive them', async () => {
  const { pipeline, retention, newest } = await metered();
  const before = await readUsageRows(opened.store);
  await logReaches(newest + 49 * DAY_MS);
  await pipeline.rollUp();
  await retention.enforce();
  expect(await count('samples')).toBe(0);
  expect(await count('scrape')).toBeGreaterThan(0);
  expect(await readUsageRows(opened.store)).toEqual(before);
  expect(told).toContain('partitionDropped');
  await logReaches(newest + 450 * DAY_MS);
  await retention.enforce();
  expect(await count('scrape')).toBe(0);
});

test('an hour that has lost its samples is frozen: a mark cannot empty it', async () => {
  const { pipeline, retention, newest } = await metered();
  const before = await readUsageRows(opened.store);
  await logReaches(newest + 49 * DAY_MS);
  await pipeline.rollUp();
  await retention.enforce();
  expect(await frozenBefore(opened.store)).toBeGreaterThan(newest);
  const hour = before[0]?.hour ?? 0;
  // A later hour, so that this one is not the open one.
  const later = hour + 60 * DAY_MS;
  await markUnits(opened.store, [
    { cluster: 'rt1', hour, source: 'rollup:test', marked: 1n },
    { cluster: 'rt1', hour: later, source: 'rollup:test', marked: 1n },
  ]);
  const settings = fullSettings(vector().settings);
  await new RollUp({ settings }, { store: opened.store, clock: new SystemClock(), facts }).pass();
  expect(told).toContain('hourFrozen');
  expect(await readUsageRows(opened.store)).toEqual(before);
  expect((await openMarks(opened.store)).map((mark) => mark.hour)).not.toContain(hour);
});

test('a record from the future drops nothing that the clock still keeps', async () => {
  const { newest } = await metered();
  const clock = new FastClock({ startMs: newest + DAY_MS, speed: 1 });
  await logReaches(Date.parse('2099-01-01T00:00Z'));
  await new Retention(fullSettings(vector().settings), { store: opened.store, clock, facts }).enforce();
  expect(await count('samples')).toBe(4);
  expect(await count('usage_parts')).toBeGreaterThan(0);
});

test('samples that are not rolled up yet stay, however old', async () => {
  const { settings, records } = vector();
  const pipeline = new Pipeline(opened.store, settings);
  await pipeline.take(records.map((record) => logRecord(record)));
  await logReaches(Math.max(...records.map((record) => record.timestampMs)) + 60 * DAY_MS);
  await new Retention(fullSettings(settings), { store: opened.store, clock: FAR, facts }).enforce();
  expect(await count('samples')).toBe(4);
  await pipeline.rollUp();
  expect((await readUsageRows(opened.store)).map((row) => row.quantity)).toEqual([190_000_000_000n]);
});

test('an empty store has nothing to keep or drop', async () => {
  const retention = new Retention(fullSettings(vector().settings), {
    store: opened.store,
    clock: FAR,
    facts,
  });
  await retention.enforce();
  expect(await frozenBefore(opened.store)).toBe(0);
  expect(told).toEqual([]);
});
