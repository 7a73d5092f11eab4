-- Whether all that was measured was given to somebody, and how much of what the nodes saw it is.

-- What each unit measured for each hour and meter, summed before owners are looked up; it stands beside the
-- unit's usage_parts, under the same version. Totals of nodes (node_cpu, node_memory) are here and nowhere
-- else.
CREATE TABLE IF NOT EXISTS measured
(
    cluster LowCardinality(String),
    unit DateTime('UTC'),
    hour DateTime('UTC'),
    meter LowCardinality(String),
    quantity Int128,
    version UInt64
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, unit, hour, meter);

-- Per cluster, hour and meter: difference = measured - (attributed + platform + unattributed), always 0 where
-- all is well; `compared` of `reference` is the ratio, both NULL where there is nothing to hold it against.
-- `attributed` is the sum over all tenants that are organizations. The newest version is the latest reading.
CREATE TABLE IF NOT EXISTS reconciliation
(
    cluster LowCardinality(String),
    hour DateTime('UTC'),
    meter LowCardinality(String),
    attributed Int256,
    platform Int256,
    unattributed Int256,
    measured Int256,
    difference Int256,
    compared Nullable(Int256),
    reference Nullable(Int256),
    version UInt64
)
ENGINE = {R}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(hour)
ORDER BY (cluster, hour, meter);
