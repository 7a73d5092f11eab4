import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate, pendingMigrations, readMigrations } from '../../aggregator/store/migrations.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { openEmptyStore, SCHEMA_DIRECTORY, type TestStore } from '../support/chdb.ts';

const FIRST = `-- two tables; a comment with a semicolon
CREATE TABLE IF NOT EXISTS a (n UInt64) ENGINE = {R}MergeTree ORDER BY n;
CREATE TABLE IF NOT EXISTS b (s String DEFAULT ';') ENGINE = {R}ReplacingMergeTree ORDER BY s;
`;
const SECOND = 'ALTER TABLE a ADD COLUMN IF NOT EXISTS m UInt64;';

let opened: TestStore;
let store: UsageStore;
let directory: string;

beforeEach(async () => {
  opened = await openEmptyStore({ readers: 1 });
  store = opened.store;
  directory = join(opened.path, 'schema-under-test');
  await mkdir(directory);
  await write('001_first.sql', FIRST);
});
afterEach(() => opened.dispose());

async function write(file: string, sql: string): Promise<void> {
  await writeFile(join(directory, file), sql);
}

async function tables(): Promise<string[]> {
  const sql = 'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name';
  return (await store.rows<{ name: string }>(sql))
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('schema_'));
}

/** The store, but the process dies at the n-th command: before it, or right after it. */
function dyingStore(n: number, when: 'before' | 'after'): UsageStore {
  let commands = 0;
  const command: UsageStore['command'] = async (sql, parameters) => {
    commands += 1;
    if (commands === n && when === 'before') throw new Error('died');
    await store.command(sql, parameters);
    if (commands === n) throw new Error('died');
  };
  return {
    command,
    rows: (...args) => store.rows(...args),
    rowBinary: (...args) => store.rowBinary(...args),
    insert: (...args) => store.insert(...args),
    insertBlock: (...args) => store.insertBlock(...args),
    close: () => store.close(),
  };
}

describe('migrate', () => {
  test('applies what is new, in order, and nothing twice', async () => {
    expect(await migrate(store, { directory })).toEqual({ applied: [1], version: 1, drift: [] });
    expect(await tables()).toEqual(['a', 'b']);
    await write('002_second.sql', SECOND);
    expect(await pendingMigrations(store, directory)).toEqual(['002_second.sql']);
    expect(await migrate(store, { directory })).toEqual({ applied: [2], version: 2, drift: [] });
    expect(await migrate(store, { directory })).toEqual({ applied: [], version: 2, drift: [] });
    expect(await pendingMigrations(store, directory)).toEqual([]);
    const notes = 'SELECT version, statement, count() AS c FROM schema_migration GROUP BY ALL ORDER BY ALL';
    expect(await store.rows(notes)).toEqual([
      { version: 1, statement: 0, c: '1' },
      { version: 1, statement: 1, c: '1' },
      { version: 2, statement: 0, c: '1' },
    ]);
  });

  test.each(['before', 'after'] as const)('goes on where it died, %s any statement', async (when) => {
    await write('002_second.sql', SECOND);
    // Two commands make the migrations' own tables, three are the statements of the files.
    for (let n = 1; n <= 5; n += 1) {
      await expect(migrate(dyingStore(n, when), { directory })).rejects.toThrow('died');
      await migrate(store, { directory });
      expect(await tables()).toEqual(['a', 'b']);
      expect(await store.rows("SELECT count() AS c FROM system.columns WHERE table = 'a'")).toEqual([
        { c: '2' },
      ]);
      for (const name of [...(await tables()), 'schema_migration', 'schema_snapshot']) {
        await store.command(`DROP TABLE ${name} SYNC`);
      }
    }
  });

  test('refuses a file that was changed after it was applied, before running anything', async () => {
    await migrate(store, { directory });
    await write('001_first.sql', `${FIRST}-- changed`);
    await write('002_second.sql', SECOND);
    const refused = {
      code: 'METER_MIGRATION_CONFLICT',
      message: expect.stringContaining('001_first.sql: changed') as string,
    };
    await expect(migrate(store, { directory })).rejects.toMatchObject(refused);
    await expect(pendingMigrations(store, directory)).rejects.toMatchObject(refused);
    expect(await store.rows("SELECT name FROM system.columns WHERE table = 'a'")).toEqual([{ name: 'n' }]);
  });

  test('refuses a store that is ahead of this program', async () => {
    await write('002_second.sql', SECOND);
    await migrate(store, { directory });
    await rm(join(directory, '002_second.sql'));
    await expect(migrate(store, { directory })).rejects.toMatchObject({
      code: 'METER_MIGRATION_CONFLICT',
      message: expect.stringContaining(
        '002_second.sql: applied to the store, unknown to this program',
      ) as string,
    });
  });

  test.each([
    ['001_first.sql', 'CREATE TABLE c (n UInt8) ENGINE = Memory', 'not idempotent'],
    ['002_second.sql', 'INSERT INTO a SELECT 1', 'not idempotent, or not DDL'],
    ['002_second.sql', 'SET x = 1; ALTER TABLE a ADD COLUMN m UInt8', 'statement 2'],
    ['001_twice.sql', SECOND, 'number 1 is taken twice'],
    ['2_second.sql', SECOND, 'a migration is named NNN_name.sql'],
  ])('refuses %s with %j', async (file, sql, problem) => {
    await write(file, sql);
    await expect(migrate(store, { directory })).rejects.toMatchObject({
      code: 'METER_MIGRATION_CONFLICT',
      message: expect.stringContaining(problem) as string,
    });
    expect(await tables()).toEqual([]);
  });

  test('reports tables that were altered by hand, and leaves them alone', async () => {
    await migrate(store, { directory });
    await store.command('ALTER TABLE a ADD COLUMN by_hand UInt8');
    await store.command('DROP TABLE b SYNC');
    await store.command('CREATE TABLE somebody_elses (n UInt8) ENGINE = Memory');
    const { applied, drift } = await migrate(store, { directory });
    expect(applied).toEqual([]);
    expect(drift).toEqual([expect.stringMatching(/^a was altered: .*by_hand/s), 'b is gone']);
    expect(await tables()).toEqual(['a', 'somebody_elses']);
  });

  test('a statement the engine refuses stops the migration there, and a repaired store goes on', async () => {
    await write('002_second.sql', `${SECOND} ALTER TABLE missing ADD COLUMN IF NOT EXISTS x UInt8;`);
    await expect(migrate(store, { directory })).rejects.toMatchObject({ code: 'METER_STORE_REJECTED' });
    await store.command('CREATE TABLE missing (n UInt8) ENGINE = MergeTree ORDER BY n');
    expect(await migrate(store, { directory })).toMatchObject({ applied: [2], version: 2 });
  });
});

describe('the schema of this program', () => {
  test('applies to an empty store, once, without drift', async () => {
    const migrations = await readMigrations(SCHEMA_DIRECTORY);
    const versions = migrations.map(({ version }) => version);
    expect(versions).toEqual(versions.map((_, at) => at + 1));
    expect(await migrate(store, { directory: SCHEMA_DIRECTORY })).toMatchObject({ applied: versions });
    expect(await migrate(store, { directory: SCHEMA_DIRECTORY })).toEqual({
      applied: [],
      version: versions.length,
      drift: [],
    });
  });

  test('every statement is written once for single servers and for replicas', async () => {
    const statements = (await readMigrations(SCHEMA_DIRECTORY)).flatMap((migration) => migration.statements);
    expect(statements.filter((sql) => /ENGINE\s*=\s*\w*MergeTree/.test(sql))).toEqual([]);
  });
});
