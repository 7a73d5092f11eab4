import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, logRecord, openFastStore, Pipeline } from '../support/pipeline.ts';
import { readDetailRows } from '../../aggregator/rollup/detail-rows.ts';
import { runModel } from '../model/model.ts';
import type { ModelRecord } from '../model/record.ts';
import { lateFacts, type LateFact } from './late-facts.ts';
import { detailDifferences, usageDifferences } from './pipeline.ts';
import { differencesFromScratch } from './stored-usage.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});

/** What happens between what was in time and what is late. */
const HANDED_OVER = 'another process that reads half of it';
const BETWEEN = ['nothing', 'a restart', HANDED_OVER] as const;

async function deliveredLate(
  { before, late, settings }: LateFact,
  between: (typeof BETWEEN)[number],
): Promise<Pipeline> {
  await emptyStore(opened.store);
  const pipeline = new Pipeline(opened.store, settings);
  let offset = 0n;
  const taken = (records: readonly ModelRecord[]): Promise<void> =>
    pipeline.take(records.map((record) => ({ ...logRecord(record), offset: offset++ })));
  if (between === HANDED_OVER) {
    const half = Math.ceil(before.length / 2);
    await taken(before.slice(0, half));
    pipeline.handOver();
    await taken(before.slice(half));
    await pipeline.rollUp();
    pipeline.handOver();
  } else {
    await taken(before);
    await pipeline.rollUp();
  }
  if (between === 'a restart') pipeline.restart();
  await taken(late);
  return pipeline;
}

const scenes = lateFacts();

describe('late comes', () => {
  test.each(scenes)('$name: usage is as if it had come in time', async (fact) => {
    for (const between of BETWEEN) {
      const pipeline = await deliveredLate(fact, between);
      const model = runModel([...fact.before, ...fact.late], fact.settings);
      const found = usageDifferences(await pipeline.usage(), model.rows);
      const details = await readDetailRows(opened.store);
      expect([...found, ...detailDifferences(details, model.details)], between).toEqual([]);
      if (between === HANDED_OVER) continue;
      expect(await differencesFromScratch(opened.store, fact.settings)).toEqual([]);
    }
  });

  test('what changes usage, but for coverage and a name that judges nothing', () => {
    const unchanged = scenes.filter(({ before, late, settings }) => {
      const [early, whole] = [runModel(before, settings), runModel([...before, ...late], settings)];
      const changed = usageDifferences(early.rows, whole.rows);
      return changed.length + detailDifferences(early.details, whole.details).length === 0;
    });
    expect(unchanged.map(({ name }) => name)).toEqual([
      'a scrape that joins the last one of its hour to the first of the next',
      'a container start at the very time of the first sample, which proves nothing',
      'that the pod is on the host’s network, by its name, which does not judge it',
    ]);
  });
});
