/**
 * By which rule of METERING 6 and 7 a sample was judged, told from what the fold saw and said: the state
 * before it, the sample, flags, and the beginning of the interval. PURE. 1000, then 40 without a start is
 * `reset_by_fall`.
 */
import { judgeBirth, judgeSample, type BirthEvidence, type CounterState } from '../../conversion/counter.ts';
import { judgeDelta, type DeltaState } from '../../conversion/delta.ts';
import { FLAG } from '../../conversion/flags.ts';
import type { GaugeState } from '../../conversion/gauge.ts';
import type { GrowthBound } from '../../conversion/plausibility.ts';
import type { UnitSample } from '../../rollup/series-fold.ts';

export type Rule =
  | 'difference'
  | 'reset_by_start'
  | 'reset_by_process'
  | 'reset_by_fall'
  | 'glitch'
  | 'quarantined'
  | 'born_at_start'
  | 'born_at_container'
  | 'born_at_process'
  | 'born_after_absence'
  | 'baseline_before_metering'
  | 'baseline_unknown'
  | 'baseline_implausible'
  | 'delta'
  | 'hold'
  | 'hold_ended'
  | 'first_held';

/** As people read it, with the section of the rules. */
export const RULE_TEXTS: Readonly<Record<Rule, string>> = {
  difference: 'difference to the sample before (6.1, 6.2)',
  reset_by_start: 'reset: its start is after the sample before (6.1)',
  reset_by_process: 'reset: its process began after the sample before (6)',
  reset_by_fall: 'reset: less than the sample before (6.2)',
  glitch: 'glitch: less than before in an unbroken run, nothing counted (6.1)',
  quarantined: 'quarantined: it grew implausibly, nothing counted (6.6)',
  born_at_start: 'birth: counted since its own start (6.4a)',
  born_at_container: 'birth: counted since its container started (6.4a)',
  born_at_process: 'birth: counted since its process began (6.4)',
  born_after_absence: 'birth: not there at the last scrape before (6.4c)',
  baseline_before_metering: 'baseline: it began before metering did (6.4b)',
  baseline_unknown: 'baseline: nothing tells when it began (6.4d)',
  baseline_implausible: 'baseline: as a birth it would have grown implausibly (6.4)',
  delta: 'delta point (6.7)',
  hold: 'held until the sample after it (7)',
  hold_ended: 'held until the sample after it, for no longer than max_hold (7)',
  first_held: 'begins to be held (7)',
};

/** How a series is judged; the same functions as the roll-up's, for the state that it does not tell. */
export interface Judge {
  /** The rule, and the state before. */
  take(sample: Readonly<UnitSample>, flags: number): Judged;
}

export interface Judged {
  readonly rule: Rule;
  /** Where its interval begins if it has one. */
  readonly from: number;
  /** The sample that it was measured from. */
  readonly before: { readonly t: number; readonly value: bigint } | undefined;
}

export class CounterJudge implements Judge {
  readonly #bound: GrowthBound;
  readonly #evidence: BirthEvidence;
  #state: CounterState | undefined;

  constructor(before: CounterState | undefined, evidence: BirthEvidence, bound: GrowthBound) {
    this.#state = before;
    this.#evidence = evidence;
    this.#bound = bound;
  }

  take(sample: Readonly<UnitSample>, flags: number): Judged {
    const before = this.#state;
    if (before === undefined) {
      const { state, from } = judgeBirth(sample, this.#evidence, this.#bound);
      this.#state = state;
      return { rule: this.#birthRule(sample, flags), from, before };
    }
    const { state, from } = judgeSample(before, sample, this.#bound);
    this.#state = state;
    return { rule: ruleAfter(before, sample, flags), from, before };
  }

  #birthRule(sample: Readonly<UnitSample>, flags: number): Rule {
    const { meteringFrom = Infinity, containerStart, absentAt } = this.#evidence;
    if ((flags & FLAG.quarantined) !== 0) return 'baseline_implausible';
    if ((flags & FLAG.unknownOrigin) !== 0) return 'baseline_unknown';
    if (sample.start > 0) return sample.start >= meteringFrom ? 'born_at_start' : 'baseline_before_metering';
    if (containerStart > 0)
      return containerStart >= meteringFrom ? 'born_at_container' : 'baseline_before_metering';
    if (sample.processStart < meteringFrom) return 'born_after_absence';
    return sample.processStart >= (absentAt ?? 0) ? 'born_at_process' : 'born_after_absence';
  }
}

function ruleAfter(before: CounterState, sample: Readonly<UnitSample>, flags: number): Rule {
  if ((flags & FLAG.quarantined) !== 0) return 'quarantined';
  if ((flags & FLAG.nonMonotonic) !== 0) return 'glitch';
  if ((flags & FLAG.reset) === 0) return 'difference';
  if (sample.start > 0 && sample.start < sample.t) return 'reset_by_start';
  return sample.processStart > before.t ? 'reset_by_process' : 'reset_by_fall';
}

export class DeltaJudge implements Judge {
  readonly #bound: GrowthBound;
  #state: DeltaState | undefined;

  constructor(before: DeltaState | undefined, bound: GrowthBound) {
    this.#state = before;
    this.#bound = bound;
  }

  take(sample: Readonly<UnitSample>, flags: number): Judged {
    const { state, from } = judgeDelta(this.#state, sample, this.#bound);
    this.#state = state;
    return { rule: (flags & FLAG.quarantined) === 0 ? 'delta' : 'quarantined', from, before: undefined };
  }
}

export class GaugeJudge implements Judge {
  #state: GaugeState | undefined;

  constructor(before: GaugeState | undefined) {
    this.#state = before;
  }

  take(sample: Readonly<UnitSample>, flags: number): Judged {
    const before = this.#state;
    this.#state = { t: sample.t, value: sample.value < 0n ? undefined : sample.value };
    const held = before?.value === undefined ? undefined : { t: before.t, value: before.value };
    const rule = held === undefined ? 'first_held' : (flags & FLAG.missing) === 0 ? 'hold' : 'hold_ended';
    return { rule, from: held?.t ?? sample.t, before: held };
  }
}
