/**
 * The state of series after an hour: read as the start of a later one, written when the hour is rolled up for
 * good.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import { blockStructure, nativeBlock, type Column } from '../store/native-block.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import type { Closing } from './series-fold.ts';
import { IN_UNIT, unitParameters, type SeriesKey, type Unit } from './unit-key.ts';

/** series 16, t 8, value 8, known 1 */
const ROW_BYTES = 33;
/**
 * How many hours back to look, each only for the series not found so far: almost all have a closing an hour
 * ago.
 */
const REACHES_HOURS = [2, 50, Infinity] as const;

const NEWEST = `SELECT series, argMax(t, place), argMax(value, place), argMax(known, place)
  FROM (SELECT series, t, value, known, (hour, version) AS place FROM closings WHERE `;

/**
 * The newest closing of each series of the unit before it; series that are new have none and are not looked
 * for.
 */
export async function readClosingsBefore(
  store: UsageStore,
  unit: Unit,
  wanted: { readonly series: ReadonlyMap<SeriesKey, unknown>; readonly isNew: (key: SeriesKey) => boolean },
): Promise<Map<SeriesKey, Closing>> {
  const found = new Map<SeriesKey, Closing>();
  let missing = 0;
  for (const key of wanted.series.keys()) if (!wanted.isNew(key)) missing++;
  let until = unit.hour;
  for (const reach of REACHES_HOURS) {
    if (missing === found.size) break;
    const from = Math.max(0, unit.hour - reach * HOUR_MS);
    const chunks = store.rowBinary(
      `${NEWEST} cluster = {cluster:String}
         AND hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({until:Int64}, 'UTC')
         AND series IN (SELECT series FROM samples WHERE ${IN_UNIT})) GROUP BY series`,
      { ...unitParameters(unit), from: from / 1000, until: until / 1000 },
    );
    for await (const [key, closing] of closings(chunks)) {
      if (wanted.series.has(key) && !wanted.isNew(key) && !found.has(key)) found.set(key, closing);
    }
    until = from;
  }
  return found;
}

/** The closings of this very hour, as they were when it was last rolled up. */
export async function readClosingsOf(store: UsageStore, unit: Unit): Promise<Map<SeriesKey, Closing>> {
  const chunks = store.rowBinary(`${NEWEST} ${IN_UNIT}) GROUP BY series`, unitParameters(unit));
  const found = new Map<SeriesKey, Closing>();
  for await (const [key, closing] of closings(chunks)) found.set(key, closing);
  return found;
}

async function* closings(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<[SeriesKey, Closing]> {
  for await (const { bytes, view } of fixedRows(chunks, ROW_BYTES)) {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < buffer.length; at += ROW_BYTES) {
      yield [
        buffer.toString('latin1', at, at + 16),
        {
          t: Number(view.getBigInt64(at + 16, true)),
          value: view.getBigInt64(at + 24, true),
          known: view.getUint8(at + 32) === 1,
        },
      ];
    }
  }
}

export async function writeClosings(
  store: UsageStore,
  unit: Unit,
  written: { readonly closings: ReadonlyMap<SeriesKey, Closing>; readonly version: bigint },
): Promise<void> {
  const entries = [...written.closings];
  if (entries.length === 0) return;
  const series = new Uint8Array(entries.length * 16);
  entries.forEach(([key], i) => series.set(Buffer.from(key, 'latin1'), i * 16));
  const columns: Column[] = [
    { name: 'series', type: 'FixedString(16)', data: series },
    { name: 't', type: 'Int64', data: BigInt64Array.from(entries, ([, closing]) => BigInt(closing.t)) },
    { name: 'value', type: 'Int64', data: BigInt64Array.from(entries, ([, closing]) => closing.value) },
    { name: 'known', type: 'UInt8', data: Uint8Array.from(entries, ([, closing]) => Number(closing.known)) },
  ];
  await store.insertBlock({
    table: 'closings',
    columns: ['cluster', 'hour', 'series', 't', 'value', 'known', 'version'],
    structure: blockStructure(columns),
    select: [
      '{cluster:String}',
      "toDateTime({hour:Int64}, 'UTC')",
      'series',
      't',
      'value',
      'known',
      '{version:UInt64}',
    ],
    parameters: { ...unitParameters(unit), version: written.version },
    block: nativeBlock(entries.length, columns),
  });
}

/** Hours in which the given series go on after this unit: what a changed closing changes. */
export async function nextHours(
  store: UsageStore,
  unit: Unit,
  series: readonly SeriesKey[],
): Promise<Set<number>> {
  const CHUNK = 2_000;
  const hours = new Set<number>();
  for (let i = 0; i < series.length; i += CHUNK) {
    const rows = await store.rows<{ seconds: number }>(
      `SELECT DISTINCT toUnixTimestamp(next) AS seconds FROM (
         SELECT min(hour) AS next FROM closings
         WHERE cluster = {cluster:String} AND hour > toDateTime({hour:Int64}, 'UTC')
           AND series IN (SELECT unhex(arrayJoin({series:Array(String)}))) GROUP BY series)`,
      {
        ...unitParameters(unit),
        series: series.slice(i, i + CHUNK).map((key) => Buffer.from(key, 'latin1').toString('hex')),
      },
    );
    for (const row of rows) hours.add(row.seconds * 1000);
  }
  return hours;
}
