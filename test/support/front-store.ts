/** The store over HTTP, as on a server, answered by chDB. */
import { rm } from 'node:fs/promises';

import { ClickHouseStore, type ClickHouseConfig } from '../../aggregator/store/clickhouse/server.ts';
import { temporaryDirectory, type TestStore } from './chdb.ts';
import { startClickHouseFront } from './clickhouse-front.ts';

const PASSWORD = 'it is';

/** Empty, and without a schema. Disposing of it twice is harmless. */
export async function openFrontStore(options: Omit<ClickHouseConfig, 'url'> = {}): Promise<TestStore> {
  const path = await temporaryDirectory();
  const front = await startClickHouseFront({ path, password: PASSWORD });
  const store = await ClickHouseStore.open({
    ...{ url: front.url, username: 'meter', password: PASSWORD },
    ...options,
  });
  let disposed: Promise<void> | undefined;
  const dispose = async (): Promise<void> => {
    await store.close();
    await front.close();
    await rm(path, { recursive: true, force: true });
  };
  return { store, path, dispose: () => (disposed ??= dispose()) };
}
