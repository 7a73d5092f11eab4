/**
 * What the usage of a span is of, to the store, beside its parts and like them: each unit replaced as a whole
 * under its version, with zeros where it gave something before. It is written before the parts, so whoever
 * finds parts of a version finds their details.
 */
import { int128Column, type Column } from '../store/native-block.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { spanParameters, type Span } from './span.ts';
import { insertUnitRows, timeColumns, type Written } from './unit-block.ts';
import type { UsageDetail } from './usage-parts.ts';
import { UNITS, type SpanUsage } from './usage-writer.ts';

interface DetailOfUnit extends UsageDetail {
  readonly unit: number;
}

const NAMES = ['tenant', 'namespace', 'meter', 'workload', 'destination', 'storageClass'] as const;

export async function writeDetails(
  store: UsageStore,
  span: Span,
  { units, version, kept }: SpanUsage,
): Promise<void> {
  const { cluster } = span;
  const current = units
    .flatMap(({ hour: unit, details }) => details.map((detail) => ({ ...detail, unit })))
    .filter(({ hour, namespace }) => kept.hasParts(hour) && !kept.isErased(cluster, namespace, hour));
  const keys = new Set(current.map(keyOf));
  const vanished = (await readDetailKeys(store, span)).filter(
    (detail) => !keys.has(keyOf(detail)) && !kept.isFrozen(cluster, detail.namespace, detail.unit),
  );
  const details = [...current, ...vanished];
  if (details.length > 0) await insertDetails(store, details, { cluster, version });
}

function keyOf(detail: DetailOfUnit): string {
  return `${detail.unit} ${detail.hour} ${NAMES.map((name) => detail[name]).join('\n')}`;
}

/** What the units gave something to before, as details of nothing. */
async function readDetailKeys(store: UsageStore, span: Span): Promise<DetailOfUnit[]> {
  const rows = await store.rows<
    Omit<DetailOfUnit, 'unit' | 'hour' | 'quarters'> & { unit_seconds: number; seconds: number }
  >(
    `SELECT DISTINCT toUnixTimestamp(unit) AS unit_seconds, toUnixTimestamp(hour) AS seconds,
       tenant, namespace, meter, workload, destination, storage_class AS storageClass
     FROM detail_parts WHERE ${UNITS}`,
    spanParameters(span),
  );
  return rows.map(({ unit_seconds, seconds, ...names }) => ({
    ...names,
    ...{ unit: unit_seconds * 1000, hour: seconds * 1000 },
    quarters: [0n, 0n, 0n, 0n],
  }));
}

async function insertDetails(
  store: UsageStore,
  details: readonly DetailOfUnit[],
  written: Written,
): Promise<void> {
  const columns: Column[] = [
    ...timeColumns(details),
    ...NAMES.map((name): Column => ({
      name: name === 'storageClass' ? 'storage_class' : name,
      type: 'String',
      data: details.map((detail) => detail[name]),
    })),
    ...([0, 1, 2, 3] as const).map((i) =>
      int128Column(
        `q${i}`,
        details.map(({ quarters }) => quarters[i]),
      ),
    ),
  ];
  await insertUnitRows(store, { table: 'detail_parts', rows: details.length, columns }, written);
}
