import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelUsage } from '../model/model.ts';
import type { ModelRecord } from '../model/record.ts';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, logRecord, openFastStore, Pipeline } from '../support/pipeline.ts';
import { usageDifferences } from './pipeline.ts';
import { REGRESSIONS } from './regressions.ts';
import { differencesFromScratch } from './stored-usage.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});

test.each(REGRESSIONS)('$name', async ({ settings, inTime, late }) => {
  await emptyStore(opened.store);
  const pipeline = new Pipeline(opened.store, settings);
  let offset = 0n;
  for (const records of [inTime, late].filter(({ length }) => length > 0)) {
    const sent = records.map((record: ModelRecord) => ({ ...logRecord(record), offset: offset++ }));
    await pipeline.take(sent);
    await pipeline.rollUp();
  }
  const usage = await pipeline.usage();
  expect(usageDifferences(usage, modelUsage([...inTime, ...late], settings))).toEqual([]);
  expect(await differencesFromScratch(opened.store, settings)).toEqual([]);
});

test('each of them has usage, or had some until the late records came', () => {
  for (const { name, settings, inTime } of REGRESSIONS) {
    expect(modelUsage(inTime, settings), name).not.toEqual([]);
  }
});
