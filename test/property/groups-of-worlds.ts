/**
 * The worlds of `npm test` and `npm run test:worlds`, in groups that share a store and a pipeline. Two test
 * files take every other group, because an engine serves one process.
 *
 * WORLDS says how many, WORLD_SEED which is the first. A world that fails is tried alone and shrunk;
 * `WORLDS=1 WORLD_SEED=17 npm run test:worlds` does that again.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fullSettings, openFastStore } from '../support/pipeline.ts';
import type { TestStore } from '../support/chdb.ts';
import { deliver, differences, groupOf, type Difference } from './pipeline.ts';
import { minuteDifferences, type MinuteDifference } from './minutes.ts';
import { described, failureAlone, seeds, shrunk } from './shrinking.ts';
import { differencesFromScratch, storedUsage } from './stored-usage.ts';
import { buildWorld, WORLDS_PER_SETTINGS, type World } from './worlds.ts';

const WORLDS = Number(process.env['WORLDS'] ?? 300);
const FIRST_SEED = Number(process.env['WORLD_SEED'] ?? 0);
/** Deliveries in which a failing world is tried alone. */
const DELIVERIES_ALONE = 20;
/** Shrinking takes its time; a group that holds takes about ten seconds. */
const TIMEOUT_MS = 600_000;

interface Group {
  readonly first: number;
  readonly last: number;
}

export function holdWorlds(turn: 0 | 1): void {
  let opened: TestStore;
  beforeAll(async () => {
    opened = await openFastStore();
  });
  afterAll(async () => {
    await opened.dispose();
  });
  const groups = groupsOfTurn(turn);

  describe.runIf(groups.length > 0)(`${WORLDS} worlds from seed ${FIRST_SEED}, every other group`, () => {
    test.each(groups)(
      'worlds $first to $last have the usage that the model says',
      async ({ first, last }) => {
        const worlds = seeds(last - first + 1).map((index) => buildWorld(first + index));
        const found = await differences(opened.store, worlds, first);
        if (found.length > 0) expect.fail(await explained(worlds, found));
        expect(await leftovers(worlds)).toEqual([]);
        expect(await strayMinutes(worlds)).toEqual([]);
      },
      TIMEOUT_MS,
    );
  });

  async function explained(worlds: readonly World[], found: readonly Difference[]): Promise<string> {
    const failing = worlds.find(({ seed }) => seed === found[0]?.seed);
    const lines = found.map((difference) => JSON.stringify(difference));
    if (failing === undefined) return lines.join('\n');
    const alone = await failureAlone(opened.store, failing, seeds(DELIVERIES_ALONE));
    if (alone === undefined) return [...lines, 'holds alone: run its group again'].join('\n');
    return [...lines, described(await shrunk(opened.store, alone))].join('\n');
  }

  /** Every fifth group: minutes, folded anew, sum to the quarters that are stored. */
  async function strayMinutes(worlds: readonly World[]): Promise<readonly MinuteDifference[]> {
    const [first] = worlds;
    if (first === undefined || Math.floor(first.seed / WORLDS_PER_SETTINGS) % 5 !== 0) return [];
    return await minuteDifferences(opened.store, fullSettings(first.settings));
  }

  /** Every third group: the stored rows are those of a roll-up from scratch, or those of another delivery. */
  async function leftovers(worlds: readonly World[]): Promise<string[]> {
    const [first] = worlds;
    if (first === undefined) return [];
    const turnOf = Math.floor(first.seed / WORLDS_PER_SETTINGS) % 6;
    if (turnOf === 1 || turnOf === 4) return await differencesFromScratch(opened.store, first.settings);
    if (turnOf !== 3) return [];
    const once = await storedUsage(opened.store);
    await deliver(opened.store, groupOf(worlds), first.seed + 1);
    const again = await storedUsage(opened.store);
    return [...once].filter((line) => !again.has(line)).concat([...again].filter((line) => !once.has(line)));
  }
}

/** Groups end where the settings change. */
function groupsOfTurn(turn: 0 | 1): Group[] {
  const groups: Group[] = [];
  for (let first = FIRST_SEED; first < FIRST_SEED + WORLDS;) {
    const number = Math.floor(first / WORLDS_PER_SETTINGS);
    const last = Math.min((number + 1) * WORLDS_PER_SETTINGS, FIRST_SEED + WORLDS) - 1;
    if (number % 2 === turn) groups.push({ first, last });
    first = last + 1;
  }
  return groups;
}
