/** The store that settings ask for, open and with the newest schema; or one that is thrown away. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoreConfig } from '../config.ts';
import { migrate } from '../migrations.ts';
import type { UsageStore } from '../usage-store.ts';
import { ChdbStore } from './chdb.ts';
import { ClickHouseStore } from './server.ts';

const SCHEMA_DIRECTORY = join(import.meta.dirname, '../schema');

export async function openStore(config: Partial<StoreConfig>): Promise<UsageStore> {
  const store = await connect(config);
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function connect(config: Partial<StoreConfig>): Promise<UsageStore> {
  const { url = '', username, password, database, directory, maxMemoryBytes } = config;
  if (directory !== undefined) {
    return await ChdbStore.open({
      path: directory,
      ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
    });
  }
  return await ClickHouseStore.open({
    url,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: password.reveal() }),
    ...(database === undefined ? {} : { database }),
  });
}

/** Gone when the work ends, whatever comes of it. */
export async function withThrowawayStore<Result>(
  work: (store: UsageStore) => Promise<Result>,
): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'gh0stmeter-replay-'));
  try {
    const store = await openStore({ directory });
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
