/**
 * Worlds by their seeds. `npm test` runs the first 25; `npm run test:sim` 200 others, or SIMS of them, from a
 * base that is taken from the clock or SIM_BASE; SIMS=0 goes on until one fails. The seed stands in the name
 * of each test; SIM_SEED=n runs that one alone.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { judge } from './judged.ts';

const SEEDS = 25;
/** A slow machine, and a large world. */
const LONGEST_WORLD_MS = 120_000;

const only = process.env['SIM_SEED'];
const sims = process.env['SIMS'];
const count = Number(sims ?? SEEDS);
const base = Number(process.env['SIM_BASE'] ?? (sims === undefined ? 1 : new SystemClock().now() % 1e9));

/** Every other seed, so that two files share them. */
export function worldsOfHalf(half: 0 | 1): void {
  let opened: TestStore;
  beforeAll(async () => {
    opened = await openFastStore();
  });
  afterAll(() => opened.dispose());

  const run = async (seed: number): Promise<void> => {
    const { found } = await judge(opened.store, seed);
    expect(found, `run it again: SIM_SEED=${String(seed)} npm run test:sim`).toEqual([]);
  };
  if (only !== undefined) {
    test.runIf(half === 0)(`world ${only} keeps every promise`, () => run(Number(only)), LONGEST_WORLD_MS);
  } else if (count === 0) {
    test('worlds without end keep every promise', { timeout: Infinity }, async () => {
      for (let seed = base + half; ; seed += 2) await run(seed);
    });
  } else {
    const seeds = Array.from({ length: count }, (_, i) => base + i).filter((_, i) => i % 2 === half);
    test.each(seeds)('world %d keeps every promise', { timeout: LONGEST_WORLD_MS }, run);
  }
}
