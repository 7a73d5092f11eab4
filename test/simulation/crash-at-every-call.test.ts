/**
 * One small scenario, and a crash at its N-th call to the store or the log: before it, and after it landed.
 * Whoever starts again ends where the undisturbed one did. `npm test` takes some N, chosen by the seed; `npm
 * run test:sim` all.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { runScenario, type End } from './scenario.ts';

/** Crashes of `npm test`: of each kind as many. */
const CRASHES = 6;
const isWhole = process.env['SIMS'] !== undefined;
/** One world is asked for, and nothing else. */
const isAsked = process.env['SIM_SEED'] === undefined;
const seed = Number(process.env['SIM_BASE'] ?? 1);

let opened: TestStore;
let undisturbed: End;
beforeAll(async () => {
  opened = await openFastStore();
  if (isAsked) undisturbed = await runScenario(opened.store);
});
afterAll(() => opened.dispose());

test.runIf(isAsked)(
  'undisturbed, it closes two months, corrects the first in the second, and raises a floor',
  async () => {
    expect(undisturbed.found).toEqual([]);
    const kinds = Map.groupBy(undisturbed.billed.keys(), (key) => key.split(' ')[0]);
    expect(kinds.get('close')).toHaveLength(2);
    expect(kinds.get('correction')?.length).toBeGreaterThan(1);
    const floors = await opened.store.rows("SELECT 1 FROM decision WHERE kind = 'floor'");
    expect(floors).toHaveLength(1);
  },
);

test.runIf(isAsked).each(['crash before', 'crash after'] as const)(
  'whoever starts again after a %s any call ends where the undisturbed one did',
  { timeout: isWhole ? Infinity : 120_000 },
  async (how) => {
    const stride = isWhole ? 1 : Math.ceil(undisturbed.calls / CRASHES);
    for (let at = 1 + (isWhole ? 0 : seed % stride); at <= undisturbed.calls; at += stride) {
      let calls = 0;
      const judge = () => (++calls === at ? how : 'done');
      const { billed, found, crashes } = await runScenario(opened.store, judge);
      expect({ at, crashes, found }).toEqual({ at, crashes: 1, found: [] });
      expect(Object.fromEntries(billed), `call ${String(at)}`).toEqual(
        Object.fromEntries(undisturbed.billed),
      );
    }
  },
);
