/**
 * Adds up what the series of a unit give: per (hour, tenant, namespace, meter) the quarters of the hour, and
 * how they are made up by workload, destination and storage class (METERING 12). Intervals are cut at
 * quarters, at changes of owner and where a pod's workload or a claim's class changes; most lie within one of
 * each, and those are only added. A part is the sum of its details, so the two never differ.
 *
 * Beside that, and before anybody's owner is looked up, it adds up per (hour, meter) all that was measured:
 * what the parts are held against. 7 units on 09:30 -> 12:15 are 1, 2, 3 and 1 of their hours, whoever owned
 * the namespace in between. Totals of nodes are only measured: they are no usage, so no part holds them.
 */
import { meterNamed } from '../../core/metering/catalogue.ts';
import { HOUR_MS, QUARTER_MS, owningHour, startOfHour } from '../../core/metering/hour.ts';
import { NO_BREAKDOWN, type SeriesBreakdown } from '../attribution/breakdown.ts';
import { nextChange, valueAt } from '../attribution/history.ts';
import type { Ownership } from '../attribution/ownership.ts';
import { split } from '../conversion/split.ts';
import type { UsageSink } from './series-fold.ts';

/** Destinations told apart of one key (tenant, namespace, meter) in a unit and hour. */
export const MAX_DESTINATIONS = 100;
export const OTHER_DESTINATIONS = '(other)';

export interface UsagePart {
  readonly hour: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quarters: Quarters;
  missingMs: bigint;
  samples: number;
  flags: number;
}

/** A share of a part: what of it is of one workload, to one destination, of one storage class. */
export interface UsageDetail {
  readonly hour: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  readonly workload: string;
  readonly destination: string;
  readonly storageClass: string;
  readonly quarters: Quarters;
}

type Quarters = [bigint, bigint, bigint, bigint];

/** All usage of a meter in an hour, in base units. */
export interface MeasuredSum {
  readonly hour: number;
  readonly meter: string;
  quantity: bigint;
}

/** A stretch of time within one quarter, one owner and one breakdown. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly quarters: Quarters;
  readonly quarter: number;
}

/** A part whose quarters are what its details sum to. */
interface OpenPart {
  readonly part: UsagePart;
  readonly details: Map<string, UsageDetail>;
}

/** The instants of an hour and an owner: (from, to]. */
interface Instants {
  readonly from: number;
  readonly to: number;
  readonly part: UsagePart;
}

export class UsageParts implements UsageSink {
  readonly #ownership: Ownership;
  readonly #parts = new Map<string, OpenPart>();
  readonly #measured = new Map<string, MeasuredSum>();
  #namespace = '';
  #meter = '';
  #breakdown = NO_BREAKDOWN;
  #isReference = false;
  /** What the details of the series are filed under, where neither its workload nor its class changes. */
  #detailKey: string | undefined;
  /** Of the namespace and meter, where something last lay: mostly the next thing lies there too. */
  #open: OpenPart | undefined;
  #here: Stretch | undefined;
  #instants: Instants | undefined;
  /** Of the meter, where its newest interval lay. */
  #sum: MeasuredSum | undefined;

  constructor(ownership: Ownership) {
    this.#ownership = ownership;
  }

  /** What follows belongs to a series of this namespace and meter, and is broken down so. */
  series(namespace: string, meter: string, breakdown = NO_BREAKDOWN): void {
    this.#here = undefined;
    this.#breakdown = breakdown;
    this.#detailKey = constantKey(breakdown);
    if (namespace === this.#namespace && meter === this.#meter) return;
    if (meter !== this.#meter) {
      this.#isReference = meterNamed(meter)?.isReference === true;
      this.#sum = undefined;
    }
    this.#namespace = namespace;
    this.#meter = meter;
    this.#open = undefined;
    this.#instants = undefined;
  }

  usage(from: number, to: number, quantity: bigint): void {
    this.#measure(from, to, quantity);
    if (this.#isReference) return;
    const here = this.#here;
    if (here !== undefined && from >= here.from && to <= here.to) {
      add(here, quantity);
      return;
    }
    split({ from, to, quantity }, this.#nextCut, (begin, _end, share) => {
      if (share > 0n) add(this.#stretchAt(begin), share);
    });
  }

  missing(from: number, to: number): void {
    if (this.#isReference) return;
    split({ from, to, quantity: BigInt(to - from) }, this.#nextChange, (begin, _end, share) => {
      this.#part(startOfHour(begin), this.#ownership.ownerAt(this.#namespace, begin)).part.missingMs += share;
    });
  }

  counted(t: number, flags: number): void {
    if (this.#isReference) return;
    let instants = this.#instants;
    if (instants === undefined || t <= instants.from || t > instants.to) instants = this.#instantsAt(t);
    instants.part.samples++;
    instants.part.flags |= flags;
  }

  /** Once, when all series have been told. */
  finish(): { readonly parts: UsagePart[]; readonly details: UsageDetail[] } {
    const details: UsageDetail[] = [];
    for (const { part, details: own } of this.#parts.values()) {
      for (const { quarters } of own.values()) addQuarters(part.quarters, quarters);
      details.push(...boundedDetails([...own.values()]));
    }
    return { parts: [...this.#parts.values()].map(({ part }) => part), details };
  }

  /** Sums other than 0. */
  measured(): MeasuredSum[] {
    return [...this.#measured.values()];
  }

  /** Cut at hours alone and not by `split`, so that a fault of the finer cuts shows as a difference. */
  #measure(from: number, to: number, quantity: bigint): void {
    const sum = this.#sum;
    if (sum !== undefined && from >= sum.hour && to <= sum.hour + HOUR_MS) {
      sum.quantity += quantity;
      return;
    }
    let given = 0n;
    for (let hour = startOfHour(from); hour < to; hour += HOUR_MS) {
      const end = Math.min(hour + HOUR_MS, to);
      const upTo = end === to ? quantity : (quantity * BigInt(end - from)) / BigInt(to - from);
      if (upTo > given) this.#sumOf(hour).quantity += upTo - given;
      given = upTo;
    }
  }

  #sumOf(hour: number): MeasuredSum {
    const key = `${hour}\n${this.#meter}`;
    let sum = this.#measured.get(key);
    if (sum === undefined) {
      sum = { hour, meter: this.#meter, quantity: 0n };
      this.#measured.set(key, sum);
    }
    this.#sum = sum;
    return sum;
  }

  readonly #nextChange = (t: number): number => this.#ownership.nextChange(this.#namespace, t);

  /** Finer cuts leave the shares of the coarser ones as they are: shares nest (METERING 8). */
  readonly #nextCut = (t: number): number =>
    Math.min(
      this.#nextChange(t),
      nextChange(this.#breakdown.workload, t),
      nextChange(this.#breakdown.storageClass, t),
    );

  #stretchAt(t: number): Stretch {
    const here = this.#here;
    if (here !== undefined && t >= here.from && t < here.to) return here;
    const quarterFrom = Math.floor(t / QUARTER_MS) * QUARTER_MS;
    const hour = startOfHour(t);
    const stretch = {
      from: t,
      to: Math.min(quarterFrom + QUARTER_MS, this.#nextCut(t)),
      quarters: this.#quarters(this.#part(hour, this.#ownership.ownerAt(this.#namespace, t)), t),
      quarter: (quarterFrom - hour) / QUARTER_MS,
    };
    this.#here = stretch;
    return stretch;
  }

  /** An instant belongs to what ends at it: the hour that owns it and the owner just before. */
  #instantsAt(t: number): Instants {
    const hour = owningHour(t);
    const instants = {
      from: t - 1,
      to: Math.min(hour + HOUR_MS, this.#nextChange(t - 1)),
      part: this.#part(hour, this.#ownership.ownerAt(this.#namespace, t - 1)).part,
    };
    this.#instants = instants;
    return instants;
  }

  #quarters({ part, details }: OpenPart, t: number): Quarters {
    const { workload, destination, storageClass } = this.#breakdown;
    const key = this.#detailKey ?? keyOf(valueAt(workload, t), destination, valueAt(storageClass, t));
    let detail = details.get(key);
    if (detail === undefined) {
      const { hour, tenant, namespace, meter } = part;
      detail = {
        ...{ hour, tenant, namespace, meter, destination },
        ...{ workload: valueAt(workload, t), storageClass: valueAt(storageClass, t) },
        quarters: [0n, 0n, 0n, 0n],
      };
      details.set(key, detail);
    }
    return detail.quarters;
  }

  #part(hour: number, tenant: string): OpenPart {
    const known = this.#open;
    if (known?.part.hour === hour && known.part.tenant === tenant) return known;
    const [namespace, meter] = [this.#namespace, this.#meter];
    const key = `${hour}\n${tenant}\n${namespace}\n${meter}`;
    let open = this.#parts.get(key);
    if (open === undefined) {
      const names = { hour, tenant, namespace, meter };
      const part = { ...names, quarters: [0n, 0n, 0n, 0n] as Quarters, missingMs: 0n, samples: 0, flags: 0 };
      open = { part, details: new Map() };
      this.#parts.set(key, open);
    }
    this.#open = open;
    return open;
  }
}

function constantKey({ workload, destination, storageClass }: SeriesBreakdown): string | undefined {
  if (workload.values.length > 1 || storageClass.values.length > 1) return undefined;
  return keyOf(workload.values[0] ?? '', destination, storageClass.values[0] ?? '');
}

function keyOf(workload: string, destination: string, storageClass: string): string {
  return `${workload}\n${destination}\n${storageClass}`;
}

function add(stretch: Stretch, quantity: bigint): void {
  const quarter = stretch.quarter as 0 | 1 | 2 | 3;
  stretch.quarters[quarter] += quantity;
}

function addQuarters(sum: Quarters, quarters: Quarters): void {
  for (const quarter of [0, 1, 2, 3] as const) sum[quarter] += quarters[quarter];
}

/**
 * The largest destinations of a part, over all workloads; of equal ones the first by name. 100 of 250 are
 * kept, what went to the other 150 is one row for each workload.
 */
function boundedDetails(details: readonly UsageDetail[]): readonly UsageDetail[] {
  if (details.length <= MAX_DESTINATIONS) return details;
  const sums = new Map<string, bigint>();
  for (const { destination, quarters } of details)
    sums.set(
      destination,
      quarters.reduce((a, b) => a + b, sums.get(destination) ?? 0n),
    );
  if (sums.size <= MAX_DESTINATIONS) return details;
  const ranked = [...sums].sort(([a, m], [b, n]) => (m === n ? (a < b ? -1 : 1) : m > n ? -1 : 1));
  const kept = new Set(ranked.slice(0, MAX_DESTINATIONS).map(([destination]) => destination));
  const bounded = new Map<string, UsageDetail>();
  for (const detail of details) {
    const destination = kept.has(detail.destination) ? detail.destination : OTHER_DESTINATIONS;
    const key = keyOf(detail.workload, destination, detail.storageClass);
    const known = bounded.get(key);
    if (known !== undefined) addQuarters(known.quarters, detail.quarters);
    else bounded.set(key, { ...detail, destination, quarters: [...detail.quarters] });
  }
  return [...bounded.values()];
}
