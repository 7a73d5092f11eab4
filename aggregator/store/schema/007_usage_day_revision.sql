-- The highest revision among the hours of a day. Days that were summed before have 0 until `metering rebuild`
-- sums them again.
ALTER TABLE usage_day ADD COLUMN IF NOT EXISTS revision UInt32 DEFAULT 0;
