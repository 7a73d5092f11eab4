/** A tenant's raw data goes, what was billed stays: on the real stages and a real store. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import { readErasures } from '../../aggregator/ledger/erasure/decision.ts';
import { erasedHours, KeptHours } from '../../aggregator/ledger/erasure/kept-hours.ts';
import { RollUp } from '../../aggregator/rollup/roll-up.ts';
import { convertSpan } from '../../aggregator/rollup/convert.ts';
import { SeriesCache } from '../../aggregator/rollup/span-inputs.ts';
import { markUnits, unmarkUnits } from '../../aggregator/rollup/unit-marks.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { AccountsBench, Scrapes, SETTINGS } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { FaultyStore, type When } from '../support/faulty-store.ts';
import { MemoryLog } from '../support/memory-log.ts';
import { openFastStore } from '../support/pipeline.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const OCTOBER = Date.UTC(2026, 9, 1);
const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);
const LAST_HOUR = NOVEMBER - HOUR;

let opened: TestStore;
let store: UsageStore;
let bench: AccountsBench;
let scrapes: Scrapes;
beforeEach(async () => {
  opened = await openFastStore();
  begin();
});
afterEach(() => opened.dispose());

function begin(): void {
  store = opened.store;
  bench = new AccountsBench(store, ['north']);
  scrapes = new Scrapes();
}

const owners = { web: 'acme', shop: 'globex' };

/** October's end and November's beginning: acme's web/a lives on, web/gone ends; globex has shop/b. */
function records(): LogRecord[] {
  return [
    scrapes.at(NOVEMBER - 2 * HOUR, { cpu: { 'web/a': 0, 'web/gone': 0, 'shop/b': 0 }, owners }),
    scrapes.at(NOVEMBER - 90 * MINUTE, { cpu: { 'web/a': 300, 'web/gone': 50, 'shop/b': 100 } }),
    // A point that is refused says in its excerpt whose it was.
    scrapes.at(NOVEMBER - 80 * MINUTE, { cpu: { 'web/a': -1, 'shop/b': -1 } }),
    scrapes.at(NOVEMBER - HOUR, { cpu: { 'web/a': 600, 'web/gone': 90, 'shop/b': 200 } }),
    scrapes.at(NOVEMBER - 30 * MINUTE, { cpu: { 'web/a': 800, 'shop/b': 300 } }),
    scrapes.at(NOVEMBER + 30 * MINUTE, { cpu: { 'web/a': 1000, 'shop/b': 420 } }),
    scrapes.at(NOVEMBER + HOUR, { cpu: { 'web/a': 1100, 'shop/b': 500 } }),
    scrapes.at(NOVEMBER + 3 * DAY, { cpu: { 'web/a': 1100, 'shop/b': 500 } }),
  ];
}

async function octoberClosed(): Promise<void> {
  await bench.take(records());
  await bench.passAt(NOVEMBER + 3 * DAY);
  expect(await readCloses(store)).toHaveLength(1);
}

function declare(tenant: string, through = '2026-10'): void {
  const erasures = [...bench.declared.erasures, { tenant, through, reason: 'contract ended' }];
  bench.declared = { ...bench.declared, erasures };
}

async function erase(tenant: string, through?: string): Promise<readonly unknown[]> {
  declare(tenant, through);
  return await bench.erasure.enforce();
}

/** Everything that somebody is billed by. */
async function billed(): Promise<unknown> {
  const ledger = `SELECT * FROM ledger WHERE kind != 'erasure' ORDER BY seq`;
  return {
    ledger: await store.rows(ledger),
    statements: await store.rows('SELECT * FROM statement ORDER BY ALL'),
    closes: await readCloses(store),
    parts: await store.rows('SELECT * FROM usage_parts FINAL ORDER BY ALL'),
    current: await store.rows('SELECT * FROM usage_current FINAL ORDER BY ALL'),
    days: await store.rows('SELECT * FROM usage_day FINAL ORDER BY ALL'),
    closings: await store.rows('SELECT * FROM closings FINAL ORDER BY ALL'),
  };
}

/** Hours of samples by namespace and pod, as far as names are known. */
async function samples(): Promise<Record<string, string[]>> {
  const rows = await store.rows<{ name: string; hours: string[] }>(
    `SELECT concat(s.namespace, '/', s.labels['pod']) AS name,
       arraySort(groupUniqArray(formatDateTime(p.hour, '%m-%dT%H'))) AS hours
     FROM samples AS p INNER JOIN (SELECT DISTINCT series, namespace, labels FROM series) AS s ON p.series = s.series
     GROUP BY name ORDER BY name`,
  );
  return Object.fromEntries(rows.map(({ name, hours }) => [name, hours]));
}

/** When each series was first met, of all tables that say so. */
const EVIDENCE = `SELECT toString(tuple(series, target, min(value_t))) FROM sightings GROUP BY series, target ORDER BY ALL
  UNION ALL SELECT toString(tuple(series, target, t)) FROM births FINAL ORDER BY ALL`;

async function column(sql: string): Promise<unknown[]> {
  const rows = await store.rows<Record<string, unknown>>(sql);
  return rows.flatMap((row) => Object.values(row));
}

/** Usage of an hour now, in core-seconds, by tenant. */
async function usageOf(hour: number): Promise<Record<string, number>> {
  const rows = (await readUsageRows(store)).filter((row) => row.hour === hour);
  return Object.fromEntries(rows.map((row) => [row.tenant, Number(row.quantity) / 1e9]));
}

/** A mark of somebody who has a reason of his own to roll these hours up again. */
async function rollUpAgain(...hours: readonly number[]): Promise<void> {
  const [cluster, source] = ['north', 'rollup:somebody'];
  await markUnits(
    store,
    hours.map((hour) => ({ cluster, hour, source, marked: BigInt(Date.now()) })),
  );
  await bench.passAt(bench.clock.now());
}

describe('an erasure', () => {
  test('takes what usage was of and who owned its pods, in its hours and of nobody else', async () => {
    await octoberClosed();
    const names = { cluster: 'north', tenant: 'acme', meter: 'cpu', workload: 'Deployment/w', version: 1 };
    const parts = (namespace: string, hour: number): Record<string, unknown> => ({
      ...{ ...names, namespace, unit: hour / 1000, hour: hour / 1000 },
      ...{ destination: '', storage_class: '', q0: 1, q1: 0, q2: 0, q3: 0 },
    });
    const said = (namespace: string, hour: number): Record<string, unknown> => ({
      ...{ cluster: 'north', namespace, hour: hour / 1000 },
      ...{ subject: 'Pod/a', value: 'ReplicaSet/w-5d9', t: hour + 1 },
    });
    const places: readonly (readonly [string, number])[] = [
      ['web', LAST_HOUR],
      ['web', NOVEMBER],
      ['shop', LAST_HOUR],
    ];
    await store.insert(
      'detail_parts',
      places.map(([namespace, hour]) => parts(namespace, hour)),
    );
    await store.insert(
      'detail_history',
      places.map(([namespace, hour]) => said(namespace, hour)),
    );
    await erase('acme');
    const left = (table: string): Promise<unknown[]> =>
      column(`SELECT concat(namespace, formatDateTime(hour, ' %m-%dT%H')) FROM ${table}
        WHERE namespace != '' AND ${table === 'detail_parts' ? "workload != ''" : '1'} ORDER BY ALL`);
    expect(await left('detail_parts')).toEqual(['shop 10-31T23', 'web 11-01T00']);
    expect(await left('detail_history')).toEqual(['shop 10-31T23', 'web 11-01T00']);
    await rollUpAgain(LAST_HOUR, NOVEMBER);
    expect(
      await column(`SELECT count() FROM detail_parts FINAL
      WHERE namespace = 'web' AND hour = '2026-10-31 23:00:00' AND q0 + q1 + q2 + q3 > 0`),
    ).toEqual(['0']);
  });

  test('takes samples of closed hours, and leaves everything that was billed byte for byte', async () => {
    await octoberClosed();
    const before = await billed();
    expect(await erase('acme')).toEqual([{ tenant: 'acme', through: '2026-10', state: 'done' }]);
    expect(await samples()).toEqual({
      'web/a': ['11-01T00', '11-03T23'],
      'shop/b': ['10-31T21', '10-31T22', '10-31T23', '11-01T00', '11-03T23'],
    });
    expect(await billed()).toEqual(before);
    await rollUpAgain(NOVEMBER - 3 * HOUR, NOVEMBER - 2 * HOUR, LAST_HOUR, NOVEMBER);
    const after = (await billed()) as Record<string, unknown>;
    const { ledger, statements, closes, current, days } = before as Record<string, unknown>;
    expect(after).toMatchObject({ ledger, statements, closes, current, days });
  });

  test('is told in the ledger, once, with what was there', async () => {
    await octoberClosed();
    await erase('acme');
    await bench.erasure.enforce();
    const entries = await store.rows<{ period: number; tenant: string; body: string; id: string }>(
      "SELECT lower(hex(id)) AS id, period, tenant, body FROM ledger WHERE kind = 'erasure'",
    );
    expect(entries).toMatchObject([{ period: 202610, tenant: 'acme' }]);
    expect(JSON.parse(entries[0]?.body ?? '')).toEqual({
      ...{ tenant: 'acme', through: '2026-10', reason: 'contract ended' },
      // web/a 4, web/gone 3: a refused point is no sample. web/a lives on, so one series has lost its last one.
      ...{ samples: '7', series: 1 },
    });
    expect(bench.factsNamed('tenantErased')).toMatchObject([{ tenant: 'acme', samples: 7, series: 1 }]);
    const [decision] = await readErasures(store);
    expect(decision?.cut).toEqual([{ topic: 'usage.north', partition: 0, next: 8n }]);
  });

  test('forgets the names of pods that have no samples left, and what refused points said of them', async () => {
    await octoberClosed();
    const hostPods = ['pod:web/gone', 'pod:web/a', 'pod:shop/b', 'uid:1'];
    await store.insert(
      'host_network',
      hostPods.map((pod_key) => ({ cluster: 'north', pod_key })),
    );
    const excerpts = 'SELECT extract(excerpt, \'namespace="[a-z]+"\') FROM quarantine FINAL ORDER BY ALL';
    expect(await column(excerpts)).toEqual(['namespace="shop"', 'namespace="web"']);
    await erase('acme');
    expect(await column("SELECT DISTINCT labels['pod'] FROM series ORDER BY ALL")).toEqual(['', 'a', 'b']);
    expect(await column("SELECT toString(labels) FROM series WHERE labels['pod'] = ''")).toEqual(['{}']);
    expect(await column(excerpts)).toEqual(['', 'namespace="shop"']);
    expect(await column('SELECT reason FROM quarantine FINAL')).toEqual(['negative', 'negative']);
    expect(await column('SELECT pod_key FROM host_network FINAL ORDER BY ALL')).toEqual([
      'pod:shop/b',
      'pod:web/a',
      'uid:1',
    ]);
  });

  test('of everything that a tenant ever had leaves no name of it behind', async () => {
    await octoberClosed();
    await bench.take([scrapes.at(DECEMBER + 3 * DAY, { cpu: { 'shop/b': 900 } })]);
    await bench.passAt(DECEMBER + 3 * DAY);
    await erase('acme', '2026-11');
    expect(Object.keys(await samples())).toEqual(['shop/b']);
    expect(await column("SELECT count() FROM series WHERE namespace = 'web' AND notEmpty(labels)")).toEqual([
      '0',
    ]);
  });

  test('waits with a reason, told once an hour, until it can be done', async () => {
    await bench.take(records());
    await bench.passAt(NOVEMBER + DAY);
    declare('acme');
    declare('acme', '2026-11');
    declare('amce');
    declare('platform');
    const states = async (): Promise<unknown[]> => (await bench.erasure.enforce()).map(({ state }) => state);
    expect(await states()).toEqual(['period_open', 'period_open', 'period_open', 'not_a_tenant']);
    expect(await states()).toHaveLength(4);
    expect(bench.factsNamed('erasureHeld')).toHaveLength(4);
    await bench.passAt(NOVEMBER + 3 * DAY);
    expect(await states()).toEqual(['done', 'period_open', 'unknown_tenant', 'not_a_tenant']);
    expect(await states()).toEqual(['done before', 'period_open', 'unknown_tenant', 'not_a_tenant']);
    expect(bench.factsNamed('erasureHeld')).toContainEqual({
      ...{ tenant: 'amce', through: '2026-10', reason: 'unknown_tenant' },
    });
  });

  test('waits until late samples that are there have been counted', async () => {
    await octoberClosed();
    await bench.take([scrapes.at(NOVEMBER - 10 * MINUTE, { cpu: { 'web/a': 950 }, delayMs: 4 * DAY })]);
    expect(await erase('acme')).toMatchObject([{ state: 'not_rolled_up' }]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    expect(await bench.erasure.enforce()).toMatchObject([{ state: 'done' }]);
    expect(await usageOf(LAST_HOUR)).toMatchObject({ acme: 362.5 });
  });

  test('of a tenant that was billed and owned no whole hour by then takes nothing and says so', async () => {
    await octoberClosed();
    await bench.take([scrapes.at(NOVEMBER + 3 * DAY + HOUR, { cpu: {}, owners: { web: 'newco' } })]);
    await bench.passAt(NOVEMBER + 3 * DAY + HOUR);
    const before = await samples();
    expect(await erase('newco')).toMatchObject([{ state: 'done' }]);
    expect(await samples()).toEqual(before);
    expect(bench.factsNamed('tenantErased')).toMatchObject([{ tenant: 'newco', samples: 0, series: 0 }]);
  });
});

describe('after an erasure', () => {
  test("another tenant's late sample is its correction, and the erased tenant's total stays", async () => {
    await octoberClosed();
    await erase('acme');
    const before = await usageOf(LAST_HOUR);
    await bench.take([scrapes.at(NOVEMBER - 5 * MINUTE, { cpu: { 'shop/b': 360 }, delayMs: 4 * DAY })]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    // 300 @23:30, 360 @23:55, 420 @00:30: 60 and a seventh of 60, where it was half of 120.
    expect(before).toEqual({ acme: 300, globex: 160 });
    expect(await usageOf(LAST_HOUR)).toEqual({ acme: 300, globex: 168.571428571 });
    const corrections = "SELECT DISTINCT tenant FROM ledger WHERE kind = 'correction'";
    expect(await column(corrections)).toEqual(['globex']);
    expect(bench.factsNamed('reconciliationFailed')).toEqual([]);
    const sums = `SELECT sum(quantity) = (SELECT sum(q0 + q1 + q2 + q3) FROM usage_parts FINAL) FROM measured FINAL`;
    expect(await column(sums)).toEqual([1]);
  });

  test('its own late samples are refused, and nothing begins with them', async () => {
    await octoberClosed();
    await erase('acme');
    const [before, evidence] = [await usageOf(NOVEMBER), await column(EVIDENCE)];
    const late = { 'web/a': 990, 'web/late': 7 };
    await bench.take([scrapes.at(NOVEMBER - MINUTE, { cpu: late, delayMs: 4 * DAY })]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    await rollUpAgain(LAST_HOUR, NOVEMBER);
    expect(await usageOf(LAST_HOUR)).toEqual({ acme: 300, globex: 160 });
    expect(await usageOf(NOVEMBER)).toEqual(before);
    expect((await samples())['web/a']).toEqual(['11-01T00', '11-03T23']);
    expect(await column(EVIDENCE)).toEqual(evidence);
    // Why, and not whose: the excerpt would name the pod again.
    const refused = "SELECT excerpt FROM quarantine WHERE reason = 'erased'";
    const metric = 'container_cpu_usage_seconds_total';
    expect(await column(refused)).toEqual([metric, metric]);
  });

  test('a batch that was read before it, and could not be stored, is read again', async () => {
    await octoberClosed();
    const log = new MemoryLog({ clock: bench.clock });
    const late = scrapes.at(NOVEMBER - MINUTE, { cpu: { 'web/late': 7 }, delayMs: 4 * DAY });
    await log.append([{ ...late, partition: 0 }]);
    const failing = new FaultyStore(store);
    const error = new MeteringError('METER_STORE_UNAVAILABLE', 'away', { retryable: true });
    let failures = 0;
    failing.plan = (operation) => {
      if (operation !== 'insert unit_mark') return undefined;
      failures++;
      return { when: 'before', error };
    };
    const stop = new AbortController();
    const consumer = await log.consumer({ group: 'test', topics: ['usage.north'] });
    const running = new AccountsBench(failing, ['north']).ingest.run(consumer, stop.signal);
    await vi.waitFor(() => expect(failures).toBeGreaterThan(0), 10_000);
    expect(await erase('acme')).toMatchObject([{ state: 'done' }]);
    failing.plan = () => undefined;
    const reasons = 'SELECT reason FROM quarantine';
    await vi.waitFor(async () => expect(await column(reasons)).toContain('erased'), 10_000);
    stop.abort();
    await running;
    expect(await samples()).not.toHaveProperty(['web/late']);
  });

  test('what a log brings back that is read again is refused', async () => {
    const all = records();
    await bench.take(all);
    await bench.passAt(NOVEMBER + 3 * DAY);
    await erase('acme');
    const before = await billed();
    const restarted = new AccountsBench(store, ['north']);
    restarted.declared = bench.declared;
    await restarted.take(all);
    await restarted.passAt(NOVEMBER + 3 * DAY);
    expect(await samples()).not.toHaveProperty(['web/gone']);
    expect(await restarted.erasure.enforce()).toMatchObject([{ state: 'done before' }]);
    expect(bench.factsNamed('erasureRepeated')).toEqual([]);
    expect(await column("SELECT DISTINCT labels['pod'] FROM series ORDER BY ALL")).toEqual(['', 'a', 'b']);
    const { ledger, statements, current } = (await billed()) as Record<string, unknown>;
    expect(before).toMatchObject({ ledger, statements, current });
  });

  test('files that came back with a disk are cleared by the next process, once', async () => {
    await octoberClosed();
    await store.command('CREATE TABLE disk AS samples');
    await store.command('INSERT INTO disk SELECT * FROM samples');
    await erase('acme');
    const [before, cleared] = [await usageOf(LAST_HOUR), await samples()];
    await store.command('INSERT INTO samples SELECT * FROM disk');
    await rollUpAgain(LAST_HOUR);
    expect(await usageOf(LAST_HOUR)).toEqual(before);
    const restarted = new AccountsBench(store, ['north']);
    await restarted.erasure.enforce();
    expect(await samples()).toEqual(cleared);
    const told = [{ tenant: 'acme', through: '2026-10' }];
    expect(restarted.factsNamed('erasureRepeated')).toEqual(told);
    await restarted.erasure.enforce();
    expect(restarted.factsNamed('erasureRepeated')).toEqual(told);
  });

  test('a label that comes to light later moves nothing of it', async () => {
    await octoberClosed();
    await erase('acme');
    const moved = { owners: { web: 'newco' }, delayMs: 4 * DAY };
    await bench.take([scrapes.at(NOVEMBER - 2 * HOUR + 1, moved), scrapes.at(LAST_HOUR, moved)]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    expect(await usageOf(NOVEMBER - 2 * HOUR)).toMatchObject({ acme: 690 });
    expect(await usageOf(LAST_HOUR)).toMatchObject({ acme: 300 });
    // What ends in November is not erased, and is looked at with the label as it is known now.
    expect(await usageOf(NOVEMBER)).toMatchObject({ newco: 200 });
  });

  test('the interval over its end is the same, whether hours are rolled up together or apart', async () => {
    await octoberClosed();
    const before = await readUsageRows(store);
    await erase('acme');
    const hours = [NOVEMBER - 3 * HOUR, NOVEMBER - 2 * HOUR, LAST_HOUR, NOVEMBER];
    await rollUpAgain(...hours);
    expect(await readUsageRows(store)).toEqual(before);
    for (const hour of hours) await rollUpAgain(hour);
    expect(await readUsageRows(store)).toEqual(before);
  });
});

describe('a namespace that moved', () => {
  const move = OCTOBER + 10 * HOUR + 20 * MINUTE;

  /** acme has web until 10:20, then globex; a sample every half hour, 10 core-seconds each. */
  async function moved(): Promise<void> {
    const each = Array.from({ length: 12 }, (_, i) => OCTOBER + 8 * HOUR + i * 30 * MINUTE);
    await bench.take([
      ...each.map((t, i) =>
        scrapes.at(t + MINUTE, { cpu: { 'web/a': i * 10 }, owners: { web: t < move ? 'acme' : 'globex' } }),
      ),
      scrapes.at(move, { owners: { web: 'globex' } }),
      scrapes.at(NOVEMBER + 3 * DAY, {}),
    ]);
    await bench.passAt(NOVEMBER + 3 * DAY);
  }

  test('keeps the samples of the hour it moved in, and of its other owner', async () => {
    await moved();
    const before = await readUsageRows(store);
    await erase('acme');
    expect((await samples())['web/a']).toEqual(['10-01T10', '10-01T11', '10-01T12', '10-01T13']);
    const hours = Array.from({ length: 6 }, (_, i) => OCTOBER + (8 + i) * HOUR);
    await rollUpAgain(...hours);
    expect(await readUsageRows(store)).toEqual(before);
  });

  test('is erased for its new owner alone, and late samples from before begin nothing that ends there', async () => {
    await moved();
    await erase('globex');
    expect((await samples())['web/a']).toEqual(['10-01T08', '10-01T09', '10-01T10']);
    const before = await readUsageRows(store);
    await bench.take([
      scrapes.at(OCTOBER + 10 * HOUR + 50 * MINUTE, { cpu: { 'web/a': 55 }, delayMs: 34 * DAY }),
    ]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    expect(await readUsageRows(store)).toEqual(before);
  });

  test('says which hours of whom are gone, each once', async () => {
    await moved();
    const wanted = { from: OCTOBER, to: NOVEMBER };
    expect(await erasedHours(store, wanted)).toEqual([]);
    await erase('acme');
    await erase('globex');
    const [cluster, namespace] = ['north', 'web'];
    const ofAcme = { tenant: 'acme', cluster, namespace, from: OCTOBER, to: OCTOBER + 10 * HOUR };
    const ofGlobex = { tenant: 'globex', cluster, namespace, from: OCTOBER + 11 * HOUR, to: NOVEMBER };
    expect(await erasedHours(store, wanted)).toEqual([ofAcme, ofGlobex]);
    expect(await erasedHours(store, { ...wanted, tenant: 'acme' })).toEqual([ofAcme]);
    expect(await erasedHours(store, { ...wanted, cluster: 'south' })).toEqual([]);
    expect(await erasedHours(store, { from: OCTOBER + 10 * HOUR, to: OCTOBER + 11 * HOUR })).toEqual([]);
    await bench.take([scrapes.at(DECEMBER + 3 * DAY, {})]);
    await bench.passAt(DECEMBER + 3 * DAY);
    await erase('acme', '2026-11');
    expect(await erasedHours(store, wanted)).toEqual([ofAcme, ofGlobex]);
  });
});

test('who recomputes is told what to leave out, and finds the rest as it is stored', async () => {
  await octoberClosed();
  await erase('acme');
  const kept = await KeptHours.read(store);
  const given: string[] = [];
  for (let hour = NOVEMBER - 3 * HOUR; hour <= NOVEMBER; hour += HOUR) {
    const span = { cluster: 'north', first: hour, last: hour };
    const units = await convertSpan(store, span, { settings: SETTINGS, cache: new SeriesCache(), kept });
    for (const { parts } of units) {
      const used = parts.filter((part) => part.quarters.some((quarter) => quarter > 0n));
      given.push(...used.map((part) => `${hour} ${part.hour} ${part.namespace} ${part.quarters.join()}`));
    }
  }
  const stored = await store.rows<{ part: string; namespace: string; unit: number }>(
    `SELECT toUnixTimestamp(unit) AS unit, namespace, concat(toString(toUnixTimestamp(unit)), '000 ',
       toString(toUnixTimestamp(hour)), '000 ', namespace, ' ', arrayStringConcat([q0, q1, q2, q3]::Array(String), ',')) AS part
     FROM usage_parts FINAL WHERE q0 + q1 + q2 + q3 > 0 AND unit <= toDateTime({last:Int64}, 'UTC')`,
    { last: NOVEMBER / 1000 },
  );
  const expected = stored.filter(({ namespace, unit }) => !kept.isFrozen('north', namespace, unit * 1000));
  expect(given.sort()).toEqual(expected.map(({ part }) => part).sort());
  expect(expected.length).toBeLessThan(stored.length);
});

/** Two processes: what one has read of an hour may be half deleted by the time it writes. */
test('a roll-up that is overtaken by an erasure writes nothing of what it read', async () => {
  await octoberClosed();
  const before = await readUsageRows(store);
  const mark = { cluster: 'north', hour: LAST_HOUR, source: 'rollup:a', marked: 1n };
  await markUnits(store, [mark]);
  let overtaken = 0;
  const slow: UsageStore = Object.create(store) as UsageStore;
  slow.rowBinary = async function* (sql, parameters, options) {
    if (sql.includes('toInt64(version)') && overtaken++ === 0) {
      // Somebody else had rolled it up just before, and says so now: everything is in for the erasure.
      await unmarkUnits(store, [mark], bench.clock.now());
      expect(await erase('acme')).toMatchObject([{ state: 'done' }]);
    }
    yield* store.rowBinary(sql, parameters, options);
  };
  slow.rows = (...asked) => store.rows(...asked);
  slow.insert = (...asked) => store.insert(...asked);
  slow.insertBlock = (...asked) => store.insertBlock(...asked);
  const facts = { event: (): void => undefined };
  await new RollUp({ settings: SETTINGS }, { store: slow, clock: bench.clock, facts }).pass();
  expect(overtaken).toBeGreaterThan(1);
  expect(await readUsageRows(store)).toEqual(before);
});

describe.each(['before', 'after'] as const)('a crash %s', (when: When) => {
  test('any write of it is made good by the next run', async () => {
    await octoberClosed();
    // As many tenants as an erasure has writes, each with a pod of its own that ended.
    const tenants = Array.from({ length: 8 }, (_, i) => `t${i + 1}`);
    const spaces = Object.fromEntries(tenants.map((tenant) => [`ns-${tenant}`, tenant]));
    const at = (t: number, seconds: number): LogRecord =>
      scrapes.at(t, {
        cpu: Object.fromEntries(tenants.map((tenant) => [`ns-${tenant}/pod`, seconds])),
        ...(seconds === 0 ? { owners: spaces } : {}),
      });
    await bench.take([at(NOVEMBER + HOUR, 0), at(NOVEMBER + 2 * HOUR, 40), at(NOVEMBER + 3 * HOUR, -1)]);
    await bench.take([scrapes.at(DECEMBER + 3 * DAY, {})]);
    await bench.passAt(DECEMBER + 3 * DAY);
    await store.insert(
      'host_network',
      tenants.map((tenant) => ({ cluster: 'north', pod_key: `pod:ns-${tenant}/pod` })),
    );
    const before = await billed();
    const faulty = new FaultyStore(store);
    const failed: string[] = [];
    for (const [i, tenant] of tenants.entries()) {
      let writes = 0;
      faulty.plan = (operation) => {
        // Holds are written as often as time passes; one that is lost is asked for again.
        if (['read', 'insert hold'].includes(operation) || ++writes !== i + 1) return undefined;
        failed.push(operation);
        return { when, error: new Error('died') };
      };
      bench.declared = {
        waivers: [],
        quotas: [],
        erasures: [{ tenant, through: '2026-11', reason: 'contract ended' }],
      };
      await bench
        .erasureOn(faulty)
        .enforce()
        .catch((error: unknown) => expect(String(error)).toContain('died'));
      faulty.plan = () => undefined;
      bench.clock.advance(2 * MINUTE);
      await bench.erasureOn(faulty).enforce();
    }
    const [samplesGo, podsGo, labelsGo, detailsGo, excerptsGo] = Array.from({ length: 5 }, () => 'command');
    const deletions = [samplesGo, podsGo, labelsGo, detailsGo, excerptsGo];
    expect(failed).toEqual(['insert decision', ...deletions, 'insert ledger']);
    expect(Object.keys(await samples()).filter((name) => name.startsWith('ns-'))).toEqual([]);
    const named = "SELECT count() FROM series WHERE startsWith(namespace, 'ns-') AND notEmpty(labels)";
    expect(await column(named)).toEqual(['0']);
    expect(await column('SELECT pod_key FROM host_network')).toEqual([]);
    expect(await column("SELECT count() FROM quarantine WHERE position(excerpt, 'ns-') > 0")).toEqual(['0']);
    const entries = "SELECT tenant FROM ledger WHERE kind = 'erasure' ORDER BY tenant";
    expect(await column(entries)).toEqual(tenants);
    expect(await billed()).toEqual(before);
  });
});
