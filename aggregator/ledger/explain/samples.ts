/** Samples as they are stored, with where in the log they came from, and the labels of series. */
import { owningHour } from '../../../core/metering/hour.ts';
import type { SeriesKey } from '../../rollup/span.ts';
import { idsIn } from '../../store/ids.ts';
import type { UsageStore } from '../../store/usage-store.ts';

export interface StoredSample {
  /** -1 for a marker. */
  readonly value: bigint;
  readonly start: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

export function sampleKey(series: SeriesKey, t: number): string {
  return `${series}@${t}`;
}

/** Samples asked for in one statement. */
const CHUNK = 2_000;

/**
 * Of one cluster and meter, those that are stored, by `sampleKey`. Of several copies the one that counts
 * (METERING 5).
 */
export async function readSamples(
  store: UsageStore,
  place: { readonly cluster: string; readonly meter: string },
  wanted: readonly { readonly series: SeriesKey; readonly t: number }[],
): Promise<Map<string, StoredSample>> {
  const found = new Map<string, StoredSample>();
  for (let i = 0; i < wanted.length; i += CHUNK) {
    const chunk = wanted.slice(i, i + CHUNK);
    const rows = await store.rows<{
      id: string;
      at: string;
      v: string;
      st: string;
      place: readonly [topic: string, partition: number, offset: string];
    }>(
      `SELECT hex(series) AS id, t AS at, toString(toInt64(max(version)) - 1) AS v,
         argMax(start, (version, start)) AS st,
         argMax((toString(topic), partition, toString(offset)),
           (version, start, topic, partition, offset)) AS place
       FROM samples
       WHERE hour IN (SELECT toDateTime(arrayJoin({hours:Array(UInt32)}), 'UTC'))
         AND cluster = {cluster:String} AND meter = {meter:String}
         AND series IN ${idsIn('series')} AND t IN {times:Array(Int64)}
       GROUP BY id, at`,
      {
        ...place,
        hours: [...new Set(chunk.map(({ t }) => owningHour(t) / 1000))],
        series: [...new Set(chunk.map(({ series }) => hexOf(series)))],
        times: [...new Set(chunk.map(({ t }) => t))],
      },
    );
    for (const {
      id,
      at,
      v,
      st,
      place: [topic, partition, offset],
    } of rows) {
      const key = sampleKey(Buffer.from(id, 'hex').toString('latin1'), Number(at));
      found.set(key, { value: BigInt(v), start: Number(st), topic, partition, offset });
    }
  }
  return found;
}

export interface SeriesLabels {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
}

export async function readLabels(
  store: UsageStore,
  cluster: string,
  series: readonly SeriesKey[],
): Promise<Map<SeriesKey, SeriesLabels>> {
  const found = new Map<SeriesKey, SeriesLabels>();
  for (let i = 0; i < series.length; i += CHUNK) {
    const rows = await store.rows<SeriesLabels & { id: string }>(
      `SELECT hex(series) AS id, any(toString(metric)) AS metric, any(labels) AS labels FROM series
       WHERE cluster = {cluster:String} AND series IN ${idsIn('series')}
       GROUP BY id`,
      { cluster, series: series.slice(i, i + CHUNK).map(hexOf) },
    );
    for (const { id, metric, labels } of rows) {
      found.set(Buffer.from(id, 'hex').toString('latin1'), { metric, labels });
    }
  }
  return found;
}

export function hexOf(series: SeriesKey): string {
  return Buffer.from(series, 'latin1').toString('hex');
}
