/**
 * Log records to a batch: the admission of points. In: records as Alloy, the scraper or a receiver write them
 * (protobuf, or JSON where the first byte is `{`). Out: samples, facts, sightings, rejections, in one
 * `Batch`.
 *
 * Knows every distinct row it has met, so that a point of a known row is a look-up and a push. What it
 * remembers is only about saving work: with an empty memory the same records give a batch that leads to the
 * same tables. A record that is malformed anywhere leaves nothing behind but a line in the quarantine.
 */
import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { LogRecord } from '../../core/eventlog/sample-log.ts';
import { SIGHTING_REJECTIONS, type PointRejection } from '../../core/metering/rejection.ts';
import { FUTURE_TOLERANCE_MS, type MeteringSettings } from '../../core/metering/settings.ts';
import type { Labels } from '../../core/metering/series.ts';
import { decodeLabels, decodeResource } from '../../core/otlp/attributes.ts';
import { encodeMetricsData } from '../../core/otlp/encode.ts';
import { decodeJsonMetricsData } from '../../core/otlp/json.ts';
import { OtlpWalker, type OtlpVisitor, type PointCursor } from '../../core/otlp/walker.ts';
import { isKnownMetric, meaningOf, type RowMeaning } from './admission.ts';
import { Batch, PartitionTally, type Target } from './batch.ts';
import { FactWriter } from './fact-writer.ts';
import { exactValue, MARKER, milliseconds, readingOf } from './point-reading.ts';
import { RowTable } from './row-table.ts';
import {
  containerKey,
  IGNORED,
  SeriesSource,
  targetId,
  type FactSource,
  type SourceRow,
} from './source-row.ts';
import { DAY_MS } from '../../core/metering/hour.ts';

/** Distinct rows remembered; beyond it the memory starts afresh. */
const MAX_ROWS = 300_000;
/** Rejected points of one record that are kept with an excerpt; all are counted. */
const MAX_EXCERPTS_PER_RECORD = 20;
const EXCERPT_CHARACTERS = 400;
const OPENING_BRACE = 0x7b;

interface Resource {
  readonly number: number;
  /** Undefined: its attributes are unusable. */
  readonly labels: Labels | undefined;
}

export interface RecordReaderConfig {
  readonly settings: MeteringSettings;
  /** The cluster a topic belongs to; undefined: the records' own label decides (a replay of files). */
  readonly clusterOfTopic: (topic: string) => string | undefined;
  /** Hours before this are frozen by an erasure; the answer may change only together with a `reset`. */
  readonly frozenBefore?: (cluster: string, namespace: string) => number;
}

export class RecordReader implements OtlpVisitor {
  readonly #config: RecordReaderConfig;
  readonly #rows = new RowTable<SourceRow>();
  readonly #resources = new Map<string, Resource>();
  readonly #metrics = new Map<string, number>();
  readonly #targets = new Map<string, Target>();
  readonly #feeds = new Set<string>();
  readonly #walker: OtlpWalker;
  readonly #facts = new FactWriter();
  /** Taking back what a malformed record made this reader remember. */
  readonly #undo: (() => void)[] = [];
  #batch = new Batch();
  #tally = new PartitionTally('', 0);
  #record: LogRecord | undefined;
  #oldest = 0;
  #newest = 0;
  #ordinal = 0;
  #excerpts = 0;
  #topic = 0;
  #resource: Resource = { number: 0, labels: new Map() };
  #metric = '';
  #metricNumber = 0;
  #delta = false;

  constructor(config: RecordReaderConfig) {
    this.#config = config;
    this.#walker = new OtlpWalker(this, randomFillSync(new Int32Array(4)));
  }

  /**
   * Others may have read meanwhile: what is newest of a target has to be asked of the store again. What was
   * told is in the store, or on its way, whoever told more since.
   */
  forgetTargets(): void {
    for (const target of this.#targets.values()) target.isForgotten = true;
    this.#targets.clear();
  }

  /** Forget everything: after this, what the next records say is told to the store anew. */
  reset(): void {
    this.#rows.clear();
    this.#resources.clear();
    this.#targets.clear();
    this.#feeds.clear();
    this.#facts.reset();
  }

  read(records: readonly LogRecord[]): Batch {
    if (this.#rows.size > MAX_ROWS || this.#resources.size > MAX_ROWS) this.reset();
    // In a backlog one batch is as large as the one before.
    this.#batch = new Batch(this.#batch.samples.length);
    for (const record of records) this.#readRecord(record);
    return this.#batch;
  }

  #readRecord(record: LogRecord): void {
    const tally = (this.#tally = this.#batch.partition(record.topic, record.partition));
    this.#record = record;
    this.#topic = this.#batch.topics.numberOf(record.topic);
    this.#oldest = record.timestampMs - this.#config.settings.rawRetentionMs;
    this.#newest = record.timestampMs + FUTURE_TOLERANCE_MS;
    this.#ordinal = 0;
    this.#excerpts = 0;
    this.#undo.length = 0;
    const rollback = this.#batch.checkpoint();
    const before = { points: tally.points, samples: tally.samples, rejected: new Map(tally.rejected) };
    const problem = this.#walk(record.value);
    if (problem !== undefined) {
      rollback();
      while (this.#undo.length > 0) this.#undo.pop()?.();
      tally.points = before.points;
      tally.samples = before.samples;
      tally.rejected.clear();
      for (const [reason, count] of before.rejected) tally.reject(reason, count);
      this.#quarantineRecord(record, problem);
    }
    tally.records++;
    if (tally.firstOffset < 0n) tally.firstOffset = record.offset;
    tally.lastOffset = record.offset;
    tally.crc = crc32(record.value, tally.crc);
    tally.newestTimestamp = Math.max(tally.newestTimestamp, record.timestampMs);
  }

  /** Undefined, or what is wrong with the record. */
  #walk(value: Uint8Array): string | undefined {
    if (value[0] !== OPENING_BRACE) {
      return this.#walker.walk(value) ? undefined : 'not a well-formed OTLP MetricsData message';
    }
    const decoded = decodeJsonMetricsData(value);
    if (!decoded.ok) return decoded.reason;
    return this.#walker.walk(encodeMetricsData(decoded.data)) ? undefined : 'not OTLP MetricsData';
  }

  resource(message: Uint8Array): void {
    // The topic says which cluster may speak: what a row means on one topic it need not mean on another.
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    const key = `${this.#record?.topic ?? ''}\n${bytes.toString('latin1')}`;
    let resource = this.#resources.get(key);
    if (resource === undefined) {
      resource = { number: this.#resources.size + 1, labels: decodeResource(message) };
      this.#resources.set(key, resource);
    }
    this.#resource = resource;
  }

  metric(name: string, counts: boolean, delta: boolean): boolean {
    const metric = counts ? `${name}_count` : name;
    if (!isKnownMetric(metric)) return false;
    let number = this.#metrics.get(metric);
    if (number === undefined) this.#metrics.set(metric, (number = this.#metrics.size));
    this.#metric = metric;
    this.#metricNumber = delta ? -1 - number : number;
    this.#delta = delta;
    return true;
  }

  point(cursor: PointCursor): void {
    this.#tally.points++;
    this.#ordinal++;
    let row = this.#rows.find(cursor, this.#resource.number, this.#metricNumber);
    if (row === undefined) {
      row = this.#meet();
      this.#rows.add(cursor, this.#resource.number, this.#metricNumber, row);
    }
    if (row.kind === 'ignored') return;
    if (row.kind === 'rejected') {
      this.#reject(row.reason, () => row.excerpt);
      return;
    }
    if (row.target.isForgotten) row.target = this.#target(row.target);
    const t = milliseconds(cursor.timeLow, cursor.timeHigh);
    const untimely =
      t <= 0 ? 'no_time' : t > this.#newest ? 'future' : t < this.#oldest ? 'too_old' : undefined;
    if (untimely !== undefined) this.#reject(untimely, () => this.#excerpt(cursor));
    // Nor do the names go into the quarantine that were erased.
    else if (t <= row.frozenUntil) this.#reject('erased', () => this.#metric);
    else if (row.kind === 'series') this.#sample(row, cursor, t);
    else this.#fact(row, cursor, t);
  }

  #sample(row: SeriesSource, cursor: PointCursor, t: number): void {
    const value = readingOf(cursor, row.scale);
    if (typeof value === 'string') {
      this.#reject(value, () => this.#excerpt(cursor));
      if (SIGHTING_REJECTIONS.includes(value)) this.#sighted(row, t, true);
      return;
    }
    if (value === MARKER && row.isCounter) return;
    let start = row.isCounter ? milliseconds(cursor.startLow, cursor.startHigh) : 0;
    if (start > t) start = 0;
    if (row.delta && (start === 0 || start === t || t - start > this.#config.settings.rawRetentionMs)) {
      this.#reject('delta_without_start', () => this.#excerpt(cursor));
      return;
    }
    if (t < row.firstValue) this.#sighted(row, t, false);
    if (Math.floor(t / DAY_MS) > row.registeredDay) this.#register(row, Math.floor(t / DAY_MS));
    const cluster = row.target.cluster;
    this.#batch.samples.push(
      {
        t,
        start,
        target: row.sampleTarget,
        meter: row.meter,
        cluster: this.#batch.clusters.numberOf(cluster),
        topic: this.#topic,
        partition: this.#tally.partition,
        offset: this.#record?.offset ?? 0n,
      },
      row.series,
      value,
    );
    this.#tally.samples++;
    this.#tally.touch(cluster, t);
  }

  #fact(row: FactSource, cursor: PointCursor, t: number): void {
    const value = readingOf(cursor, 1);
    if (typeof value === 'string') {
      this.#reject(value, () => this.#excerpt(cursor));
      return;
    }
    const reading = { t, value: value === MARKER ? undefined : exactValue(cursor) };
    const taken = this.#facts.take(row, reading, { batch: this.#batch, undo: this.#undo });
    if (taken) this.#tally.touch(row.target.cluster, t);
  }

  #sighted(row: SeriesSource, t: number, rejected: boolean): void {
    const { target, series, startKey } = row;
    const before = rejected ? row.firstRejected : row.firstValue;
    if (t >= before) return;
    if (rejected) row.firstRejected = t;
    else row.firstValue = t;
    const newestBirth = target.newestBirth;
    target.newestBirth = Math.max(newestBirth, t);
    this.#batch.sightings.push({ target, series, t, rejected, startKey });
    this.#undo.push(() => {
      if (rejected) row.firstRejected = before;
      else row.firstValue = before;
      target.newestBirth = newestBirth;
    });
    if (rejected) this.#tally.touch(target.cluster, t);
  }

  #register(row: SeriesSource, day: number): void {
    const before = row.registeredDay;
    row.registeredDay = day;
    this.#batch.series.push(row.registration(day, this.#metric, () => this.#meaning()));
    const feed = `${row.target.id}/${row.meter}`;
    const known = row.isReference || this.#feeds.has(feed);
    if (!known) {
      this.#feeds.add(feed);
      this.#batch.feeds.push({ target: row.target, meter: row.meterName });
    }
    this.#undo.push(() => {
      row.registeredDay = before;
      if (!known) this.#feeds.delete(feed);
    });
  }

  /** What the point's labels say, once more. */
  #meaning(): RowMeaning {
    const labels = decodeLabels(this.#walker.attributes()) ?? new Map<string, string>();
    return meaningOf(this.#metric, labels, this.#config.settings);
  }

  /** What a row never seen before means. */
  #meet(): SourceRow {
    const labels = decodeLabels(this.#walker.attributes());
    const resource = this.#resource.labels;
    if (labels === undefined || resource === undefined) {
      return { kind: 'rejected', reason: 'bad_label', excerpt: this.#metric };
    }
    const cluster = labels.get('cluster') ?? resource.get('k8s.cluster.name') ?? '';
    const meaning = meaningOf(this.#metric, labels, this.#config.settings);
    if (meaning.kind === 'none') return IGNORED;
    const declared = this.#config.clusterOfTopic(this.#record?.topic ?? '');
    if (declared !== undefined && declared !== cluster) {
      return { kind: 'rejected', reason: 'wrong_cluster', excerpt: excerptOf(this.#metric, labels) };
    }
    const target = this.#target({
      cluster,
      job: resource.get('service.name') ?? '',
      instance: resource.get('service.instance.id') ?? '',
    });
    const isNamed = meaning.kind === 'usage' || meaning.kind === 'detail';
    const frozenUntil = isNamed ? (this.#config.frozenBefore?.(cluster, meaning.namespace) ?? 0) : 0;
    if (meaning.kind !== 'usage') {
      const startKey = meaning.kind === 'container_start' ? containerKey(cluster, meaning.container) : 0n;
      return { kind: 'fact', meaning, target, startKey, frozenUntil };
    }
    return new SeriesSource(meaning, { metric: this.#metric, target, delta: this.#delta, frozenUntil });
  }

  #target({ cluster, job, instance }: Pick<Target, 'cluster' | 'job' | 'instance'>): Target {
    const key = JSON.stringify([cluster, job, instance]);
    let target = this.#targets.get(key);
    if (target === undefined) {
      target = {
        cluster,
        id: targetId(cluster, job, instance),
        job,
        instance,
        firstScrape: Infinity,
        newestUp: -Infinity,
        newestSuccess: -Infinity,
        newestBirth: -Infinity,
        newestProcessStart: -Infinity,
        settled: false,
        isForgotten: false,
      };
      this.#targets.set(key, target);
      this.#batch.targets.push(target);
      // A malformed record's targets stay known; they are told with the records that follow.
      this.#undo.push(() => this.#batch.targets.push(target as Target));
    }
    return target;
  }

  #reject(reason: PointRejection, excerpt: () => string): void {
    this.#tally.reject(reason);
    const record = this.#record;
    if (record === undefined || ++this.#excerpts > MAX_EXCERPTS_PER_RECORD) return;
    this.#batch.quarantine.push({
      topic: record.topic,
      partition: record.partition,
      offset: record.offset,
      n: this.#ordinal,
      reason,
      excerpt: excerpt(),
      logTimestamp: record.timestampMs,
    });
  }

  #quarantineRecord(record: LogRecord, problem: string): void {
    this.#tally.reject('undecodable');
    const head = Buffer.from(record.value.subarray(0, EXCERPT_CHARACTERS / 4)).toString('base64');
    this.#batch.quarantine.push({
      topic: record.topic,
      partition: record.partition,
      offset: record.offset,
      n: 0,
      reason: 'undecodable',
      excerpt: `${problem}; ${record.value.byteLength} bytes, beginning with base64 ${head}`,
      logTimestamp: record.timestampMs,
    });
  }

  #excerpt(cursor: PointCursor): string {
    const labels = decodeLabels(this.#walker.attributes()) ?? new Map<string, string>();
    const t = milliseconds(cursor.timeLow, cursor.timeHigh);
    const value = cursor.kind === 'none' ? 'no value' : String(exactValue(cursor));
    return `${excerptOf(this.#metric, labels)} ${value} @${t}`;
  }
}

function excerptOf(metric: string, labels: Labels): string {
  const pairs = [...labels].map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${metric}{${pairs.join(',')}}`.slice(0, EXCERPT_CHARACTERS).toWellFormed();
}
