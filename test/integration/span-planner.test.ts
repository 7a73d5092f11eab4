import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { SpanPlanner, type SpanBounds } from '../../aggregator/rollup/span-planner.ts';
import { hoursOf } from '../../aggregator/rollup/span.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import type { TestStore } from '../support/chdb.ts';
import { FaultyStore } from '../support/faulty-store.ts';
import { emptyStore, openFastStore } from '../support/pipeline.ts';

const HOUR = 3_600_000;

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});
beforeEach(() => emptyStore(opened.store));

/** Stored samples by hour since the epoch. */
async function samples(counts: Readonly<Record<number, number>>, cluster = 'rt1'): Promise<void> {
  const rows = Object.entries(counts).flatMap(([hour, count]) =>
    Array.from({ length: count }, (_, i) => ({
      cluster,
      hour: Number(hour) * 3600,
      t: Number(hour) * HOUR + i + 1,
    })),
  );
  await opened.store.insert('samples', rows);
}

/** How the hours, given since the epoch, are cut. */
async function cut(
  hours: readonly number[],
  bounds: SpanBounds,
  store: UsageStore = opened.store,
): Promise<number[][]> {
  const planner = new SpanPlanner(store, 'rt1', bounds);
  const spans: number[][] = [];
  for (let waiting = hours; waiting.length > 0;) {
    const span = await planner.next(waiting.map((hour) => hour * HOUR));
    const taken = hoursOf(span).map((hour) => hour / HOUR);
    spans.push(taken);
    waiting = waiting.filter((hour) => !taken.includes(hour));
  }
  return spans;
}

test('hours that follow each other are taken together, and a hole between them ends a span', async () => {
  expect(await cut([7, 8, 9, 11, 13, 14], {})).toEqual([[7, 8, 9], [11], [13, 14]]);
});

test('a span has no more hours than it may', async () => {
  const hours = Array.from({ length: 100 }, (_, i) => i + 1);
  expect((await cut(hours, {})).map((span) => span.length)).toEqual([48, 48, 4]);
  expect((await cut(hours, { hours: 30 })).map((span) => span.length)).toEqual([30, 30, 30, 10]);
  expect(() => new SpanPlanner(opened.store, 'rt1', { hours: 49 })).toThrow('1 to 48');
});

test('a span has no more samples than it may, but for an hour that alone has more', async () => {
  await samples({ 1: 4, 2: 4, 3: 2, 4: 11, 5: 1, 6: 9, 7: 1 });
  await samples({ 1: 50 }, 'another');
  expect(await cut([1, 2, 3, 4, 5, 6, 7], { samples: 10 })).toEqual([[1, 2, 3], [4], [5, 6], [7]]);
});

test('samples are counted once, and not at all for an hour that stands alone', async () => {
  await samples({ 1: 4, 2: 4, 3: 4, 4: 4, 8: 4 });
  const store = new FaultyStore(opened.store);
  let reads = 0;
  store.plan = () => {
    reads++;
    return undefined;
  };
  expect(await cut([1, 2, 3, 4, 8], { samples: 4 }, store)).toEqual([[1], [2], [3], [4], [8]]);
  expect(reads).toBe(1);
});
