/**
 * A number walked down to its samples: the parts are the number, for every kind of meter, and the way is
 * readable.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { explain, renderExplanation, type Explanation } from '../../aggregator/ledger/explain.ts';
import { readUsageRows, type UsageRow } from '../../aggregator/rollup/usage-rows.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { AccountsBench, SETTINGS } from '../support/accounts.ts';
import type { TestStore } from '../support/chdb.ts';
import { ClosedMonth, DAY, FIRST_DAY, HOUR, NOVEMBER } from '../support/closed-month.ts';
import { emptyStore, fullSettings, logRecord, openFastStore, Pipeline } from '../support/pipeline.ts';
import { parseVectors } from '../vectors/notation.ts';
import { loadVectors, VECTOR_SETTINGS, type VectorCase } from '../vectors/vectors.ts';

let opened: TestStore;

function rulesOf({ keys }: Explanation): string[] {
  const intervals = keys.flatMap((key) => key.series.flatMap((series) => series.intervals));
  return [...new Set(intervals.map(({ rule }) => rule))].sort();
}

describe('golden cases', () => {
  let settings: { at: () => MeteringSettings };
  beforeAll(async () => {
    opened = await openFastStore();
  });
  afterAll(() => opened.dispose());

  async function rolledUp(name: string): Promise<readonly UsageRow[]> {
    const vector = loadVectors().find((one) => one.name === name);
    if (vector === undefined) throw new Error(`there is no vector ${name}`);
    return await metered(vector);
  }

  async function metered(vector: Pick<VectorCase, 'settings' | 'records'>): Promise<readonly UsageRow[]> {
    await emptyStore(opened.store);
    const full = fullSettings(vector.settings);
    settings = { at: () => full };
    const pipeline = new Pipeline(opened.store, vector.settings);
    await pipeline.take(vector.records.map((record) => logRecord(record)));
    await pipeline.rollUp();
    return await readUsageRows(opened.store);
  }

  const CASES: readonly (readonly [vector: string, ...rules: string[]])[] = [
    ['reset_without_start', 'difference', 'reset_by_fall'],
    ['reset_hidden_by_growth', 'baseline_before_metering', 'reset_by_start'],
    ['birth_by_known_absence', 'born_after_absence'],
    ['birth_by_container_start', 'born_at_container'],
    ['older_than_metering', 'baseline_before_metering', 'difference'],
    ['exporter_restart', 'baseline_unknown', 'reset_by_process'],
    ['quarantined_spike', 'difference', 'quarantined'],
    ['memory_max_hold', 'hold_ended'],
    ['requests_by_phase', 'hold'],
    ['egress_and_internal', 'difference'],
    ['wire_type_is_ignored', 'difference', 'hold'],
    ['split_over_a_gap', 'baseline_unknown', 'difference'],
    ['platform_and_unattributed', 'difference'],
    ['two_clusters_same_names', 'difference'],
  ];

  test.each(CASES)('%s: the parts of every (hour, tenant, meter) are its number', async (name, ...rules) => {
    const rows = await rolledUp(name);
    const seen = new Set<string>();
    for (const [, ofKey] of Map.groupBy(rows, ({ hour, tenant, meter }) => `${hour} ${tenant} ${meter}`)) {
      const { hour, tenant, meter } = ofKey[0]!;
      const explanation = await explain(opened.store, { hour, tenant, meter, settings });
      const quantity = ofKey.reduce((sum, row) => sum + row.quantity, 0n);
      expect(explanation).toMatchObject({
        equal: true,
        quantity: String(quantity),
        sum: { quantity: String(quantity) },
      });
      expect(explanation.keys.map((key) => key.quantity)).toEqual(ofKey.map((row) => String(row.quantity)));
      for (const key of explanation.keys) {
        const row = ofKey.find(
          ({ cluster, namespace }) => cluster === key.cluster && namespace === key.namespace,
        )!;
        expect(key.sum).toEqual({
          quantity: String(row.quantity),
          quarters: row.quarters.map(String),
          missingMs: String(row.missingMs),
        });
      }
      for (const rule of rulesOf(explanation)) seen.add(rule);
    }
    expect(rows.length).toBeGreaterThan(0);
    expect([...seen].sort()).toEqual([...rules].sort());
  });

  test('without a tenant the parts of all of them are the number', async () => {
    const rows = await rolledUp('tenant_change_mid_interval');
    const explanation = await explain(opened.store, { hour: rows[0]!.hour, meter: 'cpu', settings });
    expect(explanation.keys.map(({ tenant, quantity }) => [tenant, quantity])).toEqual([
      ['acme', '60000000000'],
      ['globex', '30000000000'],
    ]);
    expect(explanation).toMatchObject({ equal: true, quantity: '90000000000' });
  });

  test('a namespace moves at 10:20, 90 core-s on 10:00 -> 10:30: 60 of them, as people read it', async () => {
    const rows = await rolledUp('tenant_change_mid_interval');
    const request = { hour: rows[0]!.hour, tenant: 'acme', meter: 'cpu', settings };
    const id =
      '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod04261a93_336a_4f8b_a8ed_d55c474ab25c.slice';
    expect(renderExplanation(await explain(opened.store, request))).toBe(
      `cpu of acme in the hour from 2026-10-01T10:00Z: 60,000,000,000 core-ns = 0.016666667 core-hours, provisional
  by quarter: 45,000,000,000 | 15,000,000,000 | 0 | 0
  sum of its parts: 60,000,000,000, equal quarter by quarter
  Mind: rt1 has samples of this hour that are not settled yet: its figure may change.

cluster rt1, namespace acme-prod, tenant acme: 60,000,000,000 (0 samples, covered 0 of 1,800,000 ms, not in the ledger)
  container_cpu_usage_seconds_total{id="${id}", namespace="acme-prod", node="n1", pod="web-0"}: 60,000,000,000
    10:00 -> 10:30: 90,000,000,000, difference to the sample before (6.1, 6.2) [gap]
      here 60,000,000,000: 45,000,000,000 | 15,000,000,000 | 0 | 0
      10,000,000,000 at 10:00, log usage/1 offset 0
      100,000,000,000 at 10:30, log usage/0 offset 1
`,
    );
  });

  test('time that a gauge was not held is explained as well', async () => {
    const rows = await rolledUp('memory_max_hold');
    const explanation = await explain(opened.store, { hour: rows[0]!.hour, meter: 'memory', settings });
    expect(explanation).toMatchObject({ equal: true, quantity: '96636764160000', missingMs: '510000' });
    expect(renderExplanation(explanation)).toContain('not held 09:01:30 -> 09:10\n');
  });

  test('what is shown is bounded, what is added up is not', async () => {
    const rows = await rolledUp('pvc_resized');
    const { hour, meter, quantity } = rows[0]!;
    const explanation = await explain(opened.store, { hour, meter, settings, limit: 3 });
    const { shown, total } = explanation.intervals;
    expect(shown).toBe(3);
    expect(total).toBeGreaterThan(3);
    expect(explanation).toMatchObject({ equal: true, sum: { quantity: String(quantity) } });
    expect(renderExplanation(explanation)).toContain(
      `${total - 3} of ${total} intervals are not shown; all are in the sum.`,
    );
  });

  test('a request that ends with its pod says so', async () => {
    const [ended] = parseVectors(`
      case ended
      target kube-state-metrics {cluster=rt1}
        at                                                                            | 0s 60s
        kube_pod_container_resource_requests{namespace=a, pod=p, uid=u, container=c, resource=cpu} | 0.25 0.25
        kube_pod_status_phase{namespace=a, pod=p, uid=u, phase=Succeeded}              | 0 1
    `);
    const { hour } = (await metered({ ...ended!, settings: VECTOR_SETTINGS }))[0]!;
    const explanation = await explain(opened.store, { hour, meter: 'cpu_request', settings });
    expect(explanation).toMatchObject({ equal: true, quantity: '15000000000' });
    expect(explanation.keys[0]!.series[0]!.intervals).toMatchObject([
      { rule: 'hold', at: { podEnded: true } },
    ]);
    expect(renderExplanation(explanation)).toContain('250 at 09:01, its pod had ended, log usage/1 offset 0');
  });

  test('a meter or an hour that cannot be is refused; one that has nothing is explained as nothing', async () => {
    const rows = await rolledUp('split_4_6');
    const { hour } = rows[0]!;
    await expect(explain(opened.store, { hour, meter: 'gpu', settings })).rejects.toMatchObject({
      code: 'METER_CONFIG_INVALID',
      message: 'there is no meter gpu',
    });
    await expect(explain(opened.store, { hour: hour + 1, meter: 'cpu', settings })).rejects.toMatchObject({
      code: 'METER_CONFIG_INVALID',
    });
    const nothing = await explain(opened.store, { hour, meter: 'storage', tenant: 'acme', settings });
    expect(nothing).toMatchObject({ equal: true, quantity: '0', keys: [] });
    expect(renderExplanation(nothing)).toContain('Nothing is known of it.');
  });
});

describe('a closed month', () => {
  const OCTOBER_LAST = NOVEMBER - HOUR;
  const settings = { at: (): MeteringSettings => SETTINGS };
  let bench: AccountsBench;
  beforeAll(async () => {
    opened = await openFastStore();
    bench = new AccountsBench(opened.store, ['north', 'south']);
    await new ClosedMonth().playOn(bench);
  }, 120_000);
  afterAll(() => opened.dispose());

  test('resets, gaps over days, births after the end, delta points: every number is its parts', async () => {
    const kinds = new Set<string>();
    for (const hour of [
      FIRST_DAY,
      FIRST_DAY + HOUR,
      FIRST_DAY + 7 * HOUR,
      FIRST_DAY + 30 * HOUR,
      OCTOBER_LAST,
    ]) {
      for (const meter of ['cpu', 'memory', 'http_requests', 'network_transmit']) {
        const explanation = await explain(opened.store, { hour, meter, settings });
        expect(explanation.equal, `${meter} of ${explanation.hour}`).toBe(true);
        for (const key of explanation.keys) {
          expect(key.state).toBe('closed');
          expect(key.equal).toBe(true);
        }
        for (const rule of rulesOf(explanation)) kinds.add(rule);
      }
    }
    expect([...kinds].sort()).toEqual([
      'born_after_absence',
      'born_at_start',
      'delta',
      'difference',
      'hold',
      'hold_ended',
      'reset_by_fall',
    ]);
  });

  test('an hour that was corrected shows what was billed and what it is now', async () => {
    const explanation = await explain(opened.store, {
      hour: OCTOBER_LAST,
      tenant: 'acme',
      meter: 'cpu',
      settings,
    });
    const [billed, now] = [BigInt(explanation.atClose!.quantity), BigInt(explanation.quantity)];
    expect(explanation).toMatchObject({ state: 'closed', equal: true, atClose: { period: '2026-10' } });
    expect(now - billed).toBe(12_000_000_000n);
    expect(explanation.keys.find(({ namespace }) => namespace === 'web')?.revision).toBeGreaterThan(1);
    expect(renderExplanation(explanation)).toMatch(
      /\n {2}billed at the close of 2026-10: [\d,]+, \+12,000,000,000 since, as a correction\n/,
    );
  });

  test('the sample before may lie hours back, and its place in the log is found there', async () => {
    const request = { hour: FIRST_DAY + 30 * HOUR, tenant: 'acme', meter: 'cpu', settings };
    const [key] = (await explain(opened.store, request)).keys;
    const [interval] = key!.series[0]!.intervals;
    expect(interval).toMatchObject({
      rule: 'difference',
      before: {
        t: new Date(FIRST_DAY + 9 * HOUR).toISOString(),
        log: { topic: 'usage.north', partition: 0 },
      },
      at: { t: new Date(FIRST_DAY + 2 * DAY + 1).toISOString(), log: { topic: 'usage.north', partition: 0 } },
    });
    const offset = Number(interval!.before!.log!.offset);
    const [row] = await opened.store.rows<{ n: string }>(
      'SELECT count() AS n FROM samples WHERE offset = {offset:Int64} AND t = {t:Int64}',
      { offset, t: FIRST_DAY + 9 * HOUR },
    );
    expect(Number(row?.n)).toBeGreaterThan(0);
  });

  test('a sample that was left out shows what it claimed, and the next goes on from before it', async () => {
    const request = { hour: OCTOBER_LAST, cluster: 'north', namespace: 'web', meter: 'cpu', settings };
    const explanation = await explain(opened.store, request);
    const jump = explanation.keys[0]!.series.find(({ labels }) => labels['pod'] === 'jump')!;
    expect(jump.intervals.at(-1)).toMatchObject({ rule: 'difference', unitHour: '2026-11-01T02:00:00.000Z' });
    const later = await explain(opened.store, { ...request, hour: NOVEMBER });
    const quarantined = later.keys[0]!.series.find(({ labels }) => labels['pod'] === 'jump')!.intervals.find(
      ({ rule }) => rule === 'quarantined',
    );
    expect(quarantined).toMatchObject({ quantity: '0', at: { value: '9000000000000000' } });
    expect(later).toMatchObject({ equal: true, state: 'settled' });
  });

  test('a number that its samples do not give is told, never smoothed over', async () => {
    const forge = `INSERT INTO samples SELECT * REPLACE (version + 5 AS version) FROM samples
      WHERE cluster = 'south' AND meter = 'http_requests' AND hour = '2026-10-28 00:00:00'
      ORDER BY t DESC LIMIT 1`;
    await opened.store.command('CREATE TABLE kept AS samples');
    await opened.store.command('INSERT INTO kept SELECT * FROM samples');
    try {
      await opened.store.command(forge);
      const request = { hour: FIRST_DAY, meter: 'http_requests', settings };
      const explanation = await explain(opened.store, request);
      expect(explanation.equal).toBe(false);
      expect(BigInt(explanation.sum.quantity) - BigInt(explanation.quantity)).toBe(5n);
      expect(renderExplanation(explanation)).toContain('NOT EQUAL');
    } finally {
      await opened.store.command('TRUNCATE TABLE samples');
      await opened.store.command('INSERT INTO samples SELECT * FROM kept');
      await opened.store.command('DROP TABLE kept SYNC');
    }
  });

  test('samples past their retention: what they gave stands as it was stored, and is said', async () => {
    const floor = FIRST_DAY + DAY;
    const columns = '(kind, period, floor, cut, up_to, hash, previous_hash, body)';
    await opened.store.command(
      `INSERT INTO decision ${columns} VALUES ('floor', 0, ${floor / 1000}, '[]', 0, '', '', '')`,
    );
    await opened.store.command(
      `ALTER TABLE samples DELETE WHERE toUnixTimestamp(hour) < ${floor / 1000} SETTINGS mutations_sync = 1`,
    );
    const frozen = await explain(opened.store, { hour: FIRST_DAY, tenant: 'acme', meter: 'cpu', settings });
    expect(frozen).toMatchObject({ equal: true, intervals: { shown: 0, total: 0 } });
    expect(frozen.keys.flatMap((key) => key.withoutSamples).map(({ unitHour }) => unitHour)).toContain(
      '2026-10-28T01:00:00.000Z',
    );
    expect(frozen.reservations).toEqual([
      'some of it is from samples past their retention: that stands as it was stored',
    ]);
    expect(renderExplanation(frozen)).toContain(', past its retention: ');
    // An interval that begins there: its end is known, its beginning from the state that was kept.
    const hour = FIRST_DAY + 30 * HOUR;
    const reaching = await explain(opened.store, { hour, tenant: 'acme', meter: 'cpu', settings });
    expect(reaching.equal).toBe(true);
    const interval = reaching.keys[0]!.series[0]!.intervals[0]!;
    expect(interval.before).not.toHaveProperty('log');
    expect(interval.at).toHaveProperty('log');
    expect(renderExplanation(reaching)).toMatch(/at 2026-10-28T09:00, past its retention\n/);
  });
});
