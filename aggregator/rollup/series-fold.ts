/**
 * One series through one unit: its samples in order of t, from the closing of its hour before to the closing
 * of this one. The rule is `conversion/`; this gives it its state and passes on what it says.
 */
import { judgeBirth, judgeSample, type BirthEvidence, type CounterState } from '../conversion/counter.ts';
import { judgeDelta, type DeltaState } from '../conversion/delta.ts';
import { FLAG } from '../conversion/flags.ts';
import { settleHold, type GaugeState } from '../conversion/gauge.ts';
import type { GrowthBound } from '../conversion/plausibility.ts';

/** A series' state at the end of an hour. `value` is -1 for a gauge that is off and for delta series. */
export interface Closing {
  readonly t: number;
  readonly value: bigint;
  readonly known: boolean;
}

/** One sample after deduplication; `value` is negative for a marker. Times that are not known are 0. */
export interface UnitSample {
  t: number;
  value: bigint;
  start: number;
  processStart: number;
}

export interface UsageSink {
  usage(from: number, to: number, quantity: bigint): void;
  missing(from: number, to: number): void;
  /** A sample was taken in at t, with these flags. */
  counted(t: number, flags: number): void;
}

export interface SeriesFold {
  take(sample: UnitSample): void;
  closing(): Closing | undefined;
}

const OFF = -1n;

export class CounterFold implements SeriesFold {
  readonly #bound: GrowthBound;
  readonly #sink: UsageSink;
  readonly #evidence: BirthEvidence;
  #state: CounterState | undefined;

  constructor(
    before: Closing | undefined,
    evidence: BirthEvidence,
    options: { bound: GrowthBound; sink: UsageSink },
  ) {
    this.#state = before;
    this.#evidence = evidence;
    this.#bound = options.bound;
    this.#sink = options.sink;
  }

  take(sample: UnitSample): void {
    const judgement =
      this.#state === undefined
        ? judgeBirth(sample, this.#evidence, this.#bound)
        : judgeSample(this.#state, sample, this.#bound);
    this.#state = judgement.state;
    if (judgement.usage > 0n) this.#sink.usage(judgement.from, sample.t, judgement.usage);
    this.#sink.counted(sample.t, judgement.flags);
  }

  closing(): Closing | undefined {
    return this.#state;
  }
}

export class DeltaFold implements SeriesFold {
  readonly #bound: GrowthBound;
  readonly #sink: UsageSink;
  #state: DeltaState | undefined;

  constructor(before: Closing | undefined, options: { bound: GrowthBound; sink: UsageSink }) {
    this.#state = before;
    this.#bound = options.bound;
    this.#sink = options.sink;
  }

  take(sample: UnitSample): void {
    const judgement = judgeDelta(this.#state, sample, this.#bound);
    this.#state = judgement.state;
    if (judgement.usage > 0n) this.#sink.usage(judgement.from, sample.t, judgement.usage);
    this.#sink.counted(sample.t, judgement.flags);
  }

  closing(): Closing | undefined {
    return this.#state === undefined ? undefined : { t: this.#state.t, value: OFF, known: false };
  }
}

export class GaugeFold implements SeriesFold {
  readonly #maxHoldMs: number;
  readonly #unitsPerValueMs: bigint;
  readonly #sink: UsageSink;
  #state: GaugeState | undefined;

  constructor(
    before: Closing | undefined,
    options: { maxHoldMs: number; unitsPerValueMs: bigint; sink: UsageSink },
  ) {
    this.#state =
      before === undefined ? undefined : { t: before.t, value: before.value < 0n ? undefined : before.value };
    this.#maxHoldMs = options.maxHoldMs;
    this.#unitsPerValueMs = options.unitsPerValueMs;
    this.#sink = options.sink;
  }

  take(sample: UnitSample): void {
    const hold = this.#state === undefined ? undefined : settleHold(this.#state, sample.t, this.#maxHoldMs);
    let flags = 0;
    if (hold !== undefined) {
      if (hold.valueMs > 0n) {
        this.#sink.usage(hold.from, hold.heldUntil, hold.valueMs * this.#unitsPerValueMs);
      }
      if (hold.heldUntil < hold.to) {
        this.#sink.missing(hold.heldUntil, hold.to);
        flags = FLAG.missing;
      }
    }
    this.#state = { t: sample.t, value: sample.value < 0n ? undefined : sample.value };
    this.#sink.counted(sample.t, flags);
  }

  closing(): Closing | undefined {
    if (this.#state === undefined) return undefined;
    return { t: this.#state.t, value: this.#state.value ?? OFF, known: false };
  }
}
