/**
 * A batch to the store, in the order that makes a crash harmless:
 *   marks for the batch's own hours and for what news will change -> series -> sightings -> facts, samples ->
 *   marks for what changed -> watermarks -> journal row.
 * Every insert is into a set, so the whole may be repeated any number of times. The journal row comes last:
 * it says that everything of these offsets is stored and marked, and only then may their position be
 * committed. The marks come first: while none lies above the journal, nothing above it is in the store.
 * Facts and samples are under way at once.
 */
import { MEASURED_METERS } from '../../core/metering/catalogue.ts';
import { owningHour } from '../../core/metering/hour.ts';
import { markUnits, type UnitMark } from '../rollup/unit-marks.ts';
import { blockStructure, nativeBlock, type Column } from '../store/native-block.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { NO_TIME, type Batch, type PartitionTally, type SeriesRow, type Sighting } from './batch.ts';
import type { Effects, TouchedHours } from './effects.ts';

export class BatchWriter {
  readonly #store: UsageStore;
  readonly #effects: Effects;

  constructor(store: UsageStore, effects: Effects) {
    this.#store = store;
    this.#effects = effects;
  }

  async write(batch: Batch): Promise<void> {
    await markUnits(this.#store, [...ownMarks(batch), ...marksOf(batch, await this.#effects.ofNews(batch))]);
    // Nothing is read of a series before it is known what and since when it is.
    await this.#series(batch.series);
    await this.#sightings(batch.sightings);
    await allDone([
      ...this.#facts(batch),
      this.#samples(batch),
      this.#store.insert('quarantine', batch.quarantine.map(quarantineRow)),
    ]);
    const changed = await this.#effects.ofPlace(batch);
    await markUnits(this.#store, marksOf(batch, changed));
    await this.#store.insert('watermark', watermarkRows(batch));
    await this.#store.insert('batch', [...batch.partitions.values()].map(journalRow));
  }

  async #samples(batch: Batch): Promise<void> {
    const { samples, clusters, topics } = batch;
    if (samples.length === 0) return;
    const columns = samples.columns();
    await this.#insertBlock({
      table: 'samples',
      rows: samples.length,
      columns: [
        { name: 't', type: 'Int64', data: columns.t },
        { name: 'value', type: 'Int64', data: columns.value },
        { name: 'start', type: 'Int64', data: columns.start },
        { name: 'offset', type: 'Int64', data: columns.offset },
        { name: 'target', type: 'UInt64', data: columns.target },
        { name: 'series', type: 'FixedString(16)', data: columns.series },
        { name: 'meter', type: 'UInt8', data: columns.meter },
        { name: 'cluster', type: 'UInt16', data: columns.cluster },
        { name: 'topic', type: 'UInt16', data: columns.topic },
        { name: 'partition', type: 'UInt16', data: columns.partition },
      ],
      into: {
        hour: HOUR_OF_T,
        cluster: '{clusters:Array(String)}[cluster + 1]',
        meter: '{meters:Array(String)}[meter + 1]',
        series: 'series',
        t: 't',
        start: 'start',
        target: 'target',
        version: 'toUInt64(value + 1)',
        topic: '{topics:Array(String)}[topic + 1]',
        partition: 'partition',
        offset: 'offset',
      },
      parameters: {
        clusters: clusters.values,
        meters: MEASURED_METERS.map((meter) => meter.name),
        topics: topics.values,
      },
    });
  }

  #facts(batch: Batch): Promise<void>[] {
    const { scrapes, processStarts, containerStarts, labels, hostNetwork, podEnds, details } = batch.facts;
    const firsts = scrapes.filter(({ target, t, up }) => up === 1 && t < target.firstScrape);
    return [
      this.#store.insert('target', [
        ...batch.targets.map((target) => ({ ...targetKey(target), first_scrape: NO_TIME })),
        ...firsts.map(({ target, t }) => ({ ...targetKey(target), first_scrape: t })),
      ]),
      this.#store.insert(
        'scrape',
        scrapes.map(({ target, t, up }) => ({
          cluster: target.cluster,
          hour: owningHour(t) / 1000,
          target: target.id,
          t,
          version: up + 1,
        })),
      ),
      this.#store.insert(
        'process_start',
        processStarts.map(({ target, t, start }) => ({
          cluster: target.cluster,
          hour: owningHour(t) / 1000,
          target: target.id,
          t,
          start,
        })),
      ),
      this.#store.insert(
        'container_start',
        containerStarts.map(({ cluster, key, start }) => ({ cluster, start_key: key, start })),
      ),
      this.#store.insert('label_history', labels),
      this.#store.insert(
        'host_network',
        hostNetwork.map(({ cluster, podKey }) => ({ cluster, pod_key: podKey })),
      ),
      this.#store.insert(
        'pod_phase',
        podEnds.map(({ cluster, podUid, t }) => ({
          cluster,
          hour: owningHour(t) / 1000,
          t,
          pod_uid: podUid,
        })),
      ),
      this.#store.insert(
        'detail_history',
        details.map((sighting) => ({ ...sighting, hour: owningHour(sighting.t) / 1000 })),
      ),
      this.#store.insert(
        'feed',
        batch.feeds.map(({ target, meter }) => ({ cluster: target.cluster, meter, target: target.id })),
      ),
    ];
  }

  async #sightings(sightings: readonly Sighting[]): Promise<void> {
    const common: Column[] = [
      { name: 'cluster', type: 'String', data: sightings.map((sighting) => sighting.target.cluster) },
      { name: 'series', type: 'FixedString(16)', data: seriesColumn(sightings) },
      {
        name: 'target',
        type: 'UInt64',
        data: BigUint64Array.from(sightings, (sighting) => sighting.target.id),
      },
      { name: 't', type: 'Int64', data: BigInt64Array.from(sightings, (sighting) => BigInt(sighting.t)) },
    ];
    const rejected = Uint8Array.from(sightings, (sighting) => Number(sighting.rejected));
    const startKey = BigUint64Array.from(sightings, (sighting) => sighting.startKey);
    const values = this.#insertBlock({
      table: 'sightings',
      rows: sightings.length,
      columns: [...common, { name: 'rejected', type: 'UInt8', data: rejected }],
      into: {
        cluster: 'cluster',
        series: 'series',
        target: 'target',
        value_t: `if(rejected = 1, ${NO_TIME}, t)`,
        rejected_t: `if(rejected = 1, t, ${NO_TIME})`,
      },
    });
    const births = this.#insertBlock({
      table: 'births',
      rows: sightings.length,
      columns: [...common, { name: 'start_key', type: 'UInt64', data: startKey }],
      into: {
        cluster: 'cluster',
        hour: HOUR_OF_T,
        target: 'target',
        t: 't',
        series: 'series',
        start_key: 'start_key',
      },
    });
    await allDone([values, births]);
  }

  async #series(rows: readonly SeriesRow[]): Promise<void> {
    const text = (name: string, valueOf: (row: SeriesRow) => string): Column => ({
      name,
      type: 'String',
      data: rows.map(valueOf),
    });
    await this.#insertBlock({
      table: 'series',
      rows: rows.length,
      columns: [
        text('cluster', (row) => row.cluster),
        { name: 'series', type: 'FixedString(16)', data: seriesColumn(rows) },
        text('meter', (row) => row.meter),
        text('metric', (row) => row.metric),
        { name: 'delta', type: 'UInt8', data: Uint8Array.from(rows, (row) => Number(row.delta)) },
        text('namespace', (row) => row.namespace),
        text('pod_key', (row) => row.podKey),
        text('labels', (row) => JSON.stringify(Object.fromEntries(row.labels))),
        { name: 'day', type: 'UInt16', data: Uint16Array.from(rows, (row) => row.day) },
      ],
      into: {
        cluster: 'cluster',
        series: 'series',
        meter: 'meter',
        metric: 'metric',
        delta: 'delta',
        namespace: 'namespace',
        pod_key: 'pod_key',
        labels: "JSONExtract(labels, 'Map(String, String)')",
        seen: 'toDate(day)',
      },
    });
  }

  async #insertBlock(insert: {
    table: string;
    rows: number;
    columns: readonly Column[];
    into: Readonly<Record<string, string>>;
    parameters?: Readonly<Record<string, readonly string[]>>;
  }): Promise<void> {
    if (insert.rows === 0) return;
    await this.#store.insertBlock({
      table: insert.table,
      columns: Object.keys(insert.into),
      structure: blockStructure(insert.columns),
      select: Object.values(insert.into),
      parameters: insert.parameters ?? {},
      block: nativeBlock(insert.rows, insert.columns),
    });
  }
}

/** The first fault, once nothing is under way any more. */
async function allDone(inserts: readonly Promise<void>[]): Promise<void> {
  for (const end of await Promise.allSettled(inserts)) if (end.status === 'rejected') throw end.reason;
}

const HOUR_OF_T = "toDateTime(intDiv(t - 1, 3600000) * 3600, 'UTC')";

function ownMarks(batch: Batch): UnitMark[] {
  return [...batch.partitions.values()].flatMap((tally) =>
    [...tally.touched].flatMap(([cluster, hours]) =>
      [...hours].map((hour) => ({ cluster, hour, source: tally.source, marked: tally.lastOffset + 1n })),
    ),
  );
}

/** Effects of the batch as a whole go to the account of any one of its partitions. */
function marksOf(batch: Batch, touched: TouchedHours): UnitMark[] {
  const [tally] = batch.partitions.values();
  if (tally === undefined) return [];
  return [...touched.byCluster].flatMap(([cluster, hours]) =>
    [...hours].map((hour) => ({ cluster, hour, source: tally.source, marked: tally.lastOffset + 1n })),
  );
}

/** Where the batch's newest successful scrape of each cluster brings its watermark. */
function watermarkRows(batch: Batch): Record<string, unknown>[] {
  const newest = new Map<string, number>();
  for (const { target, t, up } of batch.facts.scrapes) {
    if (up === 1) newest.set(target.cluster, Math.max(t, newest.get(target.cluster) ?? 0));
  }
  return [...newest].map(([cluster, t]) => ({ cluster, t }));
}

function targetKey(target: { cluster: string; id: bigint; job: string; instance: string }): object {
  const { cluster, id, job, instance } = target;
  return { cluster, target: id, job, instance };
}

function quarantineRow(row: Batch['quarantine'][number]): Record<string, unknown> {
  const { topic, partition, offset, n, reason, excerpt, logTimestamp } = row;
  return { topic, partition, offset, n, reason, excerpt, log_timestamp: logTimestamp };
}

function journalRow(tally: PartitionTally): Record<string, unknown> {
  const hours = [...tally.touched.values()].flatMap((touched) => [...touched]);
  return {
    topic: tally.topic,
    partition: tally.partition,
    first_offset: tally.firstOffset,
    last_offset: tally.lastOffset,
    records: tally.records,
    points: tally.points,
    samples: tally.samples,
    rejected: Object.fromEntries(tally.rejected),
    hash: tally.crc.toString(16).padStart(8, '0'),
    hours: [...new Set(hours)].sort((a, b) => a - b).map((hour) => hour / 1000),
    newest_timestamp: tally.newestTimestamp,
  };
}

function seriesColumn(rows: readonly { readonly series: Uint8Array }[]): Uint8Array {
  const column = new Uint8Array(rows.length * 16);
  rows.forEach((row, i) => column.set(row.series, i * 16));
  return column;
}
