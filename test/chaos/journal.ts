/** The journal of what was consumed, held against the topic: from its first record to its last, without a hole. */
import type { UsageStore } from '../../aggregator/store/usage-store.ts';

export interface JournalReport {
  /** Records that a partition has and no row accounts for, and rows beyond the end; as sentences. */
  readonly problems: readonly string[];
  /** Rows, and those that tell again, in whole or in part, what others told. */
  readonly rows: number;
  readonly repeated: number;
  readonly records: bigint;
}

interface Row {
  readonly partition: string;
  readonly first: string;
  readonly last: string;
}

/** Each counted once. */
export async function samplesStored(store: UsageStore, cluster: string): Promise<number> {
  const [row] = await store.rows<{ n: string }>(
    'SELECT toString(count()) AS n FROM samples FINAL WHERE cluster = {cluster:String}',
    { cluster },
  );
  return Number(row?.n);
}

export async function checkJournal(
  store: UsageStore,
  topic: string,
  ends: ReadonlyMap<number, bigint>,
): Promise<JournalReport> {
  const rows = await store.rows<Row>(
    `SELECT toString(partition) AS partition, toString(first_offset) AS first, toString(last_offset) AS last
     FROM batch WHERE topic = {topic:String} ORDER BY batch.partition, first_offset, last_offset`,
    { topic },
  );
  const problems: string[] = [];
  let repeated = 0;
  for (const [partition, end] of ends) {
    let next = 0n;
    for (const row of rows.filter((one) => Number(one.partition) === partition)) {
      const [first, last] = [BigInt(row.first), BigInt(row.last)];
      if (first > next) problems.push(`partition ${partition}: nothing tells of ${next} to ${first - 1n}`);
      if (first < next) repeated++;
      if (last + 1n > next) next = last + 1n;
    }
    if (next !== end) problems.push(`partition ${partition}: told up to ${next}, but it ends at ${end}`);
  }
  const records = [...ends.values()].reduce((sum, end) => sum + end, 0n);
  return { problems, rows: rows.length, repeated, records };
}
