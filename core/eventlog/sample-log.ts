/**
 * The log between collectors and aggregators: a port with two real sides, Kafka and an embedded one.
 *
 * Contract of both sides:
 * - `append` resolves only when every record is durable; a rejected append may still have landed
 *   (the sample store absorbs the repeat).
 * - Offsets of a partition rise and are never reused; records are polled in offset order. Embedded they are
 *   dense. On Kafka some may stand for no record (markers of transactions): a gap alone says nothing is lost.
 * - A committed position `p` says that every record below `p` of that partition is durable in the store.
 *   Delivery is at least once: after a crash, polling goes on from the committed position.
 * - A consumer may be one of several in its group, and partitions may move between them (Kafka). What was
 *   polled before may still be stored; only its commit is void, because the partition has another reader.
 */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A record as it stands in the log. `timestampMs` is the log's own time of the append. */
export interface LogRecord extends TopicPartition {
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly headers: Readonly<Record<string, Uint8Array>>;
  readonly value: Uint8Array;
}

/** A record to append. Without `partition`, the key decides (equal keys, equal partition). */
export interface LogAppend {
  readonly topic: string;
  readonly partition?: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly headers?: Readonly<Record<string, Uint8Array>>;
  readonly value: Uint8Array;
}

/** `next` is the offset of the next record to read: one past the last that is done. */
export interface LogPosition extends TopicPartition {
  readonly next: bigint;
}

export interface PollOptions {
  /** Stop collecting at this many bytes of values; one larger record is still returned alone. */
  readonly maxBytes: number;
  /** While more is known to be in the log, wait for so many bytes of values; without it for any record. */
  readonly minBytes?: number;
  /** Wait at most this long; an empty list says that no record came. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}

export interface ConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /**
   * Called within `poll`, before the first record is returned that is read under another assignment than the
   * one before, and waited for: what was remembered of earlier records is to be forgotten, and `seek` changes
   * where reading goes on. With the positions at which it would. Never called by a side whose consumers keep
   * their partitions for life.
   */
  readonly onReassigned?: ((positions: readonly LogPosition[]) => Promise<void> | void) | undefined;
}

export interface LogConsumer {
  /**
   * The next records, in offset order within each partition. Resolves to [] after `waitMs` or an abort; it
   * says that none came in time, not that there are none: a log elsewhere may be slow, or away for a while.
   */
  poll(options: PollOptions): Promise<readonly LogRecord[]>;
  /**
   * Durable when it resolves, or void: positions polled before partitions were reassigned are passed over,
   * which `onReassigned` tells at the next poll. A position below the committed one is refused as a bug.
   * Rejects with a retryable fault where it is not known whether it was committed; it may be repeated.
   */
  commit(positions: readonly LogPosition[]): Promise<void>;
  /** Go back (or forward) to positions; what was polled and not committed is polled again. */
  seek(positions: readonly LogPosition[]): Promise<void>;
  /** Records beyond those that were polled, as far as is known here: for judging how much there is to do. */
  waiting(): bigint;
  /** Committed position of every assigned partition. */
  committed(): Promise<readonly LogPosition[]>;
  close(): Promise<void>;
}

export interface SampleLog {
  append(records: readonly LogAppend[]): Promise<void>;
  consumer(options: ConsumerOptions): Promise<LogConsumer>;
  /** One past the newest record of each partition. */
  endPositions(topics: readonly string[]): Promise<readonly LogPosition[]>;
  /**
   * Offset of the oldest record of this time or a later one; one past the newest where there is none. Absent
   * where nobody but this program can remove a topic and make it anew.
   */
  offsetSince?(partition: TopicPartition, timestampMs: number): Promise<bigint>;
  close(): Promise<void>;
}
