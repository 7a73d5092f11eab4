/**
 * Listens to a unit being folded and keeps what falls into one hour of one meter: which interval gave how
 * much to which owner, quarter by quarter, and by which rule. Intervals are kept up to a bound, sums over all
 * of them.
 */
import { HOUR_MS, owningHour, QUARTER_MS } from '../../../core/metering/hour.ts';
import type { MeteringSettings } from '../../../core/metering/settings.ts';
import type { BirthEvidence } from '../../conversion/counter.ts';
import { growthBound } from '../../conversion/plausibility.ts';
import { split } from '../../conversion/split.ts';
import type { ObservedSeries, UsageObserver } from '../../rollup/observed.ts';
import type { UnitSample } from '../../rollup/series-fold.ts';
import type { SeriesMeta, SpanInputs } from '../../rollup/span-inputs.ts';
import type { SeriesKey } from '../../rollup/span.ts';
import { CounterJudge, DeltaJudge, GaugeJudge, type Judge, type Judged } from './rules.ts';

/** Intervals that are kept at most; of the others only the sums. */
const KEPT = 100_000;
const NO_EVIDENCE = { meteringFrom: undefined, absentAt: undefined, containerStart: 0 };

export class Sum {
  readonly quarters: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];
  missingMs = 0n;

  add(other: { readonly quarters: readonly bigint[]; readonly missingMs: bigint }): void {
    other.quarters.forEach((quarter, i) => (this.quarters[i as 0 | 1 | 2 | 3] += quarter));
    this.missingMs += other.missingMs;
  }

  get isNothing(): boolean {
    return this.missingMs === 0n && this.quarters.every((quarter) => quarter === 0n);
  }
}

/** An interval as far as it concerns the hour and one owner. */
export interface TracedInterval extends Judged {
  readonly unit: number;
  readonly sample: Readonly<UnitSample>;
  readonly flags: number;
  /** End of the usage; of a gauge that was held for less than its interval, before the sample. */
  readonly to: number;
  readonly quantity: bigint;
  readonly missing: { readonly from: number; readonly to: number } | undefined;
  readonly share: Sum;
}

export interface TracedSeries {
  readonly key: SeriesKey;
  readonly sum: Sum;
  readonly intervals: TracedInterval[];
  /** With those that were not kept. */
  total: number;
}

/** What one owner has of a namespace. */
export interface TracedKey {
  readonly tenant: string;
  readonly namespace: string;
  readonly sum: Sum;
  readonly series: Map<SeriesKey, TracedSeries>;
}

export interface Traced {
  readonly meter: string;
  readonly hour: number;
  readonly tenant?: string | undefined;
  readonly namespace?: string | undefined;
}

interface Given {
  readonly from: number;
  readonly to: number;
  readonly quantity: bigint;
}

/** Of one cluster; units one after the other. */
export class Trace implements UsageObserver {
  readonly #asked: Traced;
  readonly keys = new Map<string, TracedKey>();
  /** Births that were judged, for their evidence. */
  readonly births = new Map<SeriesKey, BirthEvidence>();
  #inputs: SpanInputs | undefined;
  #settings: MeteringSettings | undefined;
  #judges = new Map<SeriesKey, Judge>();
  #given: Given | undefined;
  #missing: { readonly from: number; readonly to: number } | undefined;
  #kept = 0;

  constructor(asked: Traced) {
    this.#asked = asked;
  }

  begin(inputs: SpanInputs, settings: MeteringSettings): void {
    this.#inputs = inputs;
    this.#settings = settings;
    this.#judges = new Map();
  }

  usage(_series: ObservedSeries, interval: Given): void {
    this.#given = interval;
  }

  missing(_series: ObservedSeries, interval: { readonly from: number; readonly to: number }): void {
    this.#missing = interval;
  }

  counted({ key, meta, unit }: ObservedSeries, flags: number, sample: Readonly<UnitSample>): void {
    const [given, missing] = [this.#given, this.#missing];
    this.#given = this.#missing = undefined;
    const { meter, namespace } = this.#asked;
    if (meta.meter.name !== meter || (namespace !== undefined && meta.namespace !== namespace)) return;
    const judged = this.#judgeOf(key, meta).take(sample, flags);
    const shares = this.#shares(meta.namespace, given, missing);
    const owner = this.#ownerOf(meta.namespace, sample.t);
    // A sample that counted for nothing is of interest where it says why.
    const says = flags !== 0 || judged.rule.startsWith('baseline');
    if (says && owner !== undefined && !shares.has(owner)) shares.set(owner, new Sum());
    for (const [tenant, share] of shares) {
      this.#keep(tenant, { key, meta }, { ...judged, unit, sample, flags, share, given, missing });
    }
  }

  #judgeOf(key: SeriesKey, meta: SeriesMeta): Judge {
    let judge = this.#judges.get(key);
    if (judge === undefined) this.#judges.set(key, (judge = this.#newJudge(key, meta)));
    return judge;
  }

  #newJudge(key: SeriesKey, meta: SeriesMeta): Judge {
    const before = this.#inputs?.closings.get(key);
    if (meta.meter.kind === 'gauge') {
      const value = before === undefined || before.value < 0n ? undefined : before.value;
      return new GaugeJudge(before === undefined ? undefined : { t: before.t, value });
    }
    if (this.#settings === undefined) throw new Error('a unit is begun before it is folded');
    const bound = growthBound(meta.meter, this.#settings);
    if (meta.delta) return new DeltaJudge(before, bound);
    const evidence = this.#inputs?.births.get(key) ?? NO_EVIDENCE;
    if (before === undefined) this.births.set(key, evidence);
    return new CounterJudge(before, evidence, bound);
  }

  /** By owner, what of it lies in the hour. */
  #shares(
    namespace: string,
    given: Given | undefined,
    missing: { readonly from: number; readonly to: number } | undefined,
  ): Map<string, Sum> {
    const shares = new Map<string, Sum>();
    const { hour } = this.#asked;
    const cut = (interval: Given, take: (sum: Sum, begin: number, share: bigint) => void): void => {
      if (interval.to <= hour || interval.from >= hour + HOUR_MS) return;
      split(
        interval,
        (t) => this.#ownership.nextChange(namespace, t),
        (begin, _end, share) => {
          if (share === 0n || begin < hour || begin >= hour + HOUR_MS) return;
          const tenant = this.#ownership.ownerAt(namespace, begin);
          if (!this.#isAsked(tenant)) return;
          let sum = shares.get(tenant);
          if (sum === undefined) shares.set(tenant, (sum = new Sum()));
          take(sum, begin, share);
        },
      );
    };
    if (given !== undefined) {
      cut(given, (sum, begin, share) => (sum.quarters[quarterOf(hour, begin)] += share));
    }
    if (missing !== undefined) {
      const length = { ...missing, quantity: BigInt(missing.to - missing.from) };
      cut(length, (sum, _begin, share) => (sum.missingMs += share));
    }
    return shares;
  }

  get #ownership(): SpanInputs['ownership'] {
    if (this.#inputs === undefined) throw new Error('a unit is begun before it is folded');
    return this.#inputs.ownership;
  }

  /** Who a sample of the hour is counted for. */
  #ownerOf(namespace: string, t: number): string | undefined {
    if (owningHour(t) !== this.#asked.hour) return undefined;
    const tenant = this.#ownership.ownerAt(namespace, t - 1);
    return this.#isAsked(tenant) ? tenant : undefined;
  }

  #isAsked(tenant: string): boolean {
    return this.#asked.tenant === undefined || this.#asked.tenant === tenant;
  }

  #keep(
    tenant: string,
    { key, meta }: { readonly key: SeriesKey; readonly meta: SeriesMeta },
    interval: Omit<TracedInterval, 'to' | 'quantity'> & { readonly given: Given | undefined },
  ): void {
    const { given, ...kept } = interval;
    const owned = this.#key(tenant, meta.namespace);
    let series = owned.series.get(key);
    if (series === undefined) {
      owned.series.set(key, (series = { key, sum: new Sum(), intervals: [], total: 0 }));
    }
    owned.sum.add(interval.share);
    series.sum.add(interval.share);
    series.total++;
    if (this.#kept >= KEPT) return;
    this.#kept++;
    series.intervals.push({
      ...kept,
      sample: { ...interval.sample },
      to: given?.to ?? interval.missing?.from ?? interval.sample.t,
      from: given?.from ?? interval.from,
      quantity: given?.quantity ?? 0n,
    });
  }

  #key(tenant: string, namespace: string): TracedKey {
    const name = `${tenant}\n${namespace}`;
    let key = this.keys.get(name);
    if (key === undefined) {
      this.keys.set(name, (key = { tenant, namespace, sum: new Sum(), series: new Map() }));
    }
    return key;
  }
}

function quarterOf(hour: number, t: number): 0 | 1 | 2 | 3 {
  return Math.floor((t - hour) / QUARTER_MS) as 0 | 1 | 2 | 3;
}
