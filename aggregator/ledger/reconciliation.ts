/**
 * Reconciliation per cluster, hour and meter (METERING 11). In: what the roll-up measured, summed before
 * owners were looked up, and the parts it gave to owners. Out: rows of the table `reconciliation` and facts
 * about them. A crash loses what was not written yet: the hour has no row until it is settled again. Done
 * twice, the latest reading stays.
 *
 * Two questions, of which only the first has one right answer:
 *
 * Was all that was measured given to somebody? difference = measured - (tenants + platform + unattributed),
 * and that is 0 to the last core-ns. Measured 6,000; acme 3,500, globex 1,000, platform 1,200, nobody 300:
 * difference 0. Anything else is a fault of ours, told as an error.
 *
 * How much is it of what somebody else counted? ratio = compared / reference, where there is a reference:
 *   cpu      pods' core-ns / core-ns of the nodes' root cgroups: 5.4 of 6.0 core-hours are 0.90, and a tenth
 *            went to kubelets, system services and the kernel. Above 1, pods were counted twice.
 *   memory   pods' byte-ms / byte-ms of the nodes, alike.
 *   egress   (egress + egress_internal) / network_transmit: 9.6 of the 10.0 GB that the pods' interfaces sent
 *            were seen as flows, 0.96. Near 1 and never exactly, for one counts packets and the other frames.
 *            Well below it, flows escape the eBPF probe; above it, a flow has two reporters.
 * The other meters have none, and a cluster that shows no reference has no ratio, rather than 0.
 */
import { billableMeter } from '../../core/metering/catalogue.ts';
import { PLATFORM_TENANT, UNATTRIBUTED_TENANT } from '../../core/metering/settings.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { UsageStore } from '../store/usage-store.ts';

/** Parts and measured sums are written one after the other: a difference in between is none. */
const RECHECK_MS = 1_000;
const RECHECKS = 3;

const REFERENCES: Readonly<Record<string, { readonly compared: readonly string[]; readonly to: string }>> = {
  cpu: { compared: ['cpu'], to: 'node_cpu' },
  memory: { compared: ['memory'], to: 'node_memory' },
  egress: { compared: ['egress', 'egress_internal'], to: 'network_transmit' },
};

/** All figures in base units of the meter. */
export interface Reconciliation {
  readonly cluster: string;
  /** Start of the hour, ms. */
  readonly hour: number;
  readonly meter: string;
  /** To tenants that are organizations. */
  readonly attributed: bigint;
  readonly platform: bigint;
  readonly unattributed: bigint;
  readonly measured: bigint;
  readonly difference: bigint;
  readonly held: Held | undefined;
}

/** What is held against what; the reference is above 0. */
export interface Held {
  readonly compared: bigint;
  readonly reference: bigint;
}

export interface ReconciliationDeps {
  readonly store: UsageStore;
  readonly clock: Clock;
  readonly facts: FactSink;
}

/** Of what a cluster measured in these hours; sorted by hour and meter. */
export async function reconcile(
  deps: ReconciliationDeps,
  { cluster, hours }: { readonly cluster: string; readonly hours: readonly number[] },
): Promise<readonly Reconciliation[]> {
  if (hours.length === 0) return [];
  const { store } = deps;
  let reading = await read(store, cluster, hours);
  for (let i = 0; i < RECHECKS && reading.rows.some(isWrong); i++) {
    await deps.clock.sleep(RECHECK_MS);
    reading = await read(store, cluster, hours);
  }
  const { rows, version, newestHour } = reading;
  await store.insert(
    'reconciliation',
    rows.map(({ held, hour, ...figures }) => ({
      ...figures,
      hour: hour / 1000,
      compared: held?.compared ?? null,
      reference: held?.reference ?? null,
      version,
    })),
  );
  tell(deps.facts, rows, newestHour);
  return rows;
}

function isWrong({ difference }: Reconciliation): boolean {
  return difference !== 0n;
}

/** To six decimals, for people and gauges. */
export function ratioOf({ compared, reference }: Held): number {
  return Number((compared * 1_000_000n) / reference) / 1e6;
}

interface Reading extends Before {
  readonly rows: readonly Reconciliation[];
}

async function read(store: UsageStore, cluster: string, hours: readonly number[]): Promise<Reading> {
  const before = await readBefore(store, cluster, hours);
  return { ...before, rows: await readReconciliation(store, cluster, hours) };
}

interface Before {
  /** Of what is about to be read: the store's time, and above what these hours have. */
  readonly version: bigint;
  /** The newest hour of the cluster that was reconciled before, ms. */
  readonly newestHour: number;
}

async function readBefore(store: UsageStore, cluster: string, hours: readonly number[]): Promise<Before> {
  const [row] = await store.rows<{ now: string; version: string; newest: number }>(
    `SELECT toUnixTimestamp64Micro(now64(6)) AS now, toUnixTimestamp(max(hour)) AS newest,
       maxIf(version, toUnixTimestamp(hour) IN {hours:Array(UInt32)}) AS version
     FROM reconciliation WHERE cluster = {cluster:String}`,
    { cluster, hours: hours.map((hour) => hour / 1000) },
  );
  const [now, above] = [BigInt(row?.now ?? 0), BigInt(row?.version ?? 0) + 1n];
  return { version: now > above ? now : above, newestHour: (row?.newest ?? 0) * 1000 };
}

interface SumsRow {
  readonly seconds: number;
  readonly meter: string;
  readonly attributed: string;
  readonly platform: string;
  readonly unattributed: string;
  readonly measured: string;
}

/** Both sides in one statement, so that they are read as close together as can be. */
const SUMS_SQL = `
  SELECT toUnixTimestamp(hour) AS seconds, meter, sum(q_tenants) AS attributed, sum(q_platform) AS platform,
    sum(q_nobody) AS unattributed, sum(q_measured) AS measured
  FROM
  (
    SELECT hour, meter, toInt256(q0) + q1 + q2 + q3 AS quantity,
      if(tenant = {platform:String}, quantity, 0) AS q_platform,
      if(tenant = {nobody:String}, quantity, 0) AS q_nobody,
      quantity - q_platform - q_nobody AS q_tenants, toInt256(0) AS q_measured
    FROM usage_parts FINAL
    WHERE cluster = {cluster:String} AND hour >= toDateTime({first:Int64}, 'UTC')
      AND hour <= toDateTime({last:Int64}, 'UTC')
    UNION ALL
    SELECT hour, meter, toInt256(0), toInt256(0), toInt256(0), toInt256(0), toInt256(quantity)
    FROM measured FINAL
    WHERE cluster = {cluster:String} AND hour >= toDateTime({first:Int64}, 'UTC')
      AND hour <= toDateTime({last:Int64}, 'UTC')
  )
  WHERE toUnixTimestamp(hour) IN {hours:Array(UInt32)}
  GROUP BY hour, meter
  ORDER BY hour, meter`;

async function readReconciliation(
  store: UsageStore,
  cluster: string,
  hours: readonly number[],
): Promise<Reconciliation[]> {
  const sums = await store.rows<SumsRow>(SUMS_SQL, {
    cluster,
    hours: hours.map((hour) => hour / 1000),
    first: Math.min(...hours) / 1000,
    last: Math.max(...hours) / 1000,
    platform: PLATFORM_TENANT,
    nobody: UNATTRIBUTED_TENANT,
  });
  const byHour = Map.groupBy(sums, (row) => row.seconds);
  return [...byHour].flatMap(([seconds, rows]) => ofHour(cluster, seconds * 1000, rows));
}

/** References are held against, not reconciled: nobody owns them. */
function ofHour(cluster: string, hour: number, rows: readonly SumsRow[]): Reconciliation[] {
  const measured = new Map(rows.map((row) => [row.meter, BigInt(row.measured)]));
  return rows
    .filter(({ meter }) => billableMeter(meter) !== undefined)
    .map((row) => {
      const attributed = BigInt(row.attributed);
      const platform = BigInt(row.platform);
      const unattributed = BigInt(row.unattributed);
      const all = BigInt(row.measured);
      const difference = all - attributed - platform - unattributed;
      const given = { attributed, platform, unattributed, measured: all, difference };
      return { cluster, hour, meter: row.meter, ...given, held: heldAgainst(row.meter, measured) };
    });
}

function heldAgainst(meter: string, measured: ReadonlyMap<string, bigint>): Held | undefined {
  const sides = REFERENCES[meter];
  const reference = sides === undefined ? 0n : (measured.get(sides.to) ?? 0n);
  if (sides === undefined || reference === 0n) return undefined;
  const compared = sides.compared.reduce((sum, name) => sum + (measured.get(name) ?? 0n), 0n);
  return { compared, reference };
}

/** The gauges are of the newest hour; a late sample that changes an old one does not set them back. */
function tell(facts: FactSink, rows: readonly Reconciliation[], newestBefore: number): void {
  const newest = rows.reduce((hour, row) => Math.max(hour, row.hour), newestBefore);
  for (const row of rows) {
    const { cluster, meter, difference, held } = row;
    const hour = new Date(row.hour).toISOString();
    if (row.hour === newest) {
      facts.event('hourReconciled', { cluster, hour, meter, difference });
      if (held !== undefined) facts.event('hourCompared', { cluster, hour, meter, ratio: ratioOf(held) });
    }
    if (difference === 0n) continue;
    const { measured, attributed, platform, unattributed } = row;
    const figures = { measured, attributed, platform, unattributed, difference };
    facts.event('reconciliationFailed', { cluster, hour, meter, ...figures });
  }
}
