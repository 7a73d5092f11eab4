import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ratioOf, reconcile, type Reconciliation } from '../../aggregator/ledger/reconciliation.ts';
import { readUsageRows } from '../../aggregator/rollup/usage-rows.ts';
import { REFERENCE_METERS } from '../../core/metering/catalogue.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactFields, FactName, FactSink } from '../../core/runtime/facts.ts';
import type { TestStore } from '../support/chdb.ts';
import { logRecord, openFastStore, Pipeline } from '../support/pipeline.ts';
import { parseVectors } from '../vectors/notation.ts';
import { VECTOR_SETTINGS } from '../vectors/vectors.ts';

/**
 * One node. `shop` goes from acme to globex at 10:50, inside an interval that lies over three hours, for
 * nothing is scraped from 10:10 to 12:50; `blog` is globex's, `kube-system` the platform's, `ghost`
 * nobody's.
 */
const POD = 'id=/kubepods.slice/kubepods-pod';
const SCENE = `
define shop = namespace=shop, pod=web, ${POD}04261a93_336a_4f8b_a8ed_d55c474ab25c.slice
define blog = namespace=blog, pod=web, ${POD}8ff87d25_dac1_4540_a838_05210b3816ac.slice
define kube-system = namespace=kube-system, pod=dns, ${POD}51c08cfa_4a9b_40e5_aac6_041e116e9b8d.slice
define ghost = namespace=ghost, pod=job, ${POD}1204562a_6f17_447a_accd_d53ccd71682e.slice
define flow = k8s_src_namespace=shop, k8s_src_name=web, k8s_src_type=Pod, k8s_src_node_name=n1
case scene
target kube-state-metrics {cluster=rt1}
  at                                                              | 09:00  10:50
  kube_namespace_labels{namespace=shop, label_gh0stcloud_io_tenant=acme}   | 1  _
  kube_namespace_labels{namespace=shop, label_gh0stcloud_io_tenant=globex} | _  1
  kube_namespace_labels{namespace=blog, label_gh0stcloud_io_tenant=globex} | 1  1
target kubelet-cadvisor n1 {cluster=rt1, node=n1}
  at                                                  | 09:00  09:30  10:10  12:50
  container_cpu_usage_seconds_total{$shop}            |     0    600   1400   3000
  container_cpu_usage_seconds_total{$blog}            |     0    300    700   1500
  container_cpu_usage_seconds_total{$kube-system}     |     0     90    210    530
  container_cpu_usage_seconds_total{$ghost}           |     0     60    100    260
  container_cpu_usage_seconds_total{id=/, cpu=total}  |     0   1200   2800   6800
  container_memory_working_set_bytes{$shop}           |   100    100    100    100
  container_memory_working_set_bytes{id=/}            |   400    400    400    400
  container_network_transmit_bytes_total{$shop, interface=eth0} | 0 1000 2000 5200
  container_network_transmit_bytes_total{id=/, interface=eth0}  | 0 9000 9100 9200
target beyla n1 {cluster=rt1, node=n1}
  at                                                        | 09:00  09:30  10:10  12:50
  beyla_network_flow_bytes_total{$flow, dst_cidr=0.0.0.0/0} |     0    700   1400   3640
  beyla_network_flow_bytes_total{$flow, dst_cidr=10.42.0.0/16} |  0    260    520   1352
`;
const at = (hour: number): number => Date.UTC(2026, 9, 1, hour);
const HOURS = [9, 10, 11, 12].map(at);
const CORE_NS = 1_000_000_000n;

let opened: TestStore;
let pipeline: Pipeline;
let told: [FactName, Record<string, unknown>][];
const facts: FactSink = {
  event: <N extends FactName>(name: N, fields: FactFields<N>) =>
    void told.push([name, { ...(fields as object) }]),
};

beforeAll(async () => {
  opened = await openFastStore();
});
beforeEach(async () => {
  told = [];
  await begin();
});
afterAll(() => opened.dispose());

/** As a new store: nothing in any table. */
async function begin(): Promise<void> {
  const tables = await opened.store.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND NOT startsWith(name, 'schema_')",
  );
  for (const { name } of tables) await opened.store.command(`TRUNCATE TABLE ${name}`);
  pipeline = new Pipeline(opened.store, VECTOR_SETTINGS);
}

function recordsOf(scene: string): ReturnType<typeof logRecord>[] {
  return parseVectors(scene).flatMap(({ records }) => records.map((record) => logRecord(record)));
}

async function metered(scene = SCENE): Promise<void> {
  await pipeline.take(recordsOf(scene));
  await pipeline.rollUp();
}

/** Waiting is over at once, after `meanwhile`. */
function clockThat(meanwhile: () => Promise<void> = async () => undefined): Clock {
  return { now: () => 0, sleep: () => meanwhile() };
}

async function reconciled(hours = HOURS, clock = clockThat()): Promise<readonly Reconciliation[]> {
  return await reconcile({ store: opened.store, clock, facts }, { cluster: 'rt1', hours });
}

function of(rows: readonly Reconciliation[], meter: string): Reconciliation[] {
  return rows.filter((row) => row.meter === meter);
}

function ratios(rows: readonly Reconciliation[]): (number | undefined)[] {
  return rows.map(({ held }) => (held === undefined ? undefined : ratioOf(held)));
}

function toldOf(name: FactName): Record<string, unknown>[] {
  return told.filter(([each]) => each === name).map(([, fields]) => fields);
}

/** A part as no roll-up wrote it: acme's shop in hour 9, with more than it used. */
async function tamper(surplus: bigint): Promise<void> {
  const which = "hour = toDateTime('2026-10-01 09:00:00', 'UTC') AND tenant = 'acme' AND meter = 'cpu'";
  await opened.store.command(
    `INSERT INTO usage_parts SELECT * REPLACE (q0 + {surplus:Int128} AS q0, version + 1 AS version)
     FROM usage_parts FINAL WHERE ${which} AND unit = hour`,
    { surplus },
  );
}

describe('all that was measured', () => {
  test('was given to tenants, to the platform or to nobody, over a gap and a move', async () => {
    await metered();
    const rows = await reconciled();
    expect(rows.map(({ difference }) => difference)).toEqual(rows.map(() => 0n));
    const figures = of(rows, 'cpu').map((row) => [
      row.attributed / CORE_NS,
      row.platform / CORE_NS,
      row.unattributed / CORE_NS,
      row.measured / CORE_NS,
    ]);
    expect(figures).toEqual([
      [1800n, 180n, 90n, 2070n],
      [1050n, 130n, 60n, 1240n],
      [900n, 120n, 60n, 1080n],
      [750n, 100n, 50n, 900n],
    ]);
    expect(toldOf('reconciliationFailed')).toEqual([]);
  });

  test('is the same whatever the order in which it arrived and was rolled up', async () => {
    const backwards = recordsOf(SCENE).reverse();
    for (let i = 0; i < backwards.length; i += 3) {
      await pipeline.take(backwards.slice(i, i + 3));
      await pipeline.rollUp();
    }
    const inPieces = await reconciled();
    await begin();
    await metered();
    const nonZero = (rows: readonly Reconciliation[]): Reconciliation[] =>
      rows.filter(({ measured, attributed }) => measured !== 0n || attributed !== 0n);
    expect(nonZero(inPieces)).toEqual(nonZero(await reconciled()));
  });

  test('leaves no hour behind from which a late sample took all', async () => {
    const [first, middle, last] = recordsOf(`case late
      target kubelet-cadvisor n1 {cluster=rt1, node=n1}
        at                                                                         | 09:00 09:30 12:50
        container_network_transmit_bytes_total{namespace=a, pod=b, interface=eth0} |     0  1000  1000`);
    const measuredAfter = async (...records: readonly (typeof first)[]): Promise<unknown[]> => {
      await pipeline.take(records.filter((record) => record !== undefined));
      await pipeline.rollUp();
      return (await reconciled()).map(({ measured, difference }) => [measured, difference]);
    };
    const stretched = [
      [260n, 0n],
      [261n, 0n],
      [261n, 0n],
      [218n, 0n],
    ];
    expect(await measuredAfter(first, last)).toEqual(stretched);
    expect(await measuredAfter(middle)).toEqual([
      [1000n, 0n],
      [0n, 0n],
      [0n, 0n],
      [0n, 0n],
    ]);
  });
});

describe('held against what others counted', () => {
  test('are pods against nodes, and flows against bytes transmitted', async () => {
    await metered();
    const rows = await reconciled();
    expect(ratios(of(rows, 'cpu'))).toEqual([0.8625, 0.751515, 0.72, 0.72]);
    // Nothing holds for the gap, and the hold after its end has not come to an end.
    expect(ratios(of(rows, 'memory'))).toEqual([0.25, 0.25, undefined, undefined]);
    expect(ratios(of(rows, 'egress'))).toEqual([0.96, 0.96, 0.96, 0.96]);
    expect(ratios(of(rows, 'egress_internal'))).toEqual([undefined, undefined, undefined, undefined]);
    expect(of(rows, 'network_transmit').map(({ measured }) => measured)).toEqual([
      1750n,
      1250n,
      1200n,
      1000n,
    ]);
  });

  test('is nothing where the nodes show no totals, or do not say which node they are', async () => {
    await metered(SCENE.replaceAll(/^ .*id=\/[,}].*$/gm, ''));
    expect(ratios(of(await reconciled(), 'cpu'))).toEqual(HOURS.map(() => undefined));
    expect(toldOf('hourCompared').map(({ meter }) => meter)).toEqual(['egress']);
    await metered(SCENE.replaceAll('{cluster=rt1, node=n1}', '{cluster=rt2}'));
    const rows = await reconcile(
      { store: opened.store, clock: clockThat(), facts },
      { cluster: 'rt2', hours: HOURS },
    );
    expect(ratios(of(rows, 'cpu'))).toEqual(HOURS.map(() => undefined));
    expect(of(rows, 'cpu').map(({ measured }) => measured / CORE_NS)).toEqual([2070n, 1240n, 1080n, 900n]);
  });

  test('are totals that are nobody’s usage and have no coverage', async () => {
    await metered();
    const names = REFERENCE_METERS.map(({ name }) => name);
    const meters = (await readUsageRows(opened.store)).map(({ meter }) => meter);
    expect(meters).toContain('cpu');
    expect(meters.filter((meter) => names.includes(meter))).toEqual([]);
    const stored = await opened.store.rows<{ source: string; n: string }>(
      `SELECT 'coverage' AS source, count() AS n FROM coverage WHERE meter IN {names:Array(String)}
       UNION ALL SELECT 'samples', count() FROM samples WHERE meter IN {names:Array(String)}
       UNION ALL SELECT 'usage_parts', count() FROM usage_parts WHERE meter IN {names:Array(String)}`,
      { names },
    );
    expect(Object.fromEntries(stored.map(({ source, n }) => [source, Number(n)]))).toEqual({
      coverage: 0,
      samples: 8,
      usage_parts: 0,
    });
  });
});

describe('a part that does not add up', () => {
  test('is told to the last unit, as an error, and stored', async () => {
    await metered();
    await tamper(1n);
    await reconciled();
    expect(toldOf('reconciliationFailed')).toEqual([
      {
        cluster: 'rt1',
        hour: '2026-10-01T09:00:00.000Z',
        meter: 'cpu',
        measured: 2070n * CORE_NS,
        attributed: 1800n * CORE_NS + 1n,
        platform: 180n * CORE_NS,
        unattributed: 90n * CORE_NS,
        difference: -1n,
      },
    ]);
    expect(await storedDifferences()).toEqual([['cpu', '-1', String(2400n * CORE_NS)]]);
  });

  test('is no error when it was only half written', async () => {
    await metered();
    await tamper(5n);
    await reconciled(
      HOURS,
      clockThat(() => tamper(-5n)),
    );
    expect(toldOf('reconciliationFailed')).toEqual([]);
    expect(await storedDifferences()).toEqual([]);
  });

  test('is made right by what the runbook says', async () => {
    await metered();
    await tamper(7n);
    await reconciled();
    const runbook = readFileSync(
      join(import.meta.dirname, '../../docs/runbooks/reconciliation-failed.md'),
      'utf8',
    );
    const statements = [...runbook.matchAll(/--query "([^"]+)"/g)].map(([, sql = '']) => sql);
    expect(statements.length).toBe(3);
    const [figures, owners, again] = statements.map((sql) => sql.replaceAll('\\\n', ''));
    expect(await opened.store.rows(figures ?? '')).toMatchObject([{ meter: 'cpu', difference: '-7' }]);
    expect(await opened.store.rows(owners ?? '')).not.toEqual([]);
    await opened.store.command(again ?? '');
    await pipeline.rollUp();
    await reconciled();
    expect(await storedDifferences()).toEqual([]);
  });
});

test('the gauges are of the newest hour, also when an older one is reconciled after it', async () => {
  await metered();
  await reconciled([at(9), at(12)]);
  const hoursTold = (): Set<unknown> => new Set(toldOf('hourReconciled').map(({ hour }) => hour));
  expect(hoursTold()).toEqual(new Set(['2026-10-01T12:00:00.000Z']));
  told = [];
  await reconciled([at(10)]);
  expect(hoursTold()).toEqual(new Set());
  await tamper(1n);
  await reconciled([at(9)]);
  expect(toldOf('reconciliationFailed').length).toBe(1);
  expect(hoursTold()).toEqual(new Set());
});

test('an hour of which nothing was measured has nothing to say', async () => {
  await metered();
  expect(await reconciled([at(3)])).toEqual([]);
  expect(await reconciled([])).toEqual([]);
  expect(told).toEqual([]);
});

async function storedDifferences(): Promise<unknown[]> {
  const rows = await opened.store.rows<{ meter: string; difference: string; reference: string }>(
    'SELECT meter, difference, reference FROM reconciliation FINAL WHERE difference != 0',
  );
  return rows.map(({ meter, difference, reference }) => [meter, difference, reference]);
}
