/**
 * A scrape as a log record, written once by the real encoder and from then on only filled in: as long as the
 * same rows are scraped, two records differ in nothing but times and values, and those have a fixed width. So
 * a year of records costs a copy each, and not the time that is to be measured.
 */
import { encodeMetricsData } from '../../core/otlp/encode.ts';
import type { KeyValue, Metric, MetricsData } from '../../core/otlp/metrics-data.ts';
import { invariant } from '../../core/runtime/errors.ts';

/** A row of a target; `value` is what the next scrape shows. */
export interface ScrapedRow {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  value: number;
}

export interface ScrapedTarget {
  readonly job: string;
  readonly instance: string;
  readonly rows: readonly ScrapedRow[];
}

/** A time that no scrape has, by which the places of points are found in the encoded bytes. */
const MARK = 0x7e57_c0de_7e57_c0den;
/** Field 3 of a point as the encoder writes it (tag and time); field 4 with the value follows at once. */
const TIME_FIELD = Buffer.alloc(9, 0x19);
TIME_FIELD.writeBigUInt64LE(MARK, 1);
const VALUE_TAG = 0x21;
const NANOS_PER_MS = 1_000_000n;

export class ScrapeTemplate {
  readonly #bytes: Buffer;
  readonly #rows: readonly ScrapedRow[];
  /** Where the time of each row stands; its value stands nine bytes behind. */
  readonly #places: readonly number[];

  constructor(targets: readonly ScrapedTarget[]) {
    const families = targets.map((target) => Map.groupBy(target.rows, (row) => row.metric));
    this.#rows = families.flatMap((family) => [...family.values()].flat());
    const data: MetricsData = {
      resourceMetrics: targets.map(({ job, instance }, i) => ({
        resource: { attributes: attributesOf({ 'service.name': job, 'service.instance.id': instance }) },
        scopeMetrics: [{ metrics: [...(families[i] ?? [])].map(metricOf) }],
      })),
    };
    this.#bytes = Buffer.from(encodeMetricsData(data));
    this.#places = placesIn(this.#bytes);
    invariant(this.#places.length === this.#rows.length, 'every row has its place in the record');
  }

  /** The record of a scrape at t, with the values that the rows have now. */
  at(t: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(this.#bytes.length);
    this.#bytes.copy(bytes);
    const nanos = BigInt(t) * NANOS_PER_MS;
    const [low, high] = [Number(nanos & 0xffff_ffffn), Number(nanos >> 32n)];
    const view = new DataView(bytes.buffer);
    this.#places.forEach((place, i) => {
      view.setUint32(place, low, true);
      view.setUint32(place + 4, high, true);
      view.setFloat64(place + 9, this.#rows[i]?.value ?? 0, true);
    });
    return bytes;
  }
}

function placesIn(bytes: Buffer): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(TIME_FIELD); at >= 0; at = bytes.indexOf(TIME_FIELD, at + TIME_FIELD.length)) {
    invariant(bytes[at + TIME_FIELD.length] === VALUE_TAG, 'a value follows the time of its point');
    places.push(at + 1);
  }
  return places;
}

function metricOf([name, rows]: [string, readonly ScrapedRow[]]): Metric {
  const dataPoints = rows.map(({ labels }) => ({
    timeUnixNano: MARK,
    asDouble: 0,
    attributes: attributesOf(labels),
  }));
  return { name, gauge: { dataPoints } };
}

function attributesOf(labels: Readonly<Record<string, string>>): KeyValue[] {
  return Object.entries(labels).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}
