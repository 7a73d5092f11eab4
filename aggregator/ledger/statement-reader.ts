/**
 * The statements of a period, from the ledger alone: the value of every hour as of the close's place in it,
 * and the corrections of earlier periods since the close before. Read tenant by tenant in buckets, so a month
 * of many tenants does not have to fit in memory.
 */
import { periodEnd, periodName, periodStart, type Period } from '../../core/metering/period.ts';
import { decodedRows, type RowCursor } from '../store/row-binary.ts';
import type { ReadOptions, UsageStore } from '../store/usage-store.ts';
import {
  correctionId,
  quantityOf,
  quartersFrom,
  sameQuarters,
  type EntryKey,
  type Quarters,
} from './entry.ts';
import type { CorrectionLine, CoverageLine, Statement, StatementLine, WaiverLine } from './statement.ts';
import { hoursHasher } from './statements/canonical.ts';

export interface StatementScope {
  readonly period: Period;
  /** The newest ledger entry that belongs to the cut, and to the cut before. */
  readonly upTo: bigint;
  readonly after: bigint;
  readonly ruleVersion: number;
  readonly settingsHash: string;
  readonly previousCloseHash: string;
  readonly waivers: readonly WaiverLine[];
}

/** A correction with its quarters, as it is fixed in the ledger. */
export interface FixedCorrection extends EntryKey {
  readonly before: Quarters;
  readonly after: Quarters;
  readonly revision: number;
}

/** Hours that are aggregated in one statement. */
const ROWS_PER_BUCKET = 500_000;

/** Sorted by tenant within a bucket; every tenant comes once. */
export async function* readStatements(
  store: UsageStore,
  scope: StatementScope,
): AsyncGenerator<Statement, void> {
  const corrections = Map.groupBy(await readCorrections(store, scope), (correction) => correction.tenant);
  const coverage = await readCoverageLines(store, scope);
  const buckets = await bucketsOf(store, scope);
  const seen = new Set<string>();
  for (let bucket = 0; bucket < buckets; bucket++) {
    for await (const [tenant, lines] of linesByTenant(store, scope, { bucket, buckets })) {
      seen.add(tenant);
      yield statementOf(tenant, scope, { lines, corrections: corrections.get(tenant) ?? [], coverage });
    }
  }
  for (const [tenant, only] of corrections) {
    if (!seen.has(tenant)) yield statementOf(tenant, scope, { lines: [], corrections: only, coverage });
  }
}

/** Which corrections are looked for. */
export interface CorrectionScope extends Pick<StatementScope, 'after' | 'upTo'> {
  /** Of this one alone. */
  readonly tenant?: string;
}

/** Values of closed hours that changed between the two cuts; those that changed back are left out. */
export async function readCorrections(
  store: UsageStore,
  scope: CorrectionScope,
  options?: ReadOptions,
): Promise<FixedCorrection[]> {
  const rows = await store.rows<CorrectionRow>(
    `SELECT toUnixTimestamp(hour) AS seconds, cluster, tenant, namespace, meter, max(revision) AS newest,
       argMax([p0, p1, p2, p3], seq) AS before, argMax([q0, q1, q2, q3], seq) AS after
     FROM ledger
     WHERE kind = 'correction' AND NOT final AND seq > {after:UInt64} AND seq <= {upTo:UInt64}
       AND ({tenant:String} = '' OR tenant = {tenant:String})
     GROUP BY seconds, cluster, tenant, namespace, meter
     ORDER BY seconds, meter, cluster, namespace, tenant`,
    { after: scope.after, upTo: scope.upTo, tenant: scope.tenant ?? '' },
    options,
  );
  return rows
    .map((row) => ({
      ...{ hour: row.seconds * 1000, cluster: row.cluster, tenant: row.tenant },
      ...{ namespace: row.namespace, meter: row.meter, revision: row.newest },
      before: quartersFrom(row.before),
      after: quartersFrom(row.after),
    }))
    .filter(({ before, after }) => !sameQuarters(before, after));
}

interface CorrectionRow {
  readonly seconds: number;
  readonly cluster: string;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  readonly newest: number;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

function statementOf(
  tenant: string,
  scope: StatementScope,
  parts: {
    lines: readonly StatementLine[];
    corrections: readonly FixedCorrection[];
    coverage: readonly CoverageLine[];
  },
): Statement {
  const { period, ruleVersion, settingsHash, previousCloseHash, waivers } = scope;
  const clusters = new Set([...parts.lines, ...parts.corrections].map((line) => line.cluster));
  return {
    ...{ period: periodName(period), tenant, ruleVersion, settingsHash, previousCloseHash, waivers },
    coverage: parts.coverage.filter((line) => clusters.has(line.cluster)),
    lines: parts.lines,
    corrections: parts.corrections.map((correction) => correctionLine(period, correction)),
  };
}

export function correctionLine(period: Period, correction: FixedCorrection): CorrectionLine {
  const { hour, cluster, namespace, meter, before, after } = correction;
  const id = correctionId(period, correction).toString('hex');
  return { id, hour, cluster, namespace, meter, before: quantityOf(before), after: quantityOf(after) };
}

async function readCoverageLines(store: UsageStore, scope: StatementScope): Promise<CoverageLine[]> {
  const rows = await store.rows<{ cluster: string; meter: string; covered: string; expected: string }>(
    `SELECT cluster, meter, sum(c) AS covered, sum(e) AS expected FROM (
       SELECT cluster, meter, hour, argMax(covered_ms, seq) AS c, argMax(expected_ms, seq) AS e
       FROM ledger WHERE kind = 'coverage' AND ${IN_PERIOD} GROUP BY cluster, meter, hour
     ) GROUP BY cluster, meter HAVING expected > 0 ORDER BY meter, cluster`,
    periodParameters(scope),
  );
  return rows.map(({ cluster, meter, covered, expected }) => ({
    ...{ cluster, meter, coveredMs: BigInt(covered), expectedMs: BigInt(expected) },
  }));
}

const IN_PERIOD = `toYYYYMM(hour) = {period:UInt32} AND seq <= {upTo:UInt64}
  AND hour >= toDateTime({first:Int64}, 'UTC') AND hour < toDateTime({end:Int64}, 'UTC')`;

function periodParameters({ period, upTo }: Pick<StatementScope, 'period' | 'upTo'>): {
  period: number;
  upTo: bigint;
  first: number;
  end: number;
} {
  return { period, upTo, first: periodStart(period) / 1000, end: periodEnd(period) / 1000 };
}

async function bucketsOf(store: UsageStore, scope: StatementScope): Promise<number> {
  const [row] = await store.rows<{ n: string }>(
    `SELECT count() AS n FROM ledger WHERE kind IN ('usage', 'correction') AND ${IN_PERIOD}`,
    periodParameters(scope),
  );
  return Math.ceil(Number(row?.n ?? 0) / ROWS_PER_BUCKET);
}

interface HourRow {
  readonly tenant: string;
  readonly meter: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly hour: number;
  readonly quarters: Quarters;
  readonly missingMs: bigint;
  readonly samples: bigint;
  readonly flags: number;
}

async function* linesByTenant(
  store: UsageStore,
  scope: StatementScope,
  part: { readonly bucket: number; readonly buckets: number },
): AsyncGenerator<[tenant: string, lines: StatementLine[]], void> {
  const chunks = store.rowBinary(
    `SELECT toString(tenant), toString(meter), toString(cluster), toString(namespace), toUnixTimestamp(hour),
       argMax(q0, seq) AS v0, argMax(q1, seq) AS v1, argMax(q2, seq) AS v2, argMax(q3, seq) AS v3,
       argMax(missing_ms, seq) AS missing, argMax(samples, seq) AS n, argMax(flags, seq) AS f
     FROM ledger
     WHERE kind IN ('usage', 'correction') AND NOT final AND ${IN_PERIOD}
       AND cityHash64(tenant) % {buckets:UInt32} = {bucket:UInt32}
     GROUP BY tenant, meter, cluster, namespace, hour
     HAVING v0 != 0 OR v1 != 0 OR v2 != 0 OR v3 != 0 OR missing != 0 OR n != 0 OR f != 0
     ORDER BY tenant, meter, cluster, namespace, hour`,
    { ...periodParameters(scope), ...part },
  );
  let [tenant, lines] = ['', [] as StatementLine[]];
  for await (const [first, line] of linesOf(decodedRows(chunks, hourRow))) {
    if (first.tenant !== tenant && lines.length > 0) {
      yield [tenant, lines];
      lines = [];
    }
    tenant = first.tenant;
    lines.push(line);
  }
  if (lines.length > 0) yield [tenant, lines];
}

/** Of one row: the key, the hour, quarters, missing ms, samples and flags. */
function hourRow(cursor: RowCursor): HourRow {
  return {
    tenant: cursor.string(),
    meter: cursor.string(),
    cluster: cursor.string(),
    namespace: cursor.string(),
    hour: cursor.uint32() * 1000,
    quarters: [cursor.int128(), cursor.int128(), cursor.int128(), cursor.int128()],
    missingMs: cursor.int128(),
    samples: cursor.uint64(),
    flags: cursor.uint32(),
  };
}

/** Hours of one (tenant, meter, cluster, namespace), which follow each other, summed up. */
async function* linesOf(
  batches: AsyncIterable<readonly HourRow[]>,
): AsyncGenerator<[first: HourRow, line: StatementLine], void> {
  let sum: LineSum | undefined;
  for await (const rows of batches) {
    for (const row of rows) {
      if (sum?.take(row) === true) continue;
      if (sum !== undefined) yield [sum.first, sum.line()];
      sum = new LineSum(row);
    }
  }
  if (sum !== undefined) yield [sum.first, sum.line()];
}

class LineSum {
  readonly first: HourRow;
  readonly #hash = hoursHasher();
  #quantity = 0n;
  #missingMs = 0n;
  #samples = 0n;
  #hours = 0;
  #flags = 0;

  constructor(first: HourRow) {
    this.first = first;
    this.take(first);
  }

  /** False if the row is of another line. */
  take(row: HourRow): boolean {
    const { tenant, meter, cluster, namespace } = this.first;
    if (row.namespace !== namespace || row.cluster !== cluster) return false;
    if (row.meter !== meter || row.tenant !== tenant) return false;
    this.#hash.add(row);
    this.#quantity += quantityOf(row.quarters);
    this.#missingMs += row.missingMs;
    this.#samples += row.samples;
    this.#hours++;
    this.#flags |= row.flags;
    return true;
  }

  line(): StatementLine {
    const { cluster, namespace, meter } = this.first;
    return {
      ...{ cluster, namespace, meter, quantity: this.#quantity, hours: this.#hours, flags: this.#flags },
      ...{ missingMs: this.#missingMs, samples: this.#samples, hoursHash: this.#hash.digest() },
    };
  }
}
