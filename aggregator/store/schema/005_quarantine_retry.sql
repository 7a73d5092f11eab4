-- Records of the quarantine that were appended to the log again: what came of it stands under the new offset.
CREATE TABLE IF NOT EXISTS quarantine_retry
(
    topic LowCardinality(String),
    partition UInt16,
    offset Int64,
    log_timestamp Int64,
    retried_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {R}ReplacingMergeTree(retried_at)
PARTITION BY toYYYYMM(toDateTime(intDiv(log_timestamp, 1000), 'UTC'))
ORDER BY (topic, partition, offset);
