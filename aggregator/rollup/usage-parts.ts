/**
 * Adds up what the series of a unit give: per (hour, tenant, namespace, meter) the quarters of the hour.
 * Intervals are cut at quarters and at changes of owner; most lie within one of both, and those are only
 * added.
 *
 * Beside that, and before anybody's owner is looked up, it adds up per (hour, meter) all that was measured:
 * what the parts are held against. 7 units on 09:30 -> 12:15 are 1, 2, 3 and 1 of their hours, whoever owned
 * the namespace in between. Totals of nodes are only measured: they are no usage, so no part holds them.
 */
import { meterNamed } from '../../core/metering/catalogue.ts';
import { HOUR_MS, QUARTER_MS, owningHour, startOfHour } from '../../core/metering/hour.ts';
import type { Ownership } from '../attribution/ownership.ts';
import { split } from '../conversion/split.ts';
import type { UsageSink } from './series-fold.ts';

export interface UsagePart {
  readonly hour: number;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  readonly quarters: [bigint, bigint, bigint, bigint];
  missingMs: bigint;
  samples: number;
  flags: number;
}

/** All usage of a meter in an hour, in base units. */
export interface MeasuredSum {
  readonly hour: number;
  readonly meter: string;
  quantity: bigint;
}

/** A stretch of time within one quarter and one owner. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly part: UsagePart;
  readonly quarter: number;
}

/** The instants of an hour and an owner: (from, to]. */
interface Instants {
  readonly from: number;
  readonly to: number;
  readonly part: UsagePart;
}

export class UsageParts implements UsageSink {
  readonly #ownership: Ownership;
  readonly #parts = new Map<string, UsagePart>();
  readonly #measured = new Map<string, MeasuredSum>();
  #namespace = '';
  #meter = '';
  #isReference = false;
  #here: Stretch | undefined;
  #instants: Instants | undefined;
  /** Of the meter, where its newest interval lay. */
  #sum: MeasuredSum | undefined;

  constructor(ownership: Ownership) {
    this.#ownership = ownership;
  }

  /** What follows belongs to a series of this namespace and meter. */
  series(namespace: string, meter: string): void {
    if (namespace === this.#namespace && meter === this.#meter) return;
    if (meter !== this.#meter) {
      this.#isReference = meterNamed(meter)?.isReference === true;
      this.#sum = undefined;
    }
    this.#namespace = namespace;
    this.#meter = meter;
    this.#here = undefined;
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
    split({ from, to, quantity }, this.#nextChange, (begin, _end, share) => {
      if (share > 0n) add(this.#stretchAt(begin), share);
    });
  }

  missing(from: number, to: number): void {
    if (this.#isReference) return;
    split({ from, to, quantity: BigInt(to - from) }, this.#nextChange, (begin, _end, share) => {
      this.#stretchAt(begin).part.missingMs += share;
    });
  }

  counted(t: number, flags: number): void {
    if (this.#isReference) return;
    let instants = this.#instants;
    if (instants === undefined || t <= instants.from || t > instants.to) instants = this.#instantsAt(t);
    instants.part.samples++;
    instants.part.flags |= flags;
  }

  parts(): UsagePart[] {
    return [...this.#parts.values()];
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

  #stretchAt(t: number): Stretch {
    const here = this.#here;
    if (here !== undefined && t >= here.from && t < here.to) return here;
    const quarterFrom = Math.floor(t / QUARTER_MS) * QUARTER_MS;
    const hour = startOfHour(t);
    const stretch = {
      from: t,
      to: Math.min(quarterFrom + QUARTER_MS, this.#nextChange(t)),
      part: this.#part(hour, this.#ownership.ownerAt(this.#namespace, t)),
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
      part: this.#part(hour, this.#ownership.ownerAt(this.#namespace, t - 1)),
    };
    this.#instants = instants;
    return instants;
  }

  #part(hour: number, tenant: string): UsagePart {
    const [namespace, meter] = [this.#namespace, this.#meter];
    const key = `${hour}\n${tenant}\n${namespace}\n${meter}`;
    let part = this.#parts.get(key);
    if (part === undefined) {
      part = {
        hour,
        tenant,
        namespace,
        meter,
        quarters: [0n, 0n, 0n, 0n],
        missingMs: 0n,
        samples: 0,
        flags: 0,
      };
      this.#parts.set(key, part);
    }
    return part;
  }
}

function add(stretch: Stretch, quantity: bigint): void {
  const quarter = stretch.quarter as 0 | 1 | 2 | 3;
  stretch.part.quarters[quarter] += quantity;
}
