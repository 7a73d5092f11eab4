-- What billing reads. The ledger, closes and statements are only ever appended to; everything else here is
-- made from them, or says what is still to be done.

-- One sequence of entries. `seq` is given by the insert itself, so it grows in the order in which entries
-- become visible; `id` is made of what an entry says, so an entry that a crash lets be written twice is told
-- by it.
--   usage       an hour of a key (cluster, tenant, namespace, meter), settled: q is its value
--   correction  the same of a closed period: q is its value now, p its value at the last close; the
--               difference is the correction, provisional until a close appends it as `final`
--   coverage    of an hour, cluster and meter
--   period      a period began, is settling, is closed; `body` says more
--   erasure     a tenant's raw data was deleted; `body` says what
-- `period` (yyyymm) is the one the entry is dated to.
CREATE TABLE IF NOT EXISTS ledger
(
    seq UInt64 CODEC(Delta, ZSTD(1)),
    id FixedString(16),
    kind LowCardinality(String),
    period UInt32,
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    cluster LowCardinality(String),
    tenant LowCardinality(String),
    namespace LowCardinality(String),
    meter LowCardinality(String),
    revision UInt32,
    final UInt8,
    q0 Int128 CODEC(ZSTD(1)),
    q1 Int128 CODEC(ZSTD(1)),
    q2 Int128 CODEC(ZSTD(1)),
    q3 Int128 CODEC(ZSTD(1)),
    p0 Int128 CODEC(ZSTD(1)),
    p1 Int128 CODEC(ZSTD(1)),
    p2 Int128 CODEC(ZSTD(1)),
    p3 Int128 CODEC(ZSTD(1)),
    missing_ms Int128 CODEC(ZSTD(1)),
    samples UInt64,
    flags UInt32,
    covered_ms UInt64,
    expected_ms UInt64,
    input_hash FixedString(16),
    rule_version UInt16,
    body String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX hour_index hour TYPE minmax GRANULARITY 1
)
ENGINE = {R}MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY seq
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- Hours as queries read them: the newest entry of each key. Of a closed period it stays what the statement
-- says.
CREATE TABLE IF NOT EXISTS usage_current
(
    tenant LowCardinality(String),
    meter LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    cluster LowCardinality(String),
    namespace LowCardinality(String),
    q0 Int128,
    q1 Int128,
    q2 Int128,
    q3 Int128,
    missing_ms Int128,
    samples UInt64,
    flags UInt32,
    covered_ms UInt64,
    expected_ms UInt64,
    revision UInt32,
    seq UInt64
)
ENGINE = {R}ReplacingMergeTree(seq)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, meter, hour, cluster, namespace);

-- The same by UTC day.
CREATE TABLE IF NOT EXISTS usage_day
(
    tenant LowCardinality(String),
    meter LowCardinality(String),
    day Date CODEC(Delta, ZSTD(1)),
    cluster LowCardinality(String),
    namespace LowCardinality(String),
    quantity Int256,
    missing_ms Int256,
    samples UInt64,
    flags UInt32,
    seq UInt64
)
ENGINE = {R}ReplacingMergeTree(seq)
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, meter, day, cluster, namespace);

-- Hours to settle: marked > settled of any source, a roll-up process with a sequence of its own.
CREATE TABLE IF NOT EXISTS hour_mark
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    source LowCardinality(String),
    marked SimpleAggregateFunction(max, Int64),
    settled SimpleAggregateFunction(max, Int64)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY (cluster, hour, source);

-- The newest accepted successful scrape of a cluster.
CREATE TABLE IF NOT EXISTS watermark
(
    cluster LowCardinality(String),
    t SimpleAggregateFunction(max, Int64)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY cluster;

-- Who asks ingest to wait, and until when: advice, which a close checks afterwards.
CREATE TABLE IF NOT EXISTS hold
(
    holder String,
    purpose LowCardinality(String),
    since DateTime64(6, 'UTC') DEFAULT now64(6),
    until DateTime64(3, 'UTC'),
    released UInt8
)
ENGINE = {R}MergeTree
ORDER BY (since, holder);

-- What was decided about a set of samples: a period was closed (close), samples before a floor were let go
-- (floor), or hours before one (hours), or a tenant's samples (erasure); and the settings that open periods
-- are made with (settings). The cut says which records a decision knew. With the log, these decisions are all
-- that a replay needs.
CREATE TABLE IF NOT EXISTS decision
(
    kind LowCardinality(String),
    period UInt32,
    floor DateTime('UTC'),
    cut String,
    up_to UInt64,
    hash String,
    previous_hash String,
    body String,
    decided_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {R}MergeTree
ORDER BY (kind, period, floor)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;

-- The bytes. A close names the statements that are its own by tenant and hash; others are attempts that did
-- not last.
CREATE TABLE IF NOT EXISTS statement
(
    period UInt32,
    tenant LowCardinality(String),
    hash String,
    body String CODEC(ZSTD(3))
)
ENGINE = {R}MergeTree
ORDER BY (period, tenant, hash)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1;
