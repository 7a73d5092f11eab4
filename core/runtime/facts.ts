/**
 * The catalogue of everything the program says about itself. A stage states one named fact per batch;
 * `telemetry.ts` makes both the log line and the metrics of it, so the two can never disagree.
 */
import { coordinationFacts } from './coordination-facts.ts';
import { debug, error, info, warn, type FactDefinition } from './fact-definition.ts';
import { kafkaFacts } from './kafka-facts.ts';
import { ledgerFacts } from './ledger-facts.ts';

/** What the collectors say. */
const collectorFacts = {
  scrapeDone: debug<{ target: string; samples: number; durationMs: number }>('target scraped')
    .counter('gh0stmeter_scrape_samples_total', 'Samples read from targets', {
      field: 'samples',
      labels: ['target'],
    })
    .histogram('gh0stmeter_scrape_duration_seconds', 'Time a scrape took', {
      field: 'durationMs',
      divisor: 1000,
    }),
  scrapeFailed: warn<{ target: string; reason: string; error?: unknown }>(
    'target could not be scraped',
  ).counter('gh0stmeter_scrape_failures_total', 'Scrapes that gave nothing', {
    labels: ['target', 'reason'],
  }),
  scrapeDuplicates: warn<{ target: string; count: number }>(
    'samples of a scrape repeat a series and time; the first ones stay',
  ).counter('gh0stmeter_scrape_duplicates_total', 'Samples that repeat one of the same scrape', {
    field: 'count',
    labels: ['target'],
  }),
  scrapesSkipped: warn<{ target: string; reason: string; count: number }>(
    'the time of a scrape passed without one',
  ).counter('gh0stmeter_scrapes_skipped_total', 'Scrapes that were due and did not happen', {
    field: 'count',
    labels: ['target', 'reason'],
  }),
  appendFailed: warn<{ topic: string; records: number; bufferedBytes: number; error: unknown }>(
    'the log did not take records; they are kept and tried again',
  ).counter('gh0stmeter_append_failures_total', 'Appends that the log refused', { labels: ['topic'] }),
  recordsLost: error<{ topic: string; records: number; reason: string; error: unknown }>(
    'samples that were read never reached the log',
    'records-lost',
  ).counter('gh0stmeter_lost_records_total', 'Records dropped before the log had them', {
    field: 'records',
    labels: ['topic', 'reason'],
  }),
  recordsAppended: debug<{ topic: string; records: number; bytes: number; durationMs: number }>(
    'records appended to the log',
  )
    .counter('gh0stmeter_append_records_total', 'Records made durable in the log', {
      field: 'records',
      labels: ['topic'],
    })
    .counter('gh0stmeter_append_bytes_total', 'Bytes of record values made durable in the log', {
      field: 'bytes',
      labels: ['topic'],
    })
    .histogram('gh0stmeter_append_duration_seconds', 'Time until an append was durable', {
      field: 'durationMs',
      divisor: 1000,
    }),
  pushAccepted: debug<{ protocol: string; cluster: string; points: number; bytes: number }>('push accepted')
    .counter('gh0stmeter_push_points_total', 'Points taken over HTTP', {
      field: 'points',
      labels: ['protocol', 'cluster'],
    })
    .counter('gh0stmeter_push_bytes_total', 'Bytes taken over HTTP, as sent', {
      field: 'bytes',
      labels: ['protocol', 'cluster'],
    }),
  pushRefused: warn<{ protocol: string; cluster: string; reason: string; status: number; error?: unknown }>(
    'push refused',
    'push-refused',
  ).counter('gh0stmeter_push_refusals_total', 'Requests of which nothing was taken', {
    labels: ['protocol', 'cluster', 'reason'],
  }),
  pushPointsRefused: warn<{ protocol: string; cluster: string; reason: string; count: number }>(
    'points of a push refused; the others were taken',
    'push-refused',
  ).counter('gh0stmeter_push_refused_points_total', 'Points of pushes that were not taken, by reason', {
    field: 'count',
    labels: ['protocol', 'cluster', 'reason'],
  }),
};

/** What ingest says: the way from the log to the store. */
const ingestFacts = {
  samplesInserted: debug<{ count: number }>('samples inserted').counter(
    'gh0stmeter_ingest_samples_total',
    'Samples inserted into the store, repeats included',
    { field: 'count' },
  ),
  pointsRejected: warn<{ reason: string; count: number }>('points rejected', 'points-rejected').counter(
    'gh0stmeter_rejected_points_total',
    'Points that are no samples, by reason',
    { field: 'count', labels: ['reason'] },
  ),
  recordsQuarantined: warn<{ reason: string; count: number }>('records quarantined').counter(
    'gh0stmeter_quarantined_records_total',
    'Records or points put aside with a reason',
    { field: 'count', labels: ['reason'] },
  ),
  samplesConflicted: warn<{ count: number }>('samples of one time differ; the larger was taken').counter(
    'gh0stmeter_conflicting_samples_total',
    'Samples of the same series and time with different values',
    { field: 'count' },
  ),
  batchCommitted: debug<{
    topic: string;
    partition: number;
    records: number;
    points: number;
    lagMs: number;
  }>('batch committed')
    .counter('gh0stmeter_ingest_records_total', 'Log records consumed and committed', {
      field: 'records',
      labels: ['topic', 'partition'],
    })
    .counter('gh0stmeter_ingest_points_total', 'Points of consumed records', {
      field: 'points',
      labels: ['topic', 'partition'],
    })
    .gauge('gh0stmeter_ingest_lag_seconds', 'Age of the newest committed record at its commit', {
      field: 'lagMs',
      labels: ['topic', 'partition'],
      divisor: 1000,
    }),
  consumerRewound: warn<{ topic: string; partition: number; from: bigint; to: bigint }>(
    'reading again from the last position known to be on disk',
  ).counter('gh0stmeter_consumer_rewinds_total', 'Times a consumer went back after an unclean stop', {
    labels: ['topic', 'partition'],
  }),
  logBehindStore: error<{ topic: string; partition: number; end: bigint; known: bigint }>(
    'the log ends before what the store already holds',
    'log-behind-store',
  ).counter('gh0stmeter_log_behind_store_total', 'Times the log was found to have lost its newest records', {
    labels: ['topic', 'partition'],
  }),
};

/** What the embedded log says. */
const logFacts = {
  logOpened: info<{ file: string; topics: number; bytes: number }>('log opened').gauge(
    'gh0stmeter_log_size_bytes',
    'Bytes of records in the embedded log',
    { field: 'bytes' },
  ),
  logTrimmed: info<{ records: number; bytes: number; bytesLeft: number }>('old log records removed')
    .counter('gh0stmeter_log_trimmed_records_total', 'Consumed records removed by retention', {
      field: 'records',
    })
    .gauge('gh0stmeter_log_size_bytes', 'Bytes of records in the embedded log', { field: 'bytesLeft' }),
  logRetentionHeld: warn<{ bytes: number; maxBytes: number; waitingFor: string }>(
    'the log is over its size because records are not consumed yet',
  ).counter('gh0stmeter_log_retention_holds_total', 'Times retention kept more than its limit'),
  logRecordsLost: error<{ topic: string; partition: number; records: number; bytes: number }>(
    'records removed before they were consumed: the hard limit of the log was reached',
    'log-records-lost',
  ).counter('gh0stmeter_log_lost_records_total', 'Records removed before every group had consumed them', {
    field: 'records',
    labels: ['topic', 'partition'],
  }),
  logRecordsSkipped: error<{ topic: string; partition: number; group: string; records: bigint }>(
    'records that a group had still to read are no longer there',
    'log-records-lost',
  ).counter('gh0stmeter_log_skipped_records_total', 'Records a group could not read any more', {
    field: 'records',
    labels: ['topic', 'partition', 'group'],
  }),
  logError: warn<{ operation: string; error: unknown }>('log not available').counter(
    'gh0stmeter_log_errors_total',
    'Operations the log refused; they are tried again',
    { labels: ['operation'] },
  ),
};

/** What the roll-up, the ledger and the quotas say. */
const usageFacts = {
  unitRolledUp: debug<{ cluster: string; hour: string; samples: number; rows: number; durationMs: number }>(
    'hour rolled up',
  )
    .counter('gh0stmeter_rollup_units_total', 'Units (cluster and hour) rolled up', { labels: ['cluster'] })
    .counter('gh0stmeter_rollup_samples_total', 'Samples read by the roll-up', {
      field: 'samples',
      labels: ['cluster'],
    })
    .histogram('gh0stmeter_rollup_duration_seconds', 'Time a unit took', {
      field: 'durationMs',
      divisor: 1000,
    }),
  watermarkMoved: debug<{ cluster: string; watermarkMs: number }>('watermark moved').gauge(
    'gh0stmeter_watermark_timestamp_seconds',
    'Newest accepted successful scrape of a cluster',
    { field: 'watermarkMs', labels: ['cluster'], divisor: 1000 },
  ),
  hourFrozen: warn<{ cluster: string; hour: string; reason: string }>(
    'hour can no longer see its look-back and stays as it is',
  ).counter('gh0stmeter_frozen_hours_total', 'Hours that a late sample could not change', {
    labels: ['cluster', 'reason'],
  }),
  hourSettled: debug<{ cluster: string; hour: string; rows: number; revisions: number }>(
    'hour settled',
  ).counter('gh0stmeter_ledger_rows_total', 'Rows appended to the ledger by settled hours', {
    field: 'rows',
    labels: ['cluster'],
  }),
  periodClosed: info<{
    period: string;
    statements: number;
    corrections: number;
    hash: string;
    durationMs: number;
  }>('period closed')
    .counter('gh0stmeter_closed_periods_total', 'Periods closed')
    .counter('gh0stmeter_corrections_total', 'Corrections fixed by closes', { field: 'corrections' }),
  closeHeld: error<{ period: string; cluster: string; watermark: string; needed: string; heldMs: number }>(
    'a period is due but cannot close: a cluster has not been seen far enough',
    'close-held',
  ).gauge('gh0stmeter_close_held_seconds', 'How long a due period has been waiting for a cluster', {
    field: 'heldMs',
    labels: ['cluster'],
    divisor: 1000,
  }),
  periodMismatch: error<{ period: string; expected: string; actual: string }>(
    'a closed period recomputes to other figures',
    'period-mismatch',
  ).counter('gh0stmeter_period_mismatches_total', 'Closed periods whose recomputation differs'),
  hourReconciled: debug<{ cluster: string; hour: string; meter: string; difference: bigint }>(
    'what was measured held against what was given to owners',
  ).gauge(
    'gh0stmeter_reconciliation_difference',
    'Measured minus attributed usage of the newest settled hour, in base units of the meter: 0, or wrong',
    { field: 'difference', labels: ['cluster', 'meter'] },
  ),
  hourCompared: debug<{ cluster: string; hour: string; meter: string; ratio: number }>(
    'what was measured held against what others counted',
  ).gauge(
    'gh0stmeter_reconciliation_ratio',
    'Share of its reference (nodes, or bytes transmitted) that was measured in the newest settled hour',
    { field: 'ratio', labels: ['cluster', 'meter'] },
  ),
  reconciliationFailed: error<{
    cluster: string;
    hour: string;
    meter: string;
    measured: bigint;
    attributed: bigint;
    platform: bigint;
    unattributed: bigint;
    difference: bigint;
  }>('what was measured and what was given to owners differ', 'reconciliation-failed').counter(
    'gh0stmeter_reconciliation_failures_total',
    'Hours of a meter whose parts do not add up to what was measured',
    { labels: ['cluster', 'meter'] },
  ),
  quotaBreached: info<{ tenant: string; quota: string; severity: string }>('quota breached').counter(
    'gh0stmeter_breaches_total',
    'Breaches opened',
    { labels: ['tenant', 'quota', 'severity'] },
  ),
  quotaRestored: info<{ tenant: string; quota: string }>('quota no longer breached'),
  tenantErased: info<{
    tenant: string;
    through: string;
    samples: number;
    series: number;
    durationMs: number;
  }>('raw data of a tenant erased; what was billed stays').counter(
    'gh0stmeter_erasures_total',
    'Erasures of raw data that were done',
  ),
  erasureRepeated: info<{ tenant: string; through: string }>(
    'erased samples had come back, from the log or from afar; deleted again',
  ).counter('gh0stmeter_repeated_erasures_total', 'Times erased samples came back and were deleted again'),
  erasureHeld: warn<{ tenant: string; through: string; reason: string }>(
    'a declared erasure has not been done yet',
  ).counter('gh0stmeter_held_erasures_total', 'Declared erasures found waiting, told once an hour', {
    labels: ['reason'],
  }),
};

/** What the store, the API and the process itself say. */
const runtimeFacts = {
  storeError: warn<{ operation: string; code: string; error: unknown }>('store not available').counter(
    'gh0stmeter_store_errors_total',
    'Operations the store refused',
    { labels: ['operation', 'code'] },
  ),
  retrying: warn<{ operation: string; attempt: number; waitMs: number; error: unknown }>(
    'trying again after a fault',
  ).counter('gh0stmeter_retries_total', 'Operations tried again', { labels: ['operation'] }),
  partitionDropped: info<{ table: string; partition: string }>(
    'partition past its retention dropped',
  ).counter('gh0stmeter_dropped_partitions_total', 'Partitions of the store dropped by retention', {
    labels: ['table'],
  }),
  migrated: info<{ from: number; to: number; durationMs: number }>('store schema migrated').gauge(
    'gh0stmeter_schema_version_number',
    'Newest migration of the store',
    { field: 'to' },
  ),
  requestServed: debug<{ route: string; method: string; status: number; durationMs: number }>(
    'request served',
  )
    .counter('gh0stmeter_http_requests_total', 'Requests answered', { labels: ['route', 'method', 'status'] })
    .histogram('gh0stmeter_http_duration_seconds', 'Time to answer', {
      field: 'durationMs',
      labels: ['route'],
      divisor: 1000,
    }),
  requestDenied: warn<{ route: string; reason: string }>('request denied').counter(
    'gh0stmeter_http_denials_total',
    'Requests without the rights for what they asked',
    { labels: ['route', 'reason'] },
  ),
  requestShed: warn<{
    route: string;
    reason: 'event_loop' | 'queries' | 'address' | 'rate' | 'at_once' | 'stalled';
  }>('request turned away or cut off by a limit').counter(
    'gh0stmeter_http_shed_total',
    'Requests turned away or cut off by a limit',
    { labels: ['route', 'reason'] },
  ),
  requestFailed: error<{ route: string; error: unknown }>(
    'request failed by a fault of ours',
    'api-errors',
  ).counter('gh0stmeter_http_failures_total', 'Requests that failed without being at fault', {
    labels: ['route'],
  }),
  issuerKeysRead: debug<{ keys: number; ignored: number; readMs: number }>('keys of the token issuer read')
    .gauge('gh0stmeter_issuer_keys_number', 'Keys of the token issuer that can be used', { field: 'keys' })
    .gauge('gh0stmeter_issuer_read_timestamp_seconds', 'When the keys of the token issuer were last read', {
      field: 'readMs',
      divisor: 1000,
    }),
  issuerUnavailable: warn<{ hasKeys: boolean; error: unknown }>(
    'keys of the token issuer could not be read; those that are held go on being used for a while',
    'issuer-unavailable',
  ).counter('gh0stmeter_issuer_failures_total', 'Readings of the token issuer that gave no keys'),
  listening: info<{ name: string; url: string }>('listening'),
  notice: warn<{ text: string }>('notice'),
  settingsLoaded: info<{ file: string }>('settings loaded').counter(
    'gh0stmeter_settings_loads_total',
    'Settings files taken',
  ),
  settingsChanged: info<{ period: string }>(
    'the metering settings have changed: the open period is rolled up again',
  ).counter(
    'gh0stmeter_settings_changes_total',
    'Open periods rolled up again after an edit of the settings',
  ),
  settingsRefused: warn<{ file: string; error: unknown }>(
    'settings refused; the former ones stay in force',
  ).counter('gh0stmeter_settings_refusals_total', 'Settings files that were not valid'),
  started: info<{ part: string; durationMs: number }>('started').counter(
    'gh0stmeter_part_starts_total',
    'Parts started',
    { labels: ['part'] },
  ),
  startFailed: error<{ part: string; error: unknown }>('could not start', 'start-failed').counter(
    'gh0stmeter_part_start_failures_total',
    'Parts that did not start',
    { labels: ['part'] },
  ),
  stopping: info<{ reason: string }>('stopping'),
  stopped: info<{ part: string; durationMs: number }>('stopped'),
  stopFailed: warn<{ part: string; error: unknown }>('did not stop cleanly').counter(
    'gh0stmeter_part_stop_failures_total',
    'Parts that failed while stopping',
    { labels: ['part'] },
  ),
  stopTimedOut: warn<{ part: string; timeoutMs: number }>(
    'did not stop in time; going on without it',
  ).counter('gh0stmeter_part_stop_timeouts_total', 'Parts that took too long to stop', { labels: ['part'] }),
  partFailed: error<{ part: string; error: unknown }>(
    'a part failed while running; the process stops and its restart goes on from durable state',
    'part-failed',
  ).counter('gh0stmeter_part_failures_total', 'Parts that failed while running', { labels: ['part'] }),
};

export const facts = {
  ...collectorFacts,
  ...ingestFacts,
  ...logFacts,
  ...kafkaFacts,
  ...coordinationFacts,
  ...ledgerFacts,
  ...usageFacts,
  ...runtimeFacts,
};

export type FactName = keyof typeof facts;

export type FactFields<N extends FactName> = (typeof facts)[N] extends FactDefinition<infer F> ? F : never;

/** What a stage is handed to state its facts with; `Telemetry` is the one that has it. */
export interface FactSink {
  event<N extends FactName>(name: N, fields: FactFields<N>): void;
}
