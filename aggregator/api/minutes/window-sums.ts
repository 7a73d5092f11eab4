/**
 * Listens to spans being folded and adds up what falls into windows, by groups: the shares of METERING 8, cut
 * at the windows beside changes of owner, workload and class. Shares nest, so windows within a quarter of an
 * hour sum to the quarter that the roll-up stores of the same samples. 7 on 10:00:00 -> 10:03:30 are 2, 2, 2
 * and 1 of its minutes.
 *
 * The one place where minutes are held to the tenants that may be read: a share whose owner is not one of
 * them is dropped as soon as it is known whose it is. Destinations are filed under what the scope is told of
 * them, and filtered by that.
 */
import { HOUR_MS, startOfHour } from '../../../core/metering/hour.ts';
import type { Window } from '../../../core/metering/windows.ts';
import { invariant, MeteringError } from '../../../core/runtime/errors.ts';
import { NO_BREAKDOWN } from '../../attribution/breakdown.ts';
import { nextChange, valueAt } from '../../attribution/history.ts';
import { split } from '../../conversion/split.ts';
import type { UnitUsage } from '../../rollup/convert.ts';
import type { ObservedSeries, UsageObserver } from '../../rollup/observed.ts';
import type { SpanInputs } from '../../rollup/span-inputs.ts';
import { OTHER_DESTINATIONS } from '../../rollup/usage-parts.ts';
import type { TenantScope } from '../identity/access.ts';
import { mayRead } from '../identity/tenant-conditions.ts';
import { DIMENSIONS, keyOf, type Dimension, type Filters, type Group } from '../usage/dimensions.ts';

/** Sums that are held: some tens of MB. */
const MAX_SUMS = 1_000_000;

export interface WindowsAsked {
  readonly scope: TenantScope;
  /** In order, without gap or overlap, not empty. */
  readonly windows: readonly Window[];
  readonly groupBy: readonly Dimension[];
  readonly filters: Filters;
  /** Of the groups only these. */
  readonly chosen?: readonly Group[] | undefined;
}

/** By window, in order of time as long as they are added so. */
type Sums = Map<number, { quantity: bigint }>;

export interface GroupSums {
  readonly group: Group;
  /** By start of the window; those with usage. */
  readonly sums: ReadonlyMap<number, { readonly quantity: bigint }>;
}

type Names = Readonly<Record<Dimension, string>>;

/** What a series gives in an hour to one owner, and of one workload and class. */
interface Place {
  readonly unit: number;
  readonly hour: number;
  readonly names: Names;
  /** Undefined: not asked for. */
  readonly sums: Sums | undefined;
}

/** Within one window and place. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly sum: { quantity: bigint } | undefined;
}

export class WindowSums implements UsageObserver {
  readonly #asked: WindowsAsked;
  readonly #chosen: ReadonlySet<string> | undefined;
  readonly #from: number;
  readonly #to: number;
  /** Whether it matters which destinations of a unit are named. */
  readonly #tellsDestinations: boolean;
  readonly #groups = new Map<string, { readonly group: Group; readonly sums: Sums }>();
  /** Of the span, where destinations matter: which are named is known as it ends. */
  readonly #unnamed = new Map<string, Place & { readonly sums: Sums }>();
  #held = 0;
  #cluster = '';
  #inputs: SpanInputs | undefined;
  #series: ObservedSeries | undefined;
  #namespace = '';
  #breakdown = NO_BREAKDOWN;
  #place: Place | undefined;
  #here: Stretch | undefined;

  constructor(asked: WindowsAsked) {
    const { windows, groupBy, filters, chosen } = asked;
    this.#asked = asked;
    this.#chosen = chosen && new Set(chosen.map((group) => keyOf(groupBy, group)));
    this.#from = windows[0]?.startMs ?? 0;
    this.#to = windows.at(-1)?.endMs ?? 0;
    this.#tellsDestinations = groupBy.includes('destination') || filters.destination !== undefined;
  }

  /** Spans that follow are of this cluster. */
  of(cluster: string): this {
    this.#cluster = cluster;
    return this;
  }

  begin(inputs: SpanInputs): void {
    this.#inputs = inputs;
    this.#series = undefined;
  }

  usage(
    series: ObservedSeries,
    interval: { readonly from: number; readonly to: number; readonly quantity: bigint },
  ): void {
    if (interval.to <= this.#from || interval.from >= this.#to) return;
    if (series !== this.#series) this.#open(series);
    const here = this.#here;
    if (here !== undefined && interval.from >= here.from && interval.to <= here.to) {
      if (here.sum !== undefined) here.sum.quantity += interval.quantity;
      return;
    }
    split(interval, this.#nextCut, (begin, _end, share) => {
      if (share === 0n || begin < this.#from || begin >= this.#to) return;
      const { sum } = this.#stretchAt(begin);
      if (sum !== undefined) sum.quantity += share;
    });
  }

  missing(): void {
    // Time that is missing is no usage.
  }

  counted(): void {
    // An instant is none either.
  }

  /** Of the span, where they matter. */
  get destinations(): readonly string[] {
    return [...new Set([...this.#unnamed.values()].map(({ names }) => names.destination))];
  }

  /** The span was folded, and gave this; `told` says how its destinations are told. */
  end(units: readonly UnitUsage[], told: ReadonlyMap<string, string>): void {
    const named = new Set(
      units.flatMap(({ hour: unit, details }) => details.map((detail) => destinationKey(unit, detail))),
    );
    const { destination: wanted } = this.#asked.filters;
    for (const { unit, hour, names, sums } of this.#unnamed.values()) {
      const isNamed = named.has(destinationKey(unit, { ...names, hour }));
      const destination = isNamed ? told.get(names.destination) : OTHER_DESTINATIONS;
      invariant(destination !== undefined, 'every destination of a span is told before it ends');
      if (wanted?.includes(destination) === false) continue;
      const all = this.#sumsOf({ ...names, destination });
      if (all === undefined) continue;
      for (const [window, { quantity }] of sums) this.#sumIn(all, window).quantity += quantity;
    }
    this.#held -= [...this.#unnamed.values()].reduce((count, { sums }) => count + sums.size, 0);
    this.#unnamed.clear();
  }

  /** In any order. */
  get groups(): Iterable<GroupSums> {
    return this.#groups.values();
  }

  #open(series: ObservedSeries): void {
    this.#series = series;
    this.#namespace = series.meta.namespace;
    this.#breakdown = this.#inputsNow.breakdown.of(series.meta.detail);
    this.#place = this.#here = undefined;
  }

  get #inputsNow(): SpanInputs {
    if (this.#inputs === undefined) throw new Error('a span is begun before it is folded');
    return this.#inputs;
  }

  /** Finer cuts leave the shares of the coarser ones as they are; beyond the windows no cut matters. */
  readonly #nextCut = (t: number): number => {
    if (t < this.#from) return this.#from;
    return t < this.#to ? Math.min(this.#window(t).endMs, this.#nextChange(t)) : Infinity;
  };

  #nextChange(t: number): number {
    return Math.min(
      this.#inputsNow.ownership.nextChange(this.#namespace, t),
      nextChange(this.#breakdown.workload, t),
      nextChange(this.#breakdown.storageClass, t),
    );
  }

  #stretchAt(t: number): Stretch {
    const here = this.#here;
    if (here !== undefined && t >= here.from && t < here.to) return here;
    const { startMs, endMs } = this.#window(t);
    const { sums } = this.#placeAt(t);
    const stretch = {
      from: t,
      to: Math.min(endMs, startOfHour(t) + HOUR_MS, this.#nextChange(t)),
      sum: sums && this.#sumIn(sums, startMs),
    };
    this.#here = stretch;
    return stretch;
  }

  #window(t: number): Window {
    const { windows } = this.#asked;
    let low = 0;
    let high = windows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((windows[middle]?.startMs ?? Infinity) <= t) low = middle;
      else high = middle - 1;
    }
    return windows[low] ?? { startMs: t, endMs: Infinity };
  }

  #placeAt(t: number): Place {
    const namespace = this.#namespace;
    const tenant = this.#inputsNow.ownership.ownerAt(namespace, t);
    const workload = valueAt(this.#breakdown.workload, t);
    const storageClass = valueAt(this.#breakdown.storageClass, t);
    const hour = startOfHour(t);
    const last = this.#place;
    const isSame =
      last?.hour === hour &&
      last.names.tenant === tenant &&
      last.names.workload === workload &&
      last.names.storageClass === storageClass;
    if (isSame) return last;
    const { destination } = this.#breakdown;
    const names = { tenant, cluster: this.#cluster, namespace, workload, destination, storageClass };
    const place = { unit: this.#series?.unit ?? hour, hour, names };
    this.#place = { ...place, sums: this.#isAsked(names) ? this.#sumsAt(place) : undefined };
    return this.#place;
  }

  #isAsked(names: Names): boolean {
    const { scope, filters } = this.#asked;
    if (!mayRead(scope, names.tenant)) return false;
    return DIMENSIONS.every(
      (dimension) => dimension === 'destination' || filters[dimension]?.includes(names[dimension]) !== false,
    );
  }

  #sumsAt(place: Omit<Place, 'sums'>): Sums | undefined {
    if (!this.#tellsDestinations) return this.#sumsOf(place.names);
    const key = [place.unit, place.hour, ...DIMENSIONS.map((dimension) => place.names[dimension])].join('\0');
    let unnamed = this.#unnamed.get(key);
    if (unnamed === undefined) this.#unnamed.set(key, (unnamed = { ...place, sums: new Map() }));
    return unnamed.sums;
  }

  #sumsOf(names: Names): Sums | undefined {
    const { groupBy } = this.#asked;
    const key = keyOf(groupBy, names);
    if (this.#chosen?.has(key) === false) return undefined;
    let found = this.#groups.get(key);
    if (found === undefined) {
      const group = Object.fromEntries(groupBy.map((dimension) => [dimension, names[dimension]]));
      this.#groups.set(key, (found = { group, sums: new Map() }));
    }
    return found.sums;
  }

  #sumIn(sums: Sums, window: number): { quantity: bigint } {
    let sum = sums.get(window);
    if (sum === undefined) {
      if (++this.#held > MAX_SUMS) throw tooMany();
      sums.set(window, (sum = { quantity: 0n }));
    }
    return sum;
  }
}

/** Destinations are named by unit, hour and key (`MAX_DESTINATIONS`). */
function destinationKey(
  unit: number,
  place: Pick<Names, 'tenant' | 'namespace' | 'destination'> & { readonly hour: number },
): string {
  const { hour, tenant, namespace, destination } = place;
  return [unit, hour, tenant, namespace, destination].join('\0');
}

function tooMany(): MeteringError {
  return new MeteringError('METER_QUERY_LIMIT', `more than ${MAX_SUMS} sums of windows and groups`);
}
