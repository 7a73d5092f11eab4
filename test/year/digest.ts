/**
 * What a year came to, as hashes: two stores that decided alike have the same. Streamed from the store a
 * month at a time, so that nothing has to fit in memory. Sequence and revision numbers, offsets and times of
 * writing are in none.
 */
import { createHash, type Hash } from 'node:crypto';
import { readCloses, type Close } from '../../aggregator/ledger/decisions.ts';
import type { UsageStore } from '../../aggregator/store/usage-store.ts';
import { nextPeriod, periodName, type Period } from '../../core/metering/period.ts';

export interface YearDigest {
  /** `2026-01 <hash>`, oldest first. */
  readonly closes: readonly string[];
  readonly statements: Counted;
  /** As closes fixed them: ids and values. */
  readonly corrections: Counted;
  /** The newest value of every settled hour and key, with coverage and what it was made from. */
  readonly settled: Counted;
}

export interface Counted {
  readonly count: number;
  readonly sha256: string;
}

export async function readDigest(store: UsageStore, periods: readonly Period[]): Promise<YearDigest> {
  const closes = await readCloses(store);
  const beyond = nextPeriod(periods.at(-1) ?? 0);
  return {
    closes: closes.map(({ period, hash }) => `${periodName(period)} ${hash}`),
    statements: await statementsOf(store, closes),
    corrections: await correctionsOf(store),
    settled: await settledOf(store, [...periods, beyond]),
  };
}

/** Names of what differs. */
export function differences(a: YearDigest, b: YearDigest): string[] {
  const parts = ['closes', 'statements', 'corrections', 'settled'] as const;
  return parts.filter((part) => JSON.stringify(a[part]) !== JSON.stringify(b[part]));
}

/** All bytes of the statements that closes name. */
async function statementsOf(store: UsageStore, closes: readonly Close[]): Promise<Counted> {
  const hash = createHash('sha256');
  let count = 0;
  for (const { period, statements } of closes) {
    const rows = await store.rows<{ tenant: string; hash: string; body: string }>(
      `SELECT DISTINCT tenant, hash, body FROM statement
       WHERE period = {period:UInt32} AND hash IN {hashes:Array(String)} ORDER BY tenant, hash`,
      { period, hashes: statements.map(([, statementHash]) => statementHash) },
    );
    count += rows.length;
    for (const row of rows) hash.update(JSON.stringify([period, row.tenant, row.hash, row.body]));
  }
  return { count, sha256: hash.digest('hex') };
}

async function correctionsOf(store: UsageStore): Promise<Counted> {
  const hash = createHash('sha256');
  const count = await hashed(store, hash, {
    sql: `SELECT period, id, hour, toString(cluster), toString(tenant), toString(namespace), toString(meter),
            p0, p1, p2, p3, q0, q1, q2, q3
          FROM ledger WHERE kind = 'correction' AND final ORDER BY period, id`,
    parameters: {},
  });
  return { count, sha256: hash.digest('hex') };
}

/** A key that gives nothing any more has a row of nothing, or none where it never gave anything. */
async function settledOf(store: UsageStore, periods: readonly Period[]): Promise<Counted> {
  const hash = createHash('sha256');
  let count = 0;
  for (const period of periods) {
    count += await hashed(store, hash, {
      sql: `SELECT hour, toString(cluster) AS c, toString(tenant) AS t, toString(namespace) AS n,
              toString(meter) AS m,
              argMax(q0, seq) AS v0, argMax(q1, seq) AS v1, argMax(q2, seq) AS v2, argMax(q3, seq) AS v3,
              argMax(missing_ms, seq) AS missing, argMax(samples, seq) AS counted, argMax(flags, seq) AS told,
              argMax(covered_ms, seq) AS covered, argMax(expected_ms, seq) AS expected,
              argMax(input_hash, seq) AS made_from
            FROM ledger
            WHERE kind IN ('usage', 'correction', 'coverage') AND NOT final
              AND toYYYYMM(hour) = {period:UInt32}
            GROUP BY hour, c, t, n, m
            HAVING v0 != 0 OR v1 != 0 OR v2 != 0 OR v3 != 0 OR missing != 0 OR counted != 0 OR told != 0
              OR (t = '' AND expected != 0)
            ORDER BY hour, c, t, n, m`,
      parameters: { period },
    });
  }
  return { count, sha256: hash.digest('hex') };
}

/** Adds the rows to the hash; how many there were. */
async function hashed(
  store: UsageStore,
  hash: Hash,
  query: { readonly sql: string; readonly parameters: Readonly<Record<string, number>> },
): Promise<number> {
  for await (const chunk of store.rowBinary(query.sql, query.parameters)) hash.update(chunk);
  const [row] = await store.rows<{ n: string }>(`SELECT count() AS n FROM (${query.sql})`, query.parameters);
  return Number(row?.n ?? 0);
}
