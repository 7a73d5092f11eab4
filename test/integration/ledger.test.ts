/** Late data, closed periods, corrections: on the real stages and a real store. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StoreUsageReader } from '../../aggregator/api/usage-reader.ts';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import { parseStatement } from '../../aggregator/ledger/statements/json.ts';
import { AccountsBench, Scrapes } from '../support/accounts.ts';
import { GatedStore } from '../support/gated-store.ts';
import { openFastStore } from '../support/pipeline.ts';
import type { TestStore } from '../support/chdb.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const OCTOBER = Date.UTC(2026, 9, 1);
const NOVEMBER = Date.UTC(2026, 10, 1);
const DECEMBER = Date.UTC(2026, 11, 1);

let opened: TestStore;
let bench: AccountsBench;
let scrapes: Scrapes;
beforeEach(async () => {
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north']);
  scrapes = new Scrapes();
});
afterEach(() => opened.dispose());

interface Entry {
  readonly kind: string;
  readonly final: number;
  readonly hour: string;
  readonly tenant: string;
  readonly revision: number;
  readonly q: string;
  readonly p: string;
}

async function entries(kind = 'usage'): Promise<readonly Entry[]> {
  return await bench.store.rows<Entry>(
    `SELECT kind, final, formatDateTime(hour, '%m-%dT%H') AS hour, tenant, revision,
       toString(toInt256(q0) + q1 + q2 + q3) AS q, toString(toInt256(p0) + p1 + p2 + p3) AS p
     FROM ledger WHERE kind = {kind:String} ORDER BY seq`,
    { kind },
  );
}

async function periods(): Promise<readonly string[]> {
  const rows = await bench.store.rows<{ body: string }>(
    "SELECT body FROM ledger WHERE kind = 'period' ORDER BY seq",
  );
  return rows.map(({ body }) => {
    const { period, state } = JSON.parse(body) as { period: string; state: string };
    return `${period} ${state}`;
  });
}

async function statementOf(period: number, tenant: string): Promise<ReturnType<typeof parseStatement>> {
  const close = (await readCloses(bench.store)).find((one) => one.period === period);
  const hash = close?.statements.find(([name]) => name === tenant)?.[1];
  const [row] = await bench.store.rows<{ body: string }>(
    'SELECT body FROM statement WHERE period = {period:UInt32} AND tenant = {tenant:String} AND hash = {hash:String}',
    { period, tenant, hash: hash ?? '' },
  );
  return parseStatement(row?.body ?? '');
}

const owners = { web: 'acme' };

/** 1,000 core-seconds in October's last hours, scraped through to `untilMs`. */
async function october(untilMs: number): Promise<void> {
  await bench.take([
    scrapes.at(NOVEMBER - 2 * HOUR, { cpu: { 'web/a': 0 }, owners }),
    scrapes.at(NOVEMBER - HOUR, { cpu: { 'web/a': 600 } }),
    scrapes.at(NOVEMBER, { cpu: { 'web/a': 1000 } }),
    scrapes.at(NOVEMBER + HOUR, { cpu: { 'web/a': 1000 } }),
    scrapes.at(untilMs, { cpu: { 'web/a': 1000 } }),
  ]);
}

describe('settling', () => {
  test('an hour is settled once the watermark has passed its end by five minutes', async () => {
    const end = OCTOBER + 2 * HOUR;
    await bench.take([
      scrapes.at(OCTOBER + HOUR + 1, { cpu: { 'web/a': 0 }, owners }),
      scrapes.at(end, { cpu: { 'web/a': 60 } }),
      scrapes.at(end + 299_999, { cpu: { 'web/a': 60 } }),
    ]);
    await bench.passAt(OCTOBER + 3 * HOUR);
    expect(await entries()).toEqual([]);
    await bench.take([scrapes.at(end + 300_000, { cpu: { 'web/a': 60 } })]);
    await bench.passAt(OCTOBER + 3 * HOUR);
    expect(await entries()).toMatchObject([{ hour: '10-01T01', tenant: 'acme', q: '60000000000' }]);
    expect(await periods()).toEqual(['2026-10 open']);
  });

  test('only what changed gets a new revision, and a key that vanishes gets a row of nothing', async () => {
    const at = OCTOBER + 10 * HOUR;
    await bench.take([
      scrapes.at(at + 60_000, { cpu: { 'web/a': 0, 'db/b': 0 }, owners: { web: 'acme', db: 'acme' } }),
      scrapes.at(at + HOUR, { cpu: { 'web/a': 60, 'db/b': 30 } }),
      scrapes.at(at + 2 * HOUR, {}),
    ]);
    await bench.passAt(at + 4 * HOUR);
    const before = await entries();
    expect(before).toHaveLength(2);
    await bench.passAt(at + 4 * HOUR);
    expect(await entries()).toEqual(before);
    // It comes to light that db had moved to globex at the very time of its first sample; the greater name wins.
    await bench.take([scrapes.at(at + 60_000, { owners: { db: 'globex' }, delayMs: 5 * HOUR })]);
    await bench.passAt(at + 6 * HOUR);
    const changed = (await entries()).slice(before.length);
    expect(changed.map(({ tenant, revision, q }) => ({ tenant, revision, q }))).toEqual([
      { tenant: 'globex', revision: 1, q: '30000000000' },
      { tenant: 'acme', revision: 2, q: '0' },
    ]);
  });

  test('of two that settle an hour at once, the one that read less writes nothing', async () => {
    const at = OCTOBER + 10 * HOUR;
    await bench.take([
      scrapes.at(at + 60_000, { cpu: { 'web/a': 0 }, owners }),
      scrapes.at(at + HOUR, { cpu: { 'web/a': 60 } }),
      scrapes.at(at + 2 * HOUR, {}),
    ]);
    const gated = new GatedStore(opened.store);
    const slow = new AccountsBench(gated, ['north']);
    const reached = gated.stopBefore((call) => call === 'insert ledger');
    const passed = slow.passAt(at + 4 * HOUR);
    const goOn = await reached;
    await bench.take([
      scrapes.at(at + 60_000, { cpu: { 'web/b': 0 }, delayMs: 4 * HOUR }),
      scrapes.at(at + HOUR, { cpu: { 'web/b': 12 }, delayMs: 4 * HOUR }),
    ]);
    await bench.passAt(at + 4 * HOUR);
    goOn();
    await passed;
    await slow.passAt(at + 4 * HOUR);
    expect((await entries()).map(({ q }) => q)).toEqual(['72000000000']);
  });

  test('what queries read is made from the ledger and can be made again', async () => {
    await october(NOVEMBER + 2 * HOUR);
    await bench.passAt(NOVEMBER + 2 * HOUR);
    const read = async (): Promise<unknown> => ({
      hours: await bench.store.rows('SELECT * FROM usage_current FINAL ORDER BY ALL'),
      days: await bench.store.rows('SELECT * FROM usage_day FINAL ORDER BY ALL'),
    });
    const before = await read();
    const days = await bench.store.rows(
      "SELECT toString(day) AS day, quantity FROM usage_day FINAL WHERE tenant = 'acme'",
    );
    expect(days).toContainEqual({ day: '2026-10-31', quantity: '1000000000000' });
    await bench.ledger.rebuild();
    expect(await read()).toEqual(before);
  });
});

test('a query counts every hour once, settled or still open', async () => {
  const reader = new StoreUsageReader({ queryTimeoutMs: 10_000 }, bench);
  const total = async (): Promise<bigint | undefined> => {
    const windows = [{ startMs: NOVEMBER - DAY, endMs: NOVEMBER + DAY }];
    const [sum] = await reader.usage(
      { kind: 'all' },
      {
        meter: 'cpu',
        windows,
        groupBy: [],
        filters: {},
        standing: await reader.standing({ kind: 'all' }),
        limit: 1,
      },
    );
    return sum?.value;
  };
  await bench.take([
    scrapes.at(NOVEMBER - 2 * HOUR, { cpu: { 'web/a': 0 }, owners }),
    scrapes.at(NOVEMBER - HOUR, { cpu: { 'web/a': 600 } }),
  ]);
  await bench.passAt(NOVEMBER);
  expect((await entries()).map((entry) => entry.hour)).toEqual(['10-31T21']);
  expect(await total()).toBe(600_000_000_000n);
  // The open hour gives to the settled one before it, which is settled anew; then everything is settled.
  await bench.take([scrapes.at(NOVEMBER - HOUR / 2, { cpu: { 'web/a': 700 } })]);
  await bench.passAt(NOVEMBER);
  expect(await total()).toBe(700_000_000_000n);
  await bench.take([scrapes.at(NOVEMBER + 3 * HOUR, { cpu: { 'web/a': 1050 } })]);
  await bench.passAt(NOVEMBER + 4 * HOUR);
  expect(await total()).toBe(1_050_000_000_000n);
  expect((await entries()).map((entry) => entry.hour)).toContain('11-01T01');
});

describe('a close', () => {
  /** A process that closes October, held before the next call of this kind. */
  async function closingStoppedBefore(
    held: string,
  ): Promise<{ closing: AccountsBench; passed: Promise<void>; goOn: () => void }> {
    const gated = new GatedStore(opened.store);
    const closing = new AccountsBench(gated, ['north']);
    const reached = gated.stopBefore((call) => call === held);
    const passed = closing.passAt(NOVEMBER + 3 * DAY);
    return { closing, passed, goOn: await reached };
  }

  /** An entry of somebody who has read the same hours otherwise, shown to queries; the head before it. */
  async function slipIn(): Promise<bigint> {
    const head = await bench.ledger.head();
    await bench.store.command(
      `INSERT INTO ledger SELECT * REPLACE({head:UInt64} + 1 AS seq, unhex(repeat('07', 16)) AS id, q0 + 7 AS q0)
       FROM ledger WHERE kind = 'usage' AND period = 202610 ORDER BY seq DESC LIMIT 1`,
      { head },
    );
    await bench.ledger.project(head);
    return head;
  }

  test('waits for the lateness and the watermark, then closes once', async () => {
    await october(NOVEMBER + 2 * DAY - 1);
    await bench.passAt(NOVEMBER + 3 * DAY);
    expect(await readCloses(bench.store)).toEqual([]);
    expect(bench.factsNamed('closeHeld')).toMatchObject([{ period: '2026-10', cluster: 'north' }]);
    expect(await periods()).toEqual(['2026-10 open', '2026-11 open', '2026-10 settling']);
    await bench.take([scrapes.at(NOVEMBER + 2 * DAY, {})]);
    await bench.passAt(NOVEMBER + 2 * DAY - 1);
    expect(await readCloses(bench.store)).toEqual([]);
    await bench.passAt(NOVEMBER + 2 * DAY);
    await bench.passAt(NOVEMBER + 2 * DAY);
    const [close, ...others] = await readCloses(bench.store);
    expect(others).toEqual([]);
    expect(close?.cut).toEqual([{ topic: 'usage.north', partition: 0, next: 6n }]);
    expect((await periods()).filter((state) => state.startsWith('2026-10'))).toEqual([
      '2026-10 open',
      '2026-10 settling',
      '2026-10 closed',
    ]);
    const { lines } = await statementOf(202610, 'acme');
    expect(lines).toMatchObject([{ meter: 'cpu', namespace: 'web', quantity: 1_000_000_000_000n }]);
  });

  test('a silent cluster holds it until an operator waives it, and the statement says so', async () => {
    bench = new AccountsBench(opened.store, ['north', 'south']);
    await october(NOVEMBER + 3 * DAY);
    await bench.passAt(NOVEMBER + 3 * DAY);
    expect(await readCloses(bench.store)).toEqual([]);
    expect(bench.factsNamed('closeHeld')).toMatchObject([{ cluster: 'south', watermark: 'never' }]);
    const waiver = { period: '2026-10', cluster: 'south', reason: 'decommissioned', approvedBy: 'ops' };
    bench.declared = { waivers: [waiver], quotas: [], erasures: [] };
    await bench.passAt(NOVEMBER + 3 * DAY);
    expect((await statementOf(202610, 'acme')).waivers).toEqual([
      { cluster: 'south', reason: 'decommissioned', approvedBy: 'ops' },
    ]);
  });

  test('late usage of a closed month is one correction of the next: 1000 stays, +12 comes', async () => {
    await october(NOVEMBER + 3 * DAY);
    await bench.passAt(NOVEMBER + 3 * DAY);
    // What a node kept during an outage: a pod of October that nobody had heard of.
    await bench.take([
      scrapes.at(NOVEMBER - 30 * 60_000, { cpu: { 'web/late': 3 }, delayMs: 4 * DAY }),
      scrapes.at(NOVEMBER - 20 * 60_000, { cpu: { 'web/late': 12 }, delayMs: 4 * DAY }),
    ]);
    await bench.passAt(NOVEMBER + 4 * DAY);
    const provisional = await entries('correction');
    expect(provisional).toMatchObject([{ hour: '10-31T23', q: '412000000000', p: '400000000000', final: 0 }]);
    await bench.take([scrapes.at(DECEMBER + 3 * DAY, { cpu: { 'web/a': 1000 } })]);
    await bench.passAt(DECEMBER + 3 * DAY);
    expect((await statementOf(202610, 'acme')).lines[0]?.quantity).toBe(1_000_000_000_000n);
    const november = await statementOf(202611, 'acme');
    expect(november.corrections).toMatchObject([
      { hour: NOVEMBER - HOUR, before: 400_000_000_000n, after: 412_000_000_000n },
    ]);
    expect((await entries('correction')).map((entry) => entry.final)).toEqual([0, 1]);
    const [first, second] = await readCloses(bench.store);
    expect(second?.previousHash).toBe(first?.hash);
    // A closed hour is read as it was closed.
    const [current] = await bench.store.rows(
      "SELECT toString(q0 + q1 + q2 + q3) AS q FROM usage_current FINAL WHERE tenant = 'acme' AND hour = '2026-10-31 23:00:00'",
    );
    expect(current).toEqual({ q: '400000000000' });
  });

  test('is put off by a batch that came while it was prepared, however it came past the hold', async () => {
    await october(NOVEMBER + 3 * DAY);
    const { closing, passed, goOn } = await closingStoppedBefore('insert statement');
    await bench.take([scrapes.at(NOVEMBER - 30 * 60_000, { cpu: { 'web/b': 0 }, delayMs: 3 * DAY })]);
    await bench.take([scrapes.at(NOVEMBER - 20 * 60_000, { cpu: { 'web/b': 12 }, delayMs: 3 * DAY })]);
    goOn();
    await passed;
    expect(await readCloses(opened.store)).toEqual([]);
    await closing.passAt(NOVEMBER + 3 * DAY);
    expect(await readCloses(opened.store)).toMatchObject([{ cut: [{ next: 7n }] }]);
    expect((await statementOf(202610, 'acme')).lines[0]?.quantity).toBe(1_012_000_000_000n);
  });

  test('is put off by an entry that came while it was prepared', async () => {
    await october(NOVEMBER + 3 * DAY);
    const { closing, passed, goOn } = await closingStoppedBefore('insert statement');
    const head = await slipIn();
    goOn();
    await passed;
    expect(await readCloses(opened.store)).toEqual([]);
    await closing.passAt(NOVEMBER + 3 * DAY);
    const [close] = await readCloses(opened.store);
    expect(close?.upTo).toBeGreaterThan(head);
  });

  test('an entry that another process slips in before it is decided is no part of it, whoever has read it', async () => {
    await october(NOVEMBER + 3 * DAY);
    const { passed, goOn } = await closingStoppedBefore('insert decision');
    // Its own reading is older than the close, and so is what it shows.
    const head = await slipIn();
    const read = `SELECT toString((SELECT sum(q0 + q1 + q2 + q3) FROM usage_current FINAL WHERE toYYYYMM(hour) = 202610)) AS hours,
      toString((SELECT sum(quantity) FROM usage_day FINAL WHERE toYYYYMM(day) = 202610)) AS days`;
    expect(await bench.store.rows(read)).toEqual([{ hours: '1000000000007', days: '1000000000007' }]);
    goOn();
    await passed;
    const [close] = await readCloses(bench.store);
    expect(close?.upTo).toBe(head);
    expect(await bench.store.rows(read)).toEqual([{ hours: '1000000000000', days: '1000000000000' }]);
    expect((await statementOf(202610, 'acme')).lines[0]?.quantity).toBe(1_000_000_000_000n);
  });

  test('a month from before the first that was closed is never closed itself: its usage is a correction', async () => {
    await october(NOVEMBER + 3 * DAY);
    await bench.passAt(NOVEMBER + 3 * DAY);
    const [hour, delayMs] = [OCTOBER - 3 * HOUR, 35 * DAY];
    await bench.take([
      scrapes.at(hour + 60_000, { cpu: { 'web/old': 5 }, owners, delayMs }),
      scrapes.at(hour + HOUR, { cpu: { 'web/old': 47 }, delayMs }),
    ]);
    await bench.passAt(NOVEMBER + 5 * DAY);
    const correction = { hour: '09-30T21', tenant: 'acme', q: '42000000000', p: '0' };
    expect(await entries('correction')).toMatchObject([{ ...correction, final: 0 }]);
    await bench.take([scrapes.at(DECEMBER + 3 * DAY, { cpu: { 'web/a': 1000 } })]);
    await bench.passAt(DECEMBER + 3 * DAY);
    expect((await readCloses(bench.store)).map(({ period }) => period)).toEqual([202610, 202611]);
    const { corrections } = await statementOf(202611, 'acme');
    expect(corrections).toMatchObject([{ hour, before: 0n, after: 42_000_000_000n }]);
    expect(await periods()).not.toContain('2026-09 open');
  });
});
