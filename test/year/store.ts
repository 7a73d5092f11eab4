/** A store of its own for a year, under the directory of the whole run. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ChdbStore } from '../../aggregator/store/clickhouse/chdb.ts';
import { migrate } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { SCHEMA_DIRECTORY } from '../support/chdb.ts';

export interface YearStore {
  readonly store: UsageStore;
  /** Bytes of all its files. */
  size(): Promise<number>;
  dispose(): Promise<void>;
}

/** One thread for a statement: there is a core for each of the two replays. */
export async function openYearStore(directory: string, name: string): Promise<YearStore> {
  const path = join(directory, name);
  const store = await ChdbStore.open({ path, threads: 1, readers: 2 });
  const dispose = async (): Promise<void> => {
    await store.close();
    await rm(path, { recursive: true, force: true });
  };
  try {
    await migrate(store, { directory: SCHEMA_DIRECTORY });
    return { store, size: () => sizeOf(path), dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function sizeOf(path: string): Promise<number> {
  let bytes = 0;
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  for (const entry of entries.filter((each) => each.isFile())) {
    // The engine removes merged parts while we look.
    bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size;
  }
  return bytes;
}
