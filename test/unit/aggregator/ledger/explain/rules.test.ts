import { describe, expect, test } from 'vitest';
import { FLAG } from '../../../../../aggregator/conversion/flags.ts';
import type { GrowthBound } from '../../../../../aggregator/conversion/plausibility.ts';
import {
  CounterJudge,
  DeltaJudge,
  GaugeJudge,
  RULE_TEXTS,
  type Judge,
} from '../../../../../aggregator/ledger/explain/rules.ts';

/** At most 10 units a ms. */
const BOUND: GrowthBound = { growthFactor: 1n, perMs: 10n, surelyPlausiblePerMs: 0 };
const NO_EVIDENCE = { meteringFrom: undefined, absentAt: undefined, containerStart: 0 };

type Sample = readonly [t: number, value: bigint, flags: number, start?: number, processStart?: number];

function rulesOf(judge: Judge, ...samples: readonly Sample[]): string[] {
  return samples.map(([t, value, flags, start = 0, processStart = 0]) => {
    const judged = judge.take({ t, value, start, processStart }, flags);
    return `${judged.rule} from ${judged.from}${judged.before === undefined ? '' : ` after ${judged.before.value}`}`;
  });
}

describe('a counter', () => {
  const going = { t: 1_000, value: 100n, known: true };

  test('a glitch moves the time and keeps the mark that the next one is measured from', () => {
    const judge = new CounterJudge(going, NO_EVIDENCE, BOUND);
    expect(rulesOf(judge, [2_000, 90n, FLAG.nonMonotonic, 500], [3_000, 120n, 0, 500])).toEqual([
      'glitch from 2000 after 100',
      'difference from 2000 after 100',
    ]);
  });

  test('a quarantined sample is as if it had never come', () => {
    const judge = new CounterJudge(going, NO_EVIDENCE, BOUND);
    expect(rulesOf(judge, [2_000, 1_000_000n, FLAG.quarantined], [3_000, 130n, 0])).toEqual([
      'quarantined from 2000 after 100',
      'difference from 1000 after 100',
    ]);
  });

  test.each<[string, Sample]>([
    ['reset_by_start from 1500 after 100', [2_000, 7n, FLAG.reset, 1_500]],
    ['reset_by_process from 1400 after 100', [2_000, 700n, FLAG.reset, 0, 1_400]],
    ['reset_by_fall from 1000 after 100', [2_000, 7n, FLAG.reset]],
  ])('%s', (rule, sample) => {
    expect(rulesOf(new CounterJudge(going, NO_EVIDENCE, BOUND), sample)).toEqual([rule]);
  });

  const metered = { meteringFrom: 1_000, absentAt: 1_200, containerStart: 0 };

  test.each<[string, typeof metered | typeof NO_EVIDENCE, Sample]>([
    ['born_at_start from 1100', metered, [2_000, 5n, 0, 1_100]],
    ['baseline_before_metering from 2000', metered, [2_000, 5n, 0, 900]],
    ['born_at_container from 1150', { ...metered, containerStart: 1_150 }, [2_000, 5n, 0]],
    ['baseline_before_metering from 2000', { ...metered, containerStart: 900 }, [2_000, 5n, 0]],
    ['born_at_process from 1300', metered, [2_000, 5n, 0, 0, 1_300]],
    ['born_after_absence from 1200', metered, [2_000, 5n, 0, 0, 1_100]],
    ['born_after_absence from 1200', metered, [2_000, 5n, 0, 0, 400]],
    ['baseline_unknown from 2000', NO_EVIDENCE, [2_000, 5n, FLAG.unknownOrigin]],
    ['baseline_implausible from 2000', metered, [2_000, 1_000_000n, FLAG.quarantined]],
  ])('its first sample: %s', (rule, evidence, sample) => {
    expect(rulesOf(new CounterJudge(undefined, evidence, BOUND), sample)).toEqual([rule]);
  });
});

test('a delta point stands for itself, unless it grew implausibly', () => {
  const judge = new DeltaJudge({ t: 1_000 }, BOUND);
  expect(rulesOf(judge, [2_000, 5n, 0, 1_000], [3_000, 1_000_000n, FLAG.quarantined, 2_000])).toEqual([
    'delta from 1000',
    'quarantined from 3000',
  ]);
});

test('a gauge is held from its own sample on, and a marker is held by nobody', () => {
  const samples: readonly Sample[] = [
    [1_000, 5n, 0],
    [2_000, -1n, 0],
    [3_000, 6n, 0],
    [9_000, 6n, FLAG.missing],
  ];
  expect(rulesOf(new GaugeJudge(undefined), ...samples)).toEqual([
    'first_held from 1000',
    'hold from 1000 after 5',
    'first_held from 3000',
    'hold_ended from 3000 after 6',
  ]);
});

test('every rule has a text that names its section', () => {
  expect(Object.values(RULE_TEXTS).filter((text) => !/\((6|7)(\.\d[a-d]?)?(, 6\.\d)?\)$/.test(text))).toEqual(
    [],
  );
});
