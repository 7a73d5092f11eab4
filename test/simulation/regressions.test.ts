/** What the simulation found, each in the smallest world that shows it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCloses } from '../../aggregator/ledger/decisions.ts';
import type { TestStore } from '../support/chdb.ts';
import { openFastStore } from '../support/pipeline.ts';
import { runScenario, SCENARIO } from './scenario.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(() => opened.dispose());

test('two processes that find the same period due close it once', async () => {
  const { found } = await runScenario(opened.store, () => 'done', { ...SCENARIO, sharing: 'same' });
  expect(found).toEqual([]);
  const decided = await opened.store.rows("SELECT period FROM decision WHERE kind = 'close' ORDER BY period");
  expect(decided).toHaveLength((await readCloses(opened.store)).length);
});

test.each(['insert ledger', 'command'])(
  'what queries read follows the ledger, although each process dies after its first %s',
  async (operation) => {
    const died = new Set<unknown>();
    const { found, crashes } = await runScenario(opened.store, (request) => {
      if (request.operation !== operation || died.size > 3 || died.has(request.caller)) return 'done';
      died.add(request.caller);
      return 'crash after';
    });
    expect(crashes).toBeGreaterThan(1);
    expect(found).toEqual([]);
  },
);
