import { debug, error, info, warn } from './fact-definition.ts';

/** What the log says where it is Kafka. */
export const kafkaFacts = {
  logAssigned: info<{ group: string; partitions: readonly string[] }>('partitions assigned').counter(
    'gh0stmeter_log_assignments_total',
    'Times the group gave this process its partitions anew',
    { labels: ['group'] },
  ),
  logBatchUnreadable: error<{
    topic: string;
    partition: number;
    offset: bigint;
    records: number;
    reason: string;
  }>('records of the log cannot be unpacked and are passed over', 'log-batch-unreadable').counter(
    'gh0stmeter_log_unreadable_records_total',
    'Records whose batch was damaged, too large or of an unknown codec',
    { field: 'records', labels: ['topic', 'partition'] },
  ),
  logClientSaid: debug<{ part: string; text: string }>('the Kafka client says'),
  logCommitDropped: warn<{ group: string; partitions: readonly string[] }>(
    'a position was not committed: its partition was given out anew and is read again from the last one',
  ).counter('gh0stmeter_log_dropped_commits_total', 'Commits that a rebalance made void', {
    labels: ['group'],
  }),
  logHeldBack: debug<{ group: string; bytes: number }>('fetching pauses until records are polled').counter(
    'gh0stmeter_log_held_back_total',
    'Times fetching paused because fetched records filled their buffer',
    { labels: ['group'] },
  ),
  logReachable: info<{ broker: string }>('broker answers again'),
  logUnreachable: warn<{ broker: string; error: string }>(
    'broker does not answer; it is tried again',
  ).counter('gh0stmeter_log_unreachable_total', 'Times the connection to a broker was lost or refused', {
    labels: ['broker'],
  }),
  logReplaced: error<{ topic: string; partition: number; offset: bigint; known: bigint }>(
    'the log was made anew since the store read it',
    'log-behind-store',
  ).counter('gh0stmeter_log_replaced_total', 'Times a log was found to be another than the store had read', {
    labels: ['topic', 'partition'],
  }),
};
