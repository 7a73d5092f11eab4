/**
 * What a statement would say if its period were closed now, of one tenant. In: the hours that are settled, as
 * queries read them, and the corrections since the last close. Out: a statement without hashes, for nobody is
 * billed by it: hours go on, and settled ones may change until the close.
 */
import { periodEnd, periodName, periodStart, type Period } from '../../core/metering/period.ts';
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';
import { readLastClose } from './decisions.ts';
import { openHours } from './hour-marks.ts';
import type { CorrectionLine, CoverageLine, ProvisionalStatement, StatementLine } from './statement.ts';
import { correctionLine, readCorrections } from './statement-reader.ts';

const LAST_SEQ = (1n << 64n) - 1n;

/** Of one tenant, in a period that is not closed. */
interface Wanted {
  readonly period: Period;
  readonly tenant: string;
}

/** What of a statement is the tenant's own. */
export type ProvisionalLines = Pick<ProvisionalStatement, 'lines' | 'corrections'>;

/** `corrected`: those who have corrections (`readCorrected`). */
export async function readProvisionalLines(
  store: UsageStore,
  wanted: Wanted & { readonly corrected: ReadonlySet<string> },
  options: ReadOptions,
): Promise<ProvisionalLines> {
  const { corrected, ...of } = wanted;
  const lines = await readLines(store, of, options);
  const corrections = corrected.has(of.tenant) ? await readOpenCorrections(store, of, options) : [];
  return { lines, corrections };
}

/** With the coverage of the clusters that it speaks of, of all of them. */
export function provisionalStatement(
  { period, tenant }: Wanted,
  { lines, corrections }: ProvisionalLines,
  coverage: readonly CoverageLine[],
): ProvisionalStatement {
  const clusters = new Set([...lines, ...corrections].map((line) => line.cluster));
  const own = coverage.filter(({ cluster }) => clusters.has(cluster));
  return { period: periodName(period), tenant, coverage: own, lines, corrections };
}

/** An hour as `statements/canonical.ts` writes it; instants have 13 digits, so texts sort as hours do. */
const HOUR_TEXT = `concat('hour\\t', arrayStringConcat([toString(toUnixTimestamp(hour) * 1000),
         toString(q0), toString(q1), toString(q2), toString(q3),
         toString(missing_ms), toString(samples), toString(flags)], '\\t'), '\\n')`;

/** Made by the store, where the hours are: that takes half of what they take to be read. */
const HOURS_HASH = `lower(hex(SHA256(concat('hours\\t1\\n',
         arrayStringConcat(arraySort(groupArray(${HOUR_TEXT})))))))`;

async function readLines(
  store: UsageStore,
  { period, tenant }: Wanted,
  options: ReadOptions,
): Promise<StatementLine[]> {
  const rows = await store.rows<LineRow>(
    `SELECT meter, cluster, namespace, toString(sum(toInt256(q0) + q1 + q2 + q3)) AS quantity,
       toUInt32(count()) AS hours, toString(sum(toInt256(missing_ms))) AS missing,
       toString(sum(toUInt128(samples))) AS taken, groupBitOr(flags) AS flagged, ${HOURS_HASH} AS hash
     FROM usage_current FINAL
     PREWHERE tenant = {tenant:String} AND hour >= toDateTime({first:Int64}, 'UTC')
       AND hour < toDateTime({end:Int64}, 'UTC')
     WHERE q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0 OR samples != 0 OR flags != 0
     GROUP BY meter, cluster, namespace ORDER BY meter, cluster, namespace`,
    { tenant, first: periodStart(period) / 1000, end: periodEnd(period) / 1000 },
    options,
  );
  return rows.map((row) => ({
    ...{ cluster: row.cluster, namespace: row.namespace, meter: row.meter },
    ...{ quantity: BigInt(row.quantity), hours: row.hours, flags: row.flagged },
    ...{ missingMs: BigInt(row.missing), samples: BigInt(row.taken), hoursHash: row.hash },
  }));
}

interface LineRow {
  readonly meter: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly quantity: string;
  readonly hours: number;
  readonly missing: string;
  readonly taken: string;
  readonly flagged: number;
  readonly hash: string;
}

/** Tenants with corrections since the last close: they belong to the period that closes next. */
export async function readCorrected(
  store: UsageStore,
  period: Period,
  options: ReadOptions,
): Promise<ReadonlySet<string>> {
  const after = await correctionsAfter(store, period, options);
  if (after === undefined) return new Set();
  const rows = await store.rows<{ name: string }>(
    `SELECT DISTINCT toString(tenant) AS name FROM ledger
     WHERE kind = 'correction' AND NOT final AND seq > {after:UInt64}`,
    { after },
    options,
  );
  return new Set(rows.map(({ name }) => name));
}

async function readOpenCorrections(
  store: UsageStore,
  { period, tenant }: Wanted,
  options: ReadOptions,
): Promise<CorrectionLine[]> {
  const after = await correctionsAfter(store, period, options);
  if (after === undefined) return [];
  const found = await readCorrections(store, { after, upTo: LAST_SEQ, tenant }, options);
  return found.map((correction) => correctionLine(period, correction));
}

/** Where the ledger stood as the period before was closed; undefined if this one does not close next. */
async function correctionsAfter(
  store: UsageStore,
  period: Period,
  options: ReadOptions,
): Promise<bigint | undefined> {
  const last = await readLastClose(store, options);
  return last === undefined || periodStart(period) !== periodEnd(last.period) ? undefined : last.upTo;
}

/** Of every cluster. Hours that are still to be settled are in no line either. */
export async function readProvisionalCoverage(
  store: UsageStore,
  period: Period,
  options: ReadOptions,
): Promise<readonly CoverageLine[]> {
  const open = await openHours(store, options);
  const rows = await store.rows<{ cluster: string; meter: string; covered: string; expected: string }>(
    `SELECT cluster, meter, toString(sum(covered_ms)) AS covered, toString(sum(expected_ms)) AS expected
     FROM coverage FINAL
     WHERE hour >= toDateTime({first:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')
       AND (cluster, toUnixTimestamp(hour)) NOT IN (
         SELECT tupleElement(open, 1), toUInt32(tupleElement(open, 2)) FROM (
           SELECT arrayJoin(arrayZip({openClusters:Array(String)}, {openHours:Array(UInt32)})) AS open))
     GROUP BY cluster, meter HAVING sum(expected_ms) > 0 ORDER BY meter, cluster`,
    {
      ...{ first: periodStart(period) / 1000, end: periodEnd(period) / 1000 },
      openClusters: open.map(({ cluster }) => cluster),
      openHours: open.map(({ hour }) => hour / 1000),
    },
    options,
  );
  return rows.map(({ cluster, meter, covered, expected }) => ({
    ...{ cluster, meter, coveredMs: BigInt(covered), expectedMs: BigInt(expected) },
  }));
}
