/**
 * Is the log the one that the journal speaks of? In: the journal, and what the log says of its ends and
 * times. Out: nothing, or a refusal, for going on would take new records for those that are stored already:
 * their offsets lie below what hours were rolled up to, so nobody would look at them.
 *
 * - A log that ends before the journal does was cut, or made anew.
 * - One that was made anew and has grown past it is found by its times. All records below the journal's end
 *   were read, and none was newer than the journal knows; so the first that is newer lies beyond.
 */
import type { SampleLog, TopicPartition } from '../../core/eventlog/sample-log.ts';
import { MeteringError } from '../../core/runtime/errors.ts';
import type { FactSink } from '../../core/runtime/facts.ts';
import type { UsageStore } from '../store/usage-store.ts';

/**
 * What is passed over by readers has a time as well: markers of transactions are of the brokers' clocks. So
 * a log that was made anew and grew past the journal within this time is not found.
 */
const CLOCKS_DIFFER_MS = 60_000;

export interface ContinuityDeps {
  readonly store: UsageStore;
  readonly log: SampleLog;
  readonly facts: FactSink;
}

export async function refuseOtherLog(topics: readonly string[], deps: ContinuityDeps): Promise<void> {
  const { store, log, facts } = deps;
  // The journal first: while others read and store, the log is never behind what it said before.
  const known = await readJournalEnds(store, topics);
  const ends = await log.endPositions(topics);
  for (const { topic, partition, next, newestMs } of known) {
    const end = ends.find((one) => one.topic === topic && one.partition === partition)?.next ?? 0n;
    const source = `${topic}/${partition}`;
    if (end < next) {
      facts.event('logBehindStore', { topic, partition, end, known: next });
      throw refusal(`the log ${source} ends at ${end}, but the store saw ${next}: it was replaced or cut`);
    }
    const newer = await log.offsetSince?.({ topic, partition }, newestMs + CLOCKS_DIFFER_MS + 1);
    if (newer === undefined || newer >= next) continue;
    facts.event('logReplaced', { topic, partition, offset: newer, known: next });
    const why = `holds at ${newer} a record newer than all that the store saw below ${next}`;
    throw refusal(`the log ${source} ${why}: it was deleted and made anew`);
  }
}

interface JournalEnd extends TopicPartition {
  readonly next: bigint;
  /** No record below `next` has a later time. */
  readonly newestMs: number;
}

/** Later rows of lower offsets are records that were read once more, or those of another log. */
async function readJournalEnds(store: UsageStore, topics: readonly string[]): Promise<readonly JournalEnd[]> {
  const rows = await store.rows<{ topic: string; partition: number; next: string; newest: string }>(
    `SELECT toString(topic) AS topic, partition, toString(any(place)) AS next,
       toString(max(newest_timestamp)) AS newest
     FROM batch INNER JOIN (
       SELECT topic, partition, max(last_offset) + 1 AS place,
         argMax(inserted_at, (last_offset, -toUnixTimestamp64Milli(inserted_at))) AS written
       FROM batch WHERE topic IN {topics:Array(String)} GROUP BY topic, partition
     ) AS journal_end USING (topic, partition)
     WHERE inserted_at <= written
     GROUP BY topic, partition ORDER BY topic, partition`,
    { topics },
  );
  return rows.map(({ topic, partition, next, newest }) => ({
    ...{ topic, partition },
    ...{ next: BigInt(next), newestMs: Number(newest) },
  }));
}

function refusal(why: string): MeteringError {
  const advice = 'Bring back the log that belongs to this store, or start with an empty store';
  return new MeteringError('METER_LOG_BEHIND_STORE', `${why}. ${advice}`);
}
