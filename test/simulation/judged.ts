/** A world, run and judged: what differs from what was promised, in words. */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { differences } from './invariants.ts';
import { emptyEverything, replayDifferences } from './replayed.ts';
import { Simulation } from './simulation.ts';
import { buildWorld, type World } from './world.ts';

/** Enough to see what is wrong. */
const SHOWN = 20;

export interface Judgement {
  readonly seed: number;
  /** The first of what differs; none is the promise. */
  readonly found: readonly string[];
  readonly simulation: Simulation;
}

export async function judge(store: UsageStore, seed: number): Promise<Judgement> {
  return await judgeWorld(store, buildWorld(seed));
}

export async function judgeWorld(store: UsageStore, world: World): Promise<Judgement> {
  await emptyEverything(store);
  const simulation = new Simulation(store, world);
  const found = await foundIn(simulation);
  return { seed: world.seed, found: found.slice(0, SHOWN), simulation };
}

async function foundIn(simulation: Simulation): Promise<string[]> {
  try {
    await simulation.run();
    return [...(await differences(simulation)), ...(await replayDifferences(simulation))];
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)];
  }
}
