/**
 * What a span gives, to the store: parts, what was measured, coverage, each unit of it replaced as a whole,
 * under one version that was taken before its inputs were read. Of two results that of the later reading
 * stays, whichever is written last.
 */
import { int128Column, type Column } from '../store/native-block.ts';
import type { KeptHours } from '../ledger/erasure/kept-hours.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { UnitUsage } from './convert.ts';
import type { MeterCoverage } from './coverage.ts';
import { spanParameters, type Span } from './span.ts';
import { insertUnitRows, timeColumns, type Written } from './unit-block.ts';
import type { UsagePart } from './usage-parts.ts';

export const UNITS = `cluster = {cluster:String}
  AND unit >= toDateTime({first:Int64}, 'UTC') AND unit <= toDateTime({last:Int64}, 'UTC')`;

interface PartOfUnit extends UsagePart {
  readonly unit: number;
}

/** What was computed of units, and what else of them stays as it is. */
export interface SpanUsage {
  readonly units: readonly UnitUsage[];
  readonly version: bigint;
  readonly kept: KeptHours;
}

/**
 * New rows of the units, and zeros where they gave something before and give nothing now; the hours of both.
 */
export async function writeParts(
  store: UsageStore,
  span: Span,
  { units, version, kept }: SpanUsage,
): Promise<Set<number>> {
  const current = units
    .flatMap(({ hour: unit, parts }) => parts.map((part) => ({ ...part, unit })))
    .filter((part) => kept.hasParts(part.hour));
  const keys = new Set(current.map(keyOf));
  const vanished = (await readPartKeys(store, span)).filter(
    (part) => !keys.has(keyOf(part)) && !kept.isFrozen(span.cluster, part.namespace, part.unit),
  );
  const parts = [...current, ...vanished];
  if (parts.length > 0) await insertParts(store, parts, { cluster: span.cluster, version });
  return new Set(parts.map((part) => part.hour));
}

function keyOf({ unit, hour, tenant, namespace, meter }: PartOfUnit): string {
  return `${unit} ${hour} ${meter} ${tenant}\n${namespace}`;
}

/** What the units gave something to before, as parts of nothing. */
async function readPartKeys(store: UsageStore, span: Span): Promise<PartOfUnit[]> {
  const rows = await store.rows<{
    unit_seconds: number;
    seconds: number;
    tenant: string;
    namespace: string;
    meter: string;
  }>(
    `SELECT DISTINCT toUnixTimestamp(unit) AS unit_seconds, toUnixTimestamp(hour) AS seconds,
       tenant, namespace, meter
     FROM usage_parts WHERE ${UNITS}`,
    spanParameters(span),
  );
  return rows.map(({ unit_seconds, seconds, tenant, namespace, meter }) => ({
    unit: unit_seconds * 1000,
    hour: seconds * 1000,
    tenant,
    namespace,
    meter,
    quarters: [0n, 0n, 0n, 0n],
    missingMs: 0n,
    samples: 0,
    flags: 0,
  }));
}

async function insertParts(store: UsageStore, parts: readonly PartOfUnit[], written: Written): Promise<void> {
  const text = (name: 'tenant' | 'namespace' | 'meter'): Column => ({
    name,
    type: 'String',
    data: parts.map((part) => part[name]),
  });
  const columns: Column[] = [
    ...[...timeColumns(parts), text('tenant'), text('namespace'), text('meter')],
    ...([0, 1, 2, 3] as const).map((i) =>
      int128Column(
        `q${i}`,
        parts.map(({ quarters }) => quarters[i]),
      ),
    ),
    int128Column(
      'missing_ms',
      parts.map((part) => part.missingMs),
    ),
    { name: 'samples', type: 'UInt64', data: BigUint64Array.from(parts, (part) => BigInt(part.samples)) },
    { name: 'flags', type: 'UInt32', data: Uint32Array.from(parts, (part) => part.flags) },
  ];
  await insertUnitRows(store, { table: 'usage_parts', rows: parts.length, columns }, written);
}

/**
 * Sums per hour and meter before owners are looked up, and zeros where there was something before. Of
 * namespaces that are frozen their parts are all that is known.
 */
export async function writeMeasured(
  store: UsageStore,
  span: Span,
  { units, version, kept }: SpanUsage,
): Promise<void> {
  const rows = new Map<string, { unit: number; hour: number; meter: string; quantity: bigint }>();
  const previous = await store.rows<{ unit_seconds: number; seconds: number; meter: string }>(
    `SELECT DISTINCT toUnixTimestamp(unit) AS unit_seconds, toUnixTimestamp(hour) AS seconds, meter
     FROM measured WHERE ${UNITS}`,
    spanParameters(span),
  );
  for (const { unit_seconds: unit, seconds: hour, meter } of previous)
    rows.set(`${unit} ${hour} ${meter}`, { unit, hour, meter, quantity: 0n });
  for (const { hour: unitMs, measured } of units) {
    for (const { hour: hourMs, meter, quantity } of measured) {
      if (!kept.hasParts(hourMs)) continue;
      const [unit, hour] = [unitMs / 1000, hourMs / 1000];
      rows.set(`${unit} ${hour} ${meter}`, { unit, hour, meter, quantity });
    }
  }
  for (const { unit, hour, meter, quantity } of await readFrozenSums(store, span, kept)) {
    const sum = rows.get(`${unit} ${hour} ${meter}`)?.quantity ?? 0n;
    rows.set(`${unit} ${hour} ${meter}`, { unit, hour, meter, quantity: sum + quantity });
  }
  await store.insert(
    'measured',
    [...rows.values()].map((row) => ({ ...row, cluster: span.cluster, version })),
  );
}

interface FrozenSum {
  readonly unit: number;
  readonly hour: number;
  readonly meter: string;
  readonly quantity: bigint;
}

/** No namespace is frozen in some hours of a span and not in others. */
async function readFrozenSums(store: UsageStore, span: Span, kept: KeptHours): Promise<FrozenSum[]> {
  const namespaces = kept.frozenNamespaces(span.cluster, span.first);
  if (namespaces.length === 0) return [];
  const rows = await store.rows<{ unit_seconds: number; seconds: number; meter: string; sum: string }>(
    `SELECT toUnixTimestamp(unit) AS unit_seconds, toUnixTimestamp(hour) AS seconds, meter,
       sum(toInt256(q0) + q1 + q2 + q3) AS sum
     FROM usage_parts FINAL WHERE ${UNITS} AND namespace IN {namespaces:Array(String)}
     GROUP BY unit_seconds, seconds, meter`,
    { ...spanParameters(span), namespaces },
  );
  return rows.map(({ unit_seconds: unit, seconds: hour, meter, sum }) => ({
    ...{ unit, hour, meter, quantity: BigInt(sum) },
  }));
}

export async function writeCoverage(
  store: UsageStore,
  cluster: string,
  written: { readonly coverage: readonly MeterCoverage[]; readonly version: bigint },
): Promise<void> {
  await store.insert(
    'coverage',
    written.coverage.map(({ hour, meter, coveredMs, expectedMs, quarters }) => ({
      ...{ cluster, hour: hour / 1000, meter },
      ...{ covered_ms: coveredMs, expected_ms: expectedMs },
      ...Object.fromEntries(quarters.map((quarter, i) => [`c${i}`, quarter.coveredMs])),
      ...Object.fromEntries(quarters.map((quarter, i) => [`e${i}`, quarter.expectedMs])),
      version: written.version,
    })),
  );
}
