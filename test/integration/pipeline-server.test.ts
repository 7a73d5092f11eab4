import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { SCHEMA_DIRECTORY, type TestStore } from '../support/chdb.ts';
import { openFrontStore } from '../support/front-store.ts';
import { emptyStore, logRecord, Pipeline } from '../support/pipeline.ts';
import { loadVectors } from '../vectors/vectors.ts';

/** The server side of the store runs the same statements: every vector once more, over HTTP. */
describe('the pipeline on a ClickHouse server', () => {
  let opened: TestStore;
  let store: UsageStore;

  beforeAll(async () => {
    opened = await openFrontStore();
    store = opened.store;
    await migrate(store, { directory: SCHEMA_DIRECTORY });
  });

  afterAll(async () => {
    await opened.dispose();
  });

  test.each(loadVectors())('$name is exact', async ({ records, settings, expected }) => {
    await emptyStore(store);
    const pipeline = new Pipeline(store, settings);
    await pipeline.take(records.map((record) => logRecord(record)));
    const rows = (await pipeline.usage()).filter((row) => row.quantity !== 0n);
    expect(
      rows.map(({ hour, tenant, cluster, namespace, meter, quantity }) => ({
        hour: `${new Date(hour).toISOString().slice(0, 19)}Z`,
        tenant,
        cluster,
        namespace,
        meter,
        quantity: quantity.toString(),
      })),
    ).toEqual(expected);
  });
});
