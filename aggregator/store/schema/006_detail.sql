-- Usage broken down finer than the ledger's key (METERING 12): by workload, destination and storage class.
-- Not ledger truth: kept for `detailRetentionMs` alone, by whole months of `hour`, and gone earlier for a
-- tenant that was erased.

-- What each unit gives to each hour, in quarters, as usage_parts does, and replaced like it: unit by unit,
-- under the unit's version, with zeros for rows that it gives no more. So read it FINAL, and an hour is the
-- sum over units. Over (workload, destination, storage_class) it sums to usage_parts, quarter by quarter.
--   workload       `Kind/name`, such as Deployment/web; '' where it is not known, or the meter has none
--   destination    egress and egress_internal: `Kind/namespace/name` inside the cluster, else an address or
--                  a network; '' where none is told; `(other)` beyond the largest of a key in a unit and hour
--   storage_class  storage and storage_used; '' where it is not known
CREATE TABLE IF NOT EXISTS detail_parts
(
    cluster LowCardinality(String),
    unit DateTime('UTC'),
    hour DateTime('UTC'),
    tenant LowCardinality(String),
    namespace LowCardinality(String),
    meter LowCardinality(String),
    workload String CODEC(ZSTD(1)),
    destination String CODEC(ZSTD(1)),
    storage_class LowCardinality(String),
    q0 Int128 CODEC(ZSTD(1)),
    q1 Int128 CODEC(ZSTD(1)),
    q2 Int128 CODEC(ZSTD(1)),
    q3 Int128 CODEC(ZSTD(1)),
    version UInt64,
    INDEX tenant_index tenant TYPE minmax GRANULARITY 1
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, unit, hour, tenant, namespace, meter, workload, destination, storage_class);

-- Who owns pods, replica sets and jobs, and the class of claims, by sightings: per hour the first of each
-- value, which holds until one of another value. `subject` is `Kind/name` within the namespace; `value` is
-- the owner as `Kind/name`, or the class; '' is a sighting without one. At equal t the greater value wins (by
-- the reader). Read t as min(t) of the key, not as the rows stand.
CREATE TABLE IF NOT EXISTS detail_history
(
    cluster LowCardinality(String),
    namespace LowCardinality(String),
    subject String CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
    value String CODEC(ZSTD(1)),
    t SimpleAggregateFunction(min, Int64)
)
ENGINE = {R}AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, namespace, subject, hour, value);
