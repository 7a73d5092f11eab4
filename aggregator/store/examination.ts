/**
 * The store, looked at as it is. In: a store that is there, and time. Out: findings. Nothing is changed: a
 * schema that waits to be applied is told, not applied.
 */
import type { Clock } from '../../core/runtime/clock.ts';
import { skewFinding } from '../../core/runtime/clock-skew.ts';
import { diskFinding } from '../../core/runtime/disk.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import { faultFinding, type Finding } from '../../core/runtime/finding.ts';
import { pendingMigrations, SCHEMA_DIRECTORY } from './migrations.ts';
import { schemaDrift } from './schema-drift.ts';
import type { UsageStore } from './usage-store.ts';

export interface FoundStore {
  readonly store: UsageStore;
  /** Undefined in this process, where everything is allowed. */
  readonly isGranted: ((right: string) => Promise<boolean>) | undefined;
}

/** The release that the tests run on; others may do. */
const TESTED_VERSION = [26, 7] as const;
/** What roles do in their database, and that one waits for statements of the other. */
const NEEDED_RIGHTS = [
  'SELECT ON *',
  'INSERT ON *',
  'ALTER ON *',
  'CREATE TABLE ON *',
  'DROP TABLE ON *',
  'TRUNCATE ON *',
  'SELECT ON system.processes',
] as const;

export interface StoreExamination {
  readonly findings: readonly Finding[];
  /** The schema is the one this program was written for: its tables can be asked. */
  readonly isUsable: boolean;
}

export async function examineStore(
  { store, isGranted }: FoundStore,
  { clock }: { readonly clock: Clock },
): Promise<StoreExamination> {
  const findings = [await versionFinding(store), await clockFinding(store, clock), ...(await disks(store))];
  if (isGranted !== undefined) findings.push(await rightsFinding(isGranted));
  const schema = await schemaFinding(store);
  findings.push(schema);
  const isUsable = schema.level === 'ok';
  if (isUsable) findings.push(...(await driftFindings(store)));
  // An embedded one is read again from the log after an unclean stop.
  if (isUsable && isGranted !== undefined) findings.push(await powerOf(store));
  return { findings, isUsable };
}

async function versionFinding(store: UsageStore): Promise<Finding> {
  const [row] = await store.rows<{ version: string }>('SELECT version() AS version');
  const version = row?.version ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [testedMajor, testedMinor] = TESTED_VERSION;
  const isOlder = major < testedMajor || (major === testedMajor && minor < testedMinor);
  const name = 'store version';
  const seen = `ClickHouse ${version}`;
  if (!isOlder) return { level: 'ok', name, seen };
  const advice = `the tests run on ${TESTED_VERSION.join('.')}; upgrade the server to it, or later`;
  return { level: 'warn', name, seen, advice };
}

async function clockFinding(store: UsageStore, clock: Clock): Promise<Finding> {
  const beforeMs = clock.now();
  const [row] = await store.rows<{ ms: string }>('SELECT toUnixTimestamp64Milli(now64(3)) AS ms');
  const middleMs = (beforeMs + clock.now()) / 2;
  return skewFinding('store clock', "the store's clock", Number(row?.ms) - middleMs);
}

async function disks(store: UsageStore): Promise<readonly Finding[]> {
  const found = await store.rows<{ name: string; free: string; total: string }>(
    'SELECT name, unreserved_space AS free, total_space AS total FROM system.disks ORDER BY name',
  );
  return found.map(({ name, free, total }) =>
    diskFinding(`store disk ${name}`, { freeBytes: Number(free), totalBytes: Number(total) }),
  );
}

export async function rightsFinding(isGranted: (right: string) => Promise<boolean>): Promise<Finding> {
  const name = 'store rights';
  const missing: string[] = [];
  try {
    for (const right of NEEDED_RIGHTS) if (!(await isGranted(right))) missing.push(right);
  } catch (error) {
    if (!(error instanceof MeteringError)) throw error;
    return { level: 'info', name, seen: `not checked: this server does not tell (${error.message})` };
  }
  if (missing.length === 0) return { level: 'ok', name, seen: 'all that roles need' };
  const grants = missing.map((right) => `GRANT ${right.replace('ON *', 'ON <database>.*')} TO <user>`);
  return {
    ...{ level: 'fail', name, seen: `missing: ${missing.join(', ')} (* is the database)` },
    advice: `as an administrator: ${grants.join('; ')}`,
  };
}

async function schemaFinding(store: UsageStore): Promise<Finding> {
  const name = 'store schema';
  try {
    const pending = await pendingMigrations(store, SCHEMA_DIRECTORY);
    if (pending.length === 0) return { level: 'ok', name, seen: 'as this program needs it' };
    const seen = `older than this program; not applied yet, or in part: ${pending.join(', ')}`;
    return { level: 'warn', name, seen, advice: 'nothing by hand: the next start of a role applies them' };
  } catch (error) {
    const advice = 'run the newest program that this store has seen; never edit an applied migration';
    return faultFinding(name, error, advice);
  }
}

async function powerOf(store: UsageStore): Promise<Finding> {
  const [row] = await store.rows<{ is_copied: number; is_synced: number }>(
    `SELECT (SELECT engine LIKE 'Replicated%' FROM system.tables
             WHERE database = currentDatabase() AND name = 'samples') AS is_copied,
            (SELECT value != '0' FROM system.merge_tree_settings
             WHERE name = 'fsync_after_insert') AS is_synced`,
  );
  return powerFinding({ isCopied: row?.is_copied === 1, isSynced: row?.is_synced === 1 });
}

/** Whether a sample that was answered for outlasts the power of its machine; the ledger always does. */
export function powerFinding(samples: { readonly isCopied: boolean; readonly isSynced: boolean }): Finding {
  const name = 'store power failure';
  if (samples.isCopied) return { level: 'ok', name, seen: 'samples are on several servers' };
  if (samples.isSynced) return { level: 'ok', name, seen: 'samples are on the disk before they count' };
  const seen = 'samples of the last half minute may be lost with the power of its machine';
  const advice =
    'in the configuration of the server: <merge_tree><fsync_after_insert>1</fsync_after_insert>' +
    '<fsync_part_directory>1</fsync_part_directory></merge_tree>; docs/kafka.md says what to do after one';
  return { level: 'warn', name, seen, advice };
}

async function driftFindings(store: UsageStore): Promise<readonly Finding[]> {
  const advice = 'undo what was altered by hand, or put it into a migration; nothing repairs it by itself';
  const drift = await schemaDrift(store);
  return drift.map((seen): Finding => ({ level: 'warn', name: 'store schema', seen, advice }));
}
