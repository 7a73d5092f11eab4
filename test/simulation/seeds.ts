/**
 * Worlds by their seeds. `npm test` runs the first 11, and those that once broke a promise; `npm run test:sim`
 * 200 others, or SIMS of them, from SIM_BASE, which it takes from the clock; SIMS=0 goes on until one fails.
 * The seed stands in the name of each test; SIM_SEED=n runs that one alone.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { judge } from './judged.ts';

const SEEDS = 11;
/** The samples' floor passed hours of silence that had not come to light. */
const FOUND = [394_227_082];
/** A slow machine, and a large world. */
const LONGEST_WORLD_MS = 120_000;

const only = process.env['SIM_SEED'];
const sims = process.env['SIMS'];
const count = Number(sims ?? SEEDS);
/** The same for both files, or they would share nothing. */
const base = Number(process.env['SIM_BASE'] ?? 1);

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
    const all = [...Array.from({ length: count }, (_, i) => base + i), ...(sims === undefined ? FOUND : [])];
    const seeds = all.filter((_, i) => i % 2 === half);
    test.each(seeds)('world %d keeps every promise', { timeout: LONGEST_WORLD_MS }, run);
  }
}
