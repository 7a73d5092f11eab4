-- What arrived. Every table here is a convergent set: any order and any repetition of the same records leaves
-- the same rows after FINAL (or after the min/max of an aggregate column). `hour` is the start of the hour
-- that owns t: (t - 1) div 3600000, so a sample exactly on a boundary belongs to the earlier hour.

-- One row per (series, t): the largest value wins (METERING 5); a staleness marker is -1, so any value beats
-- it; it is stored as `version` = value + 1, which the engine can compare. `start` is part of the key, and
-- the reader keeps the later one. `target` is 0 except for counters that live in an exporter's memory, whose
-- resets need to know who reported them. topic/partition/offset say where a copy came from.
CREATE TABLE IF NOT EXISTS samples
(
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    cluster LowCardinality(String),
    meter LowCardinality(String),
    series FixedString(16) CODEC(ZSTD(1)),
    t Int64 CODEC(Delta, ZSTD(1)),
    start Int64 CODEC(Delta, ZSTD(1)),
    target UInt64 CODEC(ZSTD(1)),
    version UInt64 CODEC(Delta, T64, ZSTD(1)),
    value Int64 ALIAS toInt64(version) - 1,
    topic LowCardinality(String),
    partition UInt16 CODEC(ZSTD(1)),
    offset Int64 CODEC(Delta, ZSTD(1))
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMMDD(hour)
ORDER BY (hour, cluster, meter, series, t, start, target);

-- Labels once per series; `seen` is the newest day on which it was met, for retention.
CREATE TABLE IF NOT EXISTS series
(
    cluster LowCardinality(String),
    series FixedString(16),
    meter LowCardinality(String),
    metric LowCardinality(String),
    delta UInt8,
    namespace LowCardinality(String),
    pod_key String,
    labels Map(LowCardinality(String), String),
    seen Date
)
ENGINE = {R}ReplacingMergeTree(seen)
ORDER BY (cluster, series);

-- (job, instance) of a cluster, with its first successful scrape: where its metering begins.
CREATE TABLE IF NOT EXISTS target
(
    cluster LowCardinality(String),
    target UInt64,
    job LowCardinality(String),
    instance String,
    first_scrape SimpleAggregateFunction(min, Int64)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY (cluster, target, job, instance);

-- `up` of every target: 1 successful, 0 failed, -1 removed (marker). At equal t the larger wins.
CREATE TABLE IF NOT EXISTS scrape
(
    cluster LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    target UInt64 CODEC(ZSTD(1)),
    t Int64 CODEC(Delta, ZSTD(1)),
    version UInt8,
    up Int8 ALIAS toInt8(version) - 1
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, hour, target, t);

-- Which targets feed which meter, for coverage.
CREATE TABLE IF NOT EXISTS feed
(
    cluster LowCardinality(String),
    meter LowCardinality(String),
    target UInt64
)
ENGINE = {R}ReplacingMergeTree
ORDER BY (cluster, meter, target);

-- First accepted and first rejected sighting of a series by a target (9223372036854775807: none).
CREATE TABLE IF NOT EXISTS sightings
(
    cluster LowCardinality(String),
    series FixedString(16),
    target UInt64,
    value_t SimpleAggregateFunction(min, Int64),
    rejected_t SimpleAggregateFunction(min, Int64)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY (cluster, series, target);

-- Where first sightings lie in time: the candidates for births of an hour, and what a late fact can touch.
-- A superset: a sighting that was later found not to be the first stays here.
CREATE TABLE IF NOT EXISTS births
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    target UInt64,
    t Int64,
    series FixedString(16),
    start_key UInt64
)
ENGINE = {R}ReplacingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, hour, target, t, series);

CREATE TABLE IF NOT EXISTS process_start
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    target UInt64,
    t Int64,
    start UInt64
)
ENGINE = {R}ReplacingMergeTree(start)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, hour, target, t);

-- The smallest start of a container ever shown. start_key is a hash of (cluster, node, id).
CREATE TABLE IF NOT EXISTS container_start
(
    cluster LowCardinality(String),
    start_key UInt64,
    start SimpleAggregateFunction(min, Int64)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY (cluster, start_key);

-- Sightings of a namespace's tenant label; '' is a sighting without it. At equal t the greater name wins (by
-- the reader).
CREATE TABLE IF NOT EXISTS label_history
(
    cluster LowCardinality(String),
    namespace LowCardinality(String),
    t Int64 CODEC(Delta, ZSTD(1)),
    tenant LowCardinality(String)
)
ENGINE = {R}ReplacingMergeTree
PARTITION BY toYYYYMM(toDateTime(intDiv(t, 1000), 'UTC'))
ORDER BY (cluster, namespace, t, tenant);

-- Pods on the host's network: `uid:<uid>` and `pod:<namespace>/<pod>`, never taken back.
CREATE TABLE IF NOT EXISTS host_network
(
    cluster LowCardinality(String),
    pod_key String
)
ENGINE = {R}ReplacingMergeTree
ORDER BY (cluster, pod_key);

-- Pods whose phase says that they hold no requests: Succeeded, Failed or Unknown at t.
CREATE TABLE IF NOT EXISTS pod_phase
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    t Int64,
    pod_uid String
)
ENGINE = {R}ReplacingMergeTree
PARTITION BY toYYYYMMDD(hour)
ORDER BY (cluster, hour, t, pod_uid);

-- Journal of what was consumed. Its newest row of a partition is what the samples are complete up to.
CREATE TABLE IF NOT EXISTS batch
(
    topic LowCardinality(String),
    partition UInt16,
    first_offset Int64,
    last_offset Int64,
    records UInt32,
    points UInt32,
    samples UInt32,
    rejected Map(LowCardinality(String), UInt32),
    hash String,
    hours Array(DateTime('UTC')),
    newest_timestamp Int64,
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {R}MergeTree
ORDER BY (topic, partition, first_offset);

CREATE TABLE IF NOT EXISTS quarantine
(
    topic LowCardinality(String),
    partition UInt16,
    offset Int64,
    n UInt32,
    reason LowCardinality(String),
    excerpt String,
    log_timestamp Int64
)
ENGINE = {R}ReplacingMergeTree
PARTITION BY toYYYYMM(toDateTime(intDiv(log_timestamp, 1000), 'UTC'))
ORDER BY (topic, partition, offset, n);
