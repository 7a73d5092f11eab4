/**
 * Tables that are no longer what the migrations left behind: someone altered them by hand.
 * Drift is reported, never repaired: what a person did on purpose is a person's to undo.
 */
import type { UsageStore } from './usage-store.ts';

/** How each table looked after the newest migration, in the engine's own words. */
const SNAPSHOT_DDL = `
  CREATE TABLE IF NOT EXISTS schema_snapshot
  (
      version UInt32,
      name String,
      definition String,
      taken_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
  )
  ENGINE = {R}ReplacingMergeTree(taken_at)
  ORDER BY (version, name)`;

const TABLES_SQL = `
  SELECT name, create_table_query AS definition
  FROM system.tables
  WHERE database = currentDatabase() AND NOT startsWith(name, 'schema_') AND NOT startsWith(name, '.')
  ORDER BY name`;

const SNAPSHOT_SQL = `
  SELECT name, definition
  FROM schema_snapshot FINAL
  WHERE version = (SELECT max(version) FROM schema_snapshot)
  ORDER BY name`;

interface Table {
  readonly name: string;
  readonly definition: string;
}

export async function prepareSnapshot(store: UsageStore, engines: string): Promise<void> {
  await store.command(SNAPSHOT_DDL.replaceAll('{R}', engines));
}

export async function takeSnapshot(store: UsageStore, version: number): Promise<void> {
  const tables = await store.rows<Table>(TABLES_SQL);
  await store.insert(
    'schema_snapshot',
    tables.map((table) => ({ version, ...table })),
  );
}

/** One line per table that differs; tables the migrations never made are nobody's business. */
export async function schemaDrift(store: UsageStore): Promise<readonly string[]> {
  const snapshot = await store.rows<Table>(SNAPSHOT_SQL);
  const now = new Map((await store.rows<Table>(TABLES_SQL)).map((table) => [table.name, table.definition]));
  return snapshot.flatMap(({ name, definition }) => {
    const found = now.get(name);
    if (found === undefined) return [`${name} is gone`];
    return found === definition ? [] : [`${name} was altered: ${found}`];
  });
}
