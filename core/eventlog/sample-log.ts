/**
 * The log between collectors and aggregators: a port with two real sides, Kafka and an embedded one.
 *
 * Contract of both sides:
 * - `append` resolves only when every record is durable; a rejected append may still have landed
 *   (the sample store absorbs the repeat).
 * - Offsets of a partition are dense and never reused. Records of a partition are polled in offset order.
 * - A committed position `p` says that every record below `p` of that partition is durable in the store.
 *   Delivery is at least once: after a crash, polling goes on from the committed position.
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
  /** Wait at most this long for a first record; an empty list says that none came. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}

export interface LogConsumer {
  /** The next records, in offset order within each partition. Resolves to [] after `waitMs` or an abort. */
  poll(options: PollOptions): Promise<readonly LogRecord[]>;
  /** Durable when it resolves. A position below the committed one is refused as a bug. */
  commit(positions: readonly LogPosition[]): Promise<void>;
  /** Go back (or forward) to positions; what was polled and not committed is polled again. */
  seek(positions: readonly LogPosition[]): Promise<void>;
  /** Committed position of every assigned partition. */
  committed(): Promise<readonly LogPosition[]>;
  close(): Promise<void>;
}

export interface SampleLog {
  append(records: readonly LogAppend[]): Promise<void>;
  consumer(options: { readonly group: string; readonly topics: readonly string[] }): Promise<LogConsumer>;
  /** One past the newest record of each partition. */
  endPositions(topics: readonly string[]): Promise<readonly LogPosition[]>;
  close(): Promise<void>;
}
