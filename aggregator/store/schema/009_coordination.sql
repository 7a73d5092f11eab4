-- How processes that share a store divide the work between them. Times are the server's: processes' clocks
-- are compared with nobody's.

-- Who may append to the ledger and decide: the first to ask for the newest epoch. Whoever takes over asks for
-- a higher one, and what the former holder sends from then on is refused by the inserting statement itself.
CREATE TABLE IF NOT EXISTS lease
(
    name LowCardinality(String),
    epoch UInt64,
    holder String,
    since SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    until SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    released SimpleAggregateFunction(max, UInt8)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY (name, epoch, holder);

-- Who rolls up: units are shared among those that were heard of lately.
CREATE TABLE IF NOT EXISTS member
(
    member String,
    until SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    has_left SimpleAggregateFunction(max, UInt8)
)
ENGINE = {R}AggregatingMergeTree
ORDER BY member;
