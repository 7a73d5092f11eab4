/**
 * The state of series after an hour: read as the start of a later one, written when the hour is rolled up for
 * good.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import { idsIn } from '../store/ids.ts';
import { blockStructure, nativeBlock, type Column } from '../store/native-block.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { samplesIn, samplesParameters, type SeriesChoice } from './series-choice.ts';
import type { Closing } from './series-fold.ts';
import { IN_SPAN, spanParameters, type SeriesKey, type Span } from './span.ts';

/** series 16, t 8, value 8, known 1 */
const ROW_BYTES = 33;
/**
 * How many hours to look back, or ahead, each only for the series not found so far: almost all have a closing
 * an hour away.
 */
const REACHES_HOURS = [2, 50, Infinity] as const;
/** The largest time a DateTime holds, in seconds. */
const LAST_SECOND = 4294967295;
/** Series asked for in one statement. */
const CHUNK = 2_000;

const NEWEST = `SELECT series, argMax(t, place), argMax(value, place), argMax(known, place)
  FROM (SELECT series, t, value, known, (hour, version) AS place FROM closings WHERE `;

/**
 * The newest closing of each series of the span before it; series that are new have none and are not looked
 * for.
 */
export async function readClosingsBefore(
  store: UsageStore,
  span: Span,
  wanted: {
    readonly series: ReadonlyMap<SeriesKey, unknown>;
    readonly isNew: (key: SeriesKey) => boolean;
    readonly only?: SeriesChoice | undefined;
  },
): Promise<Map<SeriesKey, Closing>> {
  const found = new Map<SeriesKey, Closing>();
  let missing = 0;
  for (const key of wanted.series.keys()) if (!wanted.isNew(key)) missing++;
  let until = span.first;
  for (const reach of REACHES_HOURS) {
    if (missing === found.size) break;
    const from = Math.max(0, span.first - reach * HOUR_MS);
    const chunks = store.rowBinary(
      `${NEWEST} cluster = {cluster:String}
         AND hour >= toDateTime({from:Int64}, 'UTC') AND hour < toDateTime({until:Int64}, 'UTC')
         AND series IN (SELECT series FROM samples WHERE ${samplesIn(wanted.only)})) GROUP BY series`,
      { ...samplesParameters(span, wanted.only), from: from / 1000, until: until / 1000 },
    );
    for await (const [key, closing] of closings(chunks)) {
      if (wanted.series.has(key) && !wanted.isNew(key) && !found.has(key)) found.set(key, closing);
    }
    until = from;
  }
  return found;
}

/** The newest closing of each series within the span, as it was when the span was last rolled up. */
export async function readClosingsOf(store: UsageStore, span: Span): Promise<Map<SeriesKey, Closing>> {
  const chunks = store.rowBinary(`${NEWEST} ${IN_SPAN}) GROUP BY series`, spanParameters(span));
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

export interface HourClosings {
  readonly hour: number;
  readonly closings: ReadonlyMap<SeriesKey, Closing>;
}

export async function writeClosings(
  store: UsageStore,
  cluster: string,
  written: { readonly units: readonly HourClosings[]; readonly version: bigint },
): Promise<void> {
  const columns = columnsOf(written.units);
  if (columns.rows === 0) return;
  await store.insertBlock({
    table: 'closings',
    columns: ['cluster', 'hour', 'series', 't', 'value', 'known', 'version'],
    structure: blockStructure(columns.columns),
    select: [
      '{cluster:String}',
      "toDateTime(hour, 'UTC')",
      'series',
      't',
      'value',
      'known',
      '{version:UInt64}',
    ],
    parameters: { cluster, version: written.version },
    block: nativeBlock(columns.rows, columns.columns),
  });
}

function columnsOf(units: readonly HourClosings[]): { rows: number; columns: Column[] } {
  const rows = units.reduce((sum, unit) => sum + unit.closings.size, 0);
  const hour = new Uint32Array(rows);
  const series = Buffer.alloc(rows * 16);
  const t = new BigInt64Array(rows);
  const value = new BigInt64Array(rows);
  const known = new Uint8Array(rows);
  let row = 0;
  for (const unit of units) {
    for (const [key, closing] of unit.closings) {
      hour[row] = unit.hour / 1000;
      series.write(key, row * 16, 'latin1');
      t[row] = BigInt(closing.t);
      value[row] = closing.value;
      known[row] = Number(closing.known);
      row++;
    }
  }
  const columns: Column[] = [
    { name: 'hour', type: 'UInt32', data: hour },
    { name: 'series', type: 'FixedString(16)', data: series },
    { name: 't', type: 'Int64', data: t },
    { name: 'value', type: 'Int64', data: value },
    { name: 'known', type: 'UInt8', data: known },
  ];
  return { rows, columns };
}

/** Hours in which the given series go on after the span: what a changed closing changes. */
export async function nextHours(
  store: UsageStore,
  span: Span,
  series: readonly SeriesKey[],
): Promise<Set<number>> {
  const hours = new Set<number>();
  const missing = new Set(series);
  if (missing.size === 0 || !(await isFollowed(store, span))) return hours;
  let after = span.last;
  for (const reach of REACHES_HOURS) {
    const until = Math.min(LAST_SECOND * 1000, span.last + reach * HOUR_MS);
    for (const [key, hour] of await firstClosingsWithin(store, span.cluster, {
      after,
      until,
      series: missing,
    })) {
      hours.add(hour);
      missing.delete(key);
    }
    if (missing.size === 0) break;
    after = until;
  }
  return hours;
}

/** Nearly always nothing follows; then no series has to be asked for. */
async function isFollowed(store: UsageStore, span: Span): Promise<boolean> {
  const rows = await store.rows<{ found: number }>(
    `SELECT 1 AS found FROM closings
     WHERE cluster = {cluster:String} AND hour > toDateTime({last:Int64}, 'UTC') LIMIT 1`,
    spanParameters(span),
  );
  return rows.length > 0;
}

/** Of each of the series the first hour in (after, until] that has a closing of it. */
async function firstClosingsWithin(
  store: UsageStore,
  cluster: string,
  asked: { readonly after: number; readonly until: number; readonly series: ReadonlySet<SeriesKey> },
): Promise<Map<SeriesKey, number>> {
  const keys = [...asked.series].map((key) => Buffer.from(key, 'latin1').toString('hex'));
  const found = new Map<SeriesKey, number>();
  for (let i = 0; i < keys.length; i += CHUNK) {
    const rows = await store.rows<{ id: string; seconds: number }>(
      `SELECT hex(series) AS id, toUnixTimestamp(min(hour)) AS seconds FROM closings
       WHERE cluster = {cluster:String}
         AND hour > toDateTime({after:Int64}, 'UTC') AND hour <= toDateTime({until:Int64}, 'UTC')
         AND series IN ${idsIn('series')} GROUP BY series`,
      { cluster, after: asked.after / 1000, until: asked.until / 1000, series: keys.slice(i, i + CHUNK) },
    );
    for (const { id, seconds } of rows) found.set(Buffer.from(id, 'hex').toString('latin1'), seconds * 1000);
  }
  return found;
}
