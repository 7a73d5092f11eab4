/** How far the ledger is published to a topic, in the store: 008_ledger_position.sql has the table. */
import type { UsageStore } from '../../store/usage-store.ts';

export interface PublishedPosition {
  /** Every entry up to this place was published. */
  readonly seq: bigint;
  /** Of those above `since` so many; more than that were not there when it was published. */
  readonly since: bigint;
  readonly entries: bigint;
}

const NOTHING_PUBLISHED: PublishedPosition = { seq: 0n, since: 0n, entries: 0n };

export async function readPosition(store: UsageStore, topic: string): Promise<PublishedPosition> {
  const [row] = await store.rows<{ seq: string; since: string; entries: string }>(
    `SELECT seq, since, entries FROM ledger_position WHERE topic = {topic:String}
     ORDER BY recorded_at DESC LIMIT 1`,
    { topic },
  );
  if (row === undefined) return NOTHING_PUBLISHED;
  return { seq: BigInt(row.seq), since: BigInt(row.since), entries: BigInt(row.entries) };
}

export async function recordPosition(
  store: UsageStore,
  topic: string,
  { seq, since, entries }: PublishedPosition,
): Promise<void> {
  await store.insert('ledger_position', [{ topic, seq, since, entries }]);
}

export interface LedgerCounts {
  /** Entries of the ledger in (since, seq]. */
  readonly sinceThen: bigint;
  /** Of these, those above `recent`. */
  readonly recently: bigint;
  /** Entries above `seq`. */
  readonly ahead: bigint;
}

/** In one statement, so that the counts are of one moment. */
export async function countEntries(
  store: UsageStore,
  { since, seq, recent }: Pick<PublishedPosition, 'since' | 'seq'> & { readonly recent: bigint },
): Promise<LedgerCounts> {
  const [row] = await store.rows<{ then: string; recently: string; ahead: string }>(
    `SELECT countIf(seq <= {seq:UInt64}) AS then,
       countIf(seq > {recent:UInt64} AND seq <= {seq:UInt64}) AS recently,
       countIf(seq > {seq:UInt64}) AS ahead
     FROM ledger WHERE seq > {since:UInt64}`,
    { since, seq, recent },
  );
  return {
    sinceThen: BigInt(row?.then ?? 0),
    recently: BigInt(row?.recently ?? 0),
    ahead: BigInt(row?.ahead ?? 0),
  };
}
