/**
 * Ledger -> statements, once more: each is built from the ledger up to the place of its close and has to be,
 * byte for byte, what was written then. Their hashes make the hash of the close, and each close that of the
 * next.
 */
import { periodName } from '../../../core/metering/period.ts';
import type { UsageStore } from '../../store/usage-store.ts';
import type { Close } from '../decisions.ts';
import { correctionId, quantityOf, type Quarters } from '../entry.ts';
import { readCorrections, readStatements, type StatementScope } from '../statement-reader.ts';
import { closeHash, statementHash } from '../statements/canonical.ts';
import { renderJson } from '../statements/json.ts';
import { NOTHING_THERE, type Check } from './check.ts';
import { hourText } from './figures.ts';
import type { VerifyScope } from './scope.ts';
import { boundsOf, IN_PERIOD } from './units.ts';

const STATEMENTS_AT_ONCE = 100;

interface Rebuilt {
  readonly tenant: string;
  readonly hash: string;
  readonly body: string;
}

function statementScope({ close, closes }: Pick<VerifyScope, 'close' | 'closes'>): StatementScope {
  const previous = closes.findLast(({ period }) => period < close.period);
  const { period, upTo, ruleVersion, settingsHash, previousHash, waivers } = close;
  return {
    ...{ period, upTo, after: previous?.upTo ?? 0n, ruleVersion, waivers },
    ...{ settingsHash, previousCloseHash: previousHash },
  };
}

export async function compareStatements(store: UsageStore, scope: VerifyScope, check: Check): Promise<void> {
  const named = new Map(scope.close.statements);
  let batch: Rebuilt[] = [];
  for await (const statement of readStatements(store, statementScope(scope))) {
    const { tenant } = statement;
    const rebuilt = { tenant, hash: statementHash(statement), body: renderJson(statement) };
    compareHash(check, tenant, { rebuilt: rebuilt.hash, named: named.get(tenant) });
    named.delete(tenant);
    batch.push(rebuilt);
    if (batch.length < STATEMENTS_AT_ONCE) continue;
    await compareBytes(store, scope, { batch, check });
    batch = [];
  }
  await compareBytes(store, scope, { batch, check });
  for (const [tenant, hash] of named) compareHash(check, tenant, { rebuilt: undefined, named: hash });
}

function compareHash(
  check: Check,
  tenant: string,
  { rebuilt, named }: { rebuilt: string | undefined; named: string | undefined },
): void {
  check.compare(rebuilt === named, () => ({
    what: `hash of the statement of ${tenant}`,
    recomputed: rebuilt ?? NOTHING_THERE,
    stored: named ?? NOTHING_THERE,
  }));
}

/** Of the stored statements those that the close names: others are attempts that did not last. */
async function compareBytes(
  store: UsageStore,
  { period, close }: VerifyScope,
  { batch, check }: { readonly batch: readonly Rebuilt[]; readonly check: Check },
): Promise<void> {
  if (batch.length === 0) return;
  const named = new Map(close.statements);
  const rows = await store.rows<Rebuilt>(
    `SELECT tenant, hash, body FROM statement
     WHERE period = {period:UInt32} AND tenant IN {tenants:Array(String)}`,
    { period, tenants: batch.map(({ tenant }) => tenant) },
  );
  const stored = Map.groupBy(
    rows.filter((row) => row.hash === named.get(row.tenant)),
    (row) => row.tenant,
  );
  for (const { tenant, body } of batch) {
    for (const other of stored.get(tenant) ?? [undefined]) {
      check.compare(other?.body === body, () => ({
        what: `bytes of the statement of ${tenant}`,
        ...sidesOf(body, other?.body),
      }));
    }
  }
}

/** What stands around the first byte that differs. */
function sidesOf(recomputed: string, stored: string | undefined): { recomputed: string; stored: string } {
  if (stored === undefined) return { recomputed: `${recomputed.length} characters`, stored: NOTHING_THERE };
  let at = 0;
  while (at < recomputed.length && recomputed[at] === stored[at]) at++;
  const around = (text: string): string =>
    `at ${at}: ...${text.slice(Math.max(0, at - 30), at + 30).trimEnd()}`;
  return { recomputed: around(recomputed), stored: around(stored) };
}

/** Every close up to the period's: its hash, and that it goes on from the one before. */
export function compareCloses(scope: VerifyScope, check: Check): void {
  let previous: Close | undefined;
  for (const close of scope.closes.filter(({ period }) => period <= scope.period)) {
    const name = periodName(close.period);
    const hash = closeHash({
      ...{ period: name, ruleVersion: close.ruleVersion, settingsHash: close.settingsHash },
      previousCloseHash: close.previousHash,
      ...{ waivers: close.waivers, statements: close.statements },
    });
    check.compare(hash === close.hash, () => ({
      what: `hash of the close of ${name}`,
      recomputed: hash,
      stored: close.hash,
    }));
    const before = previous?.hash ?? '';
    check.compare(close.previousHash === before, () => ({
      what: `the close of ${name} goes on from the one before`,
      recomputed: before === '' ? NOTHING_THERE : before,
      stored: close.previousHash === '' ? NOTHING_THERE : close.previousHash,
    }));
    previous = close;
  }
}

/**
 * Of two decisions about a period the first counts; a second one that says something else is nobody's who
 * closes.
 */
export async function compareDecisions(store: UsageStore, scope: VerifyScope, check: Check): Promise<void> {
  const rows = await store.rows<{ period: number; hash: string }>(
    `SELECT period, hash FROM decision WHERE kind = 'close' AND period <= {period:UInt32}
     ORDER BY period, decided_at`,
    { period: scope.period },
  );
  const counted = new Map(scope.closes.map((close) => [close.period, close.hash]));
  for (const { period, hash } of rows) {
    check.compare(counted.get(period) === hash, () => ({
      what: `a second decision to close ${periodName(period)}`,
      recomputed: counted.get(period) ?? NOTHING_THERE,
      stored: hash,
    }));
  }
}

/** What the ledger itself says of the close, for those who read only the ledger. */
export async function compareLedgerEntries(
  store: UsageStore,
  { period, close }: VerifyScope,
  check: Check,
): Promise<void> {
  const rows = await store.rows<{ body: string }>(
    "SELECT body FROM ledger WHERE kind = 'period' AND period = {period:UInt32} AND revision = 3",
    { period },
  );
  for (const { body } of rows.length === 0 ? [{ body: '{}' }] : rows) {
    const { hash } = JSON.parse(body) as { hash?: string };
    check.compare(hash === close.hash, () => ({
      what: `the ledger's entry about the close of ${periodName(period)}`,
      recomputed: close.hash,
      stored: hash ?? NOTHING_THERE,
    }));
  }
}

interface CorrectionRow {
  readonly id: string;
  readonly seconds: number;
  readonly cluster: string;
  readonly tenant: string;
  readonly namespace: string;
  readonly meter: string;
  readonly before: string;
  readonly after: string;
}

/** The corrections that this close fixed, as billing reads them. */
export async function compareFixed(store: UsageStore, scope: VerifyScope, check: Check): Promise<void> {
  const rows = await store.rows<CorrectionRow>(
    `SELECT lower(hex(id)) AS id, toUnixTimestamp(hour) AS seconds, cluster, tenant, namespace, meter,
       ${sumOf('p')} AS before, ${sumOf('q')} AS after
     FROM ledger WHERE kind = 'correction' AND final AND period = {period:UInt32} ORDER BY seq`,
    { period: scope.period },
  );
  const stored = new Map(rows.map((row) => [row.id, row]));
  for (const correction of await readCorrections(store, statementScope(scope))) {
    const id = correctionId(scope.period, correction).toString('hex');
    const { hour, cluster, tenant, namespace, meter, before, after } = correction;
    const fixed = stored.get(id);
    stored.delete(id);
    const [was, is] = [
      change(before, after),
      fixed === undefined ? NOTHING_THERE : `${fixed.before} -> ${fixed.after}`,
    ];
    const what = `correction of ${cluster} ${hourText(hour)} ${tenant}/${namespace} ${meter}`;
    check.compare(was === is, () => ({ what, recomputed: was, stored: is }));
  }
  for (const { id, before, after } of stored.values()) {
    const what = `correction ${id}`;
    check.compare(false, () => ({ what, recomputed: NOTHING_THERE, stored: `${before} -> ${after}` }));
  }
}

function change(before: Quarters, after: Quarters): string {
  return `${quantityOf(before)} -> ${quantityOf(after)}`;
}

/** `p` are the quarters before, `q` those after; a word of this file, never of a user. */
function sumOf(prefix: 'p' | 'q'): string {
  return `toString(${[0, 1, 2, 3].map((i) => `toInt256(${prefix}${i})`).join(' + ')})`;
}

/**
 * Of every correction of the period: what it says the close before it had, against the ledger up to that
 * close.
 */
export async function compareBefores(store: UsageStore, scope: VerifyScope, check: Check): Promise<void> {
  const following = scope.closes.filter(({ period }) => period >= scope.period);
  for (const [i, { upTo }] of following.entries()) {
    const rows = await store.rows<Omit<CorrectionRow, 'id'> & { said: string }>(
      `SELECT toUnixTimestamp(c.hour) AS seconds, c.cluster AS cluster, c.tenant AS tenant,
         c.namespace AS namespace, c.meter AS meter, c.said AS said, b.said AS before, '' AS after
       FROM (
         SELECT hour, cluster, tenant, namespace, meter, toString([p0, p1, p2, p3]) AS said FROM ledger
         WHERE kind = 'correction' AND NOT final AND ${IN_PERIOD}
           AND seq > {from:UInt64} AND seq <= {to:UInt64}) AS c
       LEFT JOIN (
         SELECT hour, cluster, tenant, namespace, meter, toString(argMax([q0, q1, q2, q3], seq)) AS said
         FROM ledger
         WHERE kind IN ('usage', 'correction') AND NOT final AND ${IN_PERIOD} AND seq <= {from:UInt64}
         GROUP BY hour, cluster, tenant, namespace, meter) AS b
       ON c.hour = b.hour AND c.cluster = b.cluster AND c.tenant = b.tenant
         AND c.namespace = b.namespace AND c.meter = b.meter`,
      { ...boundsOf(scope), from: upTo, to: following[i + 1]?.upTo ?? LAST_SEQ },
    );
    for (const { seconds, cluster, tenant, namespace, meter, said, before } of rows) {
      const known = before === '' ? '[0,0,0,0]' : before;
      const key = `${cluster} ${hourText(seconds * 1000)} ${tenant}/${namespace} ${meter}`;
      check.compare(said === known, () => ({
        what: `what the correction of ${key} says was billed`,
        recomputed: known,
        stored: said,
      }));
    }
  }
}

const LAST_SEQ = (1n << 64n) - 1n;
