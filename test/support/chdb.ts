/** A fresh store for tests: chDB in a directory of its own, migrated, removed when the test is done. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChdbStore, type ChdbConfig } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';

export const SCHEMA_DIRECTORY = join(import.meta.dirname, '../../aggregator/store/schema');

export interface TestStore {
  readonly store: UsageStore;
  readonly path: string;
  /** Closes the store and removes its directory. One store is open at a time in a process. */
  dispose(): Promise<void>;
}

export async function openTestStore(options: Omit<ChdbConfig, 'path'> = {}): Promise<TestStore> {
  const test = await openEmptyStore(options);
  try {
    await migrate(test.store, { directory: SCHEMA_DIRECTORY });
    return test;
  } catch (error) {
    // An open store would make every later one in this process fail, and hide this error.
    await test.dispose();
    throw error;
  }
}

/** The same without tables. */
export async function openEmptyStore(options: Omit<ChdbConfig, 'path'> = {}): Promise<TestStore> {
  const path = await temporaryDirectory();
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true });
  try {
    const store = await ChdbStore.open({ path, threads: 2, ...options });
    return { store, path, dispose: () => store.close().then(remove) };
  } catch (error) {
    await remove();
    throw error;
  }
}

export async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'metering-store-'));
}
