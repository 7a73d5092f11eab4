/** The golden cases through ingest, store and roll-up. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, logRecord, openFastStore, Pipeline } from '../support/pipeline.ts';
import { readDetailRows } from '../../aggregator/rollup/detail-rows.ts';
import type { UsageRow } from '../../aggregator/rollup/usage-rows.ts';
import type { ExpectedDetail, ExpectedRow } from './notation.ts';
import { loadVectors } from './vectors.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(async () => {
  await opened.dispose();
});

function expectation(rows: readonly UsageRow[]): ExpectedRow[] {
  const used = rows.filter(({ quantity }) => quantity !== 0n);
  return used.map(({ hour, tenant, cluster, namespace, meter, quantity }) => ({
    hour: new Date(hour).toISOString().replace('.000Z', 'Z'),
    tenant,
    cluster,
    namespace,
    meter,
    quantity: String(quantity),
  }));
}

async function details(): Promise<ExpectedDetail[]> {
  return (await readDetailRows(opened.store)).map(({ hour, quarters, ...names }) => ({
    ...names,
    hour: new Date(hour).toISOString().replace('.000Z', 'Z'),
    quantity: String(quarters.reduce((a, b) => a + b)),
  }));
}

describe.each(['protobuf', 'json'] as const)('records in %s', (encoding) => {
  test.each(loadVectors())('$name: the pipeline gives every expected row and no other', async (vector) => {
    await emptyStore(opened.store);
    const pipeline = new Pipeline(opened.store, vector.settings);
    await pipeline.take(vector.records.map((record) => logRecord(record, encoding)));
    expect(expectation(await pipeline.usage())).toEqual(vector.expected);
    if (vector.details.length > 0) expect(await details()).toEqual(vector.details);
  });
});

test('records one by one, each rolled up at once, give the same', async () => {
  for (const vector of loadVectors().filter(({ records }) => records.length < 10)) {
    await emptyStore(opened.store);
    const pipeline = new Pipeline(opened.store, vector.settings);
    for (const record of vector.records) {
      await pipeline.take([logRecord(record)]);
      await pipeline.rollUp();
    }
    expect(expectation(await pipeline.usage()), vector.name).toEqual(vector.expected);
    if (vector.details.length > 0) expect(await details(), vector.name).toEqual(vector.details);
  }
}, 120_000);
