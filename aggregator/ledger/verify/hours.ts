/**
 * Hours as the samples give them against the newest entries of the ledger, hash by hash. In a period that was
 * closed these are, after late samples, provisional corrections: the ledger has to say what the samples say
 * now, and the statements what it said then.
 */
import { decodedRows } from '../../store/row-binary.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { fingerprint, keyText, NO_QUARTERS, NOTHING, sameQuarters } from '../entry.ts';
import type { EntryKey, HourValue, Quarters } from '../entry.ts';
import {
  readCoverageOf,
  readPartsOf,
  valuesOf,
  type CurrentValue,
  type HourCoverage,
} from '../settled-hours.ts';
import { NOTHING_THERE, type Check } from './check.ts';
import { hourText, quartersText } from './figures.ts';
import type { Recomputation } from './recompute.ts';
import type { VerifyScope } from './scope.ts';
import { boundsOf, IN_PERIOD } from './units.ts';

const HOURS_AT_ONCE = 120;
/** What an entry says of a key that gives nothing any more. */
const NOTHING_HASH = fingerprint('nothing');

export interface HourChecks {
  readonly parts: Check;
  readonly usage: Check;
  readonly coverage: Check;
}

interface Entry extends EntryKey, HourValue {
  readonly inputHash: Buffer;
}

/** Of one cluster, all hours of the period that have their samples. */
export async function compareHours(
  store: UsageStore,
  cluster: string,
  compared: { readonly scope: VerifyScope; readonly recomputed: Recomputation; readonly checks: HourChecks },
): Promise<void> {
  const { recomputed, checks } = compared;
  const hours = await readKnownHours(store, cluster, compared);
  for (let i = 0; i < hours.length; i += HOURS_AT_ONCE) {
    const chunk = hours.slice(i, i + HOURS_AT_ONCE);
    const coverage = chunk.flatMap((hour) => recomputed.coverageOf(hour));
    await compareStoredCoverage(store, cluster, { chunk, recomputed, check: checks.parts });
    const stored = Map.groupBy(await readPartsOf(store, cluster, chunk), (part) => part.hour);
    const parts = chunk.flatMap((hour) => recomputed.corrected(hour, stored.get(hour) ?? []));
    const values = valuesOf(cluster, { parts, coverage });
    const entries = await readEntries(store, cluster, chunk);
    for (const key of new Set([...values.keys(), ...entries.keys()])) {
      const [value, entry] = [values.get(key), entries.get(key)];
      const judged = value ?? entry;
      if (judged === undefined) continue;
      const check = judged.tenant === '' ? checks.coverage : checks.usage;
      check.compare(isSame(value, entry), () => differenceOf(judged, value, entry), judged);
    }
  }
}

/** Those that were computed, and those of which something is stored. */
async function readKnownHours(
  store: UsageStore,
  cluster: string,
  { scope, recomputed }: { readonly scope: VerifyScope; readonly recomputed: Recomputation },
): Promise<number[]> {
  const rows = await store.rows<{ seconds: number }>(
    `SELECT DISTINCT toUnixTimestamp(hour) AS seconds FROM (
       SELECT hour FROM ledger WHERE cluster = {cluster:String} AND ${IN_PERIOD}
       UNION ALL SELECT hour FROM usage_parts WHERE cluster = {cluster:String} AND ${IN_PERIOD}
       UNION ALL SELECT hour FROM coverage WHERE cluster = {cluster:String} AND ${IN_PERIOD})`,
    { cluster, ...boundsOf(scope) },
  );
  const stored = rows.map((row) => row.seconds * 1000).filter((hour) => hour >= scope.firstWithSamples);
  return [...new Set([...recomputed.hours, ...stored])].sort((a, b) => a - b);
}

function isSame(value: CurrentValue | undefined, entry: Entry | undefined): boolean {
  if (entry === undefined) return value === undefined;
  const { inputHash, ...expected } = value ?? { ...NOTHING, inputHash: NOTHING_HASH };
  return (
    inputHash.equals(entry.inputHash) &&
    sameQuarters(expected.quarters, entry.quarters) &&
    expected.missingMs === entry.missingMs &&
    expected.samples === entry.samples &&
    expected.flags === entry.flags &&
    expected.coveredMs === entry.coveredMs &&
    expected.expectedMs === entry.expectedMs
  );
}

function differenceOf(
  key: EntryKey,
  value: CurrentValue | undefined,
  entry: Entry | undefined,
): { what: string; recomputed: string; stored: string } {
  const { cluster, hour, tenant, namespace, meter } = key;
  const whose = tenant === '' ? `coverage of ${cluster}` : `usage of ${cluster}`;
  const owner = tenant === '' ? '' : ` ${tenant}/${namespace}`;
  return {
    what: `${whose} ${hourText(hour)}${owner} ${meter}`,
    recomputed: valueText(value),
    stored: valueText(entry),
  };
}

function valueText(value: Entry | undefined): string {
  if (value === undefined) return NOTHING_THERE;
  const { coveredMs, expectedMs, tenant, inputHash } = value;
  const covered = `${coveredMs} of ${expectedMs} ms covered`;
  const figures = tenant === '' ? covered : `${quartersText(value)}, ${covered}`;
  return `${figures}, input ${inputHash.toString('hex')}`;
}

async function compareStoredCoverage(
  store: UsageStore,
  cluster: string,
  compared: { readonly chunk: readonly number[]; readonly recomputed: Recomputation; readonly check: Check },
): Promise<void> {
  const { chunk, recomputed, check } = compared;
  const stored = new Map(
    (await readCoverageOf(store, cluster, chunk)).map((row) => [`${row.hour} ${row.meter}`, row]),
  );
  const computed = new Map(
    chunk.flatMap((hour) => recomputed.coverageOf(hour)).map((row) => [`${row.hour} ${row.meter}`, row]),
  );
  for (const key of new Set([...stored.keys(), ...computed.keys()])) {
    const [was, is] = [stored.get(key), computed.get(key)];
    const row = is ?? was;
    if (row === undefined) continue;
    const text = (side: typeof row | undefined): string =>
      side === undefined ? NOTHING_THERE : coverageText(side);
    const isEqual = isSameCoverage(was ?? NO_COVERAGE, is ?? NO_COVERAGE);
    const what = `stored coverage of ${cluster} ${hourText(row.hour)} ${row.meter}`;
    check.compare(isEqual, () => ({ what, recomputed: text(is), stored: text(was) }), {
      cluster,
      hour: row.hour,
    });
  }
}

type CoverageFigures = Omit<HourCoverage, 'hour' | 'meter'>;

/** A row of nothing and no row say the same. */
const NO_COVERAGE: CoverageFigures = {
  ...{ coveredMs: 0n, expectedMs: 0n, coveredQuarters: NO_QUARTERS, expectedQuarters: NO_QUARTERS },
};

function isSameCoverage(stored: CoverageFigures, computed: CoverageFigures): boolean {
  const isSplitAsComputed =
    sameQuarters(stored.coveredQuarters, computed.coveredQuarters) &&
    sameQuarters(stored.expectedQuarters, computed.expectedQuarters);
  // What was rolled up before there were quarters has each of them alike (`010_coverage_quarters.sql`).
  const isSplitAlike =
    sameQuarters(stored.coveredQuarters, splitAlike(stored.coveredMs)) &&
    sameQuarters(stored.expectedQuarters, splitAlike(stored.expectedMs));
  return (
    stored.coveredMs === computed.coveredMs &&
    stored.expectedMs === computed.expectedMs &&
    (isSplitAsComputed || isSplitAlike)
  );
}

function splitAlike(ms: bigint): Quarters {
  return [ms - 3n * (ms / 4n), ms / 4n, ms / 4n, ms / 4n];
}

function coverageText({ coveredMs, expectedMs, coveredQuarters, expectedQuarters }: CoverageFigures): string {
  const quarters = coveredQuarters.map((covered, i) => `${covered}/${String(expectedQuarters[i])}`).join(' ');
  return `${coveredMs} of ${expectedMs} ms covered (${quarters})`;
}

/** The newest of each key, as it stands. */
async function readEntries(
  store: UsageStore,
  cluster: string,
  hours: readonly number[],
): Promise<Map<string, Entry>> {
  const chunks = store.rowBinary(
    `SELECT toUnixTimestamp(hour) AS h, toString(tenant) AS owner, toString(namespace) AS ns,
       toString(meter) AS m,
       argMax(q0, seq), argMax(q1, seq), argMax(q2, seq), argMax(q3, seq), argMax(missing_ms, seq),
       argMax(samples, seq), argMax(flags, seq), argMax(covered_ms, seq), argMax(expected_ms, seq),
       argMax(input_hash, seq)
     FROM ledger
     WHERE cluster = {cluster:String} AND kind IN ('usage', 'correction', 'coverage') AND NOT final
       AND hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
     GROUP BY h, owner, ns, m`,
    { cluster, first: Math.min(...hours) / 1000, last: Math.max(...hours) / 1000 },
  );
  const entries = new Map<string, Entry>();
  const decoded = decodedRows(chunks, (cursor) => ({
    ...{ hour: cursor.uint32() * 1000, cluster },
    ...{ tenant: cursor.string(), namespace: cursor.string(), meter: cursor.string() },
    quarters: [cursor.int128(), cursor.int128(), cursor.int128(), cursor.int128()] as Quarters,
    ...{ missingMs: cursor.int128(), samples: cursor.uint64(), flags: cursor.uint32() },
    ...{ coveredMs: cursor.uint64(), expectedMs: cursor.uint64() },
    inputHash: Buffer.from(cursor.fixed(16)),
  }));
  for await (const batch of decoded) for (const entry of batch) entries.set(keyText(entry), entry);
  return entries;
}
