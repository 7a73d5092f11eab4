/**
 * Samples -> parts, once more and without writing anything: the units that give to a period, span by span,
 * each held against what is stored. In: samples and what was known before the first of them. Out: where
 * stored parts are others than those that the samples give, and coverage.
 *
 * Within a span a series goes on from what was just computed. A span starts from closings that are stored;
 * those the span before has just been held against, so a wrong one is found where it came about and not
 * passed on unseen.
 */
import { HOUR_MS } from '../../../core/metering/hour.ts';
import { readClosingsOf } from '../../rollup/closings.ts';
import { convertSpan, type UnitUsage } from '../../rollup/convert.ts';
import { readCoverage } from '../../rollup/coverage.ts';
import type { Closing } from '../../rollup/series-fold.ts';
import { SeriesCache } from '../../rollup/span-inputs.ts';
import { SpanPlanner } from '../../rollup/span-planner.ts';
import { hoursOf, spanParameters, type SeriesKey, type Span } from '../../rollup/span.ts';
import type { UsagePart } from '../../rollup/usage-parts.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import { quartersFrom, sameQuarters } from '../entry.ts';
import { readParts, type GivenPart, type HourCoverage } from '../settled-hours.ts';
import { never, NOTHING_THERE, type Check } from './check.ts';
import { hourText, quartersText } from './figures.ts';
import type { VerifyScope } from './scope.ts';
import { boundsOf, hoursThatGoOn, IN_PERIOD, readUnits } from './units.ts';

export interface RecomputeDeps {
  readonly store: UsageStore;
  readonly parts: Check;
  readonly progress: (line: string) => void;
}

export class Recomputation {
  readonly #deps: RecomputeDeps;
  readonly #scope: VerifyScope;
  readonly #cluster: string;
  readonly #cache = new SeriesCache();
  readonly #coverage = new Map<number, HourCoverage[]>();
  /** By hour and part; undefined: the samples give no such part. */
  readonly #corrected = new Map<number, Map<string, GivenPart | undefined>>();
  /** Hours of the period that units beyond them give to. */
  readonly #reach = new Map<number, Set<number>>();
  /** Hours of the period that were computed. */
  hours: readonly number[] = [];
  samples = 0;

  constructor(cluster: string, scope: VerifyScope, deps: RecomputeDeps) {
    this.#cluster = cluster;
    this.#scope = scope;
    this.#deps = deps;
  }

  async run(): Promise<void> {
    const { store, progress } = this.#deps;
    const { within, beyond } = await readUnits(store, this.#cluster, this.#scope);
    this.hours = within;
    for await (const span of this.#spans(within)) {
      const units = await this.#compute(span);
      await this.#compareClosings(span, units);
      await this.#cover(span);
      const done = (span.last - (within[0] ?? 0)) / HOUR_MS + 1;
      progress(`${this.#cluster}: ${done} of ${within.length} hours, ${this.samples} samples`);
    }
    await this.#later(beyond);
  }

  /** Of an hour, as the samples say. */
  coverageOf(hour: number): readonly HourCoverage[] {
    return this.#coverage.get(hour) ?? [];
  }

  /** The parts of an hour as the samples give them: the stored ones, but for those found to be others. */
  corrected(hour: number, stored: readonly GivenPart[]): readonly GivenPart[] {
    const corrected = this.#corrected.get(hour);
    if (corrected === undefined) return stored;
    const right = stored.filter((part) => !corrected.has(partKey(part)));
    return [...right, ...[...corrected.values()].filter((part) => part !== undefined)];
  }

  /** Hours of the period that units from this one on give to. */
  reachedFrom(unit: number): number[] {
    const reached = [...this.#reach].filter(([from]) => from >= unit).flatMap(([, hours]) => [...hours]);
    return [...new Set([...this.hours.filter((hour) => hour >= unit), ...reached])];
  }

  async *#spans(hours: readonly number[]): AsyncGenerator<Span> {
    const planner = new SpanPlanner(this.#deps.store, this.#cluster);
    for (let at = 0; at < hours.length;) {
      const span = await planner.next(this.#scope.kept.together(this.#cluster, hours.slice(at)));
      yield span;
      at += hoursOf(span).length;
    }
  }

  /** One by one: they lie apart, and each may be under other settings. */
  async #later(beyond: readonly number[]): Promise<void> {
    const waiting = new Set(beyond);
    while (waiting.size > 0) {
      const hour = Math.min(...waiting);
      waiting.delete(hour);
      const [unit] = await this.#compute({ cluster: this.#cluster, first: hour, last: hour });
      const stillOpen = [...(unit?.closings ?? [])].filter(([, { t }]) => t < this.#scope.end);
      const place = { cluster: this.#cluster, hour };
      const series = stillOpen.map(([key]) => key);
      for (const next of await hoursThatGoOn(this.#deps.store, place, series)) waiting.add(next);
    }
  }

  async #compute(span: Span): Promise<readonly UnitUsage[]> {
    const { store } = this.#deps;
    const settings = this.#scope.settings.at(span.first);
    const units = await convertSpan(store, span, { settings, cache: this.#cache, kept: this.#scope.kept });
    const stored = await readParts(
      store,
      `cluster = {cluster:String} AND unit >= toDateTime({first:Int64}, 'UTC')
         AND unit <= toDateTime({last:Int64}, 'UTC') AND ${IN_PERIOD}`,
      { ...spanParameters(span), ...boundsOf(this.#scope) },
    );
    const byKey = new Map(stored.map((part) => [partKey(part), part]));
    for (const { hour, parts, samples } of units) {
      this.samples += samples;
      for (const part of parts) this.#comparePart(givenBy(hour, part), byKey);
    }
    // What is left is what no sample gives.
    for (const [key, part] of byKey) if (this.#isJudged(part)) this.#differs(key, { stored: part });
    return units;
  }

  #comparePart(part: GivenPart, stored: Map<string, GivenPart>): void {
    if (!this.#isJudged(part)) return;
    if (part.unit !== part.hour) this.#reaches(part);
    const key = partKey(part);
    const other = stored.get(key);
    stored.delete(key);
    if (other === undefined || !isSamePart(part, other)) {
      this.#differs(key, { recomputed: part, stored: other });
      return;
    }
    this.#deps.parts.compare(true, never, { cluster: this.#cluster, hour: part.hour });
  }

  /** In the period, not before its first samples, and not of a unit whose samples were erased. */
  #isJudged({ unit, hour, namespace }: GivenPart): boolean {
    const { firstWithSamples, end, kept } = this.#scope;
    return hour >= firstWithSamples && hour < end && !kept.isFrozen(this.#cluster, namespace, unit);
  }

  #reaches({ unit, hour }: GivenPart): void {
    const hours = this.#reach.get(unit);
    if (hours === undefined) this.#reach.set(unit, new Set([hour]));
    else hours.add(hour);
  }

  #differs(key: string, sides: { recomputed?: GivenPart; stored: GivenPart | undefined }): void {
    const { recomputed, stored } = sides;
    const part = recomputed ?? stored;
    if (part === undefined) return;
    this.#reaches(part);
    const corrected = this.#corrected.get(part.hour) ?? new Map<string, GivenPart | undefined>();
    this.#corrected.set(part.hour, corrected.set(key, recomputed));
    const { hour, unit, tenant, namespace, meter } = part;
    const owned = `${this.#cluster} ${hourText(hour)} ${tenant}/${namespace} ${meter}`;
    this.#deps.parts.compare(
      false,
      () => ({
        what: `part of ${owned} in unit ${hourText(unit)}`,
        recomputed: partText(recomputed),
        stored: partText(stored),
      }),
      { cluster: this.#cluster, hour },
    );
  }

  async #compareClosings(span: Span, units: readonly UnitUsage[]): Promise<void> {
    const stored = await readClosingsOf(this.#deps.store, span);
    const computed = new Map<SeriesKey, { hour: number; closing: Closing }>();
    for (const { hour, closings } of units)
      for (const [key, closing] of closings) computed.set(key, { hour, closing });
    for (const [key, { hour, closing }] of computed) {
      const other = stored.get(key);
      stored.delete(key);
      this.#closing(key, hour, { recomputed: closing, stored: other });
    }
    // Without its samples a series of somebody who was erased has closings alone.
    if (this.#scope.kept.frozenNamespaces(this.#cluster, span.first).length > 0) return;
    for (const [key, closing] of stored)
      this.#closing(key, span.last, { recomputed: undefined, stored: closing });
  }

  #closing(
    key: SeriesKey,
    hour: number,
    { recomputed, stored }: { recomputed: Closing | undefined; stored: Closing | undefined },
  ): void {
    const isEqual =
      recomputed?.t === stored?.t &&
      recomputed?.value === stored?.value &&
      recomputed?.known === stored?.known;
    this.#deps.parts.compare(
      isEqual,
      () => ({
        what: `closing of series ${seriesText(key)} of ${this.#cluster} in ${hourText(hour)}`,
        recomputed: closingText(recomputed),
        stored: closingText(stored),
      }),
      { cluster: this.#cluster, hour },
    );
  }

  async #cover(span: Span): Promise<void> {
    const { latenessMs } = this.#scope.settings.at(span.first);
    const rows = await readCoverage(this.#deps.store, span, { latenessMs, isOpen: false });
    for (const { hour, meter, coveredMs, expectedMs, quarters } of rows) {
      const row = {
        ...{ hour, meter, coveredMs: BigInt(coveredMs), expectedMs: BigInt(expectedMs) },
        coveredQuarters: quartersFrom(quarters.map((quarter) => quarter.coveredMs)),
        expectedQuarters: quartersFrom(quarters.map((quarter) => quarter.expectedMs)),
      };
      const ofHour = this.#coverage.get(hour);
      if (ofHour === undefined) this.#coverage.set(hour, [row]);
      else ofHour.push(row);
    }
  }
}

function givenBy(unit: number, part: UsagePart): GivenPart {
  const { hour, tenant, namespace, meter, quarters, missingMs, samples, flags } = part;
  return { unit, hour, tenant, namespace, meter, quarters, missingMs, samples: BigInt(samples), flags };
}

function partKey({ unit, hour, tenant, namespace, meter }: GivenPart): string {
  return `${unit} ${hour} ${meter} ${tenant}\n${namespace}`;
}

function isSamePart(a: GivenPart, b: GivenPart): boolean {
  return (
    sameQuarters(a.quarters, b.quarters) &&
    a.missingMs === b.missingMs &&
    a.samples === b.samples &&
    a.flags === b.flags
  );
}

function partText(part: GivenPart | undefined): string {
  return part === undefined ? NOTHING_THERE : quartersText(part);
}

function seriesText(key: SeriesKey): string {
  return Buffer.from(key, 'latin1').toString('hex');
}

function closingText(closing: Closing | undefined): string {
  if (closing === undefined) return NOTHING_THERE;
  return `${closing.value} at ${new Date(closing.t).toISOString()}${closing.known ? ', start known' : ''}`;
}
