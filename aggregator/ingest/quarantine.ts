/**
 * What the quarantine holds, and another try. In: lines that ingest wrote, and the log that still has their
 * records. Out: the records appended to their partitions once more, as they were: ingest reads them like any
 * other, at their new place, so that closes and replays know them by it. Points that counted already count
 * once, for samples are a set.
 *
 * Order of the durable steps: append, then the note that it was done. A crash between has records appended
 * twice, which is harmless.
 */
import { randomUUID } from 'node:crypto';
import type { LogConsumer, LogRecord, SampleLog, TopicPartition } from '../../core/eventlog/sample-log.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { UsageStore } from '../store/usage-store.ts';

export interface QuarantineLine extends TopicPartition {
  readonly offset: bigint;
  /** Ordinal of the point in its record; 0 is the record as a whole. */
  readonly n: number;
  readonly reason: string;
  readonly excerpt: string;
  readonly logTimestampMs: number;
  readonly retried: boolean;
}

export interface QuarantineFilter {
  /** All reasons, if none is named. */
  readonly reason?: string | undefined;
  /** Lines of the list, records of a retry. */
  readonly limit: number;
}

const POLL_MS = 1_000;
/** A log elsewhere may be slow; one that has removed the record answers with a later one. */
const MAX_EMPTY_POLLS = 10;
const OF_REASON = "({reason:String} = '' OR reason = {reason:String})";

/** The newest first. */
export async function readQuarantine(
  store: UsageStore,
  { reason = '', limit }: QuarantineFilter,
): Promise<readonly QuarantineLine[]> {
  const rows = await store.rows<Row & { n: number; reason: string; excerpt: string; retried: number }>(
    `SELECT toString(q.topic) AS topic, q.partition AS partition, toString(q.offset) AS offset, q.n AS n,
       toString(q.reason) AS reason, q.excerpt AS excerpt, toString(q.log_timestamp) AS logged,
       r.log_timestamp > 0 AS retried
     FROM quarantine AS q FINAL LEFT JOIN quarantine_retry AS r
       ON q.topic = r.topic AND q.partition = r.partition AND q.offset = r.offset
     WHERE ${OF_REASON}
     ORDER BY q.log_timestamp DESC, topic, partition, q.offset, n LIMIT {limit:UInt32}`,
    { reason, limit },
  );
  return rows.map(({ n, reason: why, excerpt, retried, ...row }) => ({
    ...placeOf(row),
    ...{ n, reason: why, excerpt, retried: retried === 1 },
  }));
}

export interface QuarantineRetry {
  readonly retried: number;
  /** Records that the log has removed meanwhile. */
  readonly gone: number;
}

/** Records that were not tried again yet, the oldest first. */
export async function retryQuarantine(
  deps: { readonly store: UsageStore; readonly log: SampleLog; readonly clock: Clock },
  { reason = '', limit }: QuarantineFilter,
): Promise<QuarantineRetry> {
  const { store, log, clock } = deps;
  const rows = await store.rows<Row>(
    `SELECT toString(topic) AS topic, partition, toString(offset) AS offset,
       toString(min(log_timestamp)) AS logged
     FROM quarantine WHERE ${OF_REASON}
       AND (topic, partition, offset) NOT IN (SELECT topic, partition, offset FROM quarantine_retry)
     GROUP BY topic, partition, offset ORDER BY min(log_timestamp), topic, partition, offset
     LIMIT {limit:UInt32}`,
    { reason, limit },
  );
  const outcome = { retried: 0, gone: 0 };
  if (rows.length === 0) return outcome;
  const topics = [...new Set(rows.map(({ topic }) => topic))];
  const consumer = await log.consumer({ group: `quarantine-${randomUUID()}`, topics });
  try {
    for (const place of rows.map(placeOf)) {
      const record = await fetchRecord(consumer, place);
      if (record === undefined) {
        outcome.gone++;
        continue;
      }
      await log.append([{ ...record, timestampMs: clock.now() }]);
      const { topic, partition, offset, logTimestampMs } = place;
      await store.insert('quarantine_retry', [{ topic, partition, offset, log_timestamp: logTimestampMs }]);
      outcome.retried++;
    }
  } finally {
    await consumer.close();
  }
  return outcome;
}

/** Undefined: the log has no record at this offset any more. */
async function fetchRecord(
  consumer: LogConsumer,
  { topic, partition, offset }: TopicPartition & { readonly offset: bigint },
): Promise<LogRecord | undefined> {
  await consumer.seek([{ topic, partition, next: offset }]);
  for (let empty = 0; empty < MAX_EMPTY_POLLS;) {
    const records = await consumer.poll({ maxBytes: 1, waitMs: POLL_MS });
    const own = records.find((record) => record.topic === topic && record.partition === partition);
    if (own !== undefined) return own.offset === offset ? own : undefined;
    if (records.length === 0) empty++;
  }
  return undefined;
}

interface Row {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly logged: string;
}

function placeOf({ topic, partition, offset, logged }: Row): TopicPartition & {
  readonly offset: bigint;
  readonly logTimestampMs: number;
} {
  return { topic, partition, offset: BigInt(offset), logTimestampMs: Number(logged) };
}
