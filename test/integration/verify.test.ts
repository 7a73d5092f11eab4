/**
 * A closed month once more from its samples; then every way to forge it, one at a time, and the check that
 * finds it.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  renderVerifyReport,
  verify,
  verifyStatus,
  type VerifyReport,
} from '../../aggregator/ledger/verify.ts';
import { frozenBefore } from '../../aggregator/store/retention.ts';
import { SettingsTimeline } from '../../core/metering/settings-timeline.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import { AccountsBench, SETTINGS } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, FIRST_DAY, HOUR, NOVEMBER } from '../support/closed-month.ts';
import { openFastStore } from '../support/pipeline.ts';

const DECEMBER = Date.UTC(2026, 11, 1);

let opened: TestStore;
let bench: AccountsBench;
let month: ClosedMonth;

/** October closed, with all that makes a month hard; November closed, with October's correction. */
beforeAll(async () => {
  opened = await openFastStore();
  bench = new AccountsBench(opened.store, ['north', 'south']);
  month = new ClosedMonth();
  await month.playOn(bench);
  await bench.take(month.untilDecember());
  await bench.passAt(DECEMBER + 4 * DAY);
}, 120_000);
afterAll(() => opened.dispose());
beforeEach(() => {
  bench.told.length = 0;
});

async function verified(period = 202610, settings?: SettingsTimeline): Promise<VerifyReport> {
  const facts: FactSink = { event: (name, fields) => bench.told.push({ name, fields }) };
  return await verify({ store: bench.store, facts, progress: () => undefined }, { period, settings });
}

/** Names of the checks that found something. */
function found(report: VerifyReport): string[] {
  return report.checks.filter(({ differing }) => differing > 0).map(({ name }) => name);
}

function whatDiffers(report: VerifyReport): string[] {
  return report.checks.flatMap(({ differences }) => differences.map(({ what }) => what));
}

/** The table as it is, but for the change, while it is looked at. */
async function changed<Seen>(table: string, change: string, look: () => Promise<Seen>): Promise<Seen> {
  const { store } = bench;
  await store.command(`CREATE TABLE kept_${table} AS ${table}`);
  await store.command(`INSERT INTO kept_${table} SELECT * FROM ${table}`);
  try {
    await store.command(change);
    return await look();
  } finally {
    await store.command(`TRUNCATE TABLE ${table}`);
    await store.command(`INSERT INTO ${table} SELECT * FROM kept_${table}`);
    await store.command(`DROP TABLE kept_${table} SYNC`);
  }
}

const NOW = ' SETTINGS mutations_sync = 1';
const LATER_UNITS = "unit >= '2026-11-01 00:00:00' AND hour < '2026-11-01 00:00:00'";

describe('a closed month', () => {
  test('late data, resets, gaps, a moved tenant, a correction: equal from samples to close', async () => {
    for (const period of [202610, 202611]) {
      const report = await verified(period);
      expect(whatDiffers(report)).toEqual([]);
      expect(report).toMatchObject({ equal: true, verified: 'from samples', reservations: [] });
      expect(report.hours).toMatchObject({ ledgerOnly: 0, inMotion: 0 });
      expect(verifyStatus(report)).toBe(0);
      for (const { name, compared } of report.checks) expect(compared, name).toBeGreaterThan(0);
    }
    expect(bench.factsNamed('periodMismatch')).toEqual([]);
  });

  test('what later units give to it is found from the samples alone', async () => {
    const given = await bench.store.rows<{ place: string; n: number }>(
      `SELECT concat(meter, ' in ', formatDateTime(unit, '%m-%dT%H')) AS place, toUInt32(count()) AS n
       FROM usage_parts FINAL
       WHERE ${LATER_UNITS} AND (q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0)
       GROUP BY place ORDER BY place`,
    );
    // A gap over the end, a sample that was left out, a series that comes back after days; delta points;
    // births.
    expect(given.map(({ place }) => place)).toEqual([
      'cpu in 11-01T00',
      'cpu in 11-01T02',
      'cpu in 11-10T23',
      'http_requests in 11-01T00',
      'http_requests in 11-10T23',
      'network_transmit in 11-01T04',
      'network_transmit in 11-10T23',
    ]);
    const lost = `ALTER TABLE usage_parts DELETE WHERE ${LATER_UNITS}${NOW}`;
    const report = await changed('usage_parts', lost, () => verified());
    expect(found(report)).toEqual(['parts', 'details']);
    const { differing, differences } = report.checks[0]!;
    expect(differing).toBe(given.reduce((sum, { n }) => sum + n, 0));
    expect(differences.every(({ stored }) => stored === 'nothing')).toBe(true);
  });

  test('a period that is not closed has nothing to hold to, and the error says which have', async () => {
    const error = await verified(202612).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MeteringError);
    expect(error).toMatchObject({
      code: 'METER_CONFIG_INVALID',
      message: '2026-12 is not closed, so it has no figures to hold to yet: closed are 2026-10, 2026-11',
    });
  });

  test('other settings than those that were pinned give other figures', async () => {
    const settings = { ...SETTINGS, maxHoldMs: 1_000 };
    const report = await verified(202610, new SettingsTimeline([{ validFrom: 0, settings }]));
    expect(found(report)).toEqual(['parts', 'usage']);
    const differing = whatDiffers(report).filter((what) => what.startsWith('usage'));
    expect(new Set(differing.map((what) => what.split(' ').at(-1)))).toEqual(new Set(['memory']));
  });
});

interface Forgery {
  readonly name: string;
  readonly table: string;
  readonly change: string;
  readonly found: readonly string[];
  readonly what: RegExp;
  readonly period?: number;
}

const ONE_ENTRY =
  "cluster = 'north' AND hour = '2026-10-28 01:00:00' AND meter = 'cpu' AND namespace = 'web'";
const ONE_PART = `unit = hour AND ${ONE_ENTRY}`;

/** Columns of a ledger entry as they are, but for these. */
function forgedEntry(columns: Readonly<Record<string, string>>, which: string): string {
  const replaced = Object.entries(columns).map(([name, value]) => `${value} AS ${name}`);
  return `INSERT INTO ledger SELECT * REPLACE (${replaced.join(', ')})
    FROM ledger WHERE ${which} ORDER BY seq DESC LIMIT 1`;
}

const NEXT = '(SELECT max(seq) FROM ledger) + 1';

const FORGERIES: readonly Forgery[] = [
  {
    name: 'a sample of another value',
    table: 'samples',
    change: `INSERT INTO samples SELECT * REPLACE (version + 7 AS version) FROM samples
      WHERE cluster = 'north' AND meter = 'cpu' AND hour = '2026-10-28 01:00:00' ORDER BY t DESC LIMIT 1`,
    found: ['parts', 'usage'],
    what: /^usage of north 2026-10-28T01Z (acme|globex)\/\w+ cpu$/,
  },
  {
    name: 'a sample that is gone',
    table: 'samples',
    change: `ALTER TABLE samples DELETE WHERE cluster = 'south' AND meter = 'http_requests'
      AND t = ${FIRST_DAY + 600_000 + 7_123}${NOW}`,
    found: ['parts', 'usage'],
    what: /^usage of south 2026-10-28T00Z initech\/web http_requests$/,
  },
  {
    name: 'a part',
    table: 'usage_parts',
    change: `INSERT INTO usage_parts SELECT * REPLACE (q0 + 1 AS q0, version + 1 AS version)
      FROM usage_parts FINAL WHERE ${ONE_PART}`,
    found: ['parts', 'details'],
    what: /^part of north 2026-10-28T01Z acme\/web cpu in unit 2026-10-28T01Z$/,
  },
  {
    name: 'a part of a unit of a later month',
    table: 'usage_parts',
    change: `INSERT INTO usage_parts SELECT * REPLACE (toDateTime('2026-11-20 00:00:00', 'UTC') AS unit)
      FROM (SELECT * FROM usage_parts FINAL WHERE ${ONE_PART})`,
    found: ['parts'],
    what: /cpu in unit 2026-11-20T00Z$/,
  },
  {
    name: 'a part from the future',
    table: 'usage_parts',
    change: `INSERT INTO usage_parts SELECT * REPLACE (q0 + 1 AS q0, 18446744073709551615 AS version)
      FROM usage_parts FINAL WHERE ${ONE_PART}`,
    found: ['parts', 'details'],
    what: /^part of north 2026-10-28T01Z/,
  },
  {
    name: 'the state of a series',
    table: 'closings',
    change: `INSERT INTO closings SELECT * REPLACE (value + 1 AS value, version + 1 AS version) FROM closings
      WHERE cluster = 'south' AND hour = '2026-10-28 03:00:00' AND value > 0 ORDER BY version DESC LIMIT 1`,
    found: ['parts'],
    what: /^closing of series [0-9a-f]{32} of south in 2026-10-28T03Z$/,
  },
  {
    name: 'a detail',
    table: 'detail_parts',
    change: `INSERT INTO detail_parts SELECT * REPLACE (q1 - 1 AS q1, version + 1 AS version)
      FROM detail_parts FINAL WHERE cluster = 'north' AND hour = '2026-10-28 01:00:00' AND namespace = 'web'`,
    found: ['details'],
    what: /^details of north 2026-10-28T01Z acme\/web cpu$/,
  },
  {
    name: 'stored coverage',
    table: 'coverage',
    change: `INSERT INTO coverage SELECT * REPLACE (covered_ms - 1 AS covered_ms, version + 1 AS version)
      FROM coverage FINAL WHERE cluster = 'north' AND hour = '2026-10-28 01:00:00' AND meter = 'cpu'`,
    found: ['parts'],
    what: /^stored coverage of north 2026-10-28T01Z cpu$/,
  },
  {
    name: 'in which quarter of an hour it was scraped',
    table: 'coverage',
    change: `INSERT INTO coverage SELECT * REPLACE (c0 - 1 AS c0, c1 + 1 AS c1, version + 1 AS version)
      FROM coverage FINAL WHERE cluster = 'north' AND hour = '2026-10-28 01:00:00' AND meter = 'cpu'`,
    found: ['parts'],
    what: /^stored coverage of north 2026-10-28T01Z cpu$/,
  },
  {
    name: 'an entry of the ledger, with the hash of the one before',
    table: 'ledger',
    change: forgedEntry(
      { seq: NEXT, q1: 'q1 + 1', revision: 'revision + 1' },
      `kind = 'usage' AND ${ONE_ENTRY}`,
    ),
    found: ['usage'],
    what: /^usage of north 2026-10-28T01Z acme\/web cpu$/,
  },
  {
    name: 'an entry of the ledger for a key that nothing gives to',
    table: 'ledger',
    change: forgedEntry({ seq: NEXT, tenant: "'globex'" }, `kind = 'usage' AND ${ONE_ENTRY}`),
    found: ['usage'],
    what: /^usage of north 2026-10-28T01Z globex\/web cpu$/,
  },
  {
    name: 'coverage in the ledger',
    table: 'ledger',
    change: forgedEntry(
      { seq: NEXT, covered_ms: 'covered_ms + 1' },
      `kind = 'coverage' AND cluster = 'north' AND hour = '2026-10-28 01:00:00' AND meter = 'cpu'`,
    ),
    found: ['coverage'],
    what: /^coverage of north 2026-10-28T01Z cpu$/,
  },
  {
    name: 'an entry slipped in before the close',
    table: 'ledger',
    change: forgedEntry({ seq: 'seq + 1', q1: 'q1 + 1' }, `kind = 'usage' AND ${ONE_ENTRY}`),
    found: ['usage', 'statements'],
    what: /^hash of the statement of acme$/,
  },
  {
    name: 'what a correction says was billed before',
    table: 'ledger',
    change: `ALTER TABLE ledger UPDATE p3 = p3 - 1 WHERE kind = 'correction' AND NOT final
      AND hour = '2026-10-31 23:00:00' AND namespace = 'web'${NOW}`,
    found: ['corrections'],
    what: /^what the correction of north 2026-10-31T23Z acme\/web cpu says was billed$/,
  },
  {
    name: 'a correction that a close fixed',
    table: 'ledger',
    change: `ALTER TABLE ledger UPDATE q2 = q2 + 1 WHERE kind = 'correction' AND final
      AND hour = '2026-10-31 23:00:00' AND namespace = 'web'${NOW}`,
    found: ['corrections'],
    what: /^correction of north 2026-10-31T23Z acme\/web cpu$/,
    period: 202611,
  },
  {
    name: 'a correction that no close fixed',
    table: 'ledger',
    change: forgedEntry({ id: 'reverse(id)', seq: NEXT }, "kind = 'correction' AND final"),
    found: ['corrections'],
    what: /^correction [0-9a-f]{32}$/,
    period: 202611,
  },
  {
    name: 'the bytes of a statement',
    table: 'statement',
    change: `ALTER TABLE statement UPDATE body = replaceOne(body, '"quantity":"', '"quantity":"1')
      WHERE period = 202610 AND tenant = 'acme'${NOW}`,
    found: ['statements'],
    what: /^bytes of the statement of acme$/,
  },
  {
    name: 'a statement that is gone',
    table: 'statement',
    change: `ALTER TABLE statement DELETE WHERE period = 202610 AND tenant = 'globex'${NOW}`,
    found: ['statements'],
    what: /^bytes of the statement of globex$/,
  },
  {
    name: 'a statement that the close does not name',
    table: 'decision',
    change: `ALTER TABLE decision UPDATE body = replaceOne(body, '["initech"', '["initech2"')
      WHERE kind = 'close' AND period = 202610${NOW}`,
    found: ['statements', 'close'],
    what: /^hash of the statement of initech2?$/,
  },
  {
    name: 'the hash of a close',
    table: 'decision',
    change: `ALTER TABLE decision UPDATE hash = reverse(hash) WHERE kind = 'close' AND period = 202610${NOW}`,
    found: ['close'],
    what: /^hash of the close of 2026-10$/,
  },
  {
    name: 'the hash of the close before',
    table: 'decision',
    change: `ALTER TABLE decision UPDATE hash = reverse(hash) WHERE kind = 'close' AND period = 202610${NOW}`,
    found: ['close'],
    what: /^the close of 2026-11 goes on from the one before$/,
    period: 202611,
  },
  {
    name: 'what the ledger says of the close',
    table: 'ledger',
    change: `ALTER TABLE ledger DELETE WHERE kind = 'period' AND period = 202610 AND revision = 3${NOW}`,
    found: ['close'],
    what: /^the ledger's entry about the close of 2026-10$/,
  },
  {
    name: 'a second close of the same period',
    table: 'decision',
    change: `INSERT INTO decision SELECT * REPLACE (decided_at + 1 AS decided_at, reverse(hash) AS hash)
      FROM decision WHERE kind = 'close' AND period = 202610`,
    found: ['close'],
    what: /^a second decision to close 2026-10$/,
  },
];

describe('a forgery is found by the check it belongs to', () => {
  test.each(FORGERIES)('$name', async ({ table, change, what, period, found: expected }) => {
    const report = await changed(table, change, () => verified(period));
    expect(found(report)).toEqual(expected);
    expect(whatDiffers(report).filter((line) => what.test(line))).not.toEqual([]);
    expect(report.equal).toBe(false);
    expect(verifyStatus(report)).toBe(1);
    expect(bench.factsNamed('periodMismatch')).toHaveLength(1);
  });

  test('and without it the month is equal again', async () => {
    expect(await verified()).toMatchObject({ equal: true, verified: 'from samples' });
  });
});

describe('the text', () => {
  test('has a line for each check, then both sides of what differs', async () => {
    const forged = forgedEntry({ seq: NEXT, q1: 'q1 + 1' }, `kind = 'usage' AND ${ONE_ENTRY}`);
    const text = renderVerifyReport(await changed('ledger', forged, () => verified()));
    expect(text).toContain('2026-10: NOT what was billed');
    expect(text).toMatch(/^ {2}parts +[\d,]+ {2}equal /m);
    expect(text).toMatch(/^ {2}usage +[\d,]+ {2}1 DIFFER /m);
    expect(text).toMatch(
      /^usage:\n {2}usage of north 2026-10-28T01Z acme\/web cpu\n {4}recomputed {2}\d+ \(.*\n {4}stored {6}\d+ \(/m,
    );
    expect(renderVerifyReport(await verified())).toMatch(
      /^2026-10: equal, from \d+ samples in \d+ hours to the close\n/,
    );
  });

  test('lists so many differences and counts the others', async () => {
    const report = await changed('samples', `ALTER TABLE samples DELETE WHERE 1${NOW}`, () => verified());
    expect(found(report)).toEqual(['parts', 'usage']);
    const usage = report.checks.find(({ name }) => name === 'usage')!;
    expect(usage.differences).toHaveLength(20);
    expect(usage.differing).toBe(usage.compared);
    expect(renderVerifyReport(report)).toContain(
      `and ${(usage.differing - 20).toLocaleString('en-US')} more`,
    );
  });
});

describe('what cannot be known is said', () => {
  async function withFloor<Seen>(floor: number, look: () => Promise<Seen>): Promise<Seen> {
    const row = `('floor', 0, ${floor / 1000}, '[]', 0, '', '', '')`;
    const columns = '(kind, period, floor, cut, up_to, hash, previous_hash, body)';
    const drop = `ALTER TABLE samples DELETE WHERE toUnixTimestamp(hour) < ${floor / 1000}${NOW}`;
    return await changed('decision', `INSERT INTO decision ${columns} VALUES ${row}`, async () => {
      expect(await frozenBefore(bench.store)).toBe(floor);
      return await changed('samples', drop, look);
    });
  }

  test('hours whose samples are past their retention are verified from the ledger on only', async () => {
    const report = await withFloor(FIRST_DAY + DAY, () => verified());
    expect(whatDiffers(report)).toEqual([]);
    expect(report).toMatchObject({ equal: true, verified: 'partly from samples' });
    expect(report.hours.fromSamples).toBeGreaterThan(0);
    expect(report.hours.ledgerOnly).toBeGreaterThan(0);
    expect(report.reservations).toEqual(['samples before 2026-10-29T00:00:00.000Z are past their retention']);
    expect(verifyStatus(report)).toBe(0);
    expect(renderVerifyReport(report)).toContain('equal as far as it could be verified');
  });

  test('a month without any samples is "ledger only"; its statements are still held to the ledger', async () => {
    const report = await withFloor(NOVEMBER + DAY, () => verified());
    expect(report).toMatchObject({ equal: true, verified: 'ledger only', samples: 0 });
    expect(report.hours.fromSamples).toBe(0);
    expect(report.checks.find(({ name }) => name === 'statements')?.compared).toBeGreaterThan(0);
    expect(renderVerifyReport(report)).toContain('equal from ledger to close');
  });

  test('a close under another version of the rule is not judged by this one', async () => {
    const change = `ALTER TABLE decision UPDATE body = replaceOne(body, '"ruleVersion":1', '"ruleVersion":0')
      WHERE kind = 'close' AND period = 202610${NOW}`;
    const report = await changed('decision', change, () => verified());
    expect(report.verified).toBe('ledger only');
    expect(report.reservations).toEqual(['closed under rule version 0; this is 1']);
    // The version is under the hash of every statement and of the close.
    expect(found(report)).toEqual(['statements', 'close']);
  });

  test('late samples on their way to the ledger are no difference, and no "equal" either', async () => {
    const t = FIRST_DAY + 20 * HOUR;
    await bench.take(month.lateAt(t));
    const before = await verified();
    expect(whatDiffers(before)).toEqual([]);
    expect(before.hours.inMotion).toBeGreaterThan(0);
    expect(before.hours.fromSamples).toBeGreaterThan(0);
    expect(before.reservations).toEqual([
      `${before.hours.inMotion} hours are being rolled up or settled: verify again`,
    ]);
    expect(verifyStatus(before)).toBe(1);
    await bench.passAt(DECEMBER + 5 * DAY);
    const after = await verified();
    expect(after).toMatchObject({ equal: true, verified: 'from samples' });
    expect(verifyStatus(after)).toBe(0);
  });
});

/** The last of all: what is erased does not come back. */
describe('after an erasure', () => {
  async function erased(tenant: string): Promise<VerifyReport> {
    const [through, reason] = ['2026-10', 'contract ended'];
    bench.declared = { ...bench.declared, erasures: [{ tenant, through, reason }] };
    expect(await bench.erasure.enforce()).toMatchObject([{ tenant, state: 'done' }]);
    return await verified();
  }

  test('of one of two owners of a namespace, everything else is verified as before', async () => {
    const before = await verified();
    const report = await erased('globex');
    expect(whatDiffers(report)).toEqual([]);
    expect(report).toMatchObject({ equal: true, verified: 'partly from samples' });
    expect(report.reservations).toEqual(['samples of globex were erased']);
    expect(report.samples).toBeLessThan(before.samples);
    // The hours before its move are frozen as well, but what is stored of them is still held to the ledger.
    const usageOf = ({ checks }: VerifyReport): number | undefined =>
      checks.find(({ name }) => name === 'usage')?.compared;
    expect(usageOf(report)).toBe(usageOf(before));
    expect((await verified(202611)).equal).toBe(true);
  });

  test('of all that a cluster has, the ledger is held to what was stored', async () => {
    expect(whatDiffers(await erased('initech'))).toEqual([]);
    const forged = `ALTER TABLE usage_parts UPDATE q0 = q0 + 1 WHERE tenant = 'initech' AND meter = 'cpu'${NOW}`;
    const report = await changed('usage_parts', forged, () => verified());
    expect(found(report)).toEqual(['usage']);
  });
});
