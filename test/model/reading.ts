/**
 * METERING.md 2, 4 and 9, choices 1-8: from records to points whose labels and time can be trusted.
 * A point whose labels or time cannot be trusted is noted and dropped; its value is judged later, because
 * a rejected value is still a sighting of its series.
 */
import { fractionOf, fractionOfInteger, type Fraction, type NotFinite } from './exact.ts';
import { note, type Note, type Notes } from './notes.ts';
import type {
  ModelRecord,
  ModelSettings,
  OtlpAttribute,
  OtlpMetric,
  OtlpPoint,
  OtlpValue,
} from './record.ts';

export type Labels = ReadonlyMap<string, string>;

export type Reading =
  | { readonly kind: 'value'; readonly fraction: Fraction }
  | { readonly kind: 'marker' }
  | { readonly kind: 'rejected'; readonly reason: Note };

export interface Point {
  readonly name: string;
  readonly labels: Labels;
  readonly cluster: string;
  /** (cluster, job, instance), choice 9. */
  readonly target: string;
  readonly t: bigint;
  readonly start: bigint | undefined;
  readonly delta: boolean;
  readonly reading: Reading;
}

const FUTURE_TOLERANCE_MS = 600_000n;
const RAW_RETENTION_MS = 45 * 86_400_000;
const DELTA = 1;

export function readPoints(
  records: readonly ModelRecord[],
  settings: ModelSettings,
  notes: Notes,
): readonly Point[] {
  return records.flatMap((record) => pointsOf(record, settings, notes));
}

function pointsOf(record: ModelRecord, settings: ModelSettings, notes: Notes): Point[] {
  note(notes, 'undecodable_record', record.metricsData === null);
  return (record.metricsData?.resourceMetrics ?? []).flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics
      .flatMap((scope) => scope.metrics)
      .flatMap(rawPoints)
      .flatMap((raw) => {
        const distrust = reasonToDistrust(raw.point, record.timestampMs, settings, notes);
        if (distrust === undefined) return [pointOf(raw, resource.attributes, notes)];
        note(notes, distrust);
        return [];
      }),
  );
}

interface RawPoint {
  readonly name: string;
  readonly delta: boolean;
  readonly point: OtlpPoint;
}

function pointOf({ name, delta, point }: RawPoint, resource: readonly OtlpAttribute[], notes: Notes): Point {
  const labels = labelsOf(point.attributes ?? []);
  const t = timeOf(point);
  const cluster = labels.get('cluster') ?? attribute(resource, 'k8s.cluster.name');
  const job = attribute(resource, 'service.name');
  const instance = attribute(resource, 'service.instance.id');
  const target = JSON.stringify([cluster, job, instance]);
  return {
    name,
    labels,
    cluster,
    target,
    t,
    start: startOf(point, t, notes),
    delta,
    reading: readingOf(point),
  };
}

/** Section 4: nanoseconds are truncated to whole ms. */
function timeOf(point: OtlpPoint): bigint {
  return BigInt(point.timeUnixNano ?? 0) / 1_000_000n;
}

/** Choices 6 and 7: histograms and summaries named `x` are the counter `x_count`. */
function rawPoints(metric: OtlpMetric): RawPoint[] {
  const delta =
    (metric.sum ?? metric.histogram ?? metric.exponentialHistogram)?.aggregationTemporality === DELTA;
  const numbers = metric.gauge ?? metric.sum;
  if (numbers !== undefined) return numbers.dataPoints.map((point) => ({ name: metric.name, delta, point }));
  const shapes = metric.histogram ?? metric.exponentialHistogram ?? metric.summary;
  return (shapes?.dataPoints ?? []).map((point) => ({
    name: `${metric.name}_count`,
    delta,
    point: { ...point, asInt: point.count ?? 0 },
  }));
}

/** Section 3: an empty label is an absent one. Numbers and booleans are labels by their text, choice 2. */
function labelsOf(attributes: readonly OtlpAttribute[]): Labels {
  return new Map(attributes.map(({ key, value }) => [key, textOf(value) ?? ''] as const).filter(isNotEmpty));
}

function textOf({ stringValue, intValue, boolValue }: OtlpValue): string | undefined {
  return stringValue ?? intValue?.toString() ?? boolValue?.toString();
}

function isNotEmpty([, text]: readonly [string, string]): boolean {
  return text !== '';
}

/** Choice 2: a label of another kind, or one given twice. */
function hasBadLabel(attributes: readonly OtlpAttribute[]): boolean {
  const given = attributes.filter(({ value }) => textOf(value) !== '');
  const names = new Set(given.map(({ key }) => key));
  return names.size < given.length || given.some(({ value }) => textOf(value) === undefined);
}

/** Choice 26: the first of that name with a text. */
function attribute(attributes: readonly OtlpAttribute[], key: string): string {
  const texts = attributes.filter((each) => each.key === key).map(({ value }) => textOf(value) ?? '');
  return texts.find((text) => text !== '') ?? '';
}

/** Section 9 and choice 3: a time is judged against the record's own log timestamp, never against a clock. */
function reasonToDistrust(
  point: OtlpPoint,
  logTimestampMs: number,
  settings: ModelSettings,
  notes: Notes,
): 'bad_label' | 'no_time' | 'future' | 'too_old' | undefined {
  const t = timeOf(point);
  const latest = BigInt(logTimestampMs) + FUTURE_TOLERANCE_MS;
  const oldest = BigInt(logTimestampMs) - BigInt(settings.rawRetentionMs ?? RAW_RETENTION_MS);
  note(notes, 'future_by_exactly_the_tolerance', t === latest);
  note(notes, 'old_by_exactly_the_retention', t === oldest);
  if (hasBadLabel(point.attributes ?? [])) return 'bad_label';
  if (BigInt(point.timeUnixNano ?? 0) === 0n) return 'no_time';
  if (t > latest) return 'future';
  if (t < oldest) return 'too_old';
  return undefined;
}

/** Section 4 and choice 5: a start after the point's own time is none; one at its time is kept. */
function startOf(point: OtlpPoint, t: bigint, notes: Notes): bigint | undefined {
  const start = BigInt(point.startTimeUnixNano ?? 0) / 1_000_000n;
  note(notes, 'start_after_time', start > t);
  return start === 0n || start > t ? undefined : start;
}

/** Section 4 and choice 4, up to what does not depend on the meter's scale. */
function readingOf(point: OtlpPoint): Reading {
  if (((point.flags ?? 0) & 1) === 1) return { kind: 'marker' };
  const fraction = numberOf(point);
  if (typeof fraction === 'string') return { kind: 'rejected', reason: fraction };
  if (fraction.numerator < 0n) return { kind: 'rejected', reason: 'negative' };
  return { kind: 'value', fraction };
}

function numberOf(point: OtlpPoint): Fraction | 'no_value' | NotFinite {
  if (point.asInt !== undefined) return fractionOfInteger(BigInt(point.asInt));
  if (point.asDouble === undefined) return 'no_value';
  const double = Number(point.asDouble);
  return fractionOf(double);
}
