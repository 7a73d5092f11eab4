import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Ingest } from '../../aggregator/ingest/ingest.ts';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import { partsKeptFrom } from '../../aggregator/ledger/erasure/kept-hours.ts';
import { readDetailRows } from '../../aggregator/rollup/detail-rows.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { markUnits, openMarks } from '../../aggregator/rollup/unit-marks.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import { ONE_PROCESS, Quiet } from '../../aggregator/ledger/quiet.ts';
import { frozenBefore, Retention, type RetentionConfig } from '../../aggregator/store/retention.ts';
import { FastClock, SystemClock, type Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { Telemetry } from '../../core/runtime/telemetry.ts';
import { AccountsBench, Scrapes, SETTINGS } from '../support/accounts.ts';
import { openTestStore, type TestStore } from '../support/chdb.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { MemoryLog } from '../support/memory-log.ts';
import { fullSettings, logRecord, Pipeline } from '../support/pipeline.ts';
import { metricsData } from '../vectors/otlp-json.ts';
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

function retentionWith(config: RetentionConfig, clock: Clock): Retention {
  const { store } = opened;
  return new Retention(config, { store, clock, facts, quiet: new Quiet(ONE_PROCESS, { store, clock }) });
}

async function metered(): Promise<{ pipeline: Pipeline; retention: Retention; newest: number }> {
  const { settings, records } = vector();
  const pipeline = new Pipeline(opened.store, settings);
  await pipeline.take(records.map((record) => logRecord(record)));
  await pipeline.rollUp();
  const retention = retentionWith(fullSettings(settings), FAR);
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

test('samples past their retention go; usage, births and scrapes outlive them, for ever if not settled', async () => {
  const { pipeline, retention, newest } = await metered();
  const before = await readUsageRows(opened.store);
  await logReaches(newest + 49 * DAY_MS);
  await pipeline.rollUp();
  await retention.enforce();
  expect(await count('samples')).toBe(0);
  expect(await count('scrape')).toBeGreaterThan(0);
  expect(await readUsageRows(opened.store)).toEqual(before);
  expect(told).toContain('partitionDropped');
  // No ledger has them yet: to drop them now would be to lose usage.
  await logReaches(newest + 450 * DAY_MS);
  await retention.enforce();
  expect(await count('scrape')).toBeGreaterThan(0);
  expect(await readUsageRows(opened.store)).toEqual(before);
});

test('usage broken down goes by whole months after its own time; the usage it sums to stays', async () => {
  const { pipeline, retention, newest } = await metered();
  const before = await readUsageRows(opened.store);
  const details = await readDetailRows(opened.store);
  expect(details.length).toBeGreaterThan(0);
  const monthAfter = Date.parse('2026-11-01T00:00Z');
  await logReaches(newest + 49 * DAY_MS);
  await pipeline.rollUp();
  await logReaches(monthAfter + 100 * DAY_MS - 1);
  await retention.enforce();
  expect(await readDetailRows(opened.store)).toEqual(details);
  await logReaches(monthAfter + 100 * DAY_MS);
  await retention.enforce();
  expect(await readDetailRows(opened.store)).toEqual([]);
  expect(await readUsageRows(opened.store)).toEqual(before);
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
  await retentionWith(fullSettings(vector().settings), clock).enforce();
  expect(await count('samples')).toBe(4);
  expect(await count('usage_parts')).toBeGreaterThan(0);
});

test('samples that are not rolled up yet stay, however old', async () => {
  const { settings, records } = vector();
  const pipeline = new Pipeline(opened.store, settings);
  await pipeline.take(records.map((record) => logRecord(record)));
  await logReaches(Math.max(...records.map((record) => record.timestampMs)) + 60 * DAY_MS);
  await retentionWith(fullSettings(settings), FAR).enforce();
  expect(await count('samples')).toBe(4);
  await pipeline.rollUp();
  expect((await readUsageRows(opened.store)).map((row) => row.quantity)).toEqual([190_000_000_000n]);
});

test('an empty store has nothing to keep or drop', async () => {
  const retention = retentionWith(fullSettings(vector().settings), FAR);
  await retention.enforce();
  expect(await frozenBefore(opened.store)).toBe(0);
  expect(told).toEqual([]);
});

describe('hours', () => {
  const HOUR_MS = 3_600_000;
  const [october, november, december] = [9, 10, 11].map((month) => Date.UTC(2026, month, 1)) as [
    number,
    number,
    number,
  ];
  const settings = {
    ...SETTINGS,
    ...{ latenessMs: 2 * HOUR_MS, rawRetentionMs: DAY_MS, hoursRetentionMs: 36 * DAY_MS },
  };
  let bench: AccountsBench;
  let scrapes: Scrapes;
  beforeEach(() => {
    bench = new AccountsBench(opened.store, ['north'], settings);
    scrapes = new Scrapes();
  });

  /** Ten core-seconds an hour at the begin of each month; October's pod ends with it. */
  async function metered(): Promise<void> {
    const owners = { web: 'acme' };
    for (const [i, month] of [october, november, december].entries()) {
      const pod = i === 0 ? 'web/old' : 'web/a';
      await bench.take([
        scrapes.at(month + 10 * MINUTE_MS, { cpu: { [pod]: 0 }, owners }),
        scrapes.at(month + HOUR_MS, { cpu: { [pod]: 10 } }),
        scrapes.at(month + 2 * HOUR_MS, { cpu: { [pod]: 20 } }),
      ]);
      await bench.passAt(month + 3 * HOUR_MS);
    }
    await bench.take([scrapes.at(december + 20 * DAY_MS, {})]);
  }
  const MINUTE_MS = 60_000;

  /** Months that tables hold rows of. */
  async function months(): Promise<Record<string, string[]>> {
    const tables = [
      'usage_parts',
      'usage_current',
      'closings',
      'coverage',
      'scrape',
      'label_history',
      'births',
    ];
    const rows = await opened.store.rows<{ table: string; months: string[] }>(
      `SELECT table, arraySort(groupUniqArray(partition_id)) AS months FROM system.parts
       WHERE database = currentDatabase() AND active AND table IN {tables:Array(String)} GROUP BY table`,
      { tables: [...tables, 'measured', 'reconciliation', 'usage_day', 'ledger'] },
    );
    return Object.fromEntries(rows.map((row) => [row.table, row.months]));
  }

  async function forEver(): Promise<unknown> {
    const { store } = opened;
    return {
      ledger: await store.rows('SELECT * FROM ledger ORDER BY seq'),
      statements: await store.rows('SELECT * FROM statement ORDER BY ALL'),
      closes: await readCloses(store),
      days: await store.rows('SELECT * FROM usage_day FINAL ORDER BY ALL'),
    };
  }

  async function column(sql: string): Promise<unknown[]> {
    const rows = await opened.store.rows<Record<string, unknown>>(sql);
    return rows.flatMap((row) => Object.values(row));
  }

  test('go by whole months once they are closed; days, ledger, closes and statements stay', async () => {
    await metered();
    await bench.passAt(december + 20 * DAY_MS);
    expect(await readCloses(opened.store)).toHaveLength(2);
    const before = await forEver();
    await bench.retention.enforce();
    expect(await partsKeptFrom(opened.store)).toBe(november);
    const kept = ['202611', '202612'];
    const all = ['202610', ...kept];
    expect(await months()).toEqual({
      ...{
        usage_parts: kept,
        usage_current: kept,
        closings: kept,
        coverage: kept,
        scrape: kept,
        births: [kept[0]],
      },
      ...{ label_history: kept, measured: kept, reconciliation: kept, usage_day: all, ledger: all },
    });
    expect(await forEver()).toEqual(before);
    await bench.passAt(december + 20 * DAY_MS);
    await bench.retention.enforce();
    expect(await forEver()).toEqual(before);
  });

  test('of a month that is not closed stay, however old', async () => {
    bench = new AccountsBench(opened.store, ['north', 'silent'], settings);
    await metered();
    await bench.passAt(december + 20 * DAY_MS);
    expect(await readCloses(opened.store)).toEqual([]);
    await bench.retention.enforce();
    expect(await partsKeptFrom(opened.store)).toBe(october);
    expect((await months())['usage_parts']).toContain('202610');
  });

  test('take marks, journal, labels and holds along that speak of them alone', async () => {
    await metered();
    await bench.passAt(december + 20 * DAY_MS);
    const ends = 'SELECT topic, partition, max(last_offset) FROM batch GROUP BY ALL';
    const before = await column(ends);
    const journal = Number((await column('SELECT count() FROM batch'))[0]);
    await bench.retention.enforce();
    for (const table of ['unit_mark', 'hour_mark'])
      expect(await column(`SELECT toYYYYMM(min(hour)) FROM ${table}`)).toEqual([202611]);
    expect(await column("SELECT labels['pod'] FROM series FINAL")).toEqual(['a']);
    expect(await column(ends)).toEqual(before);
    expect(Number((await column('SELECT count() FROM batch'))[0])).toBe(journal - 1);
    await bench.passAt(december + 22 * DAY_MS);
    await bench.retention.enforce();
    expect(await column('SELECT count() FROM hold')).toEqual(['0']);
  });

  test('that are gone are given nothing: what would stand alone there is told and left out', async () => {
    await metered();
    await bench.passAt(december + 20 * DAY_MS);
    await bench.retention.enforce();
    const before = await forEver();
    // A pod that nobody had been shown, although it runs since before November.
    const labels = { cluster: 'north', node: 'n1', namespace: 'web', pod: 'late', id: '/kubepods/pod-late' };
    const timeMs = december + 20 * DAY_MS + HOUR_MS;
    const started = (november - 30 * MINUTE_MS) / 1000;
    const target = { job: 'kubelet', instance: 'n1' };
    const rows = [
      { name: 'container_start_time_seconds', labels, timeMs, value: { asDouble: started } },
      { name: 'container_cpu_usage_seconds_total', labels, timeMs, value: { asDouble: 50 * 24 * 3600 } },
    ];
    const place = { topic: 'usage.north', partition: 0, offset: 100n, timestampMs: timeMs };
    await bench.take([
      logRecord({ ...place, metricsData: metricsData(target, rows) }),
      logRecord({ ...scrapeRecord(timeMs + 1), offset: 101n }),
    ]);
    await bench.passAt(december + 21 * DAY_MS);
    expect(bench.factsNamed('hourFrozen')).toContainEqual({
      ...{ cluster: 'north', hour: '2026-10-31T23:00:00.000Z', reason: 'its usage is past its retention' },
    });
    expect((await months())['usage_parts']).toEqual(['202611', '202612']);
    const after = (await forEver()) as { ledger: { hour: string }[] };
    const fresh = after.ledger.slice((before as typeof after).ledger.length);
    expect(fresh.length).toBeGreaterThan(1000);
    expect(fresh.filter(({ hour }) => hour < '2026-11-01')).toEqual([]);

    function scrapeRecord(t: number): Parameters<typeof logRecord>[0] {
      const up = { name: 'up', labels: { cluster: 'north' }, timeMs: t, value: { asDouble: 1 } };
      return { ...place, timestampMs: t, metricsData: metricsData(target, [up]) };
    }
  });

  test('cut down half-way, go with the next run', async () => {
    await metered();
    await bench.passAt(december + 20 * DAY_MS);
    const before = await forEver();
    const faulty = new FaultyStore(opened.store);
    const { clock } = bench;
    for (let n = 1; n < 40; n++) {
      let writes = 0;
      faulty.plan = (operation) =>
        ['read', 'insert hold'].includes(operation) || ++writes !== n
          ? undefined
          : { when: n % 2 === 0 ? 'before' : 'after', error: new Error('died') };
      const quiet = new Quiet(ONE_PROCESS, { store: faulty, clock });
      const dying = new Retention(settings, { store: faulty, clock, facts, quiet });
      await dying.enforce().catch((error: unknown) => expect(String(error)).toContain('died'));
      clock.advance(2 * MINUTE_MS);
    }
    expect((await months())['usage_parts']).toEqual(['202611', '202612']);
    expect(await column("SELECT labels['pod'] FROM series FINAL")).toEqual(['a']);
    expect(await forEver()).toEqual(before);
  });
});

test('a sample older than the raw retention is put aside before the insert and counted by its reason', async () => {
  const lines: string[] = [];
  const clock = new SystemClock();
  const telemetry = new Telemetry(
    { format: 'json', level: 'warn' },
    { clock, output: { write: (line: string) => lines.push(line) } },
  );
  try {
    const now = Date.UTC(2026, 9, 1);
    const delayMs = SETTINGS.rawRetentionMs + 1;
    const record = new Scrapes().at(now, { cpu: { 'web/a': 1 }, delayMs });
    const log = new MemoryLog();
    await log.append([{ ...record, topic: 'usage.north' }]);
    const stop = new AbortController();
    const { store } = opened;
    const config = {
      ...{ settings: SETTINGS, clusterOfTopic: (): string => 'north' },
      ...{ maxBatchBytes: 1 << 20, pollMs: 10 },
    };
    const running = new Ingest(config, { store, clock, facts: telemetry }).run(
      await log.consumer({ group: 'aggregator', topics: ['usage.north'] }),
      stop.signal,
    );
    while (!(await telemetry.metricsText()).includes('gh0stmeter_ingest_records_total{'))
      await clock.sleep(20);
    stop.abort();
    await running;
    expect(await telemetry.metricsText()).toContain('gh0stmeter_rejected_points_total{reason="too_old"} 2\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { event: 'pointsRejected', reason: 'too_old', runbook: 'docs/runbooks/points-rejected.md' },
    ]);
    expect(await count('samples')).toBe(0);
    expect(await store.rows('SELECT DISTINCT reason FROM quarantine')).toEqual([{ reason: 'too_old' }]);
  } finally {
    await telemetry.close();
  }
});

test('the floor does not pass hours of silence that a later scrape has just brought to light', async () => {
  const [begin, later] = [Date.UTC(2026, 7, 6, 8), Date.UTC(2026, 9, 5, 8)];
  const bench = new AccountsBench(opened.store, ['north']);
  const scrapes = new Scrapes();
  await bench.take([scrapes.at(begin, { cpu: { 'web/a': 1 }, owners: { web: 'acme' } })]);
  await bench.passAt(begin + 60_000);
  await bench.take([scrapes.at(later, { cpu: { 'web/a': 2 } })]);
  bench.clock.advance(later - begin);
  await bench.retention.enforce();
  // Nothing was heard for the lateness of two days: scrapes were expected all that time.
  expect(await frozenBefore(opened.store)).toBe(Date.UTC(2026, 7, 6));
  await bench.passAt(later + 60_000);
  await bench.retention.enforce();
  expect(await frozenBefore(opened.store)).toBe(Date.UTC(2026, 7, 19));
  const [row] = await opened.store.rows<{ expected: string }>(
    "SELECT sum(expected_ms) AS expected FROM coverage FINAL WHERE meter = 'cpu' AND hour < '2026-08-20 00:00:00'",
  );
  expect(Number(row?.expected)).toBe(2 * DAY_MS);
});
