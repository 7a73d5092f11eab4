-- What the roll-up makes of it, in units of (cluster, hour). `unit` is the hour in which the intervals end; a
-- unit is replaced alone. `version` is taken before a unit's inputs are read, so the result of the later
-- reading stays.

-- What each unit gives to each hour, in four quarters. Usage of an hour is the sum over units. Base units
-- (METERING 3).
CREATE TABLE IF NOT EXISTS usage_parts
(
    cluster LowCardinality(String),
    unit DateTime('UTC'),
    hour DateTime('UTC'),
    tenant LowCardinality(String),
    namespace LowCardinality(String),
    meter LowCardinality(String),
    q0 Int128,
    q1 Int128,
    q2 Int128,
    q3 Int128,
    missing_ms Int128,
    samples UInt64,
    flags UInt32,
    version UInt64
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, unit, hour, tenant, namespace, meter);

-- The state of each series after each hour in which it has samples: where its next unit starts from.
CREATE TABLE IF NOT EXISTS closings
(
    cluster LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    series FixedString(16),
    t Int64 CODEC(ZSTD(1)),
    value Int64 CODEC(ZSTD(1)),
    known UInt8,
    version UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, hour, series);

-- Per hour and meter: ms between successful scrapes at most 5 minutes apart, over the ms expected of the
-- targets that feed it.
CREATE TABLE IF NOT EXISTS coverage
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    meter LowCardinality(String),
    covered_ms UInt64,
    expected_ms UInt64,
    version UInt64
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, hour, meter);

-- Units to roll up: marked > rolled of any source. A source is a topic-partition (then the mark is one past
-- the newest offset that touched the unit) or a roll-up process (then a sequence of its own).
CREATE TABLE IF NOT EXISTS unit_mark
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    source LowCardinality(String),
    marked SimpleAggregateFunction(max, Int64),
    rolled SimpleAggregateFunction(max, Int64),
    -- When it was last rolled up, by the process's clock: after a power failure, what lies too near is done
    -- again.
    rolled_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = {R}AggregatingMergeTree
ORDER BY (cluster, hour, source);
