import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readDetailRows } from '../../aggregator/rollup/detail-rows.ts';
import type { TestStore } from '../support/chdb.ts';
import { emptyStore, openFastStore } from '../support/pipeline.ts';

let opened: TestStore;
beforeAll(async () => {
  opened = await openFastStore();
});
afterAll(() => opened.dispose());
beforeEach(() => emptyStore(opened.store));

test('the breakdown of an hour is the sum of what its units give now', async () => {
  const part = {
    ...{ cluster: 'rt1', hour: 3600, tenant: 'acme', namespace: 'shop', meter: 'cpu' },
    ...{ workload: 'Deployment/web', destination: '', storage_class: '' },
    ...{ unit: 3600, q0: 1, q1: 2, q2: 3, q3: 4, version: 1 },
  };
  await opened.store.insert('detail_parts', [
    part,
    { ...part, q0: 10, version: 2 },
    { ...part, unit: 7200, q3: 5 },
    { ...part, workload: 'Pod/gone' },
    { ...part, workload: 'Pod/gone', q0: 0, q1: 0, q2: 0, q3: 0, version: 2 },
  ]);
  expect(await readDetailRows(opened.store)).toEqual([
    {
      ...{ hour: 3_600_000, tenant: 'acme', cluster: 'rt1', namespace: 'shop', meter: 'cpu' },
      ...{ workload: 'Deployment/web', destination: '', storageClass: '', quarters: [11n, 4n, 6n, 9n] },
    },
  ]);
});
