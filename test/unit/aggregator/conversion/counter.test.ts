import { describe, expect, test } from 'vitest';
import { meterNamed } from '../../../../core/metering/catalogue.ts';
import { invariant } from '../../../../core/runtime/errors.ts';
import {
  judgeBirth,
  judgeSample,
  type BirthEvidence,
  type CounterSample,
  type CounterState,
} from '../../../../aggregator/conversion/counter.ts';
import { FLAG } from '../../../../aggregator/conversion/flags.ts';
import { growthBound } from '../../../../aggregator/conversion/plausibility.ts';
import { VECTOR_SETTINGS } from '../../../vectors/vectors.ts';
import { fullSettings } from '../../../support/pipeline.ts';

const http = meterNamed('http_requests');
const transmit = meterNamed('network_transmit');
invariant(http !== undefined && transmit !== undefined, 'both meters are in the catalogue');
const UNBOUNDED = growthBound(http, fullSettings(VECTOR_SETTINGS));
/** 12.5e9 bytes/s x 1.1: at most 13,750,000 bytes in each ms. */
const LINK = growthBound(transmit, fullSettings(VECTOR_SETTINGS));

function sample(fields: Partial<CounterSample>): CounterSample {
  return { t: 60_000, value: 100n, start: 0, processStart: 0, ...fields };
}

function state(fields: Partial<CounterState> = {}): CounterState {
  return { t: 30_000, value: 40n, known: false, ...fields };
}

describe('a sample without a start', () => {
  test('counts its growth since the one before', () => {
    expect(judgeSample(state(), sample({ value: 100n }), UNBOUNDED)).toEqual({
      state: { t: 60_000, value: 100n, known: false },
      from: 30_000,
      usage: 60n,
      flags: 0,
    });
  });

  test('that is equal counts nothing and is no reset', () => {
    expect(judgeSample(state(), sample({ value: 40n }), UNBOUNDED)).toMatchObject({ usage: 0n, flags: 0 });
  });

  test('that is smaller by one began again at 0', () => {
    expect(judgeSample(state(), sample({ value: 39n }), UNBOUNDED)).toMatchObject({
      from: 30_000,
      usage: 39n,
      flags: FLAG.reset,
      state: { value: 39n },
    });
  });

  test('of a process that began after the one before counts from that beginning', () => {
    const judged = judgeSample(state(), sample({ value: 100n, processStart: 30_001 }), UNBOUNDED);
    expect(judged).toMatchObject({ from: 30_001, usage: 100n, flags: FLAG.reset });
  });

  test('of a process that began with the one before goes on', () => {
    const judged = judgeSample(state(), sample({ value: 100n, processStart: 30_000 }), UNBOUNDED);
    expect(judged).toMatchObject({ from: 30_000, usage: 60n, flags: 0 });
  });

  test('that shows its own time as its start has none', () => {
    const judged = judgeSample(state(), sample({ value: 100n, start: 60_000 }), UNBOUNDED);
    expect(judged).toEqual({
      state: { t: 60_000, value: 100n, known: false },
      from: 30_000,
      usage: 60n,
      flags: 0,
    });
  });
});

describe('a sample with a start', () => {
  test('after the one before is a reset, whatever its value', () => {
    const judged = judgeSample(state(), sample({ value: 250n, start: 30_001 }), UNBOUNDED);
    expect(judged).toEqual({
      state: { t: 60_000, value: 250n, known: true },
      from: 30_001,
      usage: 250n,
      flags: FLAG.reset,
    });
  });

  test('at the one before is a reset only if that one had a known start too', () => {
    const now = sample({ value: 100n, start: 30_000 });
    expect(judgeSample(state({ known: true }), now, UNBOUNDED)).toMatchObject({
      from: 30_000,
      usage: 100n,
      flags: FLAG.reset,
    });
    expect(judgeSample(state({ known: false }), now, UNBOUNDED)).toMatchObject({ usage: 60n, flags: 0 });
  });

  test('before the one before goes on, whatever the process says', () => {
    const judged = judgeSample(state(), sample({ value: 100n, start: 1, processStart: 45_000 }), UNBOUNDED);
    expect(judged).toMatchObject({ from: 30_000, usage: 60n, flags: 0, state: { known: true } });
  });

  test('and a smaller value is a glitch: the high-water mark stays, the time moves, the start is known', () => {
    const fallen = judgeSample(state(), sample({ value: 39n, start: 1 }), UNBOUNDED);
    expect(fallen).toEqual({
      state: { t: 60_000, value: 40n, known: true },
      from: 60_000,
      usage: 0n,
      flags: FLAG.nonMonotonic,
    });
    const exceeded = judgeSample(fallen.state, sample({ t: 90_000, value: 41n, start: 1 }), UNBOUNDED);
    expect(exceeded).toMatchObject({ from: 60_000, usage: 1n, flags: 0 });
  });

  test('and an equal value goes on without a glitch', () => {
    expect(judgeSample(state(), sample({ value: 40n, start: 1 }), UNBOUNDED)).toMatchObject({
      usage: 0n,
      flags: 0,
    });
  });
});

describe('growth', () => {
  test('at the bound counts, one more is as if it had never come', () => {
    const most = 40n + 13_750_000n * 30_000n;
    expect(judgeSample(state(), sample({ value: most }), LINK)).toMatchObject({
      usage: most - 40n,
      flags: 0,
    });
    expect(judgeSample(state(), sample({ value: most + 1n }), LINK)).toEqual({
      state: state(),
      from: 60_000,
      usage: 0n,
      flags: FLAG.quarantined,
    });
  });

  test('after a reset is bounded by the time since the start', () => {
    const short = sample({ value: 13_750_001n, start: 59_999 });
    expect(judgeSample(state(), short, LINK).flags).toBe(FLAG.quarantined);
    expect(judgeSample(state(), { ...short, value: 13_750_000n }, LINK)).toMatchObject({
      usage: 13_750_000n,
    });
  });

  test('over more than five minutes is flagged, over exactly five is not', () => {
    expect(judgeSample(state(), sample({ t: 330_000 }), UNBOUNDED).flags).toBe(0);
    expect(judgeSample(state(), sample({ t: 330_001 }), UNBOUNDED).flags).toBe(FLAG.gap);
    const reset = sample({ t: 330_001, value: 1n });
    expect(judgeSample(state(), reset, UNBOUNDED).flags).toBe(FLAG.gap | FLAG.reset);
  });
});

describe('the first sample', () => {
  const scraped: BirthEvidence = { meteringFrom: 10_000, absentAt: 40_000, containerStart: 0 };
  const baseline = { state: { t: 60_000, value: 100n, known: false }, from: 60_000, usage: 0n };

  test('that its target was scraped without counts since that scrape', () => {
    expect(judgeBirth(sample({}), scraped, UNBOUNDED)).toEqual({
      state: { t: 60_000, value: 100n, known: false },
      from: 40_000,
      usage: 100n,
      flags: 0,
    });
  });

  test('of unknown origin is a baseline and says so', () => {
    const unseen = { ...scraped, absentAt: undefined };
    expect(judgeBirth(sample({}), unseen, UNBOUNDED)).toEqual({ ...baseline, flags: FLAG.unknownOrigin });
  });

  test('before metering began is a baseline, whatever else is known', () => {
    const evidence = { meteringFrom: undefined, absentAt: 40_000, containerStart: 50_000 };
    expect(judgeBirth(sample({ processStart: 50_000 }), evidence, UNBOUNDED)).toEqual({
      ...baseline,
      flags: FLAG.unknownOrigin,
    });
    expect(judgeBirth(sample({ start: 50_000 }), evidence, UNBOUNDED)).toMatchObject({ usage: 0n });
  });

  test('that shows its own time as its start is a baseline, whatever else is known', () => {
    const evidence = { ...scraped, containerStart: 50_000 };
    expect(judgeBirth(sample({ start: 60_000 }), evidence, UNBOUNDED)).toEqual({
      ...baseline,
      flags: FLAG.unknownOrigin,
    });
  });

  test('counts since its own start, if that is not before metering', () => {
    const evidence = { ...scraped, containerStart: 55_000 };
    expect(judgeBirth(sample({ start: 10_000 }), evidence, UNBOUNDED)).toMatchObject({
      from: 10_000,
      usage: 100n,
      state: { known: true },
    });
    expect(judgeBirth(sample({ start: 9_999 }), evidence, UNBOUNDED)).toEqual({
      ...baseline,
      state: { ...baseline.state, known: true },
      flags: 0,
    });
  });

  test('counts since the start of its container, if that is not before metering', () => {
    const at = (containerStart: number): object =>
      judgeBirth(sample({}), { ...scraped, containerStart }, UNBOUNDED);
    expect(at(10_000)).toMatchObject({ from: 10_000, usage: 100n, state: { known: false } });
    expect(at(9_999)).toEqual({ ...baseline, flags: 0 });
    expect(at(1)).toEqual({ ...baseline, flags: 0 });
  });

  test('counts since the later of the process start and the scrape without it', () => {
    const from = (processStart: number, absentAt?: number): number =>
      judgeBirth(sample({ processStart }), { ...scraped, absentAt }, UNBOUNDED).from;
    expect(from(50_000, 40_000)).toBe(50_000);
    expect(from(30_000, 40_000)).toBe(40_000);
    expect(from(10_000)).toBe(10_000);
  });

  test('of a process older than metering is judged as if that were unknown', () => {
    const old = sample({ processStart: 9_999 });
    expect(judgeBirth(old, scraped, UNBOUNDED)).toMatchObject({ from: 40_000, usage: 100n });
    const unseen = { ...scraped, absentAt: undefined };
    expect(judgeBirth(old, unseen, UNBOUNDED)).toEqual({ ...baseline, flags: FLAG.unknownOrigin });
  });

  test('that is implausible is a baseline, flagged', () => {
    const most = 13_750_000n * 20_000n;
    expect(judgeBirth(sample({ value: most }), scraped, LINK)).toMatchObject({ usage: most, flags: 0 });
    expect(judgeBirth(sample({ value: most + 1n }), scraped, LINK)).toEqual({
      state: { t: 60_000, value: most + 1n, known: false },
      from: 60_000,
      usage: 0n,
      flags: FLAG.quarantined,
    });
  });

  test('that was born more than five minutes ago is flagged', () => {
    const evidence = { ...scraped, absentAt: undefined };
    const born = (start: number): number =>
      judgeBirth(sample({ t: 400_000, start }), evidence, UNBOUNDED).flags;
    expect(born(100_000)).toBe(0);
    expect(born(99_999)).toBe(FLAG.gap);
  });
});
