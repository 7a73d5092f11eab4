/**
 * What a statement would say if its period were closed now, of one tenant. In: the hours that are settled, as
 * queries read them, and the corrections since the last close. Out: a statement without hashes, for nobody is
 * billed by it: hours go on, and settled ones may change until the close.
 */
import { periodEnd, periodName, periodStart, type Period } from '../../core/metering/period.ts';
import { decodedRows } from '../store/row-binary.ts';
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';
import { readLastClose } from './decisions.ts';
import { openHours } from './hour-marks.ts';
import type { CorrectionLine, CoverageLine, ProvisionalStatement, StatementLine } from './statement.ts';
import { correctionLine, hourRow, linesOf, readCorrections } from './statement-reader.ts';

const LAST_SEQ = (1n << 64n) - 1n;

/** Of a period that is not closed. */
export async function readProvisional(
  store: UsageStore,
  { period, tenant }: { readonly period: Period; readonly tenant: string },
  options: ReadOptions,
): Promise<ProvisionalStatement> {
  const lines = await readLines(store, { period, tenant }, options);
  const corrections = await readOpenCorrections(store, { period, tenant }, options);
  const clusters = new Set([...lines, ...corrections].map((line) => line.cluster));
  const coverage = await readCoverage(store, { period, clusters: [...clusters] }, options);
  return { period: periodName(period), tenant, coverage, lines, corrections };
}

async function readLines(
  store: UsageStore,
  { period, tenant }: { readonly period: Period; readonly tenant: string },
  options: ReadOptions,
): Promise<StatementLine[]> {
  const chunks = store.rowBinary(
    `SELECT toString(tenant), toString(meter), toString(cluster), toString(namespace),
       toUnixTimestamp(hour) AS h, q0, q1, q2, q3, missing_ms, samples, flags
     FROM usage_current FINAL
     WHERE tenant = {tenant:String} AND hour >= toDateTime({first:Int64}, 'UTC')
       AND hour < toDateTime({end:Int64}, 'UTC')
       AND (q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0 OR samples != 0 OR flags != 0)
     ORDER BY meter, cluster, namespace, h`,
    { tenant, first: periodStart(period) / 1000, end: periodEnd(period) / 1000 },
    options,
  );
  const lines: StatementLine[] = [];
  for await (const [, line] of linesOf(decodedRows(chunks, hourRow))) lines.push(line);
  return lines;
}

/** Since the last close; they belong to the period that closes next. */
async function readOpenCorrections(
  store: UsageStore,
  { period, tenant }: { readonly period: Period; readonly tenant: string },
  options: ReadOptions,
): Promise<CorrectionLine[]> {
  const last = await readLastClose(store, options);
  if (last === undefined || periodStart(period) !== periodEnd(last.period)) return [];
  const found = await readCorrections(store, { after: last.upTo, upTo: LAST_SEQ, tenant }, options);
  return found.map((correction) => correctionLine(period, correction));
}

/** Hours that are still to be settled are in no line either. */
async function readCoverage(
  store: UsageStore,
  { period, clusters }: { readonly period: Period; readonly clusters: readonly string[] },
  options: ReadOptions,
): Promise<CoverageLine[]> {
  const open = (await openHours(store, options)).filter(({ cluster }) => clusters.includes(cluster));
  const rows = await store.rows<{ cluster: string; meter: string; covered: string; expected: string }>(
    `SELECT cluster, meter, toString(sum(covered_ms)) AS covered, toString(sum(expected_ms)) AS expected
     FROM coverage FINAL
     WHERE cluster IN {clusters:Array(String)} AND hour >= toDateTime({first:Int64}, 'UTC')
       AND hour < toDateTime({end:Int64}, 'UTC')
       AND (cluster, toUnixTimestamp(hour)) NOT IN (
         SELECT tupleElement(open, 1), toUInt32(tupleElement(open, 2)) FROM (
           SELECT arrayJoin(arrayZip({openClusters:Array(String)}, {openHours:Array(UInt32)})) AS open))
     GROUP BY cluster, meter HAVING sum(expected_ms) > 0 ORDER BY meter, cluster`,
    {
      ...{ clusters, first: periodStart(period) / 1000, end: periodEnd(period) / 1000 },
      openClusters: open.map(({ cluster }) => cluster),
      openHours: open.map(({ hour }) => hour / 1000),
    },
    options,
  );
  return rows.map(({ cluster, meter, covered, expected }) => ({
    ...{ cluster, meter, coveredMs: BigInt(covered), expectedMs: BigInt(expected) },
  }));
}
