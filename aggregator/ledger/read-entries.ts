/** Entries of the ledger in their order, from a place on: what follows it from outside reads. */
import { invariant } from '../../core/runtime/errors.ts';
import { decodedRows, type RowCursor } from '../store/row-binary.ts';
import type { Parameters, ReadOptions, UsageStore } from '../store/usage-store.ts';
import { ENTRY_KINDS, type EntryKind } from './entry.ts';
import type { StoredEntry } from './public-entry.ts';

export interface EntriesAfter {
  /** The place of the last entry that is known; 0 for none. */
  readonly after: bigint;
  /** So many, and those that share a place with the last of them. */
  readonly limit: number;
  /** Of the entries, over columns and `parameters`: those that are wanted. */
  readonly conditions?: readonly string[];
  readonly parameters?: Parameters;
}

/** 003_ledger.sql says what the columns are. */
const COLUMNS = `seq, id, toString(kind), period, toUnixTimestamp(hour), toString(cluster), toString(tenant),
  toString(namespace), toString(meter), revision, final, q0, q1, q2, q3, p0, p1, p2, p3, missing_ms, samples,
  flags, covered_ms, expected_ms, input_hash, rule_version, body, toUnixTimestamp64Milli(written_at)`;

/**
 * No place is read in part: where two processes wrote at once, two entries may share one, and a reader that
 * goes on from it would miss the second.
 */
export async function readEntriesAfter(
  store: UsageStore,
  { after, limit, conditions = [], parameters = {} }: EntriesAfter,
  options?: ReadOptions,
): Promise<readonly StoredEntry[]> {
  const chunks = store.rowBinary(
    `SELECT ${COLUMNS} FROM ledger WHERE ${['seq > {after:UInt64}', ...conditions].join(' AND ')}
     ORDER BY seq LIMIT {limit:UInt32} WITH TIES`,
    { ...parameters, after, limit },
    options,
  );
  const entries: StoredEntry[] = [];
  for await (const batch of decodedRows(chunks, entryOf)) for (const entry of batch) entries.push(entry);
  return entries;
}

/** Of one row of `COLUMNS`. */
function entryOf(cursor: RowCursor): StoredEntry {
  return {
    ...{ seq: cursor.uint64(), id: Buffer.from(cursor.fixed(16)), kind: kindOf(cursor) },
    ...{ period: cursor.uint32(), hour: cursor.uint32() * 1000, cluster: cursor.string() },
    ...{ tenant: cursor.string(), namespace: cursor.string(), meter: cursor.string() },
    ...{ revision: cursor.uint32(), final: cursor.uint8() === 1 },
    quarters: [cursor.int128(), cursor.int128(), cursor.int128(), cursor.int128()],
    before: [cursor.int128(), cursor.int128(), cursor.int128(), cursor.int128()],
    ...{ missingMs: cursor.int128(), samples: cursor.uint64(), flags: cursor.uint32() },
    ...{ coveredMs: cursor.uint64(), expectedMs: cursor.uint64() },
    ...{ inputHash: Buffer.from(cursor.fixed(16)), ruleVersion: cursor.uint16() },
    ...{ body: cursor.string(), writtenAtMs: cursor.int64AsNumber() },
  };
}

function kindOf(cursor: RowCursor): EntryKind {
  const name = cursor.string();
  const kind = ENTRY_KINDS.find((known) => known === name);
  // A row that was cut off is read again with more bytes.
  invariant(kind !== undefined || cursor.isShort, `${name} is a kind of entry`);
  return kind ?? 'usage';
}
