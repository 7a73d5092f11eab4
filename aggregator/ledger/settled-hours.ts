/**
 * What the roll-up says of hours now: per key the sum over the units that give to them, with what it is made
 * of. Whoever has such parts from elsewhere (`verify` computes them anew) makes values and hashes of them by
 * `valuesOf`.
 */
import { decodedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import {
  fingerprint,
  keyText,
  NOTHING,
  quartersFrom,
  RULE_VERSION,
  type EntryKey,
  type HourValue,
  type Quarters,
} from './entry.ts';

export interface CurrentValue extends EntryKey, HourValue {
  /** Of an hour, cluster and meter, without a tenant. */
  readonly isCoverage: boolean;
  readonly inputHash: Buffer;
}

/** What a unit gives to an hour of a key. */
export interface GivenPart extends Omit<EntryKey, 'cluster'> {
  /** Start of the unit's hour, ms. */
  readonly unit: number;
  readonly quarters: Quarters;
  readonly missingMs: bigint;
  readonly samples: bigint;
  readonly flags: number;
}

export interface HourCoverage extends Pick<HourValue, 'coveredMs' | 'expectedMs'> {
  readonly hour: number;
  readonly meter: string;
  /** What of it lies in each quarter. */
  readonly coveredQuarters: Quarters;
  readonly expectedQuarters: Quarters;
}

/** By `keyText`. Keys that give nothing are absent, whether they once gave something or not. */
export async function readHours(
  store: UsageStore,
  cluster: string,
  hours: readonly number[],
): Promise<Map<string, CurrentValue>> {
  const coverage = await readCoverageOf(store, cluster, hours);
  const parts = await readPartsOf(store, cluster, hours);
  return valuesOf(cluster, { parts, coverage });
}

/** The same, of parts in any order. */
export function valuesOf(
  cluster: string,
  given: { readonly parts: readonly GivenPart[]; readonly coverage: readonly HourCoverage[] },
): Map<string, CurrentValue> {
  const values = new Map<string, CurrentValue>();
  const covered = new Map<string, HourCoverage>();
  for (const row of given.coverage) {
    covered.set(coverageKey(row), row);
    const value = coverageValue(cluster, row);
    if (value.expectedMs > 0n) values.set(keyText(value), value);
  }
  const byKey = Map.groupBy(given.parts, (part) => keyText({ ...part, cluster }));
  for (const [key, parts] of byKey) {
    const [first] = parts;
    if (first === undefined) continue;
    parts.sort((a, b) => a.unit - b.unit);
    values.set(key, usageValue({ ...first, cluster }, parts, covered.get(coverageKey(first)) ?? NOTHING));
  }
  return values;
}

function coverageKey({ hour, meter }: Pick<HourCoverage, 'hour' | 'meter'>): string {
  return `${hour} ${meter}`;
}

/** An hour gets parts from itself and later units; `hour` leads the partitions. */
const IN_HOURS = `cluster = {cluster:String}
  AND hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
  AND toUnixTimestamp(hour) IN {hours:Array(UInt32)}`;

export async function readCoverageOf(
  store: UsageStore,
  cluster: string,
  hours: readonly number[],
): Promise<HourCoverage[]> {
  const rows = await store.rows<CoverageRow>(
    `SELECT toUnixTimestamp(hour) AS seconds, meter, covered_ms, expected_ms,
       arrayMap(x -> toString(x), [c0, c1, c2, c3]) AS covered,
       arrayMap(x -> toString(x), [e0, e1, e2, e3]) AS expected
     FROM coverage FINAL WHERE ${IN_HOURS} ORDER BY seconds, meter`,
    hoursParameters(cluster, hours),
  );
  return rows.map((row) => ({
    ...{ hour: row.seconds * 1000, meter: row.meter },
    ...{ coveredMs: BigInt(row.covered_ms), expectedMs: BigInt(row.expected_ms) },
    ...{ coveredQuarters: quartersFrom(row.covered), expectedQuarters: quartersFrom(row.expected) },
  }));
}

interface CoverageRow {
  readonly seconds: number;
  readonly meter: string;
  readonly covered_ms: string;
  readonly expected_ms: string;
  readonly covered: readonly string[];
  readonly expected: readonly string[];
}

/** Parts that say something, by unit. */
export async function readPartsOf(
  store: UsageStore,
  cluster: string,
  hours: readonly number[],
): Promise<GivenPart[]> {
  return await readParts(store, IN_HOURS, hoursParameters(cluster, hours));
}

function hoursParameters(
  cluster: string,
  hours: readonly number[],
): { cluster: string; hours: number[]; first: number; last: number } {
  const seconds = hours.map((hour) => hour / 1000);
  return { cluster, hours: seconds, first: Math.min(...seconds), last: Math.max(...seconds) };
}

/** `which`: a condition on `usage_parts`. Rows that say nothing are left out. */
export async function readParts(
  store: UsageStore,
  which: string,
  parameters: Readonly<Record<string, string | number | readonly number[]>>,
): Promise<GivenPart[]> {
  const chunks = store.rowBinary(
    `SELECT toUnixTimestamp(unit) AS u, toUnixTimestamp(hour) AS h, toString(tenant), toString(namespace),
       toString(meter), q0, q1, q2, q3, missing_ms, samples, flags
     FROM usage_parts FINAL
     WHERE ${which} AND tenant != ''
       AND (q0 != 0 OR q1 != 0 OR q2 != 0 OR q3 != 0 OR missing_ms != 0 OR samples != 0 OR flags != 0)
     ORDER BY u, h`,
    parameters,
  );
  const parts: GivenPart[] = [];
  const decoded = decodedRows(chunks, (cursor) => ({
    ...{ unit: cursor.uint32() * 1000, hour: cursor.uint32() * 1000 },
    ...{ tenant: cursor.string(), namespace: cursor.string(), meter: cursor.string() },
    quarters: [cursor.int128(), cursor.int128(), cursor.int128(), cursor.int128()] as const,
    ...{ missingMs: cursor.int128(), samples: cursor.uint64(), flags: cursor.uint32() },
  }));
  for await (const batch of decoded) for (const part of batch) parts.push(part);
  return parts;
}

function coverageValue(cluster: string, { hour, meter, coveredMs, expectedMs }: HourCoverage): CurrentValue {
  return {
    ...NOTHING,
    ...{ hour, cluster, tenant: '', namespace: '', meter },
    ...{ coveredMs, expectedMs, isCoverage: true },
    inputHash: fingerprint(RULE_VERSION, 'coverage', coveredMs, expectedMs),
  };
}

/** What units give to an hour of a key, together. */
export function sumOfParts(
  parts: readonly GivenPart[],
): Pick<HourValue, 'quarters' | 'missingMs' | 'samples' | 'flags'> {
  const quarters: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
  let [missingMs, samples, flags] = [0n, 0n, 0];
  for (const part of parts) {
    part.quarters.forEach((quarter, i) => (quarters[i as 0 | 1 | 2 | 3] += quarter));
    missingMs += part.missingMs;
    samples += part.samples;
    flags |= part.flags;
  }
  return { quarters, missingMs, samples, flags };
}

/** The hash is over what each unit gives and over the coverage: not over who gave it when, or how often. */
function usageValue(
  { hour, cluster, tenant, namespace, meter }: EntryKey,
  parts: readonly GivenPart[],
  { coveredMs, expectedMs }: Pick<HourValue, 'coveredMs' | 'expectedMs'>,
): CurrentValue {
  const made = parts.flatMap((part) => [
    ...[part.unit / 1000, ...part.quarters, part.missingMs, part.samples, part.flags],
  ]);
  return {
    ...{ hour, cluster, tenant, namespace, meter },
    ...sumOfParts(parts),
    ...{ coveredMs, expectedMs, isCoverage: false },
    inputHash: fingerprint(RULE_VERSION, ...made, coveredMs, expectedMs),
  };
}
