import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

import { invariant, MeteringError } from '../../runtime/errors.ts';
import type { LogAppend, LogRecord } from '../sample-log.ts';
import { translateFault } from './faults.ts';
import { decodeHeaders, encodeHeaders } from './headers.ts';
import {
  APPLICATION_ID,
  OFFSET_BITS,
  SCHEMA,
  SCHEMA_VERSION,
  STATEMENTS,
  type StatementName,
} from './schema.ts';

/**
 * The file of the embedded log: topics, partitions, records and what each group has committed, in SQLite.
 *
 * Guarantee: `transaction` is durable when it returns (write-ahead log, synchronous FULL) and leaves no trace
 * when it throws. One process at a time: the file stays locked from open to close, and the operating system
 * lets go of it when the process dies, however it dies. A crash loses what was not yet returned; SQLite
 * completes or drops the last transaction at the next open.
 */
const FILE_NAME = 'log.sqlite';
/** Larger pages write large values faster, smaller ones small values; measured best for 1 to 100 KB. */
const PAGE_BYTES = 16_384;
/** At this size the write-ahead log is copied into the file: what a commit now and then waits for. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;

/** What is known of a partition; a new state replaces it only when its transaction is durable. */
export interface PartitionState {
  /** Offset of the oldest record kept. */
  readonly start: bigint;
  /** Offset of the next record. */
  readonly next: bigint;
  /** Bytes of keys, headers and values kept. */
  readonly bytes: number;
}

export interface Partition {
  readonly id: bigint;
  readonly topic: string;
  readonly number: number;
  state: PartitionState;
}

/** Size and age of a record, without reading it. */
export interface RecordHead {
  readonly timestampMs: number;
  readonly bytes: number;
}

export interface LogFileConfig {
  readonly directory: string;
  /** The file never grows beyond this; what would is refused. */
  readonly maxFileBytes: number;
}

export class LogFile {
  readonly path: string;
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<StatementName, StatementSync>>;
  readonly #topics = new Map<string, readonly Partition[]>();

  constructor({ directory, maxFileBytes }: LogFileConfig) {
    this.path = join(directory, FILE_NAME);
    this.#database = openDatabase(directory, this.path);
    try {
      this.#statements = this.#translated(() => this.#prepare(maxFileBytes));
      this.#translated(() => this.#load());
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  topics(): ReadonlyMap<string, readonly Partition[]> {
    return this.#topics;
  }

  /** The partitions of a topic, which is made with as many as asked if it is new. */
  topic(name: string, partitions: number): readonly Partition[] {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const made = this.transaction(() => {
      const topicId = bigintOf(this.#statements.addTopic.get(name)?.['id']);
      return Array.from({ length: partitions }, (_, number): Partition => {
        const id = bigintOf(this.#statements.addPartition.get(topicId, number)?.['id']);
        return { id, topic: name, number, state: { start: 0n, next: 0n, bytes: 0 } };
      });
    });
    this.#topics.set(name, made);
    return made;
  }

  /** All or nothing, and durable when it returns. Callers change what they hold in memory only after it. */
  transaction<T>(work: () => T): T {
    return this.#translated(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite itself has already rolled back after the gravest faults.
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** Within a transaction: one record at an offset; returns the bytes that count for it. */
  add(partition: Partition, offset: bigint, record: LogAppend): number {
    const headers = encodeHeaders(record.headers ?? {});
    const position = positionOf(partition, offset);
    this.#statements.addRecord.run(position, record.timestampMs, record.key, headers, record.value);
    return record.value.length + (record.key?.length ?? 0) + (headers?.length ?? 0);
  }

  /** Within a transaction. */
  saveState(partition: Partition, { start, next, bytes }: PartitionState): void {
    this.#statements.setPartition.run(start, next, bytes, partition.id);
  }

  /** Within a transaction. */
  savePosition(group: string, partition: Partition, next: bigint): void {
    this.#statements.setPosition.run(group, partition.id, next);
  }

  /** Within a transaction: removes the records below an offset. */
  removeBelow(partition: Partition, offset: bigint): void {
    this.#statements.remove.run(positionOf(partition, partition.state.start), positionOf(partition, offset));
  }

  /** Committed positions of every group, by partition id. */
  positions(): ReadonlyMap<string, ReadonlyMap<bigint, bigint>> {
    const groups = new Map<string, Map<bigint, bigint>>();
    for (const row of this.#translated(() => this.#statements.positions.all())) {
      const name = String(row['group_name']);
      const group = groups.get(name) ?? new Map<bigint, bigint>();
      groups.set(name, group.set(bigintOf(row['partition_id']), bigintOf(row['next_offset'])));
    }
    return groups;
  }

  /** Records from an offset on, read one by one as they are taken. */
  *read(partition: Partition, from: bigint): Generator<LogRecord, void> {
    const { topic, number } = partition;
    try {
      const rows = this.#statements.read.iterate(
        positionOf(partition, from),
        positionOf(partition, partition.state.next),
      );
      for (const row of rows) {
        yield {
          topic,
          partition: number,
          offset: bigintOf(row['position']) & OFFSET_MASK,
          timestampMs: Number(row['timestamp_ms']),
          key: blobOf(row['key']),
          headers: decodeHeaders(blobOf(row['headers'])),
          value: row['value'] as Uint8Array,
        };
      }
    } catch (error) {
      throw translateFault(error, this.path);
    }
  }

  /** The oldest records of a partition, at most `limit`, without their contents. */
  heads(partition: Partition, limit: number): readonly RecordHead[] {
    const { start, next } = partition.state;
    return this.#translated(() =>
      this.#statements.heads
        .all(positionOf(partition, start), positionOf(partition, next), limit)
        .map((row) => ({ timestampMs: Number(row['timestamp_ms']), bytes: Number(row['bytes']) })),
    );
  }

  close(): void {
    this.#translated(() => this.#database.close());
  }

  #prepare(maxFileBytes: number): Readonly<Record<StatementName, StatementSync>> {
    this.#database.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA page_size = ${PAGE_BYTES};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_BYTES / PAGE_BYTES};
      PRAGMA max_page_count = ${Math.max(1, Math.floor(maxFileBytes / PAGE_BYTES))};
    `);
    this.transaction(() => this.#ensureSchema());
    const entries = Object.entries(STATEMENTS).map(([name, sql]) => {
      const statement = this.#database.prepare(sql);
      statement.setReadBigInts(true);
      return [name, statement];
    });
    return Object.fromEntries(entries) as Record<StatementName, StatementSync>;
  }

  /** The first write takes the lock that is held until the close. */
  #ensureSchema(): void {
    const version = this.#pragma('user_version');
    const application = this.#pragma('application_id');
    const empty = version === 0 && application === 0 && this.#tables() === 0;
    if (empty) {
      this.#database.exec(`${SCHEMA}
        PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION};`);
      return;
    }
    if (application !== APPLICATION_ID) {
      const advice = 'move it away or name another data directory';
      throw new MeteringError('METER_LOG_UNAVAILABLE', `${this.path} is no log of ours; ${advice}`);
    }
    if (version !== SCHEMA_VERSION) {
      const advice = `version ${version}, this program knows ${SCHEMA_VERSION}; start the one that wrote it`;
      throw new MeteringError('METER_MIGRATION_CONFLICT', `${this.path} is of another release: ${advice}`);
    }
  }

  #tables(): number {
    return Number(this.#database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
  }

  #pragma(name: 'user_version' | 'application_id'): number {
    return Number(this.#database.prepare(`PRAGMA ${name}`).get()?.[name]);
  }

  #load(): void {
    for (const row of this.#statements.topics.all()) {
      const topic = String(row['name']);
      const partitions = this.#statements.partitions.all(bigintOf(row['id']));
      this.#topics.set(
        topic,
        partitions.map((found, number): Partition => {
          const state = {
            start: bigintOf(found['start_offset']),
            next: bigintOf(found['next_offset']),
            bytes: Number(found['bytes']),
          };
          const partition = { id: bigintOf(found['id']), topic, number, state };
          this.#checkEnd(partition);
          return partition;
        }),
      );
    }
  }

  /** The counters and the records are written together; where they disagree the file was tampered with. */
  #checkEnd(partition: Partition): void {
    const { start, next } = partition.state;
    const from = positionOf(partition, 0n);
    const newest = this.#statements.newest.get(from, from + OFFSET_MASK)?.['position'];
    const expected = next === start ? null : positionOf(partition, next - 1n);
    if (newest === expected) return;
    const where = `${partition.topic}/${partition.number}`;
    throw new MeteringError(
      'METER_LOG_UNAVAILABLE',
      `the log ${this.path} is damaged: ${where} does not end at offset ${next}; restore it, or move it away`,
    );
  }

  #translated<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw translateFault(error, this.path);
    }
  }
}

const OFFSET_MASK = (1n << OFFSET_BITS) - 1n;

function positionOf(partition: Partition, offset: bigint): bigint {
  invariant(offset >= 0n && offset <= OFFSET_MASK, 'an offset fits its bits');
  return (partition.id << OFFSET_BITS) | offset;
}

function openDatabase(directory: string, path: string): DatabaseSync {
  try {
    mkdirSync(directory, { recursive: true });
    return new DatabaseSync(path);
  } catch (cause) {
    const advice = 'check that the data directory exists and may be written';
    const message = `the log ${path} cannot be opened; ${advice}`;
    throw new MeteringError('METER_LOG_UNAVAILABLE', message, { cause });
  }
}

function bigintOf(value: unknown): bigint {
  invariant(typeof value === 'bigint', 'integers of the log file are read as bigints');
  return value;
}

function blobOf(value: unknown): Uint8Array | null {
  return value instanceof Uint8Array ? value : null;
}
