import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, logRecord, openFastStore, Pipeline } from '../support/pipeline.ts';
import { modelUsage } from '../model/model.ts';
import type { ModelRecord } from '../model/record.ts';
import { lateFacts, type LateFact } from './late-facts.ts';
import { usageDifferences } from './pipeline.ts';
import { differencesFromScratch } from './stored-usage.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});

async function deliveredLate({ before, late, settings }: LateFact, restart: boolean): Promise<Pipeline> {
  await emptyStore(opened.store);
  const pipeline = new Pipeline(opened.store, settings);
  let offset = 0n;
  const taken = (records: readonly ModelRecord[]): Promise<void> =>
    pipeline.take(records.map((record) => ({ ...logRecord(record), offset: offset++ })));
  await taken(before);
  await pipeline.rollUp();
  if (restart) pipeline.restart();
  await taken(late);
  return pipeline;
}

const scenes = lateFacts();

describe('late comes', () => {
  test.each(scenes)('$name: usage is as if it had come in time', async (fact) => {
    for (const restart of [false, true]) {
      const pipeline = await deliveredLate(fact, restart);
      const model = modelUsage([...fact.before, ...fact.late], fact.settings);
      expect(usageDifferences(await pipeline.usage(), model), restart ? 'restarted' : 'going on').toEqual([]);
      expect(await differencesFromScratch(opened.store, fact.settings)).toEqual([]);
    }
  });

  test('what changes usage, but for coverage and a name that judges nothing', () => {
    const unchanged = scenes.filter(({ before, late, settings }) => {
      const changed = usageDifferences(
        modelUsage(before, settings),
        modelUsage([...before, ...late], settings),
      );
      return changed.length === 0;
    });
    expect(unchanged.map(({ name }) => name)).toEqual([
      'a scrape that joins the last one of its hour to the first of the next',
      'a container start at the very time of the first sample, which proves nothing',
      'that the pod is on the host’s network, by its name, which does not judge it',
    ]);
  });
});
