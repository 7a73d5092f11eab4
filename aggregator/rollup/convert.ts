/**
 * Samples -> usage, of every hour of a span: reads the samples sorted, folds each series hour by hour from
 * its closing before, and gives per unit (cluster, hour) its parts and closings. A pure function of what is
 * stored: it writes nothing. What comes out is the same whether hours are converted together or one by one,
 * because a series goes on from the closing that the hour before would have stored.
 */
import { HOUR_MS } from '../../core/metering/hour.ts';
import type { MeteringSettings } from '../../core/metering/settings.ts';
import { growthBound, type GrowthBound } from '../conversion/plausibility.ts';
import type { KeptHours } from '../ledger/erasure/kept-hours.ts';
import { fixedRows } from '../store/row-binary.ts';
import type { UsageStore } from '../store/usage-store.ts';
import { ObservedSink, type UsageObserver } from './observed.ts';
import { samplesIn, samplesParameters, type SeriesChoice } from './series-choice.ts';
import {
  CounterFold,
  DeltaFold,
  GaugeFold,
  type Closing,
  type SeriesFold,
  type UsageSink,
} from './series-fold.ts';
import {
  podEndKey,
  readSpanInputs,
  type SeriesCache,
  type SeriesMeta,
  type SpanInputs,
} from './span-inputs.ts';
import type { SeriesKey, Span } from './span.ts';
import { UsageParts, type MeasuredSum, type UsageDetail, type UsagePart } from './usage-parts.ts';

/** series 16, t 8, start 8, target 8, value 8 */
const ROW_BYTES = 48;
const NOWHERE: UsageSink = {
  usage: () => undefined,
  missing: () => undefined,
  counted: () => undefined,
};
const NO_EVIDENCE = { meteringFrom: undefined, absentAt: undefined, containerStart: 0 };

/** What a unit gives. */
export interface UnitUsage {
  readonly hour: number;
  readonly parts: readonly UsagePart[];
  readonly details: readonly UsageDetail[];
  readonly measured: readonly MeasuredSum[];
  readonly closings: ReadonlyMap<SeriesKey, Closing>;
  readonly samples: number;
}

export interface ConvertOptions {
  readonly settings: MeteringSettings;
  readonly cache: SeriesCache;
  readonly observer?: UsageObserver | undefined;
  /** Namespaces that are frozen in a unit are passed over, with whatever samples they have there. */
  readonly kept?: KeptHours | undefined;
  /** What these series give alone; undefined: all. */
  readonly only?: SeriesChoice | undefined;
}

/** One entry for each hour of the span, in order. */
export async function convertSpan(
  store: UsageStore,
  span: Span,
  options: ConvertOptions,
): Promise<readonly UnitUsage[]> {
  const inputs = await readSpanInputs(store, span, options);
  options.observer?.begin(inputs, options.settings);
  const fold = new SpanFold(span, inputs, options);
  if (inputs.series.size === 0) return fold.finish();
  const chunks = store.rowBinary(
    `SELECT series, t, start, target, toInt64(version) - 1 FROM samples
     WHERE ${samplesIn(options.only)} ORDER BY hour, cluster, meter, series, t, start, target`,
    samplesParameters(span, options.only),
  );
  for await (const { bytes, view } of fixedRows(chunks, ROW_BYTES)) fold.take(bytes, view);
  return fold.finish();
}

class SpanFold {
  readonly #span: Span;
  readonly #inputs: SpanInputs;
  readonly #settings: MeteringSettings;
  readonly #observer: UsageObserver | undefined;
  readonly #kept: KeptHours | undefined;
  readonly #bounds = new Map<string, GrowthBound>();
  readonly #units: UnitUsage[] = [];
  /** The newest closing of each series that the span has had so far. */
  readonly #carried = new Map<SeriesKey, Closing>();
  /** The unit that is being folded. */
  #hour: number;
  #end: number;
  #parts: UsageParts;
  #closings = new Map<SeriesKey, Closing>();
  #samples = 0;
  /** Id of the series, in four parts. */
  readonly #words = new Int32Array(4);
  #key: SeriesKey = '';
  #meta: SeriesMeta | undefined;
  /** Undefined: no series yet, or one that does not count. */
  #fold: SeriesFold | undefined;
  readonly #pending = { t: 0, value: 0n, start: 0, processStart: 0 };

  constructor(span: Span, inputs: SpanInputs, options: ConvertOptions) {
    this.#span = span;
    this.#inputs = inputs;
    this.#settings = options.settings;
    this.#observer = options.observer;
    this.#kept = options.kept;
    this.#hour = span.first;
    this.#end = span.first + HOUR_MS;
    this.#parts = new UsageParts(inputs.ownership);
  }

  /** Rows come hour by hour, and within an hour series by series. */
  take(bytes: Uint8Array, view: DataView): void {
    for (let at = 0; at < view.byteLength; at += ROW_BYTES) {
      const t = timeAt(view, at + 16);
      // Asked of every row, for the answer is remembered: the first row of an hour also begins a series.
      const isSame = this.#isSameSeries(view, at);
      if (t > this.#end || !isSame) {
        this.#finishSeries();
        while (t > this.#end) this.#finishUnit();
        this.#begin(Buffer.from(bytes.buffer, bytes.byteOffset + at, 16).toString('latin1'));
      }
      if (this.#fold !== undefined) this.#row(view, at, t);
    }
  }

  /** Words rather than two integers of 64 bits: those would be objects, made for every row. */
  #isSameSeries(view: DataView, at: number): boolean {
    const words = this.#words;
    const [a, b] = [view.getInt32(at, true), view.getInt32(at + 4, true)];
    const [c, d] = [view.getInt32(at + 8, true), view.getInt32(at + 12, true)];
    if (a === words[0] && b === words[1] && c === words[2] && d === words[3]) return this.#key !== '';
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
    return false;
  }

  finish(): readonly UnitUsage[] {
    this.#finishSeries();
    while (this.#hour <= this.#span.last) this.#finishUnit();
    return this.#units;
  }

  #finishUnit(): void {
    this.#units.push({
      hour: this.#hour,
      ...this.#parts.finish(),
      measured: this.#parts.measured(),
      closings: this.#closings,
      samples: this.#samples,
    });
    this.#hour += HOUR_MS;
    this.#end = this.#hour + HOUR_MS;
    this.#parts = new UsageParts(this.#inputs.ownership);
    this.#closings = new Map();
    this.#samples = 0;
  }

  #begin(key: SeriesKey): void {
    this.#key = key;
    this.#pending.t = 0;
    const meta = this.#inputs.series.get(key);
    this.#meta = meta;
    // A series that came while the span was being read has marked its unit again; its turn comes then.
    const isFrozen = this.#kept?.isFrozen(this.#span.cluster, meta?.namespace ?? '', this.#hour) === true;
    if (meta === undefined || isFrozen) {
      this.#fold = undefined;
      return;
    }
    this.#parts.series(meta.namespace, meta.meter.name, this.#inputs.breakdown.of(meta.detail));
    this.#fold = this.#foldOf(meta, this.#carried.get(key) ?? this.#inputs.closings.get(key), key);
  }

  #foldOf(meta: SeriesMeta, before: Closing | undefined, key: SeriesKey): SeriesFold {
    const { meter } = meta;
    const sink = this.#sinkOf(meta, key);
    if (meter.kind === 'gauge') {
      const { unitsPerValueMs } = meter;
      return new GaugeFold(before, { maxHoldMs: this.#settings.maxHoldMs, unitsPerValueMs, sink });
    }
    let bound = this.#bounds.get(meter.name);
    if (bound === undefined) {
      bound = growthBound(meter, this.#settings);
      this.#bounds.set(meter.name, bound);
    }
    if (meta.delta) return new DeltaFold(before, { bound, sink });
    return new CounterFold(before, this.#inputs.births.get(key) ?? NO_EVIDENCE, { bound, sink });
  }

  #sinkOf(meta: SeriesMeta, key: SeriesKey): UsageSink {
    // Closings are the same whether a pod was known to be on the host's network then, or not yet.
    if (this.#inputs.hostNetwork.has(meta.podKey)) return NOWHERE;
    if (this.#observer === undefined) return this.#parts;
    const series = { key, meta, unit: this.#hour };
    return new ObservedSink(this.#parts, { observer: this.#observer, series, sample: this.#pending });
  }

  /**
   * Rows of one (series, t) follow each other: the larger value wins, then the later start (METERING 5).
   * Copies that the store has not merged yet are judged here with the others, which costs less than to have
   * them merged first.
   */
  #row(view: DataView, at: number, t: number): void {
    const pending = this.#pending;
    const start = timeAt(view, at + 24);
    const value = view.getBigInt64(at + 40, true);
    const processStart = this.#processStart(view, at, t);
    if (t === pending.t) {
      pending.processStart = Math.max(pending.processStart, processStart);
      if (value < pending.value) return;
      pending.start = value > pending.value ? start : Math.max(start, pending.start);
      pending.value = value;
      return;
    }
    this.#flush();
    pending.t = t;
    pending.value = value;
    pending.start = start;
    pending.processStart = processStart;
  }

  #processStart(view: DataView, at: number, t: number): number {
    if (view.getUint32(at + 32, true) === 0 && view.getUint32(at + 36, true) === 0) return 0;
    return this.#inputs.processStarts.at(view.getBigUint64(at + 32, true), t);
  }

  #flush(): void {
    const pending = this.#pending;
    const meta = this.#meta;
    if (pending.t === 0 || meta === undefined) return;
    this.#samples++;
    if (meta.meter.endsWithPod && this.#inputs.podEnds.has(podEndKey(meta.podUid, pending.t)))
      pending.value = -1n;
    this.#fold?.take(pending);
  }

  #finishSeries(): void {
    if (this.#fold === undefined) return;
    this.#flush();
    const closing = this.#fold.closing();
    if (closing !== undefined) {
      this.#closings.set(this.#key, closing);
      if (this.#hour < this.#span.last) this.#carried.set(this.#key, closing);
    }
    this.#fold = undefined;
  }
}

function timeAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getInt32(at + 4, true) * 4294967296;
}
