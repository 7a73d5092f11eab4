/**
 * For whoever wants to see where usage comes from: what a fold says, with the series and the sample it says
 * it of, on its way to the parts. Nothing of this runs unless somebody asks.
 */
import type { MeteringSettings } from '../../core/metering/settings.ts';
import type { SeriesMeta, SpanInputs } from './span-inputs.ts';
import type { UnitSample, UsageSink } from './series-fold.ts';
import type { SeriesKey } from './span.ts';

export interface ObservedSeries {
  readonly key: SeriesKey;
  readonly meta: SeriesMeta;
  /** The unit that is folded, by its hour. */
  readonly unit: number;
}

/** The sample is the newest that was taken in, and the caller's own: copy what is kept. */
export interface UsageObserver {
  /** The span that is folded next, with what it is folded from. */
  begin(inputs: SpanInputs, settings: MeteringSettings): void;
  /** `quantity` on (from, to], in base units. */
  usage(
    series: ObservedSeries,
    interval: { readonly from: number; readonly to: number; readonly quantity: bigint },
    sample: Readonly<UnitSample>,
  ): void;
  missing(
    series: ObservedSeries,
    interval: { readonly from: number; readonly to: number },
    sample: Readonly<UnitSample>,
  ): void;
  /** The sample was judged: flags of `conversion/flags.ts`, 0 if there is nothing to say. */
  counted(series: ObservedSeries, flags: number, sample: Readonly<UnitSample>): void;
}

export class ObservedSink implements UsageSink {
  readonly #sink: UsageSink;
  readonly #observer: UsageObserver;
  readonly #series: ObservedSeries;
  readonly #sample: Readonly<UnitSample>;

  constructor(
    sink: UsageSink,
    told: { observer: UsageObserver; series: ObservedSeries; sample: Readonly<UnitSample> },
  ) {
    this.#sink = sink;
    this.#observer = told.observer;
    this.#series = told.series;
    this.#sample = told.sample;
  }

  usage(from: number, to: number, quantity: bigint): void {
    this.#observer.usage(this.#series, { from, to, quantity }, this.#sample);
    this.#sink.usage(from, to, quantity);
  }

  missing(from: number, to: number): void {
    this.#observer.missing(this.#series, { from, to }, this.#sample);
    this.#sink.missing(from, to);
  }

  counted(t: number, flags: number): void {
    this.#observer.counted(this.#series, flags, this.#sample);
    this.#sink.counted(t, flags);
  }
}
