/** The tables of the embedded log's file and every statement on them. */
export const APPLICATION_ID = 0x67306d6c; // "g0ml"
export const SCHEMA_VERSION = 1;

/**
 * A record's rowid is its partition's id and its offset in one integer, so a partition is one contiguous,
 * ordered stretch of the table: any offset is found in the time of a tree descent.
 */
export const OFFSET_BITS = 44n;

export const SCHEMA = `
  CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE partition (
    id INTEGER PRIMARY KEY,
    topic_id INTEGER NOT NULL REFERENCES topic (id),
    number INTEGER NOT NULL,
    start_offset INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    UNIQUE (topic_id, number)
  );
  CREATE TABLE record (
    position INTEGER PRIMARY KEY,
    timestamp_ms INTEGER NOT NULL,
    key BLOB,
    headers BLOB,
    value BLOB NOT NULL
  );
  CREATE TABLE group_position (
    group_name TEXT NOT NULL,
    partition_id INTEGER NOT NULL REFERENCES partition (id),
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_name, partition_id)
  ) WITHOUT ROWID;
`;

export const STATEMENTS = {
  topics: 'SELECT id, name FROM topic ORDER BY id',
  partitions: 'SELECT id, start_offset, next_offset, bytes FROM partition WHERE topic_id = ? ORDER BY number',
  newest: 'SELECT max(position) AS position FROM record WHERE position >= ? AND position < ?',
  positions: 'SELECT group_name, partition_id, next_offset FROM group_position',
  addTopic: 'INSERT INTO topic (name) VALUES (?) RETURNING id',
  addPartition:
    'INSERT INTO partition (topic_id, number, start_offset, next_offset, bytes) ' +
    'VALUES (?, ?, 0, 0, 0) RETURNING id',
  setPartition: 'UPDATE partition SET start_offset = ?, next_offset = ?, bytes = ? WHERE id = ?',
  setPosition:
    'INSERT OR REPLACE INTO group_position (group_name, partition_id, next_offset) VALUES (?, ?, ?)',
  addRecord: 'INSERT INTO record (position, timestamp_ms, key, headers, value) VALUES (?, ?, ?, ?, ?)',
  read:
    'SELECT position, timestamp_ms, key, headers, value FROM record ' +
    'WHERE position >= ? AND position < ? ORDER BY position',
  heads:
    'SELECT timestamp_ms, length(value) + ifnull(length(key), 0) + ifnull(length(headers), 0) AS bytes ' +
    'FROM record WHERE position >= ? AND position < ? ORDER BY position LIMIT ?',
  remove: 'DELETE FROM record WHERE position >= ? AND position < ?',
} as const;

export type StatementName = keyof typeof STATEMENTS;
