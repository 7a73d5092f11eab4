/** The store that settings ask for, open and with the newest schema; or one that is thrown away. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoreConfig } from '../config.ts';
import type { FoundStore } from '../examination.ts';
import { migrate, SCHEMA_DIRECTORY } from '../migrations.ts';
import type { UsageStore } from '../usage-store.ts';
import { ChdbStore } from './chdb.ts';
import { ClickHouseStore, type ClickHouseConfig } from './server.ts';

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

/** A server answers a question of the doctor at once, or is not well. */
const FIND_TIMEOUT_MS = 15_000;

/** One that is there, as it is: nothing is made, and no schema applied. Undefined: there is none. */
export async function findStore(config: Partial<StoreConfig>): Promise<FoundStore | undefined> {
  if (config.directory !== undefined) {
    if (!existsSync(config.directory)) return undefined;
    return { store: await connect(config), isGranted: undefined };
  }
  const store = await ClickHouseStore.find({ ...serverOf(config), requestTimeoutMs: FIND_TIMEOUT_MS });
  return store === undefined ? undefined : { store, isGranted: (right) => store.isGranted(right) };
}

async function connect(config: Partial<StoreConfig>): Promise<UsageStore> {
  const { directory, maxMemoryBytes } = config;
  if (directory !== undefined) {
    return await ChdbStore.open({
      path: directory,
      ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
    });
  }
  return await ClickHouseStore.open(serverOf(config));
}

function serverOf({ url = '', username, password, database }: Partial<StoreConfig>): ClickHouseConfig {
  return {
    url,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: password.reveal() }),
    ...(database === undefined ? {} : { database }),
  };
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
