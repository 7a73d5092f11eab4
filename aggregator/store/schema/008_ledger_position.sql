-- How far the ledger is published to a topic: every entry up to `seq` is in it. `entries` of them lie above
-- `since`; where the ledger holds more there, one has come to light below `seq` and is still to be published.
CREATE TABLE IF NOT EXISTS ledger_position
(
    topic LowCardinality(String),
    seq UInt64,
    since UInt64,
    entries UInt64,
    recorded_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = {R}ReplacingMergeTree(recorded_at)
ORDER BY topic;
