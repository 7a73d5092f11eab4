/** Puts figures, traces and stored samples together, and adds up. */
import type { MeterDefinition } from '../../../core/metering/catalogue.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { SeriesKey } from '../../rollup/span.ts';
import { quantityOf, sameQuarters, type Quarters } from '../entry.ts';
import { flagNames } from '../statements/json.ts';
import type {
  Amount,
  Evidence,
  Explanation,
  FigureState,
  IntervalExplanation,
  KeyExplanation,
  SampleExplanation,
  SeriesExplanation,
} from './explanation.ts';
import {
  figureKey,
  NO_VALUE,
  type Asked,
  type CoverageFigure,
  type Figure,
  type Figures,
} from './figures.ts';
import {
  hexOf,
  readLabels,
  readSamples,
  sampleKey,
  type SeriesLabels,
  type StoredSample,
} from './samples.ts';
import { Sum, type Trace, type TracedInterval, type TracedKey, type TracedSeries } from './trace.ts';

interface Context {
  readonly meter: MeterDefinition;
  readonly figures: Figures;
  readonly limit: number;
  /** Intervals that are passed over before any is shown. */
  readonly skip: number;
}

interface TracedCluster {
  readonly cluster: string;
  readonly trace: Trace;
  /** Units before it have no samples any more. */
  readonly frozen: number;
}

const PAST_RETENTION = 'some of it is from samples past their retention: that stands as it was stored';

export class Assembly {
  readonly #asked: Asked;
  readonly #context: Context;
  readonly #keys: KeyExplanation[] = [];
  readonly #figure = new Sum();
  readonly #atClose = new Sum();
  readonly #sum = new Sum();
  readonly #reservations = new Set<string>();
  #shown = 0;
  #skipped = 0;
  #total = 0;

  constructor(asked: Asked, context: Context) {
    this.#asked = asked;
    this.#context = context;
  }

  async take(store: UsageStore, traced: TracedCluster): Promise<void> {
    const { cluster, trace } = traced;
    if (this.#context.figures.waiting.has(cluster)) {
      this.#reservations.add(
        `${cluster} has samples of this hour that are not settled yet: its figure may change`,
      );
    }
    const keys = new Map([...trace.keys.values()].map((key) => [figureKey({ ...key, cluster }), key]));
    const own = [...this.#context.figures.figures].filter(([, figure]) => figure.cluster === cluster);
    const figures = new Map(own);
    const all = [...new Set([...figures.keys(), ...keys.keys()])];
    const shown = this.#choose(all.flatMap((key) => [...(keys.get(key)?.series.values() ?? [])]));
    const details = await readDetails(store, { cluster, meter: this.#context.meter.name, shown });
    for (const key of all.sort()) {
      this.#keys.push(this.#keyOf(figures.get(key), keys.get(key), { traced, shown, details }));
    }
  }

  explanation(coverage: ReadonlyMap<string, CoverageFigure>): Explanation {
    const { meter, figures } = this.#context;
    const { tenant, cluster, namespace, hour } = this.#asked;
    const keys = this.#keys.map((key) => withCoverage(key, coverage.get(key.cluster)));
    return {
      ...{ meter: meter.name, unit: meter.unit, hour: new Date(hour).toISOString() },
      asked: {
        ...(tenant === undefined ? {} : { tenant }),
        ...(cluster === undefined ? {} : { cluster }),
        ...(namespace === undefined ? {} : { namespace }),
      },
      state: stateOf(keys),
      ...amountOf(this.#figure),
      ...(figures.closedAs === undefined
        ? {}
        : { atClose: { period: figures.closedAs, ...amountOf(this.#atClose) } }),
      sum: amountOf(this.#sum),
      equal: keys.every((key) => key.equal),
      keys,
      intervals: { shown: this.#shown, total: this.#total },
      reservations: [...this.#reservations],
    };
  }

  /** Which intervals of which series are shown: those of the largest ones, from the oldest on. */
  #choose(series: readonly TracedSeries[]): ReadonlyMap<TracedSeries, readonly TracedInterval[]> {
    const shown = new Map<TracedSeries, readonly TracedInterval[]>();
    const bySize = [...series].sort((a, b) => {
      const [x, y] = [quantityOf(a.sum.quarters), quantityOf(b.sum.quarters)];
      return x === y ? (a.key < b.key ? -1 : 1) : x > y ? -1 : 1;
    });
    for (const one of bySize) {
      this.#total += one.total;
      const from = Math.min(one.intervals.length, this.#context.skip - this.#skipped);
      this.#skipped += from;
      const room = Math.max(0, this.#context.limit - this.#shown);
      const intervals = one.intervals.slice(from, from + room);
      if (intervals.length === 0) continue;
      this.#shown += intervals.length;
      shown.set(one, intervals);
    }
    return shown;
  }

  #keyOf(
    figure: Figure | undefined,
    key: TracedKey | undefined,
    { traced, shown, details }: { traced: TracedCluster; shown: Shown; details: Details },
  ): KeyExplanation {
    const { cluster, frozen, trace } = traced;
    const { tenant = '', namespace = '' } = key ?? figure ?? {};
    const without = (figure?.parts ?? []).filter((part) => part.unit < frozen);
    if (without.length > 0) this.#reservations.add(PAST_RETENTION);
    const value = figure?.value ?? NO_VALUE;
    const sum = new Sum();
    for (const given of [...(key === undefined ? [] : [key.sum]), ...without]) sum.add(given);
    this.#figure.add(value);
    this.#sum.add(sum);
    this.#atClose.add(figure?.atClose ?? NO_VALUE);
    const listed = [...shown].filter(([one]) => key?.series.get(one.key) === one);
    return {
      ...{ cluster, tenant, namespace, ...standingOf(figure), ...amountOf(value) },
      ...{ samples: String(value.samples), flags: flagNames(value.flags) },
      sum: amountOf(sum),
      equal: sameQuarters(sum.quarters, value.quarters) && sum.missingMs === value.missingMs,
      withoutSamples: without.map((part) => ({ unitHour: iso(part.unit), ...amountOf(part) })),
      series: listed.map(([one, intervals]) => seriesOf(one, intervals, { details, trace })),
      seriesNotShown: (key?.series.size ?? 0) - listed.length,
    };
  }
}

function standingOf(figure: Figure | undefined): Pick<KeyExplanation, 'state' | 'revision' | 'atClose'> {
  const { state = 'provisional', revision, atClose } = figure ?? {};
  return {
    state,
    ...(revision === undefined ? {} : { revision }),
    ...(atClose === undefined ? {} : { atClose: amountOf(atClose) }),
  };
}

type Shown = ReadonlyMap<TracedSeries, readonly TracedInterval[]>;

interface Details {
  readonly samples: ReadonlyMap<string, StoredSample>;
  readonly labels: ReadonlyMap<SeriesKey, SeriesLabels>;
}

async function readDetails(
  store: UsageStore,
  { cluster, meter, shown }: { readonly cluster: string; readonly meter: string; readonly shown: Shown },
): Promise<Details> {
  const ends = [...shown].flatMap(([{ key }, intervals]) =>
    intervals.flatMap(({ sample, before }) => [
      { series: key, t: sample.t },
      ...(before === undefined ? [] : [{ series: key, t: before.t }]),
    ]),
  );
  const series = [...new Set([...shown.keys()].map(({ key }) => key))];
  return {
    samples: await readSamples(store, { cluster, meter }, ends),
    labels: await readLabels(store, cluster, series),
  };
}

function seriesOf(
  series: TracedSeries,
  intervals: readonly TracedInterval[],
  { details, trace }: { readonly details: Details; readonly trace: Trace },
): SeriesExplanation {
  const { metric = '', labels = {} } = details.labels.get(series.key) ?? {};
  return {
    ...{ series: hexOf(series.key), metric, labels, ...amountOf(series.sum) },
    intervals: intervals.map((interval) => intervalOf(series.key, interval, { details, trace })),
    intervalsNotShown: series.total - intervals.length,
  };
}

function intervalOf(
  series: SeriesKey,
  interval: TracedInterval,
  { details, trace }: { readonly details: Details; readonly trace: Trace },
): IntervalExplanation {
  const { unit, rule, from, to, quantity, missing, share, flags, before, sample } = interval;
  const stored = (t: number): StoredSample | undefined => details.samples.get(sampleKey(series, t));
  return {
    ...{ unitHour: iso(unit), rule, from: iso(from), to: iso(to), quantity: String(quantity) },
    ...(missing === undefined ? {} : { missing: { from: iso(missing.from), to: iso(missing.to) } }),
    share: amountOf(share),
    flags: flagNames(flags),
    evidence: evidenceOf(series, interval, trace),
    ...(before === undefined ? {} : { before: sampleOf(before, stored(before.t)) }),
    at: sampleOf({ t: sample.t, value: sample.value, start: sample.start }, stored(sample.t)),
  };
}

/**
 * A sample as it is stored and where it stands in the log; as the fold knew it where it is stored no more.
 */
function sampleOf(
  known: { readonly t: number; readonly value: bigint; readonly start?: number },
  stored: StoredSample | undefined,
): SampleExplanation {
  const { t, value } = known;
  if (stored === undefined) return { t: iso(t), value: valueText(value), ...startOf(known.start) };
  const { topic, partition, offset } = stored;
  const isMeasuredFrom = known.start === undefined && stored.value !== value;
  return {
    ...{ t: iso(t), value: valueText(stored.value), ...startOf(stored.start) },
    ...(isMeasuredFrom ? { baseline: String(value) } : {}),
    ...(value < 0n && stored.value >= 0n ? { podEnded: true } : {}),
    log: { topic, partition, offset },
  };
}

function startOf(start = 0): { readonly start?: string } {
  return start > 0 ? { start: iso(start) } : {};
}

function valueText(value: bigint): string {
  return value < 0n ? 'stale' : String(value);
}

function evidenceOf(series: SeriesKey, { rule, sample }: TracedInterval, trace: Trace): Evidence {
  const isBirth = rule.startsWith('born') || rule.startsWith('baseline');
  const known = isBirth ? trace.births.get(series) : undefined;
  const instant = (name: keyof Evidence, t: number | undefined): Partial<Evidence> =>
    t === undefined || t === 0 ? {} : { [name]: iso(t) };
  return {
    ...instant('meteringFrom', known?.meteringFrom),
    ...instant('absentAt', known?.absentAt),
    ...instant('containerStart', known?.containerStart),
    ...(isBirth || rule === 'reset_by_process' ? instant('processStart', sample.processStart) : {}),
  };
}

function withCoverage(key: KeyExplanation, coverage: CoverageFigure | undefined): KeyExplanation {
  return coverage === undefined ? key : { ...key, coverage };
}

function stateOf(keys: readonly KeyExplanation[]): FigureState {
  const states = new Set(keys.map(({ state }) => state));
  if (states.has('provisional') || states.size === 0) return 'provisional';
  return states.has('settled') ? 'settled' : 'closed';
}

function amountOf({
  quarters,
  missingMs,
}: {
  readonly quarters: Quarters;
  readonly missingMs: bigint;
}): Amount {
  const [q0, q1, q2, q3] = quarters;
  return {
    quantity: String(quantityOf(quarters)),
    quarters: [String(q0), String(q1), String(q2), String(q3)],
    missingMs: String(missingMs),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
