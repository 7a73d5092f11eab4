/** What has to be true of a store at every moment, whoever writes to it: one line for each promise broken. */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';

/** The sequence has no hole and no number twice; an entry that stands there twice says the same both times. */
export async function ledgerFaults(store: UsageStore): Promise<readonly string[]> {
  const [sequence] = await store.rows<{ n: string; distinct: string; first: string; last: string }>(
    'SELECT count() AS n, uniqExact(seq) AS distinct, min(seq) AS first, max(seq) AS last FROM ledger',
  );
  const { n = '0', distinct = '0', first = '0', last = '0' } = sequence ?? {};
  const isWhole = n === distinct && n === last && (n === '0' || first === '1');
  const twice = await store.rows<{ entry: string; n: string }>(
    `SELECT lower(hex(id)) AS entry, count() AS n FROM ledger GROUP BY id
     HAVING n > 1 ORDER BY entry LIMIT 10`,
  );
  const closes = await store.rows<{ period: number; n: string }>(
    `SELECT period, count() AS n FROM decision WHERE kind = 'close' GROUP BY period HAVING n > 1`,
  );
  return [
    ...(isWhole ? [] : [`${n} entries with ${distinct} numbers, ${first} to ${last}`]),
    ...twice.map((row) => `entry ${row.entry} stands there ${row.n} times`),
    ...closes.map(({ period, n: times }) => `${period} was closed ${times} times`),
  ];
}
/** Offsets from 0 on that no batch of the journal covers, up to the newest it knows. */
export async function journalHoles(store: UsageStore): Promise<readonly string[]> {
  const rows = await store.rows<{ topic: string; partition: number; from: string; to: string }>(
    `SELECT topic, partition, reached + 1 AS from, first_offset AS to FROM (
       SELECT topic, partition, first_offset,
         max(last_offset) OVER (PARTITION BY topic, partition ORDER BY first_offset, last_offset
           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
         row_number() OVER (PARTITION BY topic, partition ORDER BY first_offset, last_offset) AS place,
         if(place = 1, -1, before) AS reached
       FROM batch)
     WHERE first_offset > reached + 1 ORDER BY topic, partition, from`,
  );
  return rows.map(({ topic, partition, from, to }) => `${topic}/${partition} from ${from} to ${to}`);
}
