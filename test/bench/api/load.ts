/**
 * Months of usage as settling leaves it, made by the store itself from numbers: every tenant has usage of every
 * meter in every namespace in every hour. The newest month is open, its last two hours are not settled.
 */
import type { UsageStore } from '../../../aggregator/store/usage-store.ts';
import { HOUR_MS as HOUR } from '../../../core/metering/hour.ts';
import { periodEnd, periodOf, periodStart, type Period } from '../../../core/metering/period.ts';
import type { Load } from './plan.ts';
import { closeMonth, openMonth } from './statements.ts';

const CLUSTER = 'bench';
/** Hours of the open month that are not settled yet. */
export const OPEN_HOURS = 2;

export function monthsBefore(period: Period, count: number): Period[] {
  const months: Period[] = [];
  for (
    let at = periodOf(periodStart(period) - 1);
    months.length < count;
    at = periodOf(periodStart(at) - 1)
  ) {
    months.push(at);
  }
  return months;
}

/** The rows of settled hours that it made. */
export async function loadMonth(store: UsageStore, load: Load, period: Period): Promise<number> {
  const from = periodStart(period);
  const isOpen = period === load.open;
  const to = isOpen ? Math.floor(load.nowMs / HOUR) * HOUR + HOUR - OPEN_HOURS * HOUR : periodEnd(period);
  const hours = (to - from) / HOUR;
  const { tenants, meters, namespaces } = load;
  const count = tenants * meters.length * namespaces * hours;
  const parameters = { count, hours, namespaces, meters: [...meters], from: from / 1000, period };
  await store.command(
    `INSERT INTO usage_current (tenant, meter, hour, cluster, namespace, q0, q1, q2, q3, missing_ms, samples,
       flags, covered_ms, expected_ms, revision, seq)
     SELECT ${KEY}, hour, '${CLUSTER}', ${NAMESPACE}, ${quarters()}, 0, 120, 0, 3600000, 3600000, 1, number + 1
     FROM (SELECT number, toDateTime({from:UInt32} + 3600 * (intDiv(number, {namespaces:UInt32}) % {hours:UInt32}), 'UTC')
       AS hour FROM numbers({count:UInt64}))`,
    parameters,
  );
  await store.command(
    `INSERT INTO usage_day (tenant, meter, day, cluster, namespace, quantity, missing_ms, samples, flags, revision, seq)
     SELECT tenant, meter, toDate(hour) AS day, cluster, namespace, sum(toInt256(q0) + q1 + q2 + q3), 0, sum(samples), 0,
       max(revision), max(seq)
     FROM usage_current WHERE toYYYYMM(hour) = {period:UInt32} GROUP BY tenant, meter, day, cluster, namespace`,
    { period },
  );
  await loadCoverage(store, load, { from, hours: hours + (isOpen ? OPEN_HOURS : 0) });
  if (isOpen) await openMonth(store, period);
  else await closeMonth(store, load, { period, cluster: CLUSTER });
  return count;
}

const KEY = `concat('tenant-', leftPad(toString(intDiv(number, {hours:UInt32} * {namespaces:UInt32} * length({meters:Array(String)}))), 4, '0')),
       {meters:Array(String)}[1 + intDiv(number, {hours:UInt32} * {namespaces:UInt32}) % length({meters:Array(String)})]`;
const NAMESPACE = `concat('ns-', toString(number % {namespaces:UInt32}))`;

function quarters(): string {
  return [0, 1, 2, 3].map((i) => `cityHash64(number, ${i}) % 900000000000`).join(', ');
}

async function loadCoverage(
  store: UsageStore,
  load: Load,
  range: { from: number; hours: number },
): Promise<void> {
  await store.command(
    `INSERT INTO coverage (cluster, hour, meter, covered_ms, expected_ms, version)
     SELECT '${CLUSTER}', toDateTime({from:UInt32} + 3600 * number, 'UTC'), arrayJoin({meters:Array(String)}), 3600000, 3600000, 1
     FROM numbers({hours:UInt32})`,
    { meters: [...load.meters], from: range.from / 1000, hours: range.hours },
  );
}

/** The open hours, who owns what, and how far the cluster was seen. */
export async function loadNow(store: UsageStore, load: Load): Promise<void> {
  const last = Math.floor(load.nowMs / HOUR) * HOUR;
  await store.command(
    `INSERT INTO label_history (cluster, namespace, t, tenant)
     SELECT '${CLUSTER}', concat('ns-', toString(number)), {t:Int64}, concat('tenant-', leftPad(toString(number), 4, '0'))
     FROM numbers({tenants:UInt32})`,
    { t: last, tenants: load.tenants },
  );
  for (let i = 0; i < OPEN_HOURS; i++) {
    await rollUp(store, load, { hour: (last - i * HOUR) / 1000, version: 1 });
  }
}

/** What a batch of scrapes writes that the API reads, and then the roll-up of the open hour that they lie in. */
export async function rollUp(
  store: UsageStore,
  load: Load,
  { hour, version }: { hour: number; version: number },
): Promise<void> {
  const { tenants, meters, namespaces } = load;
  const t = Math.min(load.nowMs, hour * 1000 + HOUR - 1);
  await store.insert('scrape', [{ cluster: CLUSTER, hour, target: 1, t, version: 2 }]);
  await store.insert('watermark', [{ cluster: CLUSTER, t }]);
  await store.command(
    `INSERT INTO usage_parts (cluster, unit, hour, tenant, namespace, meter, q0, q1, q2, q3, missing_ms, samples, flags, version)
     SELECT '${CLUSTER}', toDateTime({hour:UInt32}, 'UTC'), toDateTime({hour:UInt32}, 'UTC'), tenant, ${NAMESPACE}, meter,
       number, 1, 2, 3, 0, 120, 0, {version:UInt64}
     FROM (SELECT number, ${KEY.replace(/,\n/, ' AS tenant,\n')} AS meter FROM numbers({count:UInt64}))`,
    { hour, version, hours: 1, namespaces, meters: [...meters], count: tenants * meters.length * namespaces },
  );
  await store.insert(
    'coverage',
    meters.map((meter) => ({
      ...{ cluster: CLUSTER, hour, meter, version },
      ...{ covered_ms: 3_600_000, expected_ms: 3_600_000 },
    })),
  );
  await store.insert('hour_mark', [{ cluster: CLUSTER, hour, source: 'bench', marked: version }]);
}

export { HOUR };
