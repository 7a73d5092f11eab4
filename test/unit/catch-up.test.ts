/** Who makes up for an outage is told from who is always late. */
import { expect, test } from 'vitest';
import { Batch } from '../../aggregator/ingest/batch.ts';
import { CatchUp } from '../../aggregator/ingest/catch-up.ts';

const BEGIN = Date.UTC(2026, 9, 3, 10);
const FIELDS = { start: 0, target: 1n, meter: 1, cluster: 0, topic: 0, partition: 0, offset: 0n };
const SERIES = new Uint8Array(16);

/** Batches, told as seconds after the begin and how many seconds old each sample is. */
function seen(batches: readonly (readonly [at: number, ages: readonly number[]])[]): boolean[] {
  const catchUp = new CatchUp();
  return batches.map(([at, ages]) => {
    const nowMs = BEGIN + at * 1000;
    const batch = new Batch();
    for (const age of ages) batch.samples.push({ ...FIELDS, t: nowMs - age * 1000 }, SERIES, 1);
    catchUp.see(batch, nowMs);
    return catchUp.isUnderWay;
  });
}

const every = (seconds: number, ages: readonly number[]): [number, number[]][] =>
  ages.map((age, i) => [i * seconds, [age]]);

test('samples that gain on the clock are a catch-up, from the first one until they are new', () => {
  expect(seen(every(5, [2, 300, 290, 270, 240, 200, 150, 90, 40, 8]))).toEqual([
    ...[false, true, true, true, true, true, true, true, true],
    false,
  ]);
});

test('samples that are always as late are none, once that is known', () => {
  expect(seen(every(5, [600, 600, 601, 600, 598, 600]))).toEqual([true, true, false, false, false, false]);
});

test('a sender that falls further behind, or hardly gains, is none', () => {
  expect(seen(every(10, [60, 70, 80]))).toEqual([true, false, false]);
  expect(seen(every(10, [60, 57, 54]))).toEqual([true, false, false]);
});

test('one that stalled for a while and then gains is one again', () => {
  expect(seen(every(10, [300, 300, 250, 200]))).toEqual([true, false, true, true]);
});

test('most of a batch decide, not the few that are late, nor those that are new', () => {
  expect(seen([[0, [1, 1, 1, 4_000, 4_000]]])).toEqual([false]);
  expect(seen([[0, [300, 300, 300, 1, 1]]])).toEqual([true]);
});

test('a batch without a sample says nothing', () => {
  const lateThenNone: [number, number[]][] = [
    [0, [300]],
    [20, []],
  ];
  expect(seen(lateThenNone)).toEqual([true, true]);
  expect(seen([[0, []]])).toEqual([false]);
});
