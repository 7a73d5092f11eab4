-- Coverage by quarters of the hour, as usage has them; they add up to the hour's. Of hours that were rolled up
-- before it is not known, and each quarter has a quarter of it.
ALTER TABLE coverage
    ADD COLUMN IF NOT EXISTS c0 UInt64 DEFAULT covered_ms - 3 * intDiv(covered_ms, 4),
    ADD COLUMN IF NOT EXISTS c1 UInt64 DEFAULT intDiv(covered_ms, 4),
    ADD COLUMN IF NOT EXISTS c2 UInt64 DEFAULT intDiv(covered_ms, 4),
    ADD COLUMN IF NOT EXISTS c3 UInt64 DEFAULT intDiv(covered_ms, 4),
    ADD COLUMN IF NOT EXISTS e0 UInt64 DEFAULT expected_ms - 3 * intDiv(expected_ms, 4),
    ADD COLUMN IF NOT EXISTS e1 UInt64 DEFAULT intDiv(expected_ms, 4),
    ADD COLUMN IF NOT EXISTS e2 UInt64 DEFAULT intDiv(expected_ms, 4),
    ADD COLUMN IF NOT EXISTS e3 UInt64 DEFAULT intDiv(expected_ms, 4);
