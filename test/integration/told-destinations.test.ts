import { afterAll, beforeAll, expect, test } from 'vitest';

import { ANOTHER_TENANT, readTold } from '../../aggregator/api/identity/told-destinations.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import { MAX_DESTINATION } from '../../core/metering/names.ts';
import { SCHEMA_DIRECTORY, type TestStore } from '../support/chdb.ts';
import { openFrontStore } from '../support/front-store.ts';

let opened: TestStore;

beforeAll(async () => {
  opened = await openFrontStore();
  await migrate(opened.store, { directory: SCHEMA_DIRECTORY });
});

afterAll(async () => {
  await opened.dispose();
});

test('as many destinations as there are, at their longest, are more than a server takes of one parameter', async () => {
  const { store } = opened;
  await store.insert('label_history', [
    { cluster: 'north', namespace: 'shop', t: 1, tenant: 'acme' },
    { cluster: 'north', namespace: 'vault', t: 1, tenant: 'globex' },
  ]);
  const destinations = Array.from({ length: 20_000 }, (_, i) =>
    `Pod/${i % 2 === 0 ? 'shop' : 'vault'}/${i}-`.padEnd(MAX_DESTINATION, 'x'),
  );
  const scope = { kind: 'tenants', tenants: ['acme'] } as const;
  const told = await readTold(store, scope, { cluster: 'north', destinations });
  expect(destinations.map((one) => told.get(one))).toEqual(
    destinations.map((one) => (one.includes('/vault/') ? ANOTHER_TENANT : one)),
  );
});
