/**
 * Cuts marked hours into spans: runs in which every hour is marked, so that the closings carried from hour to
 * hour are the newest there are. (With hours left out, a series could have a newer closing in one of them.)
 * A span is bounded by hours and by samples, so that memory stays flat; an hour with very many samples is one
 * by itself.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { invariant } from '../../core/runtime/errors.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { spanParameters, type Span } from './span.ts';

/** No span of any process is longer: `roll-span.ts` looks that far for what others do at the same time. */
export const MAX_SPAN_HOURS = 48;
/**
 * Closings are kept until the span is written: one for each series and hour, so fewer than there are samples.
 */
const MAX_SPAN_SAMPLES = 1_000_000;

export interface SpanBounds {
  readonly hours?: number | undefined;
  readonly samples?: number | undefined;
  /** Stored rows by hour, as far as they were counted before. */
  readonly counts?: ReadonlyMap<number, number> | undefined;
}

/** For one cluster. What it counts it remembers: make one for each pass. */
export class SpanPlanner {
  readonly #store: UsageStore;
  readonly #cluster: string;
  readonly #maxHours: number;
  readonly #maxSamples: number;
  readonly #counts: Map<number, number>;

  constructor(store: UsageStore, cluster: string, bounds: SpanBounds = {}) {
    this.#store = store;
    this.#cluster = cluster;
    this.#maxHours = bounds.hours ?? MAX_SPAN_HOURS;
    this.#maxSamples = bounds.samples ?? MAX_SPAN_SAMPLES;
    this.#counts = new Map(bounds.counts);
    invariant(this.#maxHours >= 1 && this.#maxHours <= MAX_SPAN_HOURS, 'a span has 1 to 48 hours');
  }

  /** The span that begins with the first of these hours, which are in order. */
  async next(hours: readonly number[]): Promise<Span> {
    const [first] = hours;
    invariant(first !== undefined, 'there is an hour to begin with');
    const run = consecutive(hours.slice(0, this.#maxHours));
    if (run.length === 1) return { cluster: this.#cluster, first, last: first };
    await this.#count(run);
    let samples = 0;
    const within = run.findIndex((hour) => (samples += this.#counts.get(hour) ?? 0) > this.#maxSamples);
    const length = within < 0 ? run.length : Math.max(1, within);
    return { cluster: this.#cluster, first, last: first + (length - 1) * HOUR_MS };
  }

  /** Stored rows, copies too: a bound for what is to be read. */
  async #count(hours: readonly number[]): Promise<void> {
    const uncounted = hours.filter((hour) => !this.#counts.has(hour));
    const [first, last] = [uncounted.at(0), uncounted.at(-1)];
    if (first === undefined || last === undefined) return;
    const rows = await this.#store.rows<{ seconds: number; n: string }>(
      `SELECT toUnixTimestamp(hour) AS seconds, count() AS n FROM samples
       WHERE cluster = {cluster:String}
         AND hour >= toDateTime({first:Int64}, 'UTC') AND hour <= toDateTime({last:Int64}, 'UTC')
       GROUP BY hour`,
      spanParameters({ cluster: this.#cluster, first, last }),
    );
    for (const hour of uncounted) this.#counts.set(hour, 0);
    for (const { seconds, n } of rows) this.#counts.set(seconds * 1000, Number(n));
  }
}

/** The first of these hours, up to where their settings are others. */
export function ofOneSetting(
  hours: readonly number[],
  settingsAt: (hour: number) => MeteringSettings,
): readonly number[] {
  const settings = settingsAt(hours[0] ?? 0);
  const end = hours.findIndex((hour) => settingsAt(hour) !== settings);
  return end < 0 ? hours : hours.slice(0, end);
}

function consecutive(hours: readonly number[]): readonly number[] {
  const end = hours.findIndex((hour, i) => hour !== (hours[0] ?? 0) + i * HOUR_MS);
  return end < 0 ? hours : hours.slice(0, end);
}
