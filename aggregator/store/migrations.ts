/**
 * Brings a store to the schema this program was written for.
 *
 * Input: a directory of `NNN_name.sql` files, applied in order of their number, statement by statement.
 * Output: the tables, and `schema_migration` with one row per finished statement.
 * Guarantee: a file that was applied never changes (checksums are compared before anything runs), a store
 * that is ahead of this program is refused, and what is there already is not run again.
 * A crash leaves at most one statement that ran without being noted; it runs again, hence only idempotent
 * DDL is accepted (IF [NOT] EXISTS, or ALTER ... IF [NOT] EXISTS), for DDL knows no transactions.
 *
 * One migrator at a time: two at once do no harm to the tables, but note some statements twice.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeteringError } from '../../core/runtime/errors.ts';
import { prepareSnapshot, schemaDrift, takeSnapshot } from './schema-drift.ts';
import { splitStatements } from './sql-statements.ts';
import type { UsageStore } from './usage-store.ts';

/** Of this program. */
export const SCHEMA_DIRECTORY = join(import.meta.dirname, 'schema');

export interface Migration {
  readonly version: number;
  readonly name: string;
  /** SHA-256 of the file as it stands, templates unfilled: the same on every deployment. */
  readonly checksum: string;
  readonly statements: readonly string[];
}

export interface MigrateOptions {
  readonly directory: string;
  /** `{R}` in a file: '' on a single server and on chDB, 'Replicated' on a cluster. */
  readonly engines?: '' | 'Replicated';
}

export interface MigrationReport {
  /** Versions of which at least one statement ran now. */
  readonly applied: readonly number[];
  /** The version the store has now; 0 without migrations. */
  readonly version: number;
  /** Tables that had been altered by hand when the migration began; one line each. */
  readonly drift: readonly string[];
}

interface Noted {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly statement: number;
}

/** The migrations' own table: a repeated note is the same row. */
const NOTES_DDL = `
  CREATE TABLE IF NOT EXISTS schema_migration
  (
      version UInt32,
      name String,
      checksum FixedString(64),
      statement UInt32,
      statements UInt32,
      definition String,
      applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
  )
  ENGINE = {R}ReplacingMergeTree(applied_at)
  ORDER BY (version, statement)`;

const NOTES_SQL = `
  SELECT version, name, toString(checksum) AS checksum, statement
  FROM schema_migration FINAL
  ORDER BY version, statement`;

export async function migrate(store: UsageStore, options: MigrateOptions): Promise<MigrationReport> {
  const migrations = await readMigrations(options.directory);
  const engines = options.engines ?? '';
  await store.command(NOTES_DDL.replaceAll('{R}', engines));
  await prepareSnapshot(store, engines);
  const notes = await store.rows<Noted>(NOTES_SQL);
  refuseConflicts(migrations, notes);
  const drift = await schemaDrift(store);
  const version = migrations.at(-1)?.version ?? 0;
  const applied: number[] = [];
  for (const migration of migrations) {
    if (await apply(store, migration, { engines, notes })) applied.push(migration.version);
  }
  if (applied.length > 0) await takeSnapshot(store, version);
  return { applied, version, drift };
}

/** What keeps a program from working with this store; empty when it may start. Nothing is changed. */
export async function pendingMigrations(store: UsageStore, directory: string): Promise<readonly string[]> {
  const migrations = await readMigrations(directory);
  const exists = await store.rows(`SELECT 1 FROM system.tables
    WHERE database = currentDatabase() AND name = 'schema_migration'`);
  const notes = exists.length === 0 ? [] : await store.rows<Noted>(NOTES_SQL);
  refuseConflicts(migrations, notes);
  return migrations
    .filter(
      ({ version, statements }) =>
        statements.length > notes.filter((note) => note.version === version).length,
    )
    .map(fileName);
}

async function apply(
  store: UsageStore,
  migration: Migration,
  { engines, notes }: { engines: string; notes: readonly Noted[] },
): Promise<boolean> {
  const { version, name, checksum, statements } = migration;
  const done = new Set(notes.filter((note) => note.version === version).map((note) => note.statement));
  for (const [statement, definition] of statements.entries()) {
    if (done.has(statement)) continue;
    await store.command(definition.replaceAll('{R}', engines));
    const note = { version, name, checksum, statement, statements: statements.length, definition };
    await store.insert('schema_migration', [note]);
  }
  return done.size < statements.length;
}

export async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith('.sql')).sort();
  const migrations = await Promise.all(files.map((file) => readMigration(directory, file)));
  migrations.sort((a, b) => a.version - b.version);
  const problems = migrations.flatMap((migration, at) =>
    migrations[at - 1]?.version === migration.version
      ? [`${fileName(migration)}: number ${migration.version} is taken twice`]
      : [],
  );
  if (problems.length > 0) throw conflict(problems);
  return migrations;
}

async function readMigration(directory: string, file: string): Promise<Migration> {
  const match = /^(\d{3,})_([a-z0-9_]+)\.sql$/.exec(file);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw conflict([`${file}: a migration is named NNN_name.sql`]);
  }
  const sql = await readFile(join(directory, file), 'utf8');
  const checksum = createHash('sha256').update(sql).digest('hex');
  const statements = splitStatements(sql);
  const problems = statements.flatMap((statement, at) => {
    const problem = notIdempotent(statement);
    return problem === undefined ? [] : [`${file}, statement ${at + 1}: ${problem}`];
  });
  if (problems.length > 0) throw conflict(problems);
  return { version: Number(match[1]), name: match[2], checksum, statements };
}

/** A statement may run twice after a crash; these forms do not mind. */
const IDEMPOTENT = [
  /^CREATE (TABLE|VIEW|MATERIALIZED VIEW|DICTIONARY|FUNCTION|DATABASE) IF NOT EXISTS /,
  /^CREATE OR REPLACE (TABLE|VIEW|DICTIONARY|FUNCTION) /,
  /^DROP (TABLE|VIEW|DICTIONARY|FUNCTION) IF EXISTS /,
  /^ALTER TABLE \S+ (ADD|DROP|CLEAR|RENAME) (COLUMN|INDEX|PROJECTION) IF (NOT )?EXISTS /,
  /^ALTER TABLE \S+ (ADD|DROP|CLEAR) (CONSTRAINT|STATISTICS) IF (NOT )?EXISTS /,
  /^ALTER TABLE \S+ (MODIFY|RESET|MATERIALIZE|COMMENT) /,
  /^RENAME (TABLE|DICTIONARY) IF EXISTS /,
];

function notIdempotent(statement: string): string | undefined {
  const head = statement.replace(/\s+/g, ' ').trim();
  return IDEMPOTENT.some((form) => form.test(head))
    ? undefined
    : `not idempotent, or not DDL: ${head.slice(0, 60)}`;
}

function refuseConflicts(migrations: readonly Migration[], notes: readonly Noted[]): void {
  const known = new Map(migrations.map((migration) => [migration.version, migration]));
  const problems = new Set<string>();
  for (const note of notes) {
    const migration = known.get(note.version);
    const file = fileName(note);
    if (migration === undefined) problems.add(`${file}: applied to the store, unknown to this program`);
    else if (migration.checksum !== note.checksum) problems.add(`${file}: changed after it was applied`);
  }
  if (problems.size > 0) throw conflict([...problems]);
}

function fileName({ version, name }: { version: number; name: string }): string {
  return `${String(version).padStart(3, '0')}_${name}.sql`;
}

function conflict(problems: readonly string[]): MeteringError {
  return new MeteringError(
    'METER_MIGRATION_CONFLICT',
    `the schema and the store do not fit: ${problems.join('; ')}. ` +
      'Never edit an applied migration, add one; never run an older program on a newer store',
  );
}
