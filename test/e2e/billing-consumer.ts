/**
 * A tiny gh0stplane: bills from the ledger feed alone. In: an address, a database of its own. Out: the database
 * holds what every tenant is billed for every closed period. It ends by itself once a period is billed.
 *
 * A page and the cursor behind it are kept in one transaction, and an entry is taken once by its id, so it may
 * be killed at any moment, and so may what it reads from.
 */
import { DatabaseSync } from 'node:sqlite';
import { MeteringClient, MeteringProblem } from '../../aggregator/api/client/client.ts';
import { SystemClock } from '../../core/runtime/clock.ts';
import type { Operations } from '../../aggregator/api/client/operations.generated.ts';

const [api = '', file = '', until = ''] = process.argv.slice(2);
const PAGE = 7;
const KINDS: ('usage' | 'correction' | 'period')[] = ['usage', 'correction', 'period'];
const PAUSE_MS = 50;
const clock = new SystemClock();
const client = new MeteringClient({ baseUrl: api });

const database = new DatabaseSync(file);
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), next TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS taken (id TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS hour (
    period TEXT, tenant TEXT, meter TEXT, cluster TEXT, namespace TEXT, hour TEXT, quantity TEXT,
    PRIMARY KEY (tenant, meter, cluster, namespace, hour)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS correction (id TEXT PRIMARY KEY, period TEXT, tenant TEXT, meter TEXT, quantity TEXT);
  CREATE TABLE IF NOT EXISTS bill (
    period TEXT, tenant TEXT, meter TEXT, quantity TEXT, corrections TEXT,
    PRIMARY KEY (period, tenant, meter)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS closed (period TEXT PRIMARY KEY, hash TEXT) WITHOUT ROWID;`);

const take = database.prepare('INSERT OR IGNORE INTO taken VALUES (?)');
const keepHour = database.prepare('INSERT OR REPLACE INTO hour VALUES (?, ?, ?, ?, ?, ?, ?)');
const keepCorrection = database.prepare('INSERT INTO correction VALUES (?, ?, ?, ?, ?)');
const keepPlace = database.prepare('INSERT OR REPLACE INTO place VALUES (1, ?)');

function receive(entry: Page['data'][number]): void {
  if (take.run(entry.id).changes === 0) return;
  if (entry.kind === 'usage') {
    const { period, tenant, meter, cluster, namespace, hour, quantity } = entry;
    keepHour.run(period, tenant, meter, cluster, namespace, hour, quantity);
  } else if (entry.kind === 'correction' && entry.final) {
    keepCorrection.run(entry.id, entry.period, entry.tenant, entry.meter, entry.quantity);
  } else if (entry.kind === 'period' && entry.state === 'closed') bill(entry.period, entry.hash);
}

/** Of a period nothing more comes once it is closed. */
function bill(period: string, hash: string): void {
  const sums = new Map<string, { usage: bigint; corrections: bigint }>();
  const add = (table: 'hour' | 'correction', name: 'usage' | 'corrections'): void => {
    const rows = database
      .prepare(`SELECT tenant, meter, quantity FROM ${table} WHERE period = ?`)
      .all(period);
    for (const { tenant, meter, quantity } of rows) {
      const key = JSON.stringify([tenant, meter]);
      const sum = sums.get(key) ?? { usage: 0n, corrections: 0n };
      sum[name] += BigInt(String(quantity));
      sums.set(key, sum);
    }
  };
  add('hour', 'usage');
  add('correction', 'corrections');
  const keepBill = database.prepare('INSERT INTO bill VALUES (?, ?, ?, ?, ?)');
  for (const [key, { usage, corrections }] of sums) {
    const [tenant, meter] = JSON.parse(key) as [string, string];
    keepBill.run(period, tenant, meter, usage.toString(), corrections.toString());
  }
  database.prepare('INSERT INTO closed VALUES (?, ?)').run(period, hash);
}

type Page = Operations['listLedger']['json'];

/** Undefined while nobody answers: then it is asked again, from the same place. */
async function ask(after: string | undefined): Promise<Page | undefined> {
  const query = { kind: KINDS, limit: PAGE, wait: '5s', ...(after !== undefined && { after }) };
  try {
    const { json } = await client.call('listLedger', { query });
    return json;
  } catch (error) {
    const isOverloaded = error instanceof MeteringProblem && error.problem.status >= 500;
    // A connection that is refused, or breaks: the other side has died and comes back.
    if (!isOverloaded && !(error instanceof TypeError)) throw error;
    return undefined;
  }
}

function isBilled(): boolean {
  return database.prepare('SELECT 1 FROM closed WHERE period = ?').get(until) !== undefined;
}

while (!isBilled()) {
  const kept = database.prepare('SELECT next FROM place').get()?.['next'];
  const page = await ask(kept === undefined ? undefined : String(kept));
  if (page === undefined) {
    await clock.sleep(PAUSE_MS);
    continue;
  }
  database.exec('BEGIN IMMEDIATE');
  for (const entry of page.data) receive(entry);
  keepPlace.run(page.next);
  database.exec('COMMIT');
  process.stdout.write(`${page.data.length}\n`);
}
database.close();
